"""A variant's metric now and earlier: descriptive, since nothing was randomised between two times.

| against | now | before |
|---|---|---|
| `last-week` | the newest week of the window, or all of a shorter one | the same hours a week before |
| `last-period` | the window, in whole days where it has some | the time of equal length just before it |

Hours count where both times have data. What was labelled by variant before the start (`ab_variant`) is that variant's
past; what was not belongs to the variant whose version served it, so that a treatment that is new has no past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from abkit import stats
from abkit.evidence import PeriodChange, Status, StatusCode
from abkit.pipeline.estimate import Estimate
from abkit.pipeline.looks import fixed_at
from abkit.pipeline.splits import moment
from abkit.pipeline.totals import RANDOMISED, Totals
from abkit.queries import ResolvedMetric
from abkit.spec import Experiment, Kind, Role
from abkit.store import Store
from abkit.window import Window

__all__ = ["AGAINST", "Against", "period_changes", "periods_of"]

Against = Literal["last-week", "last-period"]
AGAINST: tuple[Against, ...] = ("last-week", "last-period")
"""What a time may be compared with."""

_HOUR, _DAY, _WEEK = 3_600_000, 86_400_000, 7 * 86_400_000
_RATIOS = {Kind.PROPORTION, Kind.RATIO, Kind.MEAN}

Floats = NDArray[np.float64]


def periods_of(window: Window, against: Against) -> tuple[Window, Window]:
    """The newer time and the earlier one; empty where the window is shorter than an hour.

    >>> day = 86_400_000
    >>> now, before = periods_of(Window(20 * day, 34 * day), "last-week")
    >>> (now.start_ms // day, now.end_ms // day), (before.start_ms // day, before.end_ms // day)
    ((27, 34), (20, 27))
    """
    # Whole hours, and whole days where there are some: so that the day's wave is the same on both sides.
    unit = _DAY if window.length_ms >= _DAY and against == "last-period" else _HOUR
    length = window.length_ms // unit * unit
    if against == "last-week":
        length = min(length, _WEEK)
        now = Window(window.end_ms - length, window.end_ms)
        return now, Window(now.start_ms - _WEEK, now.end_ms - _WEEK)
    now = Window(window.start_ms, window.start_ms + length)
    return now, Window(now.start_ms - length, now.start_ms)


def period_changes(
    experiment: Experiment,
    metrics: Sequence[ResolvedMetric],
    store: Store,
    window: Window,
    against: Sequence[Against] = AGAINST,
) -> tuple[PeriodChange, ...]:
    """Compare each variant with itself in an earlier time.

    Args:
        experiment: The experiment file.
        metrics: Its metrics; those that are ratios of sums are compared.
        store: Holds what was pulled, earlier times included: `analysis.history` has them pulled.
        window: What is analysed.
        against: Which earlier times.

    Returns:
        One a metric, variant and earlier time, in the file's order; nothing for a window below an hour, and for an
        earlier time of which nothing is in the store.

    Raises:
        StoreError: The store can't be read.
    """
    found: list[PeriodChange] = []
    chosen = [metric for metric in metrics if metric.definition.kind in _RATIOS]
    inputs = {data.id for metric in chosen for data in metric.inputs.values()}
    span = store.span(experiment.name)
    for name in against:
        now, before = periods_of(window, name)
        if span is None or before.end_ms <= span.start_ms or now.length_ms <= 0 or not chosen:
            continue
        slots = now.length_ms // _HOUR
        newer, earlier = (
            Totals.read(store.totals(experiment.name, time, _HOUR, inputs), slots, time.length_ms / 1000)
            for time in (now, before)
        )
        found.extend(_changes(experiment, chosen, newer, earlier, now, name))
    return tuple(found)


def _changes(
    experiment: Experiment,
    metrics: Sequence[ResolvedMetric],
    newer: Totals,
    earlier: Totals,
    now: Window,
    against: Against,
) -> Iterator[PeriodChange]:
    for metric in metrics:
        for variant in experiment.variants:
            change = PeriodChange(
                metric=metric.name,
                variant=variant,
                against=against,
                start=moment(now.start_ms),
                end=moment(now.end_ms),
                before=None,
                now=None,
                change=None,
                change_ci=None,
                p_value=None,
            )
            yield change.model_copy(update=_compared(experiment, metric, variant, newer, earlier))


def _compared(
    experiment: Experiment, metric: ResolvedMetric, variant: str, newer: Totals, earlier: Totals
) -> dict[str, object]:
    """The numbers of one variant, and why some are missing."""
    counted = metric.inputs[Role.DENOMINATOR].id
    for totals, when in ((earlier, "in the earlier time"), (newer, "in the newer time")):
        if not (totals.total[totals.any_rows(counted, variant)] > 0).any():
            reason = f"nothing counted for {variant} {when} ({metric.inputs[Role.DENOMINATOR].selector})"
            return {"status": Status(code=StatusCode.NO_DATA, reason=reason)}
    if not all(_randomised(totals, metric, variant) for totals in (newer, earlier)):
        # The same population on both sides: all requests, where one side doesn't say which were randomised.
        newer, earlier = newer.everyone(), earlier.everyone()
    before, now, cluster = _sums(experiment, metric, variant, newer, earlier)
    confidence = experiment.analysis.confidence
    found = stats.compare_periods(before, now, confidence, cluster=cluster)
    fixed = fixed_at(Estimate(Status(), comparison=found), 0, confidence)
    last = found.at(0)
    return {
        "before": last.control,
        "now": last.treatment,
        "change": fixed.lift,
        "change_ci": fixed.lift_ci,
        "p_value": fixed.p_value,
        "status": fixed.status,
    }


def _randomised(totals: Totals, metric: ResolvedMetric, variant: str) -> bool:
    """Whether a variant's counters say how requests were assigned, and some were by the hash."""
    rows = [totals.any_rows(data.id, variant) for data in metric.inputs.values()]
    return all((totals.assignment[mine] == RANDOMISED).any() for mine in rows if mine.any())


def _sums(
    experiment: Experiment, metric: ResolvedMetric, variant: str, newer: Totals, earlier: Totals
) -> tuple[stats.ClusterSums, stats.ClusterSums, str]:
    """Sums of both times, (1, hour, cluster), and what a cluster is: hash replicates where both times have them."""
    count = experiment.assignment.replicates
    ids = [data.id for data in metric.inputs.values()]
    both = (earlier, newer)
    if all(_replicated(totals, data, variant, count) for totals in both for data in ids):
        before, now = (
            _hourly(metric, partial(totals.by_replicate, variant=variant, replicates=count)) for totals in both
        )
        return before, now, "hash replicate"
    names = sorted({name for totals in both for data in ids for name in totals.instance[totals.rows(data, variant)]})
    before, now = (_hourly(metric, partial(totals.by_instance, variant=variant, names=names)) for totals in both)
    return before, now, "instance"


def _replicated(totals: Totals, data: str, variant: str, count: int) -> bool:
    replicates = totals.replicate[totals.rows(data, variant)]
    return bool(((replicates >= 0) & (replicates < count)).all())


def _hourly(metric: ResolvedMetric, totals: Callable[[str], Floats]) -> stats.ClusterSums:
    """Sums of each hour, (1, hour, cluster), over all weight epochs; the numerator in the metric's unit."""
    num, den = (
        np.diff(totals(metric.inputs[role].id), axis=0, prepend=0.0).sum(1)[np.newaxis]
        for role in (Role.NUMERATOR, Role.DENOMINATOR)
    )
    return stats.ClusterSums(num * metric.definition.scale, den)
