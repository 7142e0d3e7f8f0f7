"""Collect: from a source's raw samples to exact facts in the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import pyarrow as pa

from abkit.errors import InputError
from abkit.pipeline.attribution import Target, describe, mismatches, one_sided, target_of, twins, unnamed_replicas
from abkit.pipeline.reading import LOOK_BACK_MS, Reader, TooMuch
from abkit.pipeline.splits import milliseconds, splits
from abkit.queries import Input, ResolvedMetric, resolve, resolve_segments
from abkit.sources.base import APPROXIMATE, Source
from abkit.spec import Experiment, Kind, Role, Scope
from abkit.store import InputRow, Known, Pull, Quality, Read, Store, Written, shown
from abkit.window import Window

__all__ = ["LOOK_BACK_MS", "OVERLAP_MS", "Progress", "PullReport", "collect"]

OVERLAP_MS: Final = 5 * 60_000
"""How much of what was read is read again by the next pull: late samples."""

_DAY_MS: Final = 24 * 3_600_000

_MOST_SAMPLES: Final = 3_000_000
"""More samples are read and written in slices of time: with the store's share, a pull stays under 1.5 GB."""

_SHORTEST_MS: Final = 15 * 60_000
"""A slice is no shorter, however many samples it holds."""

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

    What is fetched and decoded is written in one transaction, or nothing of it. Each input is read from its own
    watermark, less an overlap for late samples; an input without one from `start_ms`, the analysis' start (less its
    pre-period and history), what the source holds, or a day ago. What lies between an explicit window and what was
    read before is read too: the store has no holes. An input that answers nothing keeps its watermark. Where there is
    nothing to read any more, what the experiment file decides (its split, its metrics, where the analysis ends) is
    still brought up to date. A pre-period or a history that the file asks for later is read then.

    Very many samples are read and written in several slices of time, one after the other: the rows are the same, and
    where a later slice fails, the ones before it are kept.

    Args:
        experiment: The experiment.
        source: Where samples come from.
        store: Where they go.
        start_ms: Read from here on, whatever was read before.
        end_ms: Read until here; the analysis' end, the source's or now where left out.
        now_ms: The present.
        progress: Told as inputs are read; slice by slice.

    Raises:
        InputError: The window is empty, or lies outside what the source holds.
        SourceError: The source fails; the store is as the last slice left it.
        StoreError: The store fails; it is as the last slice left it.
    """
    pulling = _Pulling(experiment, source, store, start_ms, now_ms, progress)
    end = _end(experiment, source, now_ms, end_ms)
    known = store.known(experiment.name)
    windows = pulling.windows(known, end)
    window = _hull([*windows.values()])
    if window.length_ms <= 0:
        asked = start_ms is not None or end_ms is not None
        if asked or not _finished(experiment, source, known):
            _check_empty(start_ms, end_ms, source, window)
            return PullReport(experiment.name, window, source.name, source.way, 0, 0, 0, Quality())
    return pulling.run(known, window, end)


class _Pulling:
    """One call of `collect`."""

    def __init__(
        self,
        experiment: Experiment,
        source: Source,
        store: Store,
        start_ms: int | None,
        now_ms: int,
        progress: Progress | None,
    ) -> None:
        self._experiment = experiment
        self._source = source
        self._store = store
        self._start_ms = start_ms
        self._now_ms = now_ms
        self._progress = progress
        self._metrics = (*resolve(experiment), *(segment.metric for segment in resolve_segments(experiment)))
        self._needed = _needed(self._metrics)
        gauges = sorted({metric.name for metric in self._metrics if metric.definition.kind is Kind.GAUGE})
        if gauges and APPROXIMATE in source.way:
            msg = (
                f"source.mode: push-down sums counters, and {', '.join(gauges)} are gauges: leave them out, or read "
                "raw samples (mode: raw)"
            )
            raise InputError(msg)

    def windows(self, known: Known, end_ms: int, resume_ms: int | None = None) -> Mapping[str, Window]:
        """What to read of each input, by its id; empty or reversed where there is nothing to read."""
        start = self._start_ms
        again = start if resume_ms is None or start is None else max(start, resume_ms)
        earlier = _earlier(self._experiment, self._source) if start is None else None
        return {
            found.id: _window(
                self._experiment,
                self._source,
                known.reads.get(found.id),
                known.reads,
                (earlier if _younger(known.reads[found.id], earlier) else again) if found.id in known.reads else start,
                end_ms,
                self._now_ms,
            )
            for found in self._needed
        }

    def run(self, known: Known, window: Window, end_ms: int) -> PullReport:
        """Read and write until the end, in as many slices as it takes."""
        experiment, source = self._experiment, self._source
        report = PullReport(experiment.name, window, source.name, source.way, 0, 0, 0, Quality())
        series: set[int] = set()
        done, until, resume = window.start_ms, end_ms, None
        spans: list[Window] = []
        while True:
            most = _MOST_SAMPLES if until - done > _SHORTEST_MS else None
            try:
                windows = self.windows(known, until, resume)
                reader = self._read(known, windows, most)
            except TooMuch:
                until = done + max(_SHORTEST_MS, (until - done) // 4)
                continue
            slice_, written = self._write(known, reader, windows, end_ms)
            spans.append(slice_)
            series |= reader.series.keys()
            report = replace(
                report,
                window=_hull(spans),
                way=source.way,
                samples=report.samples + written.samples,
                new_samples=report.new_samples + written.new_samples,
                series=len(series),
                quality=written.quality,
            )
            if until >= end_ms:
                return report
            longer = int((until - done) * min(4.0, 0.7 * _MOST_SAMPLES / max(written.samples, 1)))
            done, resume = until, until - OVERLAP_MS
            until = min(end_ms, done + max(_SHORTEST_MS, longer))
            known = self._store.known(experiment.name)

    def _read(self, known: Known, windows: Mapping[str, Window], most: int | None) -> Reader:
        reader = Reader(self._experiment, self._source, most)
        for done, found in enumerate(self._needed):
            self._tell(found.selector, done)
            if windows[found.id].length_ms > 0:
                reader.read(found, windows[found.id])
        if self._source.span() is None:
            # Asked for until next week, next week's samples are still to come.
            reader.until(self._now_ms)
        asked = [window for window in windows.values() if window.length_ms > 0]
        if reader.reads or (known.reads and asked):
            # Also while no input answers: what is known of the processes must not depend on when pulls were made.
            window = _hull(reader.reads or asked)
            whole = _hull([*reader.reads, *known.reads.values()])
            reader.read_starts(*_targets(known, self._experiment, window.start_ms - _DAY_MS), window, whole)
        self._tell("", len(self._needed))
        return reader

    def _tell(self, what: str, done: int) -> None:
        if self._progress is not None:
            self._progress(what, done, len(self._needed))

    def _write(
        self, known: Known, reader: Reader, windows: Mapping[str, Window], end_ms: int
    ) -> tuple[Window, Written]:
        experiment, source = self._experiment, self._source
        if source.span() is None:
            end_ms = min(end_ms, max([self._now_ms, *(read.end_ms for read in reader.reads)]))
        last = max((read.end_ms for read in known.reads.values()), default=None)
        asked = [window for window in windows.values() if window.length_ms > 0]
        if reader.reads:
            # An input that has never answered is asked for from the start, pull after pull: what answered counts.
            window = _hull(reader.reads)
        elif asked:
            window = _hull(asked)
            window = Window(window.start_ms, max(window.start_ms, min(window.end_ms, end_ms)))
        else:
            reached = end_ms if last is None else max(end_ms, last)
            window = Window(reached, reached)
        table = reader.table()
        # Described anew, by the file of today: a version may have changed sides.
        older = [describe(row.series, row.input, json.loads(row.labels), experiment) for row in known.series]
        rows = {row.series: row for row in (*older, *reader.series.values())}
        filled = {row.input for row in rows.values()}
        used = {found.id for found in self._needed}
        spans = _spans(known, table)
        counted = [row for row in rows.values() if row.input in used]
        analysed = _analysed(experiment, [*known.reads.values(), *reader.reads])
        seen = [row for row in counted if row.series in spans and _overlap(spans[row.series], analysed)]
        unmatched, replicates = mismatches(seen, experiment)
        running = [name for name, share in experiment.split.items() if share]
        analysis = experiment.analysis
        weights = splits(experiment, known.weights, Window(window.start_ms, max(window.end_ms, end_ms)), last)
        edges = [milliseconds(moment) for moment in (analysis.start, analysis.end) if moment is not None]
        written = self._store.write(
            Pull(
                experiment=experiment.name,
                window=window,
                source=source.name,
                way=source.way,
                inputs=_input_rows(self._metrics),
                reads=tuple(reader.reads),
                series=tuple(rows.values()),
                samples=table,
                weights=weights,
                cuts=tuple(sorted({*edges, *(weight.from_ms for weight in weights)})),
                variants=tuple(experiment.variants),
                quality=Quality(
                    unmatched_series=unmatched,
                    bad_replicates=replicates,
                    unnamed_replicas=unnamed_replicas((row for row in counted if row.variant), spans),
                    one_sided=one_sided(seen, _bases(self._metrics), running),
                    empty_inputs=tuple(
                        f"{metric.name}/{role}"
                        for metric in self._metrics
                        for role, found in metric.inputs.items()
                        if not found.counts and found.id not in filled
                    ),
                    warnings=tuple(source.warnings),
                    approximate=APPROXIMATE in source.way,
                ),
                twins=twins((row for row in counted if row.variant), spans),
            )
        )
        return window, written


def _hull(spans: Sequence[Read | Window]) -> Window:
    return Window(min(span.start_ms for span in spans), max(span.end_ms for span in spans))


def _targets(known: Known, experiment: Experiment, since_ms: int) -> tuple[set[Target], set[Target]]:
    """The store's targets: those that were scraped since then, and all."""
    alive, stored = set(), set()
    for row in known.series:
        target = target_of(json.loads(row.labels), experiment)
        if target is not None:
            stored.add(target)
            if row.last_ms is not None and row.last_ms >= since_ms:
                alive.add(target)
    return alive, stored


