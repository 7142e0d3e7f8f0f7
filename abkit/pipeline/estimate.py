"""Which estimator a metric gets, and what it may claim.

===================== ============================== ==========================================================
metric's scope        what the series carry          compared by
===================== ============================== ==========================================================
user                  replicates                     hash replicates, the same ones in both arms
user, split moved     replicates                     the same within weight epochs (Mantel-Haenszel)
user                  none                           nothing: `not user-level`, shown and never decided on
technical             replicates and instances       two-way: the larger of both sources of noise
technical             instances                      instances
quantile              buckets by instance            instances
rate                  anything                       nothing: traffic follows the split
gauge                 instances                      instances; with too few of them, intervals: `descriptive`
===================== ============================== ==========================================================

A proportion or ratio of counts with fewer than 30 events in an arm is judged otherwise:

===================== ============================== ==========================================================
few events            how they vary                  judged by
===================== ============================== ==========================================================
in either arm         as independent ones            exact counts: p, intervals of ratio and difference
under 4 in an arm     that it can't show             sequential counts at any time; read once, as below
in either arm         more, or it isn't known        the lift of the estimator above; the difference has no interval
in neither            anything                       the estimator above
===================== ============================== ==========================================================

Exact counts need one split all the time. How events vary is measured on the units above: hash replicates, instances,
and instance by look where there are no replicates. Of a proportion close to 1 the misses are what is few.

Instances belong to one version and come and go with a rollout, so technical metrics are compared within the newest
weight epoch only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from abkit import stats
from abkit.evidence import Status, StatusCode
from abkit.pipeline.gauges import interval_shift
from abkit.pipeline.rare import Rare, rare_events, within_looks
from abkit.pipeline.totals import RANDOMISED, Totals, histogram_defect
from abkit.queries import ResolvedMetric
from abkit.spec import Experiment, Kind, Role, Scope

__all__ = ["Estimate", "estimate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an estimator gave: a comparison over looks, or the plain values and why there is no comparison.

    Attributes:
        status: Why there is no comparison; ok where there is one.
        control: Plain value of the control, where there is no comparison.
        treatment: Plain value of the treatment, likewise.
        comparison: One entry a look.
        replicates: Number of units of replication.
        rare: Where events are few, look by look; None where the metric counts no events.
        units: Denominators of control and treatment, (look,), cumulative.
        randomised: False where requests that rules route are among those compared, and can't be told apart.
        shift: Of a gauge with too few instances: how far the arms' intervals lie apart.
    """

    status: Status
    control: float | None = None
    treatment: float | None = None
    comparison: stats.Comparison | None = None
    replicates: int | None = None
    rare: Rare | None = None
    units: tuple[Floats, Floats] | None = None
    randomised: bool = True
    shift: stats.Shift | None = None

    def exact_at(self, look: int, *, once: bool = False) -> Rare | None:
        """The counts by which a look is judged; None where it is judged by the comparison.

        Args:
            look: Which.
            once: Whether by the exact test of one reading, and not by the sequence.
        """
        if self.rare is None or self.comparison is None or not self.rare.used(look):
            return None
        if once and not self.rare.shown(look):
            return None
        # What is refused for want of users or pods stays refused: too few of them say nothing about dispersion.
        status = self.comparison.at(look).status
        return self.rare if status == "ok" or status.startswith("no variation") else None


def estimate(experiment: Experiment, metric: ResolvedMetric, totals: Totals, treatment: str) -> Estimate:
    """Compare a treatment with the control on a metric, at all looks at once.

    Args:
        experiment: The experiment file.
        metric: The metric with its inputs.
        totals: The store's totals.
        treatment: The treatment's name.
    """
    arms = (experiment.control, treatment)
    if refusal := _refusal(experiment, metric, totals, arms):
        return Estimate(refusal, *_values(metric, totals, arms))
    found = _compare(experiment, metric, totals, arms)
    mixed = bool(experiment.assignment.rules) and _unlabelled(metric, totals) is not None
    return replace(found, randomised=not mixed)


def _compare(experiment: Experiment, metric: ResolvedMetric, totals: Totals, arms: tuple[str, str]) -> Estimate:
    if metric.definition.kind is Kind.QUANTILE:
        return _by_quantile(experiment, metric, totals, arms)
    if metric.definition.scope is Scope.USER:
        return _by_replicate(experiment, metric, totals, arms)
    names = [_instances(metric, totals, name) for name in arms]
    by = _two_way if _replicated(experiment, metric, totals) else _by_instance
    found = by(experiment, metric, totals, arms, names)
    return _of_gauge(experiment, metric, totals, arms, found) if metric.definition.kind is Kind.GAUGE else found


def _of_gauge(
    experiment: Experiment, metric: ResolvedMetric, totals: Totals, arms: tuple[str, str], found: Estimate
) -> Estimate:
    """A gauge's estimate by instances; where these are too few, what its intervals show."""
    if found.comparison is None or (why := found.comparison.at(-1).status) == "ok":
        return found
    shift = interval_shift(metric, totals, arms, experiment.analysis.confidence)
    reason = f"{why}: what lies between these pods need not lie between their versions"
    status = Status(code=StatusCode.DESCRIPTIVE, reason=reason)
    return Estimate(status, *_values(metric, totals, arms), shift=shift)


