"""Collect: from a source's raw samples to exact facts in the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa

from abkit.errors import InputError
from abkit.pipeline.attribution import canonical, describe, mismatches, series_id
from abkit.pipeline.splits import milliseconds, splits
from abkit.queries import Input, ResolvedMetric, resolve, starts
from abkit.sources.base import Source
from abkit.spec import Experiment, Scope
from abkit.store import InputRow, Pull, Quality, Read, SeriesRow, Store
from abkit.window import Window

__all__ = ["LOOK_BACK_MS", "OVERLAP_MS", "Progress", "PullReport", "collect"]

LOOK_BACK_MS: Final = 5 * 60_000
"""How long before a window samples are read: the baselines of its first increments, and who was scraped before."""

OVERLAP_MS: Final = 5 * 60_000
"""How much of what was read is read again by the next pull: late samples."""

_DAY_MS: Final = 24 * 3_600_000

Progress = Callable[[str, int, int], None]
"""Called with what is being read, how many inputs are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class PullReport:
    """What a pull did.

    Attributes:
        experiment: The experiment's name.
        window: What was read; empty where there was nothing to ask for yet.
        source: Where from.
        way: How it was read.
        samples: Samples read, the look-back included.
        new_samples: How many of them the store did not have.
        series: Series read.
        quality: What the experiment's numbers rest on now.
    """

    experiment: str
    window: Window
    source: str
    way: str
    samples: int
    new_samples: int
    series: int
    quality: Quality


def collect(
    experiment: Experiment,
    source: Source,
    store: Store,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    now_ms: int,
    progress: Progress | None = None,
) -> PullReport:
    """Read what an experiment needs and is not yet in the store.

    Everything is fetched and decoded before the store is opened; then one transaction writes it, or nothing. Each input
    is read from its own watermark, less an overlap for late samples; an input without one from `start_ms`, the
    analysis' start, what the source holds, or a day ago. What lies between an explicit window and what was read before
    is read too: the store has no holes. An input that answers nothing keeps its watermark.

    Args:
        experiment: The experiment.
        source: Where samples come from.
        store: Where they go.
        start_ms: Read from here on, whatever was read before.
        end_ms: Read until here; the analysis' end, the source's or now where left out.
        now_ms: The present.
        progress: Told as inputs are read.

    Raises:
        InputError: The window is empty, or lies outside what the source holds.
        SourceError: The source fails; the store is as it was.
        StoreError: The store fails; it is as it was.
    """
    metrics = resolve(experiment)
    needed = _needed(metrics)
    known = store.known(experiment.name)
    coverage = known.reads
    end = _end(experiment, source, now_ms, end_ms)
    windows = {
        found.id: _window(experiment, source, coverage.get(found.id), coverage, start_ms, end, now_ms)
        for found in needed
    }
    window = Window(min(each.start_ms for each in windows.values()), max(each.end_ms for each in windows.values()))
    if window.length_ms <= 0:
        _check_empty(start_ms, end_ms, source, window)
        return PullReport(experiment.name, window, source.name, source.way, 0, 0, 0, Quality())

    reader = _Reader(experiment, source)
    for done, found in enumerate(needed):
        if progress is not None:
            progress(found.selector, done, len(needed))
        reader.read(found, windows[found.id])
    if reader.reads:
        # An input that has never answered is asked for from the start, pull after pull: what counts is what answered.
        window = Window(min(read.start_ms for read in reader.reads), max(read.end_ms for read in reader.reads))
    if jobs := reader.jobs:
        reader.read(starts(jobs), window)
    if progress is not None:
        progress("", len(needed), len(needed))

    # Described anew, by the file of today: a version may have changed sides.
    older = [describe(series, found, json.loads(labels), experiment) for series, found, labels in known.series]
    rows = {row.series: row for row in (*older, *reader.series.values())}
    used = {found.id for found in needed}
    unmatched, replicates = mismatches((row for row in rows.values() if row.input in used), experiment)
    filled = {row.input for row in rows.values()}
    analysis = experiment.analysis
    weights = splits(experiment, known.weights, window)
    edges = [milliseconds(moment) for moment in (analysis.start, analysis.end) if moment is not None]
    written = store.write(
        Pull(
            experiment=experiment.name,
            window=window,
            source=source.name,
            way=source.way,
            inputs=_input_rows(metrics),
            reads=tuple(reader.reads),
            series=tuple(rows.values()),
            samples=reader.table(),
            weights=weights,
            cuts=tuple(sorted({*edges, *(weight.from_ms for weight in weights)})),
            variants=tuple(experiment.variants),
            quality=Quality(
                unmatched_series=unmatched,
                bad_replicates=replicates,
                empty_inputs=tuple(
                    f"{metric.name}/{role}"
                    for metric in metrics
                    for role, found in metric.inputs.items()
                    if found.id not in filled
                ),
                warnings=tuple(source.warnings),
            ),
        )
    )
    return PullReport(
        experiment.name,
        window,
        source.name,
        source.way,
        written.samples,
        written.new_samples,
        written.series,
        written.quality,
    )


