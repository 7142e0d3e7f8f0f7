"""Makes of a server's samples what a source promises: in the window, in order, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from abkit.sources.base import Samples
from abkit.window import Window

__all__ = ["STALE", "tidied"]

STALE: Final = np.uint64(0x7FF0000000000002)
"""The bits of the NaN by which Prometheus marks that a series has ended."""


def tidied(
    labels: Sequence[Mapping[str, str]],
    series: NDArray[np.int32],
    timestamps: NDArray[np.int64],
    values: NDArray[np.float64],
    window: Window,
) -> Samples:
    """Trim, sort and reduce samples.

    What lies outside the window is left out, and so are stale markers: they say that a series ended, they are no
    samples, and no query shows them. Of two samples of a series at one moment (two replicas of a Prometheus, blocks
    that overlap) the largest number counts: a counter's later value. Series of which nothing is left are left out too.

    Args:
        labels: One mapping a series.
        series: Index into `labels`.
        timestamps: Milliseconds.
        values: As scraped.
        window: Half-open.

    >>> from abkit.window import Window
    >>> series, times = np.zeros(3, np.int32), np.array([5, 3, 9])
    >>> tidied([{"__name__": "a"}], series, times, np.ones(3), Window(0, 9)).timestamps.tolist()
    [3, 5]
    """
    kept = timestamps >= window.start_ms
    kept &= timestamps < window.end_ms
    kept &= values.view(np.uint64) != STALE
    if not kept.all():
        series, timestamps, values = series[kept], timestamps[kept], values[kept]
    follows = timestamps[1:] > timestamps[:-1]
    follows |= series[1:] > series[:-1]
    if not follows.all():
        order = np.lexsort((np.where(np.isnan(values), -np.inf, values), timestamps, series))
        series, timestamps, values = series[order], timestamps[order], values[order]
        last = np.append((series[1:] > series[:-1]) | (timestamps[1:] > timestamps[:-1]), True)
        series, timestamps, values = series[last], timestamps[last], values[last]
    there = np.bincount(series, minlength=len(labels)) > 0
    if not there.all():
        labels = [each for each, is_there in zip(labels, there, strict=True) if is_there]
        series = (np.cumsum(there) - 1).astype(np.int32)[series]
    return Samples(tuple(labels), series, timestamps, values)
