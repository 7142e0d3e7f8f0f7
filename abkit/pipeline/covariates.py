"""CUPED in the pipeline: what users did before the start, by the variant that they would come to.

The covariate is named beforehand, in the experiment file (`analysis.pre-period`), and whether it is used depends on the
data before the start alone: so the adjusted result decides in place of the plain one, at every look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from abkit import stats
from abkit.evidence import Covariate, Finding, Severity, Status, StatusCode, Usage
from abkit.pipeline.estimate import Estimate
from abkit.pipeline.looks import fixed_at
from abkit.pipeline.splits import milliseconds
from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedMetric
from abkit.spec import Experiment, Kind, Role, Scope
from abkit.store import Store
from abkit.window import Window
from abkit.wording import lift, p_value

__all__ = [
    "PRE_ALPHA",
    "adjusted",
    "of_users",
    "pre_period",
    "pre_period_findings",
    "replicate_sums",
    "unlabelled",
]

PRE_ALPHA = 0.001
"""P value below which the variants are said to differ before the start: then something other than chance was at work,
which a covariate would carry into the result."""

_ADJUSTED = {Usage.PRIMARY, Usage.SECONDARY}
_BEFORE = "before the start"
_RATIOS = {Kind.PROPORTION, Kind.RATIO, Kind.MEAN}


def pre_period(experiment: Experiment, store: Store) -> Totals | None:
    """Totals of the labelled time before the start; None where the experiment file names none.

    Args:
        experiment: The experiment file.
        store: Holds what was pulled.

    Raises:
        StoreError: The store can't be read.
    """
    analysis = experiment.analysis
    if not analysis.pre_period or analysis.start is None:
        return None
    start = milliseconds(analysis.start)
    before = Window(start - analysis.pre_period // timedelta(milliseconds=1), start)
    return Totals.read(store.totals(experiment.name, before), 1, before.length_ms / 1000)


def adjusted(
    experiment: Experiment,
    metric: ResolvedMetric,
    usage: Usage,
    totals: Totals,
    before: Totals | None,
    treatment: str,
    plain: Estimate,
) -> tuple[Estimate, Covariate | None]:
    """The estimate, adjusted by the pre-period where there is one.

    Args:
        experiment: The experiment file.
        metric: The metric with its inputs.
        usage: Its part in the verdict: primary and secondary metrics are adjusted.
        totals: The store's totals of the window.
        before: Totals of the pre-period; None where the experiment file names none.
        treatment: The treatment's name.
        plain: The estimate without.

    Returns:
        The adjusted estimate and what was removed; or the plain one and why. No covariate where none is asked for.
    """
    if before is None or usage not in _ADJUSTED or not of_users(metric) or plain.comparison is None:
        return plain, None
    arms = (experiment.control, treatment)
    confidence = experiment.analysis.confidence
    unadjusted = fixed_at(plain, -1, confidence)
    unused = Covariate(variance_removed=None, lift=unadjusted.lift, lift_ci=unadjusted.lift_ci)
    reason = _unusable(experiment, metric, totals, before, arms)
    if not reason and plain.exact_at(-1) is not None:
        reason = "events are few, and judged by exact counts"
    if reason:
        return plain, unused.model_copy(update={"status": _unavailable(reason)})
    now, earlier = ([replicate_sums(experiment, metric, read, name) for name in arms] for read in (totals, before))
    p = _p(_before(earlier[0], earlier[1]))
    unused = unused.model_copy(update={"pre_p_value": p})
    if p is not None and p < PRE_ALPHA:
        reason = f"the variants differed before the start already (p {p_value(p)}), so it is no covariate"
        return plain, unused.model_copy(update={"status": _unavailable(reason)})
    repeated = [_at_every_look(x, now[0]) for x in earlier]
    comparison = stats.cuped(now[0], now[1], repeated[0], repeated[1], confidence)
    last = comparison.at(-1)
    if last.theta is None:
        return plain, unused.model_copy(update={"status": _unavailable(str(last.status).removeprefix("unavailable: "))})
    removed = {"variance_removed": last.variance_reduction}
    return replace(plain, comparison=comparison), unused.model_copy(update=removed)


def pre_period_findings(
    experiment: Experiment, metrics: Sequence[tuple[ResolvedMetric, Usage]], before: Totals | None
) -> tuple[Finding, ...]:
    """Metrics by which the variants differed before the start, when nothing was routed yet: an A/A test that failed.

    Args:
        experiment: The experiment file.
        metrics: Resolved metrics and their part in the verdict.
        before: Totals of the pre-period; None where the experiment file names none.
    """
    if before is None:
        return ()
    tests: list[tuple[str, str, float | None, float]] = []
    for metric, usage in metrics:
        if usage in _ADJUSTED and of_users(metric):
            for treatment in experiment.treatments:
                arms = (experiment.control, treatment)
                if not unlabelled(experiment, metric, before, arms, _BEFORE):
                    sums = [replicate_sums(experiment, metric, before, name) for name in arms]
                    found = _before(sums[0], sums[1])
                    p = _p(found)
                    if p is not None:
                        tests.append((metric.name, treatment, found.lift, p))
    return tuple(
        Finding(
            code="pre-period-differs",
            severity=Severity.WARNING,
            message=f"{name} of {treatment} differed from the control before the start already ({lift(change)}, "
            f"p {p_value(p)}), when nothing was routed: check the assignment, "
            "and what an earlier experiment may have left behind.",
        )
        for name, treatment, change, p in tests
        if p < PRE_ALPHA
    )


def replicate_sums(experiment: Experiment, metric: ResolvedMetric, totals: Totals, variant: str) -> stats.ClusterSums:
    """Numerator and denominator of a user metric, (look, replicate), over all weight epochs; in the metric's unit."""
    count = experiment.assignment.replicates
    num, den = (
        totals.by_replicate(metric.inputs[role].id, variant, count).sum(1)
        for role in (Role.NUMERATOR, Role.DENOMINATOR)
    )
    return stats.ClusterSums(num * metric.definition.scale, den)