def _refusal(experiment: Experiment, metric: ResolvedMetric, totals: Totals, arms: tuple[str, str]) -> Status | None:
    """Why a metric is shown and not compared; None where it can be."""
    for name in arms:
        if missing := _missing(metric, totals, name):
            return missing
    if metric.definition.kind is Kind.RATE:
        reason = "traffic follows the split, so it is shown and not compared"
        return Status(code=StatusCode.DESCRIPTIVE, reason=reason)
    if metric.definition.scope is Scope.USER and metric.definition.kind is not Kind.QUANTILE:
        return _not_user_level(experiment, metric, totals) or _unlabelled(metric, totals)
    primary = metric.name in {ref.metric for ref in experiment.metrics.primary}
    if primary and experiment.assignment.rules and _unlabelled(metric, totals):
        reason = "requests that rules route are among these, and the series don't say which (ab_assignment)"
        return Status(code=StatusCode.NOT_RANDOMISED, reason=reason)
    if not all(_instances(metric, totals, name) for name in arms):
        reason = "the series carry no instance, so how much pods differ is unknown"
        return Status(code=StatusCode.DESCRIPTIVE, reason=reason)
    return _strangers(metric, totals, arms)


def _strangers(metric: ResolvedMetric, totals: Totals, arms: tuple[str, str]) -> Status | None:
    """Why instances are no units: numerator and denominator know them by other names, such as pod and address."""
    for name in arms:
        counted = [set(totals.instances(data.id, name)) for data in metric.inputs.values()]
        if all(counted) and not set.intersection(*counted):
            one, other = (min(names) for names in counted)
            reason = (
                f"numerator and denominator name the pods of {name} otherwise ('{one}', '{other}'), so which belong "
                "together is unknown: give both the label pod"
            )
            return Status(code=StatusCode.DESCRIPTIVE, reason=reason)
    return None


def _not_user_level(experiment: Experiment, metric: ResolvedMetric, totals: Totals) -> Status | None:
    """Why user counters don't say how much users differ; None where they do."""
    reason = ""
    for data in metric.inputs.values():
        replicates = totals.replicate[totals.rows(data.id)]
        if (last := int(replicates.max(initial=-1))) >= experiment.assignment.replicates:
            reason = (
                f"services label replicate {last}, but assignment.replicates is {experiment.assignment.replicates}: "
                "make them agree"
            )
        elif (replicates >= 0).any() and (replicates < 0).any():
            reason = f"some of the counters carry no replicate (ab_replicate) and some do: {data.selector}"
        elif (replicates < 0).any():
            reason = (
                "the counters carry no replicate (ab_replicate), so how much users differ is unknown "
                "and chance can't be told from effect"
            )
    return Status(code=StatusCode.NOT_USER_LEVEL, reason=reason) if reason else None


def _replicated(experiment: Experiment, metric: ResolvedMetric, totals: Totals) -> bool:
    """Whether all of a metric's series carry replicates that the experiment knows."""
    last = max(int(totals.replicate[totals.rows(data.id)].max(initial=-1)) for data in metric.inputs.values())
    whole = all(totals.replicated(data.id) for data in metric.inputs.values())
    return whole and last < experiment.assignment.replicates


def _missing(metric: ResolvedMetric, totals: Totals, variant: str) -> Status | None:
    """Why a variant has nothing to compare; None where it has."""
    data = metric.inputs.get(Role.DENOMINATOR) or next(iter(metric.inputs.values()))
    if totals.sum(data.id, variant) > 0:
        return None
    mask = totals.any_rows(data.id, variant)
    if (totals.total[mask] > 0).any():
        how = ", ".join(sorted(set(totals.assignment[mask].tolist())))
        reason = f"{variant} gets its traffic by {how}, not by the {RANDOMISED} of the user: another population"
        return Status(code=StatusCode.NOT_RANDOMISED, reason=reason)
    return Status(code=StatusCode.NO_DATA, reason=f"nothing counted for {variant} ({data.selector})")


def _unlabelled(metric: ResolvedMetric, totals: Totals) -> Status | None:
    """Why user counters that don't say how requests were assigned can't be tested; None where they say."""
    for data in metric.inputs.values():
        if (totals.assignment[totals.rows(data.id)] == "").any():
            reason = (
                "the counters don't say how their requests were assigned (ab_assignment), so rules can't be told apart"
            )
            return Status(code=StatusCode.NOT_RANDOMISED, reason=reason)
    return None


def _by_replicate(experiment: Experiment, metric: ResolvedMetric, totals: Totals, arms: tuple[str, str]) -> Estimate:
    count, confidence = experiment.assignment.replicates, experiment.analysis.confidence
    control, treatment = (
        _sums(metric, partial(totals.by_replicate, variant=name, replicates=count), slice(None)) for name in arms
    )
    cluster, epochs = "hash replicate", len(totals.epochs)
    pooled = _over(control, 1), _over(treatment, 1)
    comparison = (
        stats.stratified(control, treatment, confidence, cluster=cluster)
        if epochs > 1
        else stats.ratios(*pooled, confidence, paired=True, cluster=cluster)
    )
    return _estimate(metric, comparison, count, [(cluster, pooled)], epochs)


