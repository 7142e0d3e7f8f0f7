"""What decides at a look: one reading at the end, any number of looks, or a few planned ones.

| `analysis.looks` | what decides | its interval and p |
|---|---|---|
| `always-valid` | every look | confidence sequence on information; with few independent events, sequential counts |
| `fixed` | the planned end | fixed-horizon; with few independent events, exact counts |
| `obrien-fleming`, `pocock` | the newest planned look | repeated interval and p of error spending (Lan & DeMets) |

α of a group-sequential test is spent by time: look k of K may have spent what belongs to the share k/K, whatever the
data. Information would be estimated from 32 replicates with a standard error of a quarter of itself, and noisy shares
spend more where the estimate looks most certain: 6 to 7 % false winners. Where the same users come back information
runs ahead of time and the boundaries are on the safe side. Exact counts enter by their p value at a look, held against
the nominal level of that look. A look before the end at which few users make an arm's events decides nothing and spends
nothing: its z holds at 5 %, not at the level of an early look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from abkit import stats
from abkit.evidence import Interval, Sequential, Status, StatusCode, TrendPoint
from abkit.pipeline.estimate import Estimate
from abkit.pipeline.planned_looks import SPENDING
from abkit.pipeline.rare import LEAST, Rare
from abkit.pipeline.splits import moment
from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedMetric
from abkit.spec import Direction, Experiment, Looks
from abkit.stats.special import normal_quantile, z_to_t

__all__ = ["Fixed", "Looked", "decided", "fixed_at", "harm_bound", "trend"]


@dataclass(frozen=True, slots=True)
class Looked:
    """Totals at each look.

    Attributes:
        totals: Cumulative over the looks.
        start_ms: When the window begins.
        ends: End of each look, ms.
        fractions: Group-sequential: share of the planned time at each look; empty before the first one. None where
            looks are not planned.
    """

    totals: Totals
    start_ms: int
    ends: Sequence[int]
    fractions: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """One look as if it were the only one.

    Attributes:
        lift: Relative change; exact counts have one without events in the treatment too.
        effect_ci: Interval of the difference; None where there is none.
        lift_ci: Interval of the lift.
        p_value: Two-sided.
        method: How the numbers were made.
        replication: What was taken to vary as a whole.
        assumption: What has to hold.
        status: Why something is missing.
    """

    lift: float | None
    effect_ci: Interval | None
    lift_ci: Interval | None
    p_value: float | None
    method: str
    replication: str
    assumption: str
    status: Status


def fixed_at(found: Estimate, look: int, confidence: float) -> Fixed:
    """One look as if it were the only one: the comparison, or exact counts where events are few.

    Args:
        found: An estimate with a comparison.
        look: Which look.
        confidence: Of the intervals.
    """
    at = _comparison(found).at(look)
    fixed = Fixed(
        lift=at.lift,
        effect_ci=_finite(at.effect_ci),
        lift_ci=_finite(at.lift_ci),
        p_value=at.lift_p_value if at.lift_ci is not None else at.p_value,
        method=at.method,
        replication=at.replication,
        assumption=at.assumption,
        status=_status(at),
    )
    if exact := found.exact_at(look, once=True):
        return _exact(exact, look, at, confidence)
    if at.p_value is None or found.rare is None or not found.rare.few[look]:
        return fixed
    what = "misses" if found.rare.of_misses else "events"
    less = "" if found.rare.shown(look) else f", which under {LEAST} in an arm can't show"
    reason = f"few {what}, and not known to be independent{less}: the difference has no interval"
    if found.rare.of_misses:
        # Close to 1 the lift is the difference under another name.
        return replace(fixed, effect_ci=None, lift_ci=None, status=Status(reason=f"{reason}, nor has the lift"))
    if at.lift_ci is None:
        reason += f"; no lift: {at.lift_status}"
    return replace(fixed, effect_ci=None, status=Status(reason=reason))


def _exact(rare: Rare, look: int, at: stats.Comparison, confidence: float) -> Fixed:
    counted = rare.fixed(look, confidence)
    lift, effect_ci, lift_ci = counted.lift, _finite(counted.effect_ci), _finite(counted.lift_ci)
    if rare.of_misses:
        lift, effect_ci = at.lift, _mirrored(effect_ci)
        lift_ci = _scaled(effect_ci, at.control)
    return Fixed(
        lift=lift,
        effect_ci=effect_ci,
        lift_ci=None if lift is None else lift_ci,
        p_value=counted.p_value,
        method=f"{counted.method}; {rare.words(look)}",
        replication=counted.replication,
        assumption=counted.assumption,
        status=Status() if lift is not None else Status(reason=f"no lift: {counted.lift_status}"),
    )


def decided(
    experiment: Experiment, found: Estimate, fractions: tuple[float, ...] | None
) -> tuple[Sequential | None, float | None, Status]:
    """The side of a result that may be looked at again and again, and the p value that decides.

    Args:
        experiment: The experiment file.
        found: An estimate with a comparison.
        fractions: As in `Looked`.

    Returns:
        None and None where nothing was compared, no planned look has come, or the newest one decides nothing; and why
        that is.
    """
    last = _looks(found) - 1
    at = _comparison(found).at(last)
    if at.p_value is None and found.exact_at(last) is None:
        return None, None, Status()
    confidence = experiment.analysis.confidence
    if fractions is not None:
        grouped = _group_sequential(experiment, found, fractions, confidence) if fractions else None
        sequential = None if grouped is None else grouped.at(found, last)
        p = None if sequential is None else sequential.p_value
        return sequential, p, Status() if grouped is None else grouped.refusal(last)
    sequential = _always_valid(experiment, found, last)
    if experiment.deciding_looks is Looks.FIXED:
        return sequential, fixed_at(found, last, confidence).p_value, Status()
    return sequential, sequential.p_value, Status()


def _always_valid(experiment: Experiment, found: Estimate, look: int) -> Sequential:
    analysis = experiment.analysis
    at = _comparison(found).at(look)
    if exact := found.exact_at(look):
        counted = exact.at_any_time(look, analysis.confidence)
        shown = counted.lift is not None and not exact.of_misses
        return Sequential(p_value=counted.p_value, lift_ci=_finite(counted.lift_ci) if shown else None, effect_ci=None)
    plain = stats.sequential.confidence_sequence(
        at.effect,
        at.effect_se,
        at.df,
        planned_effect=analysis.mde * max(abs(at.control or 0.0), abs(at.treatment or 0.0)) or analysis.mde,
        confidence=analysis.confidence,
    )
    few = found.rare is not None and bool(found.rare.few[look])
    effect_ci = None if few else _finite(plain.ci)
    if at.lift_ci is None:
        return Sequential(p_value=plain.p_value, lift_ci=None, effect_ci=effect_ci)
    log = stats.sequential.confidence_sequence(
        math.log1p(at.lift),
        at.lift_se,
        at.df,
        planned_effect=math.log1p(analysis.mde),
        confidence=analysis.confidence,
    )
    return Sequential(p_value=log.p_value, lift_ci=_lift_interval(log.ci), effect_ci=effect_ci)


@dataclass(frozen=True, slots=True)
class _Grouped:
    """A group-sequential test of one metric; all per look, None where a look decides nothing.

    Attributes:
        kind: Spending function.
        boundary: Of z.
        nominal: The p value that belongs to it.
        p_value: Repeated p at the newest look that counts.
        status: `ok`, or why nothing is decided.
    """

    kind: Literal["obrien-fleming", "pocock"]
    boundary: tuple[float | None, ...]
    nominal: tuple[float | None, ...]
    p_value: float | None
    status: tuple[str, ...]

    def refusal(self, look: int) -> Status:
        """Why a look decides nothing for want of users with events; ok where it decides, or another result says why."""
        why = self.status[look]
        return Status(code=StatusCode.TOO_FEW, reason=why) if why.startswith("too few users") else Status()

    def at(self, found: Estimate, look: int) -> Sequential | None:
        """The repeated interval at a look, with the p value of the newest one."""
        boundary, nominal = self.boundary[look], self.nominal[look]
        if boundary is None or nominal is None or self.p_value is None:
            return None
        at = _comparison(found).at(look)
        if exact := found.exact_at(look, once=True):
            fixed = _exact(exact, look, at, 1 - nominal)
            return Sequential(p_value=self.p_value, lift_ci=fixed.lift_ci, effect_ci=fixed.effect_ci, looks=self.kind)
        radius = float(z_to_t(boundary, at.df))
        few = found.rare is not None and bool(found.rare.few[look])
        effect_ci = None if few else _around(at.effect, radius * at.effect_se)
        lift_ci = None
        if at.lift_ci is not None:
            log_lift = math.log1p(at.lift)
            lift_ci = _lift_interval((log_lift - radius * at.lift_se, log_lift + radius * at.lift_se))
        return Sequential(p_value=self.p_value, lift_ci=lift_ci, effect_ci=effect_ci, looks=self.kind)


def _group_sequential(
    experiment: Experiment, found: Estimate, fractions: tuple[float, ...], confidence: float, *, one_sided: bool = False
) -> _Grouped:
    """Boundaries at the looks so far, in z: t, and exact p values, are turned into z by their p."""
    kind = SPENDING[experiment.deciding_looks]
    z = [_z(found, look) for look in range(len(fractions))]
    tested = stats.sequential.group_sequential(
        z,
        1.0,
        confidence=confidence,
        alternative="greater" if one_sided else "two-sided",
        fraction=fractions,
        early_looks=[_early(found, look) for look in range(len(fractions))],
        spending=kind,
    )
    return _Grouped(
        kind=kind,
        boundary=tuple(np.ma.masked_array(tested.boundary).tolist()),
        nominal=tuple(np.ma.masked_array(tested.nominal_p).tolist()),
        p_value=tested.p_value,
        status=tuple(str(status) for status in tested.status),
    )


def _early(found: Estimate, look: int) -> bool:
    """Whether a look may decide before the end: exact counts may, however few they are."""
    return found.exact_at(look, once=True) is not None or bool(_comparison(found).at(look).early_looks)


def _z(found: Estimate, look: int) -> float | None:
    """Z with the two-sided p of a look; None where there is none."""
    at = _comparison(found).at(look)
    p = at.lift_p_value if at.lift_ci is not None else at.p_value
    if exact := found.exact_at(look, once=True):
        p = exact.fixed(look, 0.95).p_value
    if p is None or at.effect is None:
        return None
    return math.copysign(-float(normal_quantile(max(p / 2, 1e-300))), at.effect)


def harm_bound(
    experiment: Experiment, direction: Direction, found: Estimate, fractions: tuple[float, ...] | None
) -> float | None:
    """One-sided upper bound of the relative harm, of the kind that decides.

    With several treatments each has its part of α (Bonferroni), so that no harmful one of them is shown to be within
    its margin in more than α of all experiments. Several guardrails need no correction: shipping needs all of them.

    Args:
        experiment: The experiment file.
        direction: Which way is better; without one either move is harm.
        found: An estimate with a comparison.
        fractions: As in `Looked`.

    Returns:
        None where nothing bounds it.
    """
    last = _looks(found) - 1
    at = _comparison(found).at(last)
    alpha = (1 - experiment.analysis.confidence) / len(experiment.treatments)
    nominal, boundary = alpha, -float(normal_quantile(alpha))
    if fractions is not None:
        grouped = _group_sequential(experiment, found, fractions, 1 - alpha, one_sided=True) if fractions else None
        level, bound = (None, None) if grouped is None else (grouped.nominal[last], grouped.boundary[last])
        if level is None or bound is None:
            return None
        nominal, boundary = level, bound
    exact = found.exact_at(last, once=not experiment.always_valid)
    if exact is not None and not exact.of_misses:
        low, high = _exact_bounds(exact, last, 1 - nominal, always=experiment.always_valid)
    elif at.lift_ci is not None:
        log_lift = math.log1p(at.lift)
        if experiment.always_valid:
            sequence = stats.sequential.confidence_sequence(
                log_lift,
                at.lift_se,
                at.df,
                planned_effect=math.log1p(experiment.analysis.mde),
                confidence=1 - alpha,
                alternative="less",
            )
            radius = float(sequence.ci[1]) - log_lift
        else:
            radius = float(z_to_t(boundary, at.df)) * at.lift_se
        with np.errstate(over="ignore"):
            low, high = float(np.expm1(log_lift - radius)), float(np.expm1(log_lift + radius))
    else:
        return None
    match direction:
        case Direction.DECREASE:
            harm = high
        case Direction.INCREASE:
            harm = -low
        case Direction.NONE:
            harm = max(high, -low)
    return harm if math.isfinite(harm) else None


def _exact_bounds(rare: Rare, look: int, confidence: float, *, always: bool) -> tuple[float, float]:
    """Lower and upper bound of the lift, each one-sided; the sequence's two-sided ends are on the safe side."""
    if always:
        ends = rare.at_any_time(look, confidence).lift_ci
        return float(ends[0]), float(ends[1])
    low = rare.fixed(look, confidence, "greater").lift_ci[0]
    high = rare.fixed(look, confidence, "less").lift_ci[1]
    return float(low), float(high)


