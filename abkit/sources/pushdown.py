"""A Prometheus that sums for us: increments a step at a time, by version, variant and replicate. Approximate.

For fleets whose raw samples are too many. The server is asked for what all counters of a selector gained in each step
(`queries/promql/pushdown/increments.promql` says how, and what it can't see), summed by the labels that abkit reads:
hash replicates where requests carry them, pods where they don't. What comes is handed on as one counter for each such
sum, so that all that follows works on it as on any other.

A counter needs a beginning that doesn't depend on the window that is read: each begins anew, from 0, at every full hour
(UTC), and a window's first hour is asked for from its start. A sum's time is the last millisecond of its step, so that
it falls into the minute in which it was counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from abkit.errors import SourceAnswer
from abkit.queries.pushing import increments
from abkit.queries.selectors import Matcher, parse_selector, written
from abkit.sources.base import APPROXIMATE, Samples
from abkit.sources.cutting import in_parts
from abkit.sources.matrix import decode_matrix
from abkit.sources.tidy import tidied
from abkit.sources.transport import Connection
from abkit.spec import Source as SourceSettings
from abkit.window import Window

__all__ = ["PushDownSource"]

_HOUR: Final = 3_600_000
_BATCH: Final = 1_000_000
_LABELS: Final = (
    "version",
    "destination_version",
    "envoy_cluster_name",
    "ab_variant",
    "ab_assignment",
    "ab_replicate",
    "le",
    "cluster",
)
_UNITS: Final = ("pod", "instance")


class PushDownSource:
    """Sums of a live server's counters.

    Args:
        settings: The experiment's source; `prometheus` must be set.
        folder: What relative paths of certificates and token files start from.
        backoff: Seconds before the first retry; doubled for each further one.
        batch: Sums that one answer should have; windows are cut accordingly.

    Raises:
        InputError: A secret's variable or a file is missing.
    """

    way: Final = APPROXIMATE

    def __init__(
        self, settings: SourceSettings, folder: Path | str = ".", *, backoff: float = 0.5, batch: int = _BATCH
    ) -> None:
        self._connection = Connection(settings, Path(folder), backoff=backoff)
        self._step = settings.step
        self._batch = batch
        self._warnings: dict[str, None] = {}

    @property
    def name(self) -> str:
        """`prometheus` and the address."""
        return f"prometheus {self._connection.place}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server said beside its answers, each once."""
        return tuple(self._warnings)

    def span(self) -> None:
        """None: a live server does not say what it covers."""
        return

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        """Counters of what a selector's series gained, one for each sum; only of whole steps.

        Not as `abkit.sources.base.Source.fetch` says: these are no samples that anybody scraped.
        """
        matchers = parse_selector(selector).matchers
        name = next((each.value for each in matchers if (each.label, each.operator) == ("__name__", "=")), "")
        step = self._step_ms
        hour = window.start_ms - window.start_ms % _HOUR
        steps = Window(hour, window.end_ms - window.end_ms % step)
        for operator, units in (("!=", ()), ("=", _UNITS)):
            part = written((*matchers, Matcher("ab_replicate", operator, "")))
            query = increments(part, self._step, (*_LABELS, *units))
            found = _joined(in_parts(steps, self._batch, partial(self._ask, query), _HOUR))
            for labels, times, gained in found:
                counter = {**labels, "__name__": name} if name else labels
                timestamps, values = _counter(times, gained, step)
                index = np.zeros(len(timestamps), np.int32)
                samples = tidied([_unit(counter)], index, timestamps, values, window)
                if len(samples.timestamps):
                    yield samples

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()

    @property
    def _step_ms(self) -> int:
        return round(self._step.total_seconds() * 1000)

    def _ask(self, query: str, part: Window) -> Samples:
        step = self._step_ms
        first, last = part.start_ms // step * step + step, part.end_ms // step * step
        if first > last:
            return Samples((), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))
        form = {"query": query, "start": str(first / 1000), "end": str(last / 1000), "step": str(step / 1000)}
        try:
            matrix = decode_matrix(self._connection.post("/api/v1/query_range", form))
        except SourceAnswer as error:
            place = self._connection.place
            msg = str(error) if str(error).startswith(place) else f"{place}: {error}"
            raise SourceAnswer(msg) from None
        self._warnings.update(dict.fromkeys(matrix.warnings))
        numbers = np.isfinite(matrix.values)
        if not numbers.all():
            self._warnings["some sums are no numbers: a counter is NaN or infinite; those steps are left out"] = None
        series = np.repeat(np.arange(len(matrix.labels), dtype=np.int32), matrix.lengths)
        return Samples(matrix.labels, series[numbers], matrix.timestamps[numbers], matrix.values[numbers])


def _joined(parts: Iterator[Samples]) -> Iterator[tuple[Mapping[str, str], NDArray[np.int64], NDArray[np.float64]]]:
    """What the parts hold of each sum."""
    found: dict[tuple[tuple[str, str], ...], list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}
    for part in parts:
        # Sums come one after the other: no need to go through all of them for each.
        starts = np.searchsorted(part.series, np.arange(len(part.labels) + 1))
        for index, labels in enumerate(part.labels):
            mine = slice(int(starts[index]), int(starts[index + 1]))
            found.setdefault(tuple(sorted(labels.items())), []).append((part.timestamps[mine], part.values[mine]))
    for key, pieces in found.items():
        times, gained = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
        yield dict(key), times, gained


def _counter(
    times: NDArray[np.int64], gained: NDArray[np.float64], step: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A counter that gained this by the ends of these steps, and begins at 0 in each hour's first one.

    >>> times, values = _counter(np.array([3_540_000, 3_600_000, 3_660_000]), np.array([1.0, 2.0, 4.0]), 60_000)
    >>> times.tolist(), values.tolist()
    ([3480000, 3539999, 3599999, 3600000, 3659999], [0.0, 1.0, 3.0, 0.0, 4.0])
    """
    hours = (times - 1) // _HOUR
    begins = np.flatnonzero(np.diff(hours, prepend=hours[:1] - 1))
    before = np.concatenate(([0.0], np.cumsum(gained)))
    values = before[1:] - np.repeat(before[begins], np.diff(np.append(begins, len(times))))
    return np.insert(times - 1, begins, times[begins] - step), np.insert(values, begins, 0.0)


def _unit(labels: Mapping[str, str]) -> Mapping[str, str]:
    """A pod's name stands for its address: nobody scraped these counters there."""
    kept = {name: value for name, value in labels.items() if value and name not in _UNITS}
    unit = labels.get("pod") or labels.get("instance")
    return kept | {"pod": unit} if unit else kept