def _two_way(
    experiment: Experiment, metric: ResolvedMetric, totals: Totals, arms: tuple[str, str], names: list[list[str]]
) -> Estimate:
    count = experiment.assignment.replicates
    control, treatment = (
        _sums(metric, partial(totals.by_cell, variant=name, replicates=count, names=pods), -1)
        for name, pods in zip(arms, names, strict=True)
    )
    comparison = stats.two_way(control, treatment, experiment.analysis.confidence)
    ways = [("hash replicate", (_over(control, 2), _over(treatment, 2)))]
    ways += [("instance", (_over(control, 1), _over(treatment, 1)))]
    return _estimate(metric, comparison, count, ways)


def _by_instance(
    experiment: Experiment, metric: ResolvedMetric, totals: Totals, arms: tuple[str, str], names: list[list[str]]
) -> Estimate:
    control, treatment = (
        _sums(metric, partial(totals.by_instance, variant=name, names=pods), -1)
        for name, pods in zip(arms, names, strict=True)
    )
    comparison = stats.ratios(control, treatment, experiment.analysis.confidence, cluster="instance", instances=True)
    ways = [("instance", (control, treatment))]
    ways += [("instance by look", (within_looks(control), within_looks(treatment)))]
    return _estimate(metric, comparison, sum(map(len, names)), ways)


def _estimate(
    metric: ResolvedMetric,
    comparison: stats.Comparison,
    replicates: int,
    ways: list[tuple[str, tuple[stats.ClusterSums, stats.ClusterSums]]],
    epochs: int = 1,
) -> Estimate:
    """A comparison with what is known of its events; `ways` are the same sums by each way of clustering."""
    control, treatment = ways[0][1]
    return Estimate(
        Status(),
        comparison=comparison,
        replicates=replicates,
        rare=rare_events(metric.definition, ways, epochs=epochs),
        units=(control.den.sum(-1), treatment.den.sum(-1)),
    )


def _by_quantile(experiment: Experiment, metric: ResolvedMetric, totals: Totals, arms: tuple[str, str]) -> Estimate:
    data = metric.inputs[Role.BUCKET]
    names = [totals.instances(data.id, name) for name in arms]
    # Counts are exact at the bounds that both arms have, and nowhere else.
    own = [totals.edges(data.id, name) for name in arms]
    edges = np.intersect1d(own[0], own[1])
    reason = next(filter(None, map(histogram_defect, own, arms)), "")
    if not reason and edges.size < 2:
        reason = f"{arms[0]} and {arms[1]} have no finite bucket bound (le) in common: give both versions the same"
    if reason:
        return Estimate(Status(code=StatusCode.UNDEFINED, reason=reason))
    control, treatment = (
        totals.by_bucket(data.id, name, pods, edges)[:, -1] for name, pods in zip(arms, names, strict=True)
    )
    comparison = stats.quantiles(
        edges * metric.definition.scale,
        control,
        treatment,
        cast("float", metric.definition.quantile),  # the model sees to it
        experiment.analysis.confidence,
        cumulative=True,
    )
    return Estimate(
        Status(),
        comparison=comparison,
        replicates=sum(map(len, names)),
        units=(control[..., -1].sum(-1), treatment[..., -1].sum(-1)),
    )


def _over(sums: stats.ClusterSums, axis: int) -> stats.ClusterSums:
    """Sums with an axis summed up."""
    return stats.ClusterSums(sums.num.sum(axis), sums.den.sum(axis))


def _sums(metric: ResolvedMetric, totals: Callable[[str], Floats], epoch: slice | int) -> stats.ClusterSums:
    """Numerator and denominator of one arm, (look, [epoch,] cluster…); the numerator in the metric's unit."""
    num, den = (totals(metric.inputs[role].id)[:, epoch] for role in (Role.NUMERATOR, Role.DENOMINATOR))
    return stats.ClusterSums(num * metric.definition.scale, den)


def _instances(metric: ResolvedMetric, totals: Totals, variant: str) -> list[str]:
    return sorted({name for data in metric.inputs.values() for name in totals.instances(data.id, variant)})


def _values(metric: ResolvedMetric, totals: Totals, arms: tuple[str, str]) -> tuple[float | None, float | None]:
    """Plain values of both arms, for what can't be compared; of all traffic, however it was assigned."""
    return _value(metric, totals, arms[0]), _value(metric, totals, arms[1])


def _value(metric: ResolvedMetric, totals: Totals, variant: str) -> float | None:
    sums = {role: float(totals.total[totals.any_rows(data.id, variant)].sum()) for role, data in metric.inputs.items()}
    if metric.definition.kind is Kind.RATE:
        return sums[Role.NUMERATOR] / totals.seconds if totals.seconds > 0 else None
    if not sums.get(Role.DENOMINATOR):
        return None
    value = sums[Role.NUMERATOR] * metric.definition.scale / sums[Role.DENOMINATOR]
    return value if math.isfinite(value) else None