def trend(
    experiment: Experiment, metric: ResolvedMetric, treatment: str, found: Estimate, looked: Looked
) -> Iterator[TrendPoint]:
    """The lift at each look at which there is one; the statistics ran over all looks at once."""
    comparison = found.comparison
    if comparison is None:
        return
    analysis = experiment.analysis
    grouped = _group_sequential(experiment, found, looked.fractions, analysis.confidence) if looked.fractions else None
    sequence = stats.sequential.confidence_sequence(
        np.ma.log(1 + comparison.lift),
        comparison.lift_se,
        comparison.df,
        planned_effect=math.log1p(analysis.mde),
        confidence=analysis.confidence,
    )
    for look, end in enumerate(looked.ends):
        fixed = fixed_at(found, look, analysis.confidence)
        if fixed.lift is None:
            continue
        band = _lift_interval(sequence.at(look).ci)
        if looked.fractions is not None:
            repeated = None if grouped is None else grouped.at(found, look)
            band = None if repeated is None else repeated.lift_ci
        elif found.exact_at(look):
            band = _always_valid(experiment, found, look).lift_ci
        yield TrendPoint(
            metric=metric.name,
            variant=treatment,
            at=moment(end),
            lift=fixed.lift,
            lift_ci=fixed.lift_ci,
            sequence=band,
        )