def _spans(known: Known, table: pa.Table) -> Mapping[int, tuple[int, int]]:
    """Series → its first and its last sample, those in the store included."""
    found = {
        row.series: (row.first_ms, row.last_ms)
        for row in known.series
        if row.first_ms is not None and row.last_ms is not None
    }
    ends = table.group_by("series").aggregate([("ts", "min"), ("ts", "max")])
    for series, first, last in zip(*(ends[name].to_pylist() for name in ("series", "ts_min", "ts_max")), strict=True):
        before = found.get(series, (first, last))
        found[series] = min(first, before[0]), max(last, before[1])
    return found


def _analysed(experiment: Experiment, reads: Sequence[Read]) -> Window:
    """What is analysed of what was read; empty where nothing was."""
    analysis = experiment.analysis
    read = _hull(reads) if reads else Window(0, 0)
    return Window(
        read.start_ms if analysis.start is None else max(read.start_ms, milliseconds(analysis.start)),
        read.end_ms if analysis.end is None else min(read.end_ms, milliseconds(analysis.end)),
    )


def _overlap(span: tuple[int, int], window: Window) -> bool:
    return span[0] < window.end_ms and span[1] >= window.start_ms


def _finished(experiment: Experiment, source: Source, known: Known) -> bool:
    """Whether there is nothing more to read because all of it was."""
    if not known.reads:
        return False
    end = experiment.analysis.end
    return source.span() is None or (end is not None and milliseconds(end) <= _hull([*known.reads.values()]).end_ms)


