"""Reads samples back as a careful collector would, a series at a time, with no code of the simulator's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from abkit.simulate import SampleColumns

__all__ = ["read", "runs", "starts_of"]


def runs(samples: SampleColumns) -> Iterator[tuple[Mapping[str, str], NDArray[np.int64], NDArray[np.float64]]]:
    """Each series: labels, times, values."""
    edges = np.flatnonzero(np.diff(samples.series, prepend=-1, append=-1))
    for first, last in pairwise(edges):
        index = int(samples.series[first])
        yield samples.labels[index], samples.timestamps[first:last], samples.values[first:last]


def starts_of(samples: SampleColumns) -> dict[str, dict[int, float]]:
    """Instance → time of a scrape → when the process that was scraped had started."""
    return {
        labels["instance"]: dict(zip(times.tolist(), values.tolist(), strict=True))
        for labels, times, values in runs(samples)
        if labels["__name__"] == "process_start_time_seconds"
    }


def read(samples: SampleColumns, start_ms: int, end_ms: int) -> dict[tuple[tuple[str, str], ...], float]:
    """Exact increase of each counter series over the scrapes in a window, by its labels.

    A value counts from 0 where its process is another than the one scraped before; a series that appears while its
    process was scraped before without it began at 0, too. What was counted before anything was scraped is left out.
    """
    starts = starts_of(samples)
    begun = samples.timestamps.min()
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for labels, times, values in runs(samples):
        if labels["__name__"] in {"up", "process_start_time_seconds"}:
            continue
        start = starts[labels["instance"]]
        scrapes = sorted(start)
        total, previous = 0.0, None
        for time, value in zip(times.tolist(), values.tolist(), strict=True):
            if previous is not None and start[time] == start[previous[0]]:
                step = value - previous[1]
            elif start[time] * 1000 >= begun or time > scrapes[0]:
                step = value
            else:
                step = 0.0
            assert step >= 0, f"{labels} fell at {time} without a new process"
            previous = (time, value)
            if start_ms <= time < end_ms:
                total += step
        found[tuple(sorted(labels.items()))] = total
    return found
