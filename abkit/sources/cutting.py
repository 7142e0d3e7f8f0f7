"""Cuts a window into questions that are answered in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from abkit.sources.base import Samples
from abkit.sources.transport import TooMuch
from abkit.window import Window

__all__ = ["in_parts"]

_FIRST_MS: Final = 15 * 60_000
_SHORTEST_MS: Final = 1_000
_GROWTH: Final = 8.0


def in_parts(window: Window, batch: int, ask: Callable[[Window], Samples]) -> Iterator[Samples]:
    """Ask for a window part by part, from its start to its end.

    The length of a part follows the size of the answer before it; where an answer is too large all the same, for the
    server or for this end, the part is halved and asked for again.

    Args:
        window: The whole.
        batch: Samples that one answer should have.
        ask: Answers one part.

    Yields:
        What each part held, in time's order; nothing for parts without samples.

    Raises:
        TooMuch: A second of samples is still too large an answer.

    >>> import numpy as np
    >>> parts = []
    >>> def ask(part: Window) -> Samples:
    ...     parts.append(part.length_ms)
    ...     if part.length_ms > 600_000:
    ...         raise TooMuch("too many samples", 422)
    ...     return Samples((), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))
    >>> list(in_parts(Window(0, 800_000), 1_000_000, ask)), parts
    ([], [800000, 400000, 400000])
    """
    start, length = window.start_ms, _FIRST_MS
    while start < window.end_ms:
        end = min(start + length, window.end_ms)
        try:
            samples = ask(Window(start, end))
        except TooMuch:
            if end - start <= _SHORTEST_MS:
                raise
            length = max((end - start) // 2, _SHORTEST_MS)
            continue
        # The next answer's size is guessed from this one's, carefully upwards.
        growth = batch / max(len(samples.timestamps), 1)
        length = max(int((end - start) * min(growth, _GROWTH)), _SHORTEST_MS)
        start = end
        if len(samples.timestamps):
            yield samples
