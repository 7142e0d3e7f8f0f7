"""Totals in, metric results out: fixed-horizon and always-valid, corrected for the number of tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from abkit import stats
from abkit.evidence import Interval, MetricResult, Sequential, Status, StatusCode, TrendPoint, Usage
from abkit.pipeline.estimate import Estimate, estimate
from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedMetric
from abkit.spec import Direction, Experiment, Strategy
from abkit.stats.special import student_quantile

__all__ = ["DEFAULT_MARGIN", "Compared", "compare_all"]

DEFAULT_MARGIN = 0.10
"""Relative harm that a guardrail tolerates where the experiment names none."""


@dataclass(frozen=True, slots=True)
class Compared:
    """All results of an experiment.

    Attributes:
        metrics: One a metric and treatment, in the experiment file's order.
        trend: The same over the looks, where there are numbers.
    """

    metrics: tuple[MetricResult, ...]
    trend: tuple[TrendPoint, ...]


def compare_all(
    experiment: Experiment, metrics: Sequence[tuple[ResolvedMetric, Usage]], totals: Totals, look_ends: Sequence[int]
) -> Compared:
    """Compare every metric of every treatment with the control.

    Args:
        experiment: The experiment file.
        metrics: Resolved metrics and their part in the verdict.
        totals: The store's totals, in as many looks as `look_ends` has.
        look_ends: End of each look, milliseconds.

    Returns:
        Results, with `p_adjusted` corrected within each role: Holm over primary metrics and guardrails,
        Benjamini-Hochberg over secondary ones.
    """
    results: list[MetricResult] = []
    trend: list[TrendPoint] = []
    margins = {ref.metric: ref.margin or DEFAULT_MARGIN for ref in experiment.metrics.guardrails}
    for metric, usage in metrics:
        for treatment in experiment.treatments:
            found = estimate(experiment, metric, totals, treatment)
            margin = margins.get(metric.name) if usage is Usage.GUARDRAIL else None
            results.append(_result(experiment, metric, usage, margin, treatment, found))
            trend.extend(_trend(experiment, metric, treatment, found, look_ends))
    return Compared(_adjusted(experiment, results), tuple(trend))


def _result(
    experiment: Experiment,
    metric: ResolvedMetric,
    usage: Usage,
    margin: float | None,
    treatment: str,
    found: Estimate,
) -> MetricResult:
    definition = metric.definition
    result = MetricResult(
        metric=metric.name,
        kind=definition.kind,
        role=usage,
        control=experiment.control,
        variant=treatment,
        direction=definition.direction,
        unit=definition.unit,
        meaning=definition.meaning,
        baseline=found.control,
        value=found.treatment,
        effect=_difference(found.control, found.treatment),
        effect_ci=None,
        lift=_lift(found.control, found.treatment),
        lift_ci=None,
        p_value=None,
        margin=margin,
        method="totals",
        replication="none",
        n_replicates=None,
        sequential=None,
        status=found.status,
    )
    if found.comparison is None:
        return result
    last = found.comparison.at(-1)
    log_scale = last.lift_ci is not None
    numbers = result.model_dump() | {
        "baseline": last.control,
        "value": last.treatment,
        "effect": last.effect,
        "effect_ci": _finite(last.effect_ci),
        "lift": last.lift,
        "lift_ci": _finite(last.lift_ci),
        "p_value": last.lift_p_value if log_scale else last.p_value,
        "method": last.method,
        "replication": last.replication,
        "n_replicates": found.replicates,
        "assumption": last.assumption,
        "status": _status(last),
        "randomised": found.randomised,
    }
    if last.p_value is not None:
        sequential, bound = _sequential(experiment, definition.direction, last)
        numbers |= {"sequential": sequential.model_dump(), "harm_bound": bound if margin is not None else None}
        numbers["p_adjusted"] = sequential.p_value if experiment.always_valid else numbers["p_value"]
    return MetricResult.model_validate(numbers)


def _status(comparison: stats.Comparison) -> Status:
    """The statistics' own reason, as a status."""
    if comparison.status == "ok":
        return Status() if comparison.lift_status == "ok" else Status(reason=f"no lift: {comparison.lift_status}")
    for words, code in (("no data", StatusCode.NO_DATA), ("too few", StatusCode.TOO_FEW), ("one ", StatusCode.TOO_FEW)):
        if comparison.status.startswith(words):
            return Status(code=code, reason=comparison.status)
    return Status(code=StatusCode.UNDEFINED, reason=comparison.status)


