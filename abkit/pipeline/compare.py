"""Totals in, metric results out: fixed-horizon and as they are looked at, corrected for the number of tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from abkit import stats
from abkit.evidence import Bandit, MetricResult, StatusCode, TrendPoint, Usage
from abkit.pipeline.bandit import propose
from abkit.pipeline.covariates import adjusted
from abkit.pipeline.estimate import Estimate, estimate
from abkit.pipeline.looks import Looked, decided, fixed_at, harm_bound, trend
from abkit.pipeline.posterior import posterior
from abkit.pipeline.power import power_of
from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedMetric
from abkit.spec import Experiment, Strategy

__all__ = ["DEFAULT_MARGIN", "Compared", "compare_all"]

DEFAULT_MARGIN = 0.10
"""Relative harm that a guardrail tolerates where the experiment names none."""


@dataclass(frozen=True, slots=True)
class Compared:
    """All results of an experiment.

    Attributes:
        metrics: One a metric and treatment, in the experiment file's order.
        trend: The same over the looks, where there are numbers.
        bandit: Proposed weights, one a primary metric, where the experiment file asks for them.
    """

    metrics: tuple[MetricResult, ...]
    trend: tuple[TrendPoint, ...]
    bandit: tuple[Bandit, ...] = ()


def compare_all(
    experiment: Experiment,
    metrics: Sequence[tuple[ResolvedMetric, Usage]],
    looked: Looked,
    current: Looked | None = None,
    before: Totals | None = None,
) -> Compared:
    """Compare every metric of every treatment with the control.

    Args:
        experiment: The experiment file.
        metrics: Resolved metrics and their part in the verdict.
        looked: The store's totals at each look; of a group-sequential test at the planned looks.
        current: All totals up to now, from which power is reckoned; those of `looked` where left out.
        before: Totals of the labelled time before the start, where the experiment file names such a time.

    Returns:
        Results, with `p_adjusted` corrected within each role: Holm over primary metrics and guardrails, each over all
        treatments; Benjamini-Hochberg over secondary metrics. Always-valid p values are 1/E, so that is e-BH.
    """
    results: list[MetricResult] = []
    points: list[TrendPoint] = []
    proposals: list[Bandit] = []
    margins = {ref.metric: ref.margin or DEFAULT_MARGIN for ref in experiment.metrics.guardrails}
    tests = {usage: sum(part is usage for _, part in metrics) * len(experiment.treatments) for usage in Usage}
    for metric, usage in metrics:
        margin = margins.get(metric.name) if usage is Usage.GUARDRAIL else None
        found: dict[str, Estimate] = {}
        for treatment in experiment.treatments:
            plain = estimate(experiment, metric, looked.totals, treatment)
            mine, covariate = adjusted(experiment, metric, usage, looked.totals, before, treatment, plain)
            found[treatment] = mine
            result = _result(experiment, metric, usage, margin, treatment, mine, looked)
            result = result.model_copy(update={"covariate": covariate})
            if usage in {Usage.PRIMARY, Usage.GUARDRAIL} and mine.comparison is not None:
                now = looked if current is None else current
                seen = mine
                if current is not None:
                    plain = estimate(experiment, metric, now.totals, treatment)
                    seen, _ = adjusted(experiment, metric, usage, now.totals, before, treatment, plain)
                power = power_of(experiment, result, seen, now, tests[usage])
                result = result.model_copy(update={"power": power})
            results.append(result)
            points.extend(trend(experiment, metric, treatment, mine, looked))
        if usage is Usage.PRIMARY and experiment.analysis.bandit is not None:
            proposals.append(propose(experiment, metric, found))
    return Compared(_adjusted(experiment, results), tuple(points), tuple(proposals))


def _result(
    experiment: Experiment,
    metric: ResolvedMetric,
    usage: Usage,
    margin: float | None,
    treatment: str,
    found: Estimate,
    looked: Looked,
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
    if found.shift is not None and found.shift.shift_ci is not None:
        low, high = (end if math.isfinite(end) else None for end in found.shift.shift_ci)
        return result.model_copy(
            update={
                "effect": found.shift.shift,
                "effect_ci": (low, high),
                "lift": None,
                "method": found.shift.method,
                "replication": found.shift.replication,
                "assumption": found.shift.assumption,
            }
        )
    if found.comparison is None:
        return result
    last = found.comparison.at(-1)
    fixed = fixed_at(found, len(looked.ends) - 1, experiment.analysis.confidence)
    sequential, deciding, waits = decided(experiment, found, looked.fractions)
    bounded = margin is not None and sequential is not None
    numbers = result.model_dump() | {
        "baseline": last.control,
        "value": last.treatment,
        "effect": last.effect,
        "effect_ci": fixed.effect_ci,
        "lift": fixed.lift,
        "lift_ci": fixed.lift_ci,
        "p_value": fixed.p_value,
        "p_adjusted": deciding,
        "harm_bound": harm_bound(experiment, definition.direction, found, looked.fractions) if bounded else None,
        "method": fixed.method,
        "replication": fixed.replication,
        "n_replicates": found.replicates,
        "assumption": fixed.assumption,
        "sequential": None if sequential is None else sequential.model_dump(),
        "status": fixed.status if waits.code is StatusCode.OK else waits,
        "randomised": found.randomised,
        "bayes": posterior(experiment, definition.direction, found),
    }
    return MetricResult.model_validate(numbers)


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


def _difference(control: float | None, treatment: float | None) -> float | None:
    return None if control is None or treatment is None else treatment - control


def _lift(control: float | None, treatment: float | None) -> float | None:
    return treatment / control - 1 if control and treatment is not None else None
