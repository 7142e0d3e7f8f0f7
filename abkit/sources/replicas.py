"""One of each: series that two or more Prometheis scraped from the same target, told apart by a replica label.

Both scrape one process, so both have the same counter, each at moments of its own. Putting all their samples in a row
by time would nearly work, but a sample's time is when its scrape began, not when the process answered, and it is told
by the scraper's own clock: where two scrapes lie closer together than latency and clocks differ, the later one can have
the smaller value. A counter that falls has begun anew, so its whole value would count again.

So, as Thanos does, one replica is followed, and another one only where the first is silent; but by a rule that looks at
nothing but the samples around each, so that a window read in parts or again gives the same rows. Replicas are ordered
by their labels; a sample of a later one counts only if the ones before have none between *its own neighbours*: they
missed a whole scrape of its own on either side. Two samples in a row that come from different replicas are thus at
least one scrape interval apart, far more than clocks and latency differ, and the counter doesn't fall between them.
Nothing is lost or counted twice, since increments of one counter add up whichever of its samples are taken; only what
was counted after the followed replica's last scrape before a restart is lost, as with a single Prometheus.

Reference: https://thanos.io/tip/components/query.md/#deduplication
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from abkit.sources.base import Samples, Source
from abkit.sources.cutting import in_parts
from abkit.window import Window

__all__ = ["DeduplicatedSource", "filled"]

_NEAR_MS: Final = 5 * 60_000
"""A neighbour that is further away is none: Prometheus takes a series for ended then, too."""

_BATCH: Final = 1_000_000

Points = tuple[NDArray[np.int64], NDArray[np.float64]]


class DeduplicatedSource:
    """Takes replica labels off all series, and one of those that are the same then.

    Args:
        source: Where samples come from.
        replica_labels: Names of the labels that tell replicas apart, such as `prometheus_replica`.
        batch: Samples that one part should have.
    """

    def __init__(self, source: Source, replica_labels: Sequence[str], *, batch: int = _BATCH) -> None:
        self._source = source
        self._replica_labels = tuple(replica_labels)
        self._batch = batch

    @property
    def name(self) -> str:
        """The source's own."""
        return self._source.name

    @property
    def way(self) -> str:
        """The source's own, and that it is deduplicated."""
        return f"{self._source.way}, one of each replica"

    @property
    def warnings(self) -> tuple[str, ...]:
        """The source's own."""
        return self._source.warnings

    def span(self) -> Window | None:
        """The source's own."""
        return self._source.span()

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        """Raw samples of a selector in a window: see `abkit.sources.base.Source.fetch`."""
        yield from in_parts(window, self._batch, lambda part: self._part(selector, part))

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _part(self, selector: str, window: Window) -> Samples:
        # Twice as far as a neighbour may be: what lies there decides about a sample that decides about one in here.
        wide = Window(window.start_ms - 2 * _NEAR_MS, window.end_ms + 2 * _NEAR_MS)
        groups: dict[tuple[tuple[str, str], ...], dict[tuple[str, ...], list[Points]]] = {}
        for batch in self._source.fetch(selector, wide):
            starts = np.searchsorted(batch.series, np.arange(len(batch.labels) + 1))
            for index, own in enumerate(batch.labels):
                run = slice(int(starts[index]), int(starts[index + 1]))
                rest = tuple(sorted(item for item in own.items() if item[0] not in self._replica_labels))
                replica = tuple(own.get(name, "") for name in self._replica_labels)
                pieces = groups.setdefault(rest, {}).setdefault(replica, [])
                pieces.append((batch.timestamps[run], batch.values[run]))
        labels: list[Mapping[str, str]] = []
        found: list[Points] = []
        for rest, replicas in groups.items():
            timestamps, values = filled([_joined(pieces) for _, pieces in sorted(replicas.items())])
            inside = (timestamps >= window.start_ms) & (timestamps < window.end_ms)
            if inside.any():
                labels.append(dict(rest))
                found.append((timestamps[inside], values[inside]))
        lengths = [len(timestamps) for timestamps, _ in found]
        return Samples(
            tuple(labels),
            np.repeat(np.arange(len(found), dtype=np.int32), lengths),
            np.concatenate([np.zeros(0, np.int64), *(timestamps for timestamps, _ in found)]),
            np.concatenate([np.zeros(0), *(values for _, values in found)]),
        )


def filled(replicas: Sequence[Points]) -> Points:
    """The first replica's samples, and those of the others where the ones before are silent.

    Args:
        replicas: Times (ms, rising) and values of each, in the order in which they count; at least one.

    >>> first = np.array([0, 15_000, 90_000]), np.array([1.0, 2.0, 7.0])
    >>> second = np.arange(7_000, 90_000, 15_000), np.arange(1.5, 7.0)
    >>> filled([first, second])[0].tolist()
    [0, 15000, 37000, 52000, 67000, 90000]
    """
    timestamps, values = replicas[0]
    for other, theirs in replicas[1:]:
        before = np.maximum(np.concatenate(([-(1 << 60)], other[:-1])), other - _NEAR_MS)
        after = np.minimum(np.concatenate((other[1:], [1 << 60])), other + _NEAR_MS)
        silent = np.searchsorted(timestamps, before, "right") >= np.searchsorted(timestamps, after, "left")
        timestamps = np.concatenate((timestamps, other[silent]))
        values = np.concatenate((values, theirs[silent]))
        order = np.argsort(timestamps, kind="stable")
        timestamps, values = timestamps[order], values[order]
    return timestamps, values


def _joined(pieces: Sequence[Points]) -> Points:
    timestamps = np.concatenate([piece[0] for piece in pieces])
    values = np.concatenate([piece[1] for piece in pieces])
    order = np.argsort(timestamps, kind="stable")
    return timestamps[order], values[order]
