"""What is shown beside the verdict and never decides it: segments, comparisons in time, anomalies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from abkit.evidence import (
    Anomaly,
    AnomalyCheck,
    Interaction,
    Novelty,
    PeriodChange,
    SegmentResult,
    Usage,
)
from abkit.pipeline.anomalies import anomalies_of
from abkit.pipeline.novelty import novelty_of
from abkit.pipeline.periods import AGAINST, Against, period_changes
from abkit.pipeline.segments import Segmented, segmented
from abkit.pipeline.splits import milliseconds
from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedMetric, resolve_segments
from abkit.spec import Experiment, Scope
from abkit.store import Store
from abkit.window import Window

__all__ = ["Beside", "beside"]


@dataclass(frozen=True, slots=True)
class Beside:
    """What is shown beside the verdict.

    Attributes:
        segments: Results within segments.
        interactions: Whether segments differ.
        periods: Each variant now and earlier.
        novelty: Whether lifts fade.
        anomalies: Hours that stand out.
        anomaly_checks: What was held against its past.
        read: Totals of the segments; None without segments.
    """

    segments: tuple[SegmentResult, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    periods: tuple[PeriodChange, ...] = ()
    novelty: tuple[Novelty, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    anomaly_checks: tuple[AnomalyCheck, ...] = ()
    read: Totals | None = None


def beside(
    experiment: Experiment,
    metrics: Sequence[tuple[ResolvedMetric, Usage]],
    store: Store,
    window: Window,
    before: Totals | None,
    totals_of: Callable[[Collection[str]], Totals],
    against: Sequence[Against] | None = None,
) -> Beside:
    """Segments where the experiment file names some; time where it asks for a history; novelty from the fourth day on.

    Args:
        experiment: The experiment file.
        metrics: Resolved metrics and their part in the verdict.
        store: Holds what was pulled.
        window: What is analysed.
        before: Totals of the labelled time before the start, where the experiment file names such a time.
        totals_of: The window's totals of some inputs, in one look, without the time in which the split is not known.
        against: Earlier times to compare with, asked for by themselves: of all that the store holds, whether or not the
            experiment file asks for a history.

    Raises:
        StoreError: The store can't be read.
    """
    if window.length_ms <= 0:
        return Beside()
    apart, read = Segmented(), None
    if segments := resolve_segments(experiment):
        read = totals_of({data.id for segment in segments for data in segment.metric.inputs.values()})
        apart = segmented(experiment, segments, read, before)
    periods: tuple[PeriodChange, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    checks: tuple[AnomalyCheck, ...] = ()
    if (since := _since(experiment, store, against)) is not None:
        periods = period_changes(experiment, [metric for metric, _ in metrics], store, window, against or AGAINST)
        anomalies, checks = anomalies_of(experiment, _watched(metrics), store, window, since)
    return Beside(
        segments=apart.results,
        interactions=apart.interactions,
        periods=periods,
        novelty=novelty_of(experiment, [metric for metric, part in metrics if part is Usage.PRIMARY], store, window),
        anomalies=anomalies,
        anomaly_checks=checks,
        read=read,
    )


def _since(experiment: Experiment, store: Store, against: Sequence[Against] | None) -> int | None:
    """From when on the past counts, ms; None where nobody asks for it."""
    if against is not None:
        span = store.span(experiment.name)
        return None if span is None else span.start_ms
    history, start = experiment.analysis.history, experiment.analysis.start
    return milliseconds(start) - history // timedelta(milliseconds=1) if history and start is not None else None


def _watched(metrics: Sequence[tuple[ResolvedMetric, Usage]]) -> list[ResolvedMetric]:
    """What is held against its own past: primary metrics, and technical ones in whatever part."""
    return [metric for metric, usage in metrics if usage is Usage.PRIMARY or metric.definition.scope is Scope.TECHNICAL]