def _needed(metrics: Iterable[ResolvedMetric]) -> list[Input]:
    """Each distinct input once; what counts another one's samples is not fetched."""
    found = {data.id: data for metric in metrics for data in metric.inputs.values() if not data.counts}
    return list(found.values())


def _bases(metrics: Iterable[ResolvedMetric]) -> Mapping[str, str]:
    """What every variant should have series of, by metric and role: not what is counted only when it happens."""
    return {
        f"{metric.name}/{role}": data.id
        for metric in metrics
        for role, data in metric.inputs.items()
        if not data.counts and (role is not Role.NUMERATOR or Role.DENOMINATOR not in metric.inputs)
    }


def _input_rows(metrics: Iterable[ResolvedMetric]) -> tuple[InputRow, ...]:
    pairs = [(metric, role, found) for metric in metrics for role, found in metric.inputs.items()]
    technical = {found.id for metric, _, found in pairs if metric.definition.scope is Scope.TECHNICAL}
    return tuple(
        InputRow(metric.name, _stored(metric, role), found.id, found.selector, found.id in technical)
        for metric, role, found in pairs
    )


def _stored(metric: ResolvedMetric, role: Role) -> str:
    """What the store calls a role: it takes gauges' values as they are, and not as a counter's."""
    if metric.definition.kind is Kind.GAUGE:
        return "samples" if metric.inputs[role].counts else "value"
    return role


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
        _check_kept(experiment, known, start)
    elif start_ms is not None:
        start = start_ms
    elif experiment.analysis.start is not None:
        start = milliseconds(experiment.analysis.start) - _lead_ms(experiment)
    elif coverage:
        start = min(read.start_ms for read in coverage.values())
    else:
        start = now_ms - _DAY_MS if span is None else span.start_ms
    return Window(start if span is None else max(start, span.start_ms), end_ms)


