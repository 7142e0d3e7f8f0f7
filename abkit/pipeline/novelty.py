"""Whether a lift fades or grows from day to day: a novelty wears off, a change is learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from abkit import stats
from abkit.evidence import Novelty, Status, StatusCode
from abkit.pipeline.covariates import of_users, unlabelled
from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedMetric
from abkit.spec import Experiment, Role
from abkit.store import Store
from abkit.window import Window

__all__ = ["FEWEST_DAYS", "daily_trends", "novelty_of"]

FEWEST_DAYS = 4
"""Whole days below which nothing is said of a trend."""

_DAY = 86_400_000
_ROLES = (Role.NUMERATOR, Role.DENOMINATOR)

Floats = NDArray[np.float64]


def novelty_of(
    experiment: Experiment, metrics: Sequence[ResolvedMetric], store: Store, window: Window
) -> tuple[Novelty, ...]:
    """The trend of the lift over the whole days of a window.

    A day in which the split changed is left out: its lift would be that of two splits. The early and the late lift are
    those of each half's days with Mantel-Haenszel weights.

    Args:
        experiment: The experiment file.
        metrics: The primary metrics; those that count what users do have a trend.
        store: Holds what was pulled.
        window: What is analysed.

    Returns:
        One a metric and treatment; nothing before the fourth day.

    Raises:
        StoreError: The store can't be read.
    """
    days = window.length_ms // _DAY
    chosen = [metric for metric in metrics if of_users(metric)]
    if days < FEWEST_DAYS or not chosen:
        return ()
    whole = Window(window.start_ms, window.start_ms + days * _DAY)
    inputs = {data.id for metric in chosen for data in metric.inputs.values()}
    totals = Totals.read(store.totals(experiment.name, whole, _DAY, inputs), days, whole.length_ms / 1000)
    return tuple(daily_trends(experiment, chosen, totals))


def daily_trends(experiment: Experiment, metrics: Sequence[ResolvedMetric], totals: Totals) -> Iterator[Novelty]:
    """The trend of each metric and treatment.

    Args:
        experiment: The experiment file.
        metrics: Metrics that count what users do.
        totals: The store's totals, a look a day.
    """
    for metric in metrics:
        for treatment in experiment.treatments:
            yield _trend(experiment, metric, totals, treatment)


def _trend(experiment: Experiment, metric: ResolvedMetric, totals: Totals, treatment: str) -> Novelty:
    missing = Novelty(
        metric=metric.name, variant=treatment, slope=None, slope_ci=None, p_value=None, early=None, late=None
    )
    if reason := unlabelled(experiment, metric, totals, (experiment.control, treatment), "in the window"):
        return missing.model_copy(update={"status": Status(code=StatusCode.NOT_USER_LEVEL, reason=reason)})
    control, treated = _daily(experiment, metric, totals, treatment)
    found = stats.novelty(control, treated, experiment.analysis.confidence)
    half = control.num.shape[0] // 2
    early, late = (_lift(control, treated, days) for days in (slice(None, half), slice(half, None)))
    if found.slope_ci is None:
        status = Status(code=StatusCode.TOO_FEW, reason=str(found.status))
        return missing.model_copy(update={"early": early, "late": late, "status": status})
    return missing.model_copy(
        update={
            "slope": found.slope,
            "slope_ci": found.slope_ci,
            "p_value": found.p_value,
            "early": early,
            "late": late,
        }
    )


def _daily(
    experiment: Experiment, metric: ResolvedMetric, totals: Totals, treatment: str
) -> tuple[stats.ClusterSums, stats.ClusterSums]:
    """Sums of both arms, (day, replicate); days with several splits are empty in both."""
    names = (experiment.control, treatment)
    sums = {(name, role): _steps(experiment, metric, totals, name, role) for name in names for role in _ROLES}
    events = sum(sums[name, Role.DENOMINATOR].sum(-1) for name in names)
    mixed = np.asarray((events > 0).sum(-1) > 1)[:, np.newaxis]
    control, treated = (
        stats.ClusterSums(*(np.where(mixed, 0.0, sums[name, role].sum(1)) for role in _ROLES)) for name in names
    )
    return control, treated


def _steps(experiment: Experiment, metric: ResolvedMetric, totals: Totals, variant: str, role: Role) -> Floats:
    """Totals of each day, (day, epoch, replicate); the numerator in the metric's unit."""
    scale = metric.definition.scale if role is Role.NUMERATOR else 1.0
    cumulative = totals.by_replicate(metric.inputs[role].id, variant, experiment.assignment.replicates) * scale
    return np.diff(cumulative, axis=0, prepend=0.0)


def _lift(control: stats.ClusterSums, treated: stats.ClusterSums, days: slice) -> float | None:
    first, second = (stats.ClusterSums(arm.num[days], arm.den[days]) for arm in (control, treated))
    found = stats.stratified(first, second, stratum="day").lift
    return None if found is None else float(found)
