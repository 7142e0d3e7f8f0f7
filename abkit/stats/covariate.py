"""CUPED: what a replicate did before the start explains part of what it does after.

Before the start the assignment is already computed and labelled, though nothing is routed by it. So each replicate has,
for each future variant, a metric of users who will be in it. A covariate that were the same in both arms would remove
nothing: it would cancel in the difference.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import ClusterSums, divide, effective_clusters, effective_events
from abkit.stats.comparison import Comparison, conclude
from abkit.stats.ratio import leave_one_out_variance, linearised, variance_of_mean
from abkit.stats.small_arms import MINIMUM_EFFECTIVE_CLUSTERS, SMALL_ARM, early_enough, guarded, inflated, too_few
from abkit.stats.special import check_alternative, check_confidence
from abkit.stats.values import Value, value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Cuped", "cuped"]


_ROUNDING = 1e-10
"""What is left of a number, as a share of it, when only rounding errors are left."""


@dataclass(frozen=True, eq=False)
class Cuped(Comparison):
    """A comparison adjusted by the period before the start; control and treatment are the adjusted values.

    Attributes:
        theta: Slope of the metric on the covariate.
        correlation: Between both, over replicates of both arms.
        variance_reduction: 1 - adjusted over plain variance of the effect; below 0 where adjusting cost more than it
            removed.
        plain_effect: Effect without the adjustment.
        plain_se: Its standard error.
    """

    theta: Value
    correlation: Value
    variance_reduction: Value
    plain_effect: Value
    plain_se: Value


@np.errstate(all="ignore")
def cuped(
    control: ClusterSums,
    treatment: ClusterSums,
    pre_control: ClusterSums | None,
    pre_treatment: ClusterSums | None,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    cluster: str = "hash replicate",
    minimum_effective: float = MINIMUM_EFFECTIVE_CLUSTERS,
) -> Cuped:
    """Compare a ratio of sums, adjusted by the same ratio in a labelled pre-period.

    R' = R - θ·(X - X̄), with R the metric, X the covariate by (future variant, replicate), X̄ the covariate of both arms
    together and θ the slope of one on the other, pooled over the arms (Deng, Xu, Kohavi & Walker, WSDM 2013). The
    standard error leaves one replicate out of everything at a time, θ and X̄ included: t(G - 1). The lift is that of the
    adjusted values. The small-arm rule holds as in `ratios`.

    Args:
        control: Sums during the experiment, (…, replicate).
        treatment: The same replicates in the same order.
        pre_control: Sums before the start of the users who are now in the control, (…, replicate); None where no
            pre-period was labelled.
        pre_treatment: The same of the users who are now in the treatment.
        confidence: Of the intervals.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        cluster: What a cluster is, for the words of the result.
        minimum_effective: Effective clusters, in each arm, below which there is no result.

    Raises:
        ValueError: Unknown alternative, confidence outside 0 … 1, or shapes that differ.

    >>> arm = ClusterSums([50, 40, 60, 50], [500] * 4)
    >>> cuped(arm, arm, None, None).status
    'unavailable: no pre-period is labelled by future variant'
    """
    check_alternative(alternative)
    check_confidence(confidence)
    arms = (control, treatment)
    shape = control.num.shape
    given = [arm for arm in (*arms, pre_control, pre_treatment) if arm is not None]
    if any(arm.num.shape != shape for arm in given):
        msg = f"shapes are {[arm.num.shape for arm in given]}: all must be (…, {cluster}) with the same {cluster}s"
        raise ValueError(msg)
    G = control.clusters
    labelled = pre_control is not None and pre_treatment is not None
    # Without a pre-period the covariate is nothing, and the words say so.
    nothing = ClusterSums(np.zeros(shape), np.zeros(shape))
    pre = (pre_control or nothing, pre_treatment or nothing)

    full = [_Sums.of(arm) for arm in (*arms, *pre)]
    left = [_Sums.without_one(arm) for arm in (*arms, *pre)]
    parts = [linearised(arm.num, arm.den) for arm in (*arms, *pre)]
    theta = _slope(parts)
    rate, before = [s.ratio for s in full[:2]], [s.ratio for s in full[2:]]
    pooled = divide(full[2].num + full[3].num, full[2].den + full[3].den)
    adjusted = [r - theta * (x - pooled) for r, x in zip(rate, before, strict=True)]

    left_theta = _left_slope(arms, pre)
    left_pooled = divide(left[2].num + left[3].num, left[2].den + left[3].den)
    left_adjusted = [left[a].ratio - left_theta * (left[2 + a].ratio - left_pooled) for a in (0, 1)]
    variance = leave_one_out_variance(left_adjusted[1] - left_adjusted[0])
    # A value that is 0 but for rounding errors has no logarithm.
    least = [_ROUNDING * (np.abs(r) + np.abs(v))[..., None] for r, v in zip(rate, adjusted, strict=True)]
    good = (left_adjusted[0] > least[0]) & (left_adjusted[1] > least[1])
    logs = np.log(np.where(good, left_adjusted[1], 1.0)) - np.log(np.where(good, left_adjusted[0], 1.0))
    log_variance = np.where(good.all(-1), leave_one_out_variance(logs), np.nan)

    # The small-arm rule, on what is left of each arm's error after the adjustment.
    residual = [parts[a] - theta[..., None] * parts[2 + a] for a in (0, 1)]
    own = variance_of_mean(residual[0]), variance_of_mean(residual[1])
    relative = [divide(u, v[..., None]) for u, v in zip(residual, adjusted, strict=True)]
    log_own = variance_of_mean(relative[0]), variance_of_mean(relative[1])
    effective = effective_clusters(control.den), effective_clusters(treatment.den)
    rare = (
        np.minimum(effective[0], effective_events(control.num)),
        np.minimum(effective[1], effective_events(treatment.num)),
    )
    empty = (full[0].num == 0) & (full[0].den > 0), (full[1].num == 0) & (full[1].den > 0)
    scale = divide(full[0].den, full[1].den)
    variance = inflated(variance, own, guarded(own, scale, rare, empty))
    log_variance = inflated(log_variance, log_own, guarded(log_own, scale, effective, empty))
    plain_own = variance_of_mean(parts[0]), variance_of_mean(parts[1])
    plain = leave_one_out_variance(left[1].ratio - left[0].ratio)
    plain = inflated(plain, plain_own, guarded(plain_own, scale, rare, empty))

    same = np.asarray((pre[0].num == pre[1].num).all(-1) & (pre[0].den == pre[1].den).all(-1))
    missing: list[tuple[ArrayLike, str]] = [
        ((full[0].den == 0) & (full[1].den == 0), "no data in either arm"),
        (full[0].den == 0, "no data in control"),
        (full[1].den == 0, "no data in treatment"),
        (np.asarray(not labelled), "unavailable: no pre-period is labelled by future variant"),
        ((full[2].den == 0) | (full[3].den == 0), "unavailable: no data before the start in an arm"),
        (
            same,
            "unavailable: the pre-period is the same in both arms: it is not labelled by future variant",
        ),
        (np.asarray(G < 3), f"fewer than three {cluster}s: a slope and its error can't both be estimated"),
        (np.isnan(theta), "unavailable: the covariate does not vary"),
        (np.isnan(left_theta).any(-1), f"unavailable: all of the covariate's variation lies in one {cluster}"),
    ]
    small = (rare[0] < SMALL_ARM) | (rare[1] < SMALL_ARM) | empty[0] | empty[1]
    method = f"CUPED on a labelled pre-period, slope pooled over arms, delete-one-{cluster} jackknife, t({G - 1})"
    if small.any():
        method += ", small-arm rule"
    result = conclude(
        adjusted[0],
        adjusted[1],
        variance,
        log_variance,
        df=float(max(G - 1, 1)),
        confidence=confidence,
        alternative=alternative,
        effective=effective,
        small_arm=small,
        early_looks=early_enough((control.num, treatment.num)),
        missing=missing,
        refusals=too_few(effective, (G, G), cluster, minimum_effective),
        lift_refusals=[(~good.all(-1), f"an adjusted value is not above 0 with one {cluster} left out")],
        method=method,
        replication=f"{G} {cluster}s",
        assumption=(
            f"Different {cluster}s vary independently of one another; the assignment labelled before the start is "
            "the one in force now, and had no effect then."
        ),
    )
    there = np.isfinite(theta) & ~np.isnan(left_theta).any(-1) & ~same & labelled
    return Cuped(
        **{field.name: getattr(result, field.name) for field in fields(Comparison)},
        theta=value(theta, there),
        correlation=value(_correlation(parts), there),
        variance_reduction=value(1 - divide(variance, plain), there),
        plain_effect=value(rate[1] - rate[0]),
        plain_se=value(np.sqrt(plain)),
    )


@dataclass(frozen=True)
class _Sums:
    """Numerators and denominators, of all clusters or with each left out."""

    num: Floats
    den: Floats

    @classmethod
    def of(cls, arm: ClusterSums) -> _Sums:
        return cls(arm.num.sum(-1), arm.den.sum(-1))

    @classmethod
    def without_one(cls, arm: ClusterSums) -> _Sums:
        return cls(arm.num.sum(-1, keepdims=True) - arm.num, arm.den.sum(-1, keepdims=True) - arm.den)

    @property
    def ratio(self) -> Floats:
        return divide(self.num, self.den)


def _slope(parts: list[Floats]) -> Floats:
    """Σux/Σx² over clusters and arms; NaN where the covariate doesn't vary."""
    u0, u1, x0, x1 = parts
    return divide((u0 * x0 + u1 * x1).sum(-1), (x0 * x0 + x1 * x1).sum(-1))