def _comparison(found: Estimate) -> stats.Comparison:
    if found.comparison is None:
        msg = "the estimate has no comparison: ask for its status first"
        raise ValueError(msg)
    return found.comparison


def _looks(found: Estimate) -> int:
    return int(np.size(_comparison(found).status))


def _status(comparison: stats.Comparison) -> Status:
    """The statistics' own reason, as a status."""
    if comparison.status == "ok":
        return Status() if comparison.lift_status == "ok" else Status(reason=f"no lift: {comparison.lift_status}")
    for words, code in (("no data", StatusCode.NO_DATA), ("too few", StatusCode.TOO_FEW), ("one ", StatusCode.TOO_FEW)):
        if comparison.status.startswith(words):
            return Status(code=code, reason=comparison.status)
    return Status(code=StatusCode.UNDEFINED, reason=comparison.status)


def _around(centre: float, radius: float) -> Interval | None:
    return _finite((centre - radius, centre + radius))


def _mirrored(ends: Interval | None) -> Interval | None:
    if ends is None:
        return None
    low, high = (None if end is None else -end for end in ends)
    return (high, low)


def _scaled(ends: Interval | None, base: float | None) -> Interval | None:
    if ends is None or not base:
        return None
    low, high = (None if end is None else end / base for end in ends)
    return (low, high)


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
    low, high = (end if end is not None and math.isfinite(end) else None for end in interval)
    return (low, high)