def of_users(metric: ResolvedMetric) -> bool:
    """Whether a metric is a ratio of what users do, so that hash replicates of users compare it."""
    return metric.definition.scope is Scope.USER and metric.definition.kind in _RATIOS


def unlabelled(experiment: Experiment, metric: ResolvedMetric, totals: Totals, arms: tuple[str, str], when: str) -> str:
    """Why totals say nothing by variant and replicate of randomised users; empty where they do.

    Args:
        experiment: The experiment file.
        metric: A metric of users.
        totals: What was counted.
        arms: Variants that are needed.
        when: What the totals' time is called, such as `before the start`.
    """
    for data in metric.inputs.values():
        rows = totals.rows(data.id)
        if (totals.assignment[rows] == "").any():
            return f"{when} the counters don't say how requests are assigned (ab_assignment): {data.selector}"
        if (totals.replicate[rows] < 0).any() or (totals.replicate[rows] >= experiment.assignment.replicates).any():
            return f"{when} some counters carry no replicate of the experiment (ab_replicate): {data.selector}"
    data = metric.inputs[Role.DENOMINATOR]
    empty = [name for name in arms if totals.sum(data.id, name) <= 0]
    return f"{when} nothing is labelled as {' or '.join(empty)}: {data.selector}" if empty else ""


def _unusable(
    experiment: Experiment, metric: ResolvedMetric, totals: Totals, before: Totals, arms: tuple[str, str]
) -> str:
    """Why the covariate can't be used; empty where it can. Nothing here depends on how the result turns out."""
    if len(totals.epochs) > 1:
        return (
            "the split changed, so users moved between variants: the result is stratified by weight epochs, and the "
            "covariate belongs to one split"
        )
    return unlabelled(experiment, metric, before, arms, _BEFORE)


def _unavailable(reason: str) -> Status:
    return Status(code=StatusCode.UNAVAILABLE, reason=reason)


def _at_every_look(before: stats.ClusterSums, now: stats.ClusterSums) -> stats.ClusterSums:
    """The same sums before the start beside each look: the outcome grows, the covariate is fixed."""
    shape = now.num.shape
    return stats.ClusterSums(np.broadcast_to(before.num[-1], shape), np.broadcast_to(before.den[-1], shape))


def _before(control: stats.ClusterSums, treatment: stats.ClusterSums) -> stats.Comparison:
    return stats.ratios(control, treatment, paired=True, cluster="hash replicate").at(-1)


def _p(found: stats.Comparison) -> float | None:
    p = found.p_value if found.lift_p_value is None else found.lift_p_value
    return None if p is None else float(p)