def _check_kept(experiment: Experiment, known: Read, start_ms: int) -> None:
    """Refuse to read again what the store's facts were computed from and its samples no longer show."""
    if known.kept_from_ms is None or start_ms - LOOK_BACK_MS >= known.kept_from_ms:
        return
    msg = (
        f"{experiment.name}: samples from before {shown(known.kept_from_ms)} were dropped (retention), their facts stay"
    )
    earliest = shown(known.kept_from_ms + LOOK_BACK_MS)
    raise InputError(f"{msg}: give a --start of {earliest} or later, or pull all of it into a new store with --db")


def _lead_ms(experiment: Experiment) -> int:
    """How long before the analysis' start is read: the pre-period, and the history."""
    analysis = experiment.analysis
    return round(max(analysis.pre_period or timedelta(0), analysis.history).total_seconds() * 1000)


def _earlier(experiment: Experiment, source: Source) -> int | None:
    """From where on all inputs should be read, where the experiment file asks for the time before its start."""
    start, lead = experiment.analysis.start, _lead_ms(experiment)
    if start is None or lead <= 0:
        return None
    span = source.span()
    return milliseconds(start) - lead if span is None else max(milliseconds(start) - lead, span.start_ms)


def _younger(read: Read, earlier_ms: int | None) -> bool:
    """Whether what was read of an input begins too late: the file asked for less time before its start then."""
    # What was dropped since can't be read again: then it stays as it is.
    return earlier_ms is not None and read.start_ms > earlier_ms and read.kept_from_ms is None


def _check_empty(start_ms: int | None, end_ms: int | None, source: Source, window: Window) -> None:
    """An empty window that somebody asked for is an error; one that time will fill is not."""
    span = source.span()
    if span is not None:
        msg = (
            f"{source.name} holds {shown(span.start_ms)} to {shown(span.end_ms)}, nothing of the window from "
            f"{shown(window.start_ms)}: give another --start and --end, or change the analysis' start"
        )
        raise InputError(msg)
    if start_ms is not None or end_ms is not None:
        msg = f"the window is empty: it starts at {shown(window.start_ms)} and ends at {shown(window.end_ms)}"
        raise InputError(msg)
