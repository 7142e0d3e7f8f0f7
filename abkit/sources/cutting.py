"""Cuts a window into questions that are answered in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from abkit.sources.base import Samples
from abkit.sources.transport import TooMuch
from abkit.window import Window

__all__ = ["Cutting", "in_parts"]

_FIRST_MS: Final = 15 * 60_000
_SHORTEST_MS: Final = 1_000
_GROWTH: Final = 8.0
_ANY: Final = 1 << 60


class Cutting:
    """Where in a window the questions are.

    Args:
        window: The whole.
        first_ms: How long the first part should be: nobody knows yet how much it holds.

    >>> cutting = Cutting(Window(0, 100_000), 40_000)
    >>> cutting.go_on(10, 5)
    >>> cutting.part
    Window(start_ms=40000, end_ms=60000)
    """

    def __init__(self, window: Window, first_ms: int) -> None:
        self._start, self._end, self._length = window.start_ms, window.end_ms, first_ms

    @property
    def part(self) -> Window | None:
        """What to ask for; None at the end."""
        if self._start >= self._end:
            return None
        return Window(self._start, min(self._start + self._length, self._end))

    def go_on(self, samples: int, aim: int) -> None:
        """The part was answered.

        Args:
            samples: How many it had.
            aim: How many the next one should have: its length is guessed from this one's, carefully upwards.
        """
        part = self.part
        if part is not None:
            growth = min(aim / max(samples, 1), _GROWTH)
            self._start, self._length = part.end_ms, max(int(part.length_ms * growth), _SHORTEST_MS)

    def halve(self, error: TooMuch) -> None:
        """The part was too large; raises the error where it can't be shorter."""
        part = self.part
        if part is None or part.length_ms <= _SHORTEST_MS:
            raise error
        self._length = max(part.length_ms // 2, _SHORTEST_MS)

    def at_most(self, length_ms: int) -> None:
        """Make the part shorter, where it is longer: the way to ask takes no more."""
        self._length = min(self._length, length_ms)


def in_parts(window: Window, batch: int, ask: Callable[[Window], Samples], longest_ms: int = _ANY) -> Iterator[Samples]:
    """Ask for a window part by part, from its start to its end.

    The length of a part follows the size of the answer before it; where an answer is too large all the same, for the
    server or for this end, the part is halved and asked for again.

    Args:
        window: The whole.
        batch: Samples that one answer should have.
        ask: Answers one part.
        longest_ms: How long a part may be.

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
    cutting = Cutting(window, min(_FIRST_MS, longest_ms))
    while (part := cutting.part) is not None:
        try:
            samples = ask(part)
        except TooMuch as error:
            cutting.halve(error)
            continue
        cutting.go_on(len(samples.timestamps), batch)
        cutting.at_most(longest_ms)
        if len(samples.timestamps):
            yield samples