class _Reader:
    """Fetches inputs and keeps their samples as Arrow columns."""

    def __init__(self, experiment: Experiment, source: Source) -> None:
        self._experiment = experiment
        self._source = source
        self._batches: list[pa.RecordBatch] = []
        self.series: dict[int, SeriesRow] = {}
        self.reads: list[Read] = []
        self._jobs: set[str] = set()

    @property
    def jobs(self) -> list[str]:
        """Values of `job` that were seen."""
        return sorted(self._jobs)

    def read(self, wanted: Input, window: Window) -> None:
        """Fetch an input's samples of a window and of the look-back before it."""
        from_ms = window.start_ms - LOOK_BACK_MS
        first: int | None = None
        for batch in self._source.fetch(wanted.selector, Window(from_ms, window.end_ms)):
            if len(batch.timestamps) == 0:
                continue
            ids = np.array([self._id(wanted.id, labels) for labels in batch.labels], dtype=np.int64)
            self._batches.append(
                pa.RecordBatch.from_arrays(
                    [pa.array(ids[batch.series]), pa.array(batch.timestamps), pa.array(batch.values)],
                    schema=_SAMPLES,
                )
            )
            earliest = int(batch.timestamps.min())
            first = earliest if first is None else min(first, earliest)
        if first is not None:
            self.reads.append(Read(wanted.id, from_ms, window.start_ms, window.end_ms, first))

    def table(self) -> pa.Table:
        """All samples: `series`, `ts`, `value`."""
        return pa.Table.from_batches(self._batches, schema=_SAMPLES)

    def _id(self, source_input: str, labels: Mapping[str, str]) -> int:
        series = series_id(self._experiment.name, source_input, canonical(labels))
        if series not in self.series:
            self.series[series] = describe(series, source_input, labels, self._experiment)
            if labels.get("job"):
                self._jobs.add(labels["job"])
        return series


_SAMPLES: Final = pa.schema([("series", pa.int64()), ("ts", pa.int64()), ("value", pa.float64())])


def _needed(metrics: Iterable[ResolvedMetric]) -> list[Input]:
    """Each distinct input once."""
    return list({found.id: found for metric in metrics for found in metric.inputs.values()}.values())


def _input_rows(metrics: Iterable[ResolvedMetric]) -> tuple[InputRow, ...]:
    pairs = [(metric, role, found) for metric in metrics for role, found in metric.inputs.items()]
    technical = {found.id for metric, _, found in pairs if metric.definition.scope is Scope.TECHNICAL}
    return tuple(
        InputRow(metric.name, role, found.id, found.selector, found.id in technical) for metric, role, found in pairs
    )


def _end(experiment: Experiment, source: Source, now_ms: int, end_ms: int | None) -> int:
    if end_ms is None:
        planned = experiment.analysis.end
        end_ms = now_ms if planned is None else min(now_ms, milliseconds(planned))
    span = source.span()
    return end_ms if span is None else min(end_ms, span.end_ms)


def _window(
    experiment: Experiment,
    source: Source,
    known: Read | None,
    coverage: Mapping[str, Read],
    start_ms: int | None,
    end_ms: int,
    now_ms: int,
) -> Window:
    """What to read of one input."""
    span = source.span()
    if known is not None:
        start = max(known.start_ms, known.end_ms - OVERLAP_MS) if start_ms is None else min(start_ms, known.end_ms)
        end_ms = max(end_ms, known.start_ms)
    elif start_ms is not None:
        start = start_ms
    elif experiment.analysis.start is not None:
        start = milliseconds(experiment.analysis.start)
    elif coverage:
        start = min(read.start_ms for read in coverage.values())
    else:
        start = now_ms - _DAY_MS if span is None else span.start_ms
    return Window(start if span is None else max(start, span.start_ms), end_ms)


def _check_empty(start_ms: int | None, end_ms: int | None, source: Source, window: Window) -> None:
    """An empty window that somebody asked for is an error; one that time will fill is not."""
    span = source.span()
    if span is not None:
        msg = (
            f"{source.name} holds {_shown(span.start_ms)} to {_shown(span.end_ms)}, nothing of the window from "
            f"{_shown(window.start_ms)}: give another --start and --end, or change the analysis' start"
        )
        raise InputError(msg)
    if start_ms is not None or end_ms is not None:
        msg = f"the window is empty: it starts at {_shown(window.start_ms)} and ends at {_shown(window.end_ms)}"
        raise InputError(msg)


def _shown(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