def _sequential(
    experiment: Experiment, direction: Direction, look: stats.Comparison
) -> tuple[Sequential, float | None]:
    """The always-valid side of one look, and with confidence the largest relative harm."""
    analysis = experiment.analysis
    log_plan = float(np.log1p(analysis.mde))
    plain = stats.sequential.confidence_sequence(
        look.effect,
        look.effect_se,
        look.df,
        planned_effect=analysis.mde * max(abs(look.control or 0.0), abs(look.treatment or 0.0)) or analysis.mde,
        confidence=analysis.confidence,
    )
    if look.lift_ci is None:
        return Sequential(p_value=plain.p_value, lift_ci=None, effect_ci=_finite(plain.ci)), None
    log_lift = float(np.log1p(look.lift))
    log = stats.sequential.confidence_sequence(
        log_lift, look.lift_se, look.df, planned_effect=log_plan, confidence=analysis.confidence
    )
    found = Sequential(
        p_value=log.p_value,
        lift_ci=_lift_interval(log.ci),
        effect_ci=_finite(plain.ci),
    )
    return found, _harm_bound(experiment, direction, look, log_lift, log_plan)


def _harm_bound(
    experiment: Experiment, direction: Direction, look: stats.Comparison, log_lift: float, log_plan: float
) -> float | None:
    """One-sided upper bound of the relative harm, of the kind that decides."""
    analysis = experiment.analysis

    def upper(growth: float) -> float:
        """Upper end for an estimate on the log scale whose growth is the harm."""
        if experiment.always_valid:
            sequence = stats.sequential.confidence_sequence(
                growth,
                look.lift_se,
                look.df,
                planned_effect=log_plan,
                confidence=analysis.confidence,
                alternative="less",
            )
            return float(sequence.ci[1])
        return growth + float(student_quantile(look.df, analysis.confidence)) * float(look.lift_se)

    with np.errstate(over="ignore"):
        worse_up, worse_down = float(np.expm1(upper(log_lift))), float(-np.expm1(-upper(-log_lift)))
    match direction:
        case Direction.DECREASE:
            bound = worse_up
        case Direction.INCREASE:
            bound = worse_down
        case Direction.NONE:
            bound = max(worse_up, worse_down)
    return bound if np.isfinite(bound) else None


def _trend(
    experiment: Experiment, metric: ResolvedMetric, treatment: str, found: Estimate, look_ends: Sequence[int]
) -> Iterator[TrendPoint]:
    """The lift at each look at which there is one; the statistics ran over all looks at once."""
    comparison = found.comparison
    if comparison is None:
        return
    analysis = experiment.analysis
    sequence = stats.sequential.confidence_sequence(
        np.ma.log(1 + comparison.lift),
        comparison.lift_se,
        comparison.df,
        planned_effect=float(np.log1p(analysis.mde)),
        confidence=analysis.confidence,
    )
    for look, end in enumerate(look_ends):
        at, band = comparison.at(look), sequence.at(look)
        if at.lift is None:
            continue
        yield TrendPoint(
            metric=metric.name,
            variant=treatment,
            at=datetime.fromtimestamp(end / 1000, UTC),
            lift=at.lift,
            lift_ci=_finite(at.lift_ci),
            sequence=_lift_interval(band.ci),
        )


def _adjusted(experiment: Experiment, results: list[MetricResult]) -> tuple[MetricResult, ...]:
    """Correct `p_adjusted`, so far the p value that decides, for the number of tests that decide together.

    Holm for what decides: an A/B test's primary metrics and its guardrails apart, a canary's metrics all together.
    Benjamini-Hochberg for secondary metrics, which decide nothing.
    """
    deciding = [{Usage.PRIMARY}, {Usage.GUARDRAIL}, {Usage.LIMIT}]
    if experiment.strategy is not Strategy.AB:
        deciding = [set.union(*deciding)]
    adjusted = list(results)
    for family, method in (*((usages, "holm") for usages in deciding), ({Usage.SECONDARY}, "benjamini-hochberg")):
        places = [i for i, r in enumerate(results) if r.role in family and r.p_adjusted is not None]
        if places:
            corrected = stats.adjust([results[i].p_adjusted for i in places], method)
            for i, p in zip(places, corrected, strict=True):
                adjusted[i] = results[i].model_copy(update={"p_adjusted": float(p)})
    return tuple(adjusted)


def _lift_interval(log_interval: tuple[float, float] | None) -> Interval | None:
    """From the log ratio to the lift; an end too far out to be a number is open."""
    if log_interval is None:
        return None
    with np.errstate(over="ignore"):
        low, high = np.expm1(log_interval)
    return _finite((float(low), float(high)))


def _finite(interval: tuple[float | None, float | None] | None) -> Interval | None:
    if interval is None:
        return None
    low, high = (end if end is not None and np.isfinite(end) else None for end in interval)
    return (low, high)


def _difference(control: float | None, treatment: float | None) -> float | None:
    return None if control is None or treatment is None else treatment - control


def _lift(control: float | None, treatment: float | None) -> float | None:
    return treatment / control - 1 if control and treatment is not None else None
