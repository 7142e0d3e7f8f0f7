"""Reads inputs from a source into columns, as the store takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa

from abkit.pipeline.attribution import Target, canonical, describe, normalised, series_id, target_of
from abkit.queries import PROCESS_START, Input, starts
from abkit.sources.base import Samples, Source
from abkit.spec import Experiment
from abkit.store import Read, SeriesRow
from abkit.window import Window

__all__ = ["LOOK_BACK_MS", "Reader", "TooMuch"]

LOOK_BACK_MS: Final = 5 * 60_000
"""How long before a window samples are read: the baselines of its first increments, and who was scraped before."""

_SAMPLES: Final = pa.schema([("series", pa.int64()), ("ts", pa.int64()), ("value", pa.float64())])


class TooMuch(Exception):
    """More samples came than may be held."""


class Reader:
    """Fetches inputs and keeps their samples as Arrow columns.

    Args:
        experiment: Whose series they are.
        source: Where they come from.
        most: How many samples may be held; None for any number.

    Raises:
        TooMuch: (reading) There are more.
    """

    def __init__(self, experiment: Experiment, source: Source, most: int | None = None) -> None:
        self._experiment = experiment
        self._source = source
        self._most = most
        self._held = 0
        self._newest: int | None = None
        self._batches: list[pa.RecordBatch] = []
        self._bounds: dict[int, str | None] = {}
        self._merged = False
        self.series: dict[int, SeriesRow] = {}
        self.reads: list[Read] = []
        self.targets: set[Target] = set()

    def read(self, wanted: Input, window: Window) -> None:
        """Fetch an input's samples of a window and of the look-back before it."""
        from_ms = window.start_ms - LOOK_BACK_MS
        first: int | None = None
        for batch in self._source.fetch(wanted.selector, Window(from_ms, window.end_ms)):
            if len(batch.timestamps):
                self.targets |= {target for labels in batch.labels if (target := self._target(labels)) is not None}
                earliest = self._keep(wanted.id, batch)
                first = earliest if first is None else min(first, earliest)
        if first is not None:
            self.reads.append(Read(wanted.id, from_ms, window.start_ms, window.end_ms, first))

    def until(self, now_ms: int) -> None:
        """Take no more for read than there can be: what is scraped after now is the next pull's.

        Args:
            now_ms: The present; samples from after it, of a clock that is ahead, are taken as they are.
        """
        end_ms = now_ms if self._newest is None else max(now_ms, self._newest + 1)
        self.reads = [replace(read, end_ms=max(read.start_ms, min(read.end_ms, end_ms))) for read in self.reads]

    def read_starts(self, alive: Iterable[Target], stored: Set[Target], window: Window, whole: Window) -> None:
        """Fetch when the processes behind targets started.

        Args:
            alive: Targets that may go on without any series of an input; those that were seen are read too.
            stored: Targets that the store knows.
            window: What to read of them.
            whole: What to read of a target that the store doesn't know: as one pull of everything would have.
        """
        new = self.targets - stored
        first: int | None = None
        for targets, start_ms in (({*alive, *self.targets} - new, window.start_ms), (new, whole.start_ms)):
            for wanted in starts((target.job, target.instance) for target in targets):
                for batch in self._source.fetch(wanted.selector, Window(start_ms - LOOK_BACK_MS, window.end_ms)):
                    mine = _only(batch, [self._target(labels) in targets for labels in batch.labels])
                    if len(mine.timestamps):
                        earliest = self._keep(PROCESS_START, mine)
                        first = earliest if first is None else min(first, earliest)
        if first is not None:
            # What is older than the window belongs to targets of which nothing is stored: nothing is replaced there.
            from_ms = window.start_ms - LOOK_BACK_MS
            self.reads.append(Read(PROCESS_START, from_ms, window.start_ms, window.end_ms, max(first, from_ms)))

    def table(self) -> pa.Table:
        """All samples: `series`, `ts`, `value`."""
        table = pa.Table.from_batches(self._batches, schema=_SAMPLES)
        return _one_each(table) if self._merged else table

    def _keep(self, source_input: str, batch: Samples) -> int:
        self._held += len(batch.timestamps)
        if self._most is not None and self._held > self._most:
            raise TooMuch
        ids = np.array([self._id(source_input, labels) for labels in batch.labels], dtype=np.int64)
        columns = [pa.array(ids[batch.series]), pa.array(batch.timestamps), pa.array(batch.values)]
        self._batches.append(pa.RecordBatch.from_arrays(columns, schema=_SAMPLES))
        newest = int(batch.timestamps.max())
        self._newest = newest if self._newest is None else max(self._newest, newest)
        return int(batch.timestamps.min())

    def _target(self, labels: Mapping[str, str]) -> Target | None:
        return target_of(labels, self._experiment)

    def _id(self, source_input: str, labels: Mapping[str, str]) -> int:
        same = normalised(labels)
        series = series_id(self._experiment.name, source_input, canonical(same))
        if series not in self.series:
            self.series[series] = describe(series, source_input, same, self._experiment)
        # The source's two series can overlap where its store was upgraded or joined from two.
        self._merged |= self._bounds.setdefault(series, labels.get("le")) != labels.get("le")
        return series


def _only(batch: Samples, wanted: Sequence[bool]) -> Samples:
    """The samples of some series."""
    mine = np.array(wanted, dtype=np.bool_)
    if mine.all():
        return batch
    kept = mine[batch.series]
    places = (np.cumsum(mine) - 1).astype(np.int32)
    return Samples(
        tuple(labels for labels, wanted in zip(batch.labels, mine, strict=True) if wanted),
        places[batch.series[kept]],
        batch.timestamps[kept],
        batch.values[kept],
    )


def _one_each(table: pa.Table) -> pa.Table:
    """One sample a series and moment: the largest that is a number."""
    series, ts, values = (table[name].to_numpy() for name in _SAMPLES.names)
    order = np.lexsort((np.where(np.isnan(values), np.inf, -values), ts, series))
    again = (np.diff(series[order]) == 0) & (np.diff(ts[order]) == 0)
    return table.take(pa.array(order[np.concatenate(([True], ~again))]))