def _correlation(parts: list[Floats]) -> Floats:
    u0, u1, x0, x1 = parts
    spread = np.sqrt((u0 * u0 + u1 * u1).sum(-1) * (x0 * x0 + x1 * x1).sum(-1))
    return divide((u0 * x0 + u1 * x1).sum(-1), spread)


def _left_slope(arms: tuple[ClusterSums, ClusterSums], pre: tuple[ClusterSums, ClusterSums]) -> Floats:
    """The slope with each cluster left out, (…, cluster): sums of products, no loops over clusters.

    Without b, u_c = (M_c - R₋b·D_c)/ΣD₋b. Products of such parts expand into sums of M·m, M·d, D·m and D·d over the
    clusters that are left, which are totals less one.
    """
    top: Floats | float = 0.0
    bottom: Floats | float = 0.0
    whole: Floats | float = 0.0
    for arm, x in zip(arms, pre, strict=True):
        now, before = _Sums.without_one(arm), _Sums.without_one(x)
        r, q = now.ratio, before.ratio
        # Products of centred numbers: expanding raw ones would lose the digits that matter.
        m = arm.num - divide(arm.num.sum(-1, keepdims=True), arm.den.sum(-1, keepdims=True)) * arm.den
        n = x.num - divide(x.num.sum(-1, keepdims=True), x.den.sum(-1, keepdims=True)) * x.den
        dr = r - divide(arm.num.sum(-1, keepdims=True), arm.den.sum(-1, keepdims=True))
        dq = q - divide(x.num.sum(-1, keepdims=True), x.den.sum(-1, keepdims=True))
        mixed = _left(m * n) - dq * _left(m * x.den) - dr * _left(arm.den * n) + dr * dq * _left(arm.den * x.den)
        square = _left(n * n) - 2 * dq * _left(n * x.den) + dq * dq * _left(x.den * x.den)
        top = top + divide(mixed, now.den * before.den)
        bottom = bottom + divide(square, before.den * before.den)
        total = x.den.sum(-1, keepdims=True)
        whole = whole + divide((n * n).sum(-1, keepdims=True), total * total)
    # Where one cluster holds all of the variation, what is left without it is rounding errors.
    return divide(top, np.where(bottom > _ROUNDING * whole, bottom, 0.0))


def _left(products: Floats) -> Floats:
    """Sums over all clusters but one."""
    rest: Floats = products.sum(-1, keepdims=True) - products
    return rest
