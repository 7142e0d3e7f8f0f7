"""What a source of samples is: one protocol, columns in and out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from abkit.window import Window

__all__ = ["APPROXIMATE", "Samples", "Source", "Window"]

APPROXIMATE: Final = "push-down"
"""The way that reads sums, not samples."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples as scraped, in columns, sorted by series and then time.

    Attributes:
        labels: One mapping a series, `__name__` included.
        series: Index into `labels`, one a sample; int32.
        timestamps: Milliseconds since the epoch, one a sample; int64.
        values: As scraped, one a sample; float64. NaN and Inf are possible: services do expose them.
    """

    labels: tuple[Mapping[str, str], ...]
    series: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    values: NDArray[np.float64]


class Source(Protocol):
    """Where samples come from.

    A source returns raw samples, never interpolated or moved to a step; each sample once; nothing outside the window.
    """

    @property
    def name(self) -> str:
        """What it is called in logs and in the store: kind and place, no secrets."""
        ...

    @property
    def way(self) -> str:
        """How samples were read, such as `range-vector`."""
        ...

    def span(self) -> Window | None:
        """The time that the source is known to cover; None where it can't say (a live server)."""
        ...

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        """Raw samples of a PromQL selector in a window, in batches of bounded size.

        Args:
            selector: A PromQL vector selector, such as `ab_clicks_total{ab_experiment="x"}`.
            window: Half-open.

        Yields:
            Batches; a series may be continued in a later batch. None where nothing matches.

        Raises:
            SourceError: It can't be reached or answers nonsense, after retries.
            QueryError: The selector is not one.
        """
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the source said beside its answers so far, such as that an answer is partial; each once."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...
