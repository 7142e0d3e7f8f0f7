"""All samples of a file in columns, and what a selector and a window take of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from abkit.queries.selectors import parse_selector
from abkit.sources.base import Samples
from abkit.window import Window

__all__ = ["BATCH", "Columns"]

BATCH: Final = 2_000_000
"""Most samples in one batch of a file."""


@dataclass(frozen=True, slots=True)
class Columns:
    """A file's samples, sorted by series and then time, each moment of a series once.

    Attributes:
        span: What the file covers.
        labels: One mapping a series.
        offsets: Where each series begins, and where the last one ends; int64, one more than there are series.
        timestamps: Milliseconds, one a sample.
        values: As scraped, one a sample.
    """

    span: Window
    labels: Sequence[Mapping[str, str]]
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    values: NDArray[np.float64]

    def fetch(self, selector: str, window: Window, batch: int) -> Iterator[Samples]:
        """Samples of a selector in a window: see `abkit.sources.base.Source.fetch`.

        Args:
            selector: PromQL.
            window: Half-open.
            batch: Most samples in one batch.

        >>> offsets, times, values = np.array([0, 2]), np.array([1, 5]), np.array([1.0, 2.0])
        >>> columns = Columns(Window(0, 9), [{"__name__": "a"}], offsets, times, values)
        >>> [found.values.tolist() for found in columns.fetch("a", Window(2, 9), 10)]
        [[2.0]]
        """
        parsed = parse_selector(selector)
        labels: list[Mapping[str, str]] = []
        pieces: list[slice] = []
        held = 0
        for index, series in enumerate(self.labels):
            if not parsed.matches(series):
                continue
            run = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
            first, last = run.start + np.searchsorted(self.timestamps[run], [window.start_ms, window.end_ms])
            while first < last:
                end = min(last, first + batch - held)
                labels.append(series)
                pieces.append(slice(int(first), int(end)))
                held += int(end - first)
                first = end
                if held >= batch:
                    yield self._samples(labels, pieces)
                    labels, pieces, held = [], [], 0
        if pieces:
            yield self._samples(labels, pieces)

    def _samples(self, labels: list[Mapping[str, str]], pieces: list[slice]) -> Samples:
        lengths = [piece.stop - piece.start for piece in pieces]
        return Samples(
            labels=tuple(labels),
            series=np.repeat(np.arange(len(pieces), dtype=np.int32), lengths),
            timestamps=np.concatenate([self.timestamps[piece] for piece in pieces]),
            values=np.concatenate([self.values[piece] for piece in pieces]),
        )
