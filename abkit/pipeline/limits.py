"""A canary's absolute limits, judged on each variant: "beyond" means with statistical certainty, at any look.

A limit on a share is judged on its events; a limit on a quantile on the share of events beyond it: P99 is above 500 ms
exactly if more than 1 % are slower than 500 ms. The error rate is split over all limits and stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from abkit import stats
from abkit.canary.limits import beyond, dispersion, slow_share
from abkit.errors import QueryError
from abkit.evidence import LimitResult, Status, StatusCode
from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedMetric
from abkit.spec import Canary, Direction, Experiment, Kind, Role

__all__ = ["check_definitions", "check_limits"]


@dataclass(frozen=True, slots=True)
class _Share:
    """What a limit is judged on.

    Attributes:
        events: Errors, slow requests; or successes where more is better.
        trials: All requests.
        limit: The limit on the share.
        upper: Whether more is worse.
        value: The metric's value, in its unit.
        phi: Dispersion of the events, at least 1.
        method: What was counted.
    """

    events: float
    trials: float
    limit: float
    upper: bool
    value: float | None
    phi: float
    method: str


def check_definitions(experiment: Experiment, metrics: Sequence[ResolvedMetric]) -> None:
    """Check that the limits can be judged.

    Args:
        experiment: The experiment file.
        metrics: Its resolved metrics.

    Raises:
        QueryError: A limit is on a metric that is no share and no quantile, or lies outside what a share can be.
    """
    if experiment.canary is None:
        return
    found = {metric.name: metric.definition for metric in metrics}
    for name, limit in experiment.canary.limits.items():
        definition = found[name]
        if definition.kind not in {Kind.PROPORTION, Kind.QUANTILE}:
            msg = (
                f"canary.limits.{name}: limits are judged on shares and quantiles, and '{name}' is a "
                f"{definition.kind}: make it a guardrail, which is compared with the control"
            )
            raise QueryError(msg)
        for level in ("pause", "rollback"):
            value = getattr(limit, level)
            if value is not None and definition.kind is Kind.PROPORTION and not 0 < value < 1:
                msg = f"canary.limits.{name}.{level}: should be a share between 0 and 1, 0.01 for 1 % (got {value:g})"
                raise QueryError(msg)
            if value is not None and definition.kind is Kind.QUANTILE and value <= 0:
                unit = definition.unit or "its unit"
                msg = f"canary.limits.{name}.{level}: should be above 0, in {unit} (got {value:g})"
                raise QueryError(msg)


def check_limits(
    experiment: Experiment, metrics: Mapping[str, ResolvedMetric], totals: Totals
) -> tuple[LimitResult, ...]:
    """Judge every limit on every variant.

    Args:
        experiment: The experiment file.
        metrics: Resolved metrics by name.
        totals: The store's totals of this stage.

    Returns:
        A result for each limit, level and variant; without data it says so and is not beyond.

    Raises:
        QueryError: A limit can't be judged on its metric.
    """
    canary = experiment.canary
    if canary is None:
        return ()
    check_definitions(experiment, list(metrics.values()))
    alpha = (1 - experiment.analysis.confidence) / _tests(canary)
    return tuple(
        _check(metrics[name], totals, variant, level, threshold, alpha)
        for name, variant, level, threshold in _all(experiment, canary)
    )


def _tests(canary: Canary) -> int:
    levels = sum((limit.pause is not None) + (limit.rollback is not None) for limit in canary.limits.values())
    return max(levels, 1) * len(canary.steps)


def _all(experiment: Experiment, canary: Canary) -> Iterator[tuple[str, str, Literal["pause", "rollback"], float]]:
    for name, limit in canary.limits.items():
        for variant in experiment.variants:
            if limit.pause is not None:
                yield name, variant, "pause", limit.pause
            if limit.rollback is not None:
                yield name, variant, "rollback", limit.rollback


def _check(
    metric: ResolvedMetric,
    totals: Totals,
    variant: str,
    level: Literal["pause", "rollback"],
    threshold: float,
    alpha: float,
) -> LimitResult:
    share = (_slow if metric.definition.kind is Kind.QUANTILE else _events)(metric, totals, variant, threshold)
    if share is None:
        selector = next(iter(metric.inputs.values())).selector
        status = Status(code=StatusCode.NO_DATA, reason=f"nothing counted for {variant} ({selector})")
        return LimitResult(
            metric=metric.name,
            kind=metric.definition.kind,
            variant=variant,
            level=level,
            limit=threshold,
            value=None,
            beyond=False,
            p_value=None,
            unit=metric.definition.unit,
            status=status,
        )
    found = beyond(share.events, share.trials, share.limit, share.phi, alpha, share.upper)
    return LimitResult(
        metric=metric.name,
        kind=metric.definition.kind,
        variant=variant,
        level=level,
        limit=threshold,
        value=share.value,
        beyond=found.beyond,
        p_value=found.p_value,
        unit=metric.definition.unit,
        method=f"{found.method}; {share.method}",
    )


def _events(metric: ResolvedMetric, totals: Totals, variant: str, limit: float) -> _Share | None:
    num, den = metric.inputs[Role.NUMERATOR], metric.inputs[Role.DENOMINATOR]
    trials = totals.sum(den.id, variant)
    if trials <= 0:
        return None
    # Two counters of one request may be scraped apart by a hair: a share is never above 1.
    events = min(totals.sum(num.id, variant), trials)
    return _Share(
        events=events,
        trials=trials,
        limit=limit,
        upper=metric.definition.direction is not Direction.INCREASE,
        value=events / trials,
        phi=_dispersion(totals, num.id, den.id, variant),
        method=f"{events:,.0f} of {trials:,.0f}",
    )


def _dispersion(totals: Totals, num: str, den: str, variant: str) -> float:
    """How much more a share varies between cells of instance and look than chance makes it; 1 where it isn't known."""
    names = sorted(set(totals.instances(den, variant)) | set(totals.instances(num, variant)))
    if not names:
        return 1.0
    events, trials = (
        np.diff(totals.by_instance(data, variant, names)[:, -1], axis=0, prepend=0.0).ravel() for data in (num, den)
    )
    found = dispersion(np.minimum(events, trials), trials, cell="instance and look")
    return max(found.value or 1.0, 1.0)


def _slow(metric: ResolvedMetric, totals: Totals, variant: str, limit: float) -> _Share | None:
    data, q = metric.inputs[Role.BUCKET], metric.definition.quantile
    names, edges = totals.instances(data.id, variant), totals.edges(data.id)
    if not names or q is None or not np.isinf(edges[-1]):
        return None
    by_look = totals.by_bucket(data.id, variant, names, edges)[:, -1]
    edges = edges * metric.definition.scale
    counts = by_look[-1].sum(axis=0)
    if counts[-1] <= 0:
        return None
    found = slow_share(edges, counts, limit, cumulative=True)
    cells = slow_share(edges, np.diff(by_look, axis=0, prepend=0.0).reshape(-1, len(edges)), limit, cumulative=True)
    phi = dispersion(cells.slow, cells.total, cell="instance and look").value
    return _Share(
        events=found.slow,
        trials=found.total,
        limit=1 - q,
        upper=True,
        value=stats.bucket_quantile(edges, counts, q, cumulative=True).value,
        phi=max(phi or 1.0, 1.0),
        method=f"{found.slow:,.0f} of {found.total:,.0f} slower than {found.edge:g} {metric.definition.unit}".rstrip(),
    )
