"""Two arms compared within weight epochs, for splits that change while the experiment runs.

Pooling over a ramp is Simpson's paradox at work: the treatment got its traffic late, when the base rate was another.
Within an epoch the split was constant; the epochs' differences are averaged with Mantel-Haenszel weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import ClusterSums, divide, effective_clusters, effective_events
from abkit.stats.comparison import Comparison, conclude
from abkit.stats.ratio import leave_one_out_variance, linearised, log_variance, logarithms, variance_of_mean
from abkit.stats.small_arms import (
    MINIMUM_EFFECTIVE_CLUSTERS,
    SMALL_ARM,
    early_enough,
    guarded,
    inflated,
    steadied,
    too_few,
    unscattered,
)
from abkit.stats.special import check_alternative, check_confidence

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["stratified"]


@np.errstate(all="ignore")
def stratified(
    control: ClusterSums,
    treatment: ClusterSums,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    cluster: str = "hash replicate",
    stratum: str = "weight epoch",
    minimum_effective: float = MINIMUM_EFFECTIVE_CLUSTERS,
) -> Comparison:
    """Compare a ratio of sums within strata, by Mantel-Haenszel weights w = D₀·D₁/(D₀ + D₁).

    Effect Σw(R₁ - R₀)/Σw, ratio Σ(N₁·D₀/T)/Σ(N₀·D₁/T) with T = D₀ + D₁ (Greenland & Robins, Biometrics 1985). The
    values shown for the arms are ΣwR₁/Σw and ΣwR₀/Σw, each arm standardised to the same mixture of strata: the effect
    is their difference and the ratio their quotient. The standard error leaves one replicate out of all strata and
    both arms at a time, weights included, t(G - 1): users who move between arms in a ramp are taken care of. A
    stratum in which an arm is empty has weight 0 and drops out. With one stratum this is `ratios(…, paired=True)`.

    Args:
        control: Sums of the control, (…, stratum, cluster).
        treatment: Sums of the treatment, same shape, the same clusters in the same order.
        confidence: Of the intervals.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        cluster: What a cluster is, for the words of the result.
        stratum: What a stratum is, for the words of the result.
        minimum_effective: Effective clusters, in each arm, below which there is no result.

    Raises:
        ValueError: Unknown alternative, confidence outside 0 … 1, or shapes that don't fit.

    >>> early = dict(control=([9, 10, 11], [90, 100, 110]), treatment=([1, 1, 1], [10, 10, 10]))
    >>> late = dict(control=([10, 11, 9], [50, 50, 50]), treatment=([10, 10, 10], [50, 50, 50]))
    >>> arms = {arm: ClusterSums(*map(np.stack, zip(early[arm], late[arm]))) for arm in ("control", "treatment")}
    >>> result = stratified(**arms)
    >>> round(result.control, 4), round(result.effect, 4), result.df
    (0.1733, 0.0, 2.0)
    """
    check_alternative(alternative)
    check_confidence(confidence)
    if control.num.shape != treatment.num.shape or control.num.ndim < 2:
        msg = (
            f"control has shape {control.num.shape} and treatment {treatment.num.shape}: "
            "both must be (…, stratum, cluster), with the same strata and clusters"
        )
        raise ValueError(msg)
    arms = (control, treatment)
    G = control.clusters
    num = [arm.num.sum(-1) for arm in arms]
    den = [arm.den.sum(-1) for arm in arms]
    rate = list(_standardised(num, den))
    left_num = [n[..., None] - arm.num for n, arm in zip(num, arms, strict=True)]
    left_den = [d[..., None] - arm.den for d, arm in zip(den, arms, strict=True)]
    left = _standardised(left_num, left_den, axis=-2)

    # A replicate that alone keeps a stratum alive takes it out when it goes: the strata that are left still estimate.
    weight = _weights(*den)
    share = np.nan_to_num(divide(weight, weight.sum(-1, keepdims=True)))[..., None]
    parts = [np.nan_to_num(linearised(arm.num, arm.den) * share).sum(-2) for arm in arms]
    # Denominators in units of the mixture: with one stratum, the denominators themselves up to a factor.
    mixed = [np.nan_to_num(divide(arm.den, d[..., None]) * share).sum(-2) for arm, d in zip(arms, den, strict=True)]
    effective = effective_clusters(mixed[0]), effective_clusters(mixed[1])
    events = [np.nan_to_num(divide(arm.num, d[..., None]) * share).sum(-2) for arm, d in zip(arms, den, strict=True)]
    # A few events are as uncertain as a few clusters.
    spread = effective_events(events[0]), effective_events(events[1])
    rare = np.minimum(effective[0], spread[0]), np.minimum(effective[1], spread[1])
    squared = share[..., 0] ** 2
    expected = [np.nan_to_num(divide(squared, d)).sum(-1) for d in den]
    scale = divide(expected[1], expected[0])
    plain = variance_of_mean(parts[0]), variance_of_mean(parts[1])
    log = (
        log_variance(divide(parts[0], rate[0][..., None]), left[0]),
        log_variance(divide(parts[1], rate[1][..., None]), left[1]),
    )
    empty = rate[0] == 0, rate[1] == 0
    after = steadied(guarded(plain, scale, rare, empty), log, (rate[0], rate[1]), scale, spread)
    log_after = guarded(log, scale, rare, empty)

    variance = inflated(leave_one_out_variance(left[1] - left[0]), plain, after)
    logs = logarithms(left[0]), logarithms(left[1])
    log_ratio_variance = inflated(leave_one_out_variance(logs[1] - logs[0]), log, log_after)

    used = (weight > 0).sum(-1)
    total = int(weight.shape[-1])
    some = (den[0].sum(-1) > 0, den[1].sum(-1) > 0)
    rate = [np.where(there, r, np.nan) for there, r in zip(some, rate, strict=True)]
    missing: list[tuple[ArrayLike, str]] = [
        (~some[0] & ~some[1], "no data in either arm"),
        (~some[0], "no data in control"),
        (~some[1], "no data in treatment"),
        (used == 0, f"no {stratum} has data in both arms"),
    ]
    refusals: list[tuple[ArrayLike, str]] = [
        (np.asarray(G == 1), f"one {cluster}: nothing shows how much it varies"),
    ]
    refusals += too_few(effective, (G, G), cluster, minimum_effective)
    small = (rare[0] < SMALL_ARM) | (rare[1] < SMALL_ARM) | empty[0] | empty[1]
    least, most = int(used.min(initial=total)), int(used.max(initial=0))
    shown = f"{most}" if least == most else f"{least} to {most}"
    method = (
        f"Mantel-Haenszel over {shown} of {total} {stratum}s, delete-one-{cluster} jackknife across arms, t({G - 1})"
    )
    if least < total:
        method += f"; {stratum}s with an empty arm drop out"
    if small.any():
        method += ", small-arm rule"
    return conclude(
        rate[0],
        rate[1],
        variance,
        log_ratio_variance,
        df=float(max(G - 1, 1)),
        confidence=confidence,
        alternative=alternative,
        effective=effective,
        small_arm=small,
        early_looks=early_enough((events[0], events[1])),
        missing=missing,
        refusals=refusals,
        lift_refusals=unscattered((events[0], events[1]), (left[0], left[1]), cluster, minimum_effective),
        method=method,
        replication=f"{G} {cluster}s",
        assumption=(
            f"Within a {stratum} the split is constant and random; different {cluster}s vary independently of one "
            f"another. The arms are standardised to the same mixture of {stratum}s."
        ),
    )


def _weights(control: Floats, treatment: Floats) -> Floats:
    """Mantel-Haenszel weights D₀·D₁/(D₀ + D₁), 0 where an arm is empty."""
    both = (control > 0) & (treatment > 0)
    share = np.where(both, divide(control, np.where(both, control + treatment, 1.0)), 0.0)
    return np.where(both, share * treatment, 0.0)


def _standardised(num: list[Floats], den: list[Floats], axis: int = -1) -> tuple[Floats, Floats]:
    """ΣwR/Σw of both arms over the stratum axis; NaN where no stratum has both."""
    weight = _weights(*den)
    total = weight.sum(axis)
    rates = [np.where(weight > 0, divide(n, np.where(weight > 0, d, 1.0)), 0.0) for n, d in zip(num, den, strict=True)]
    return divide((weight * rates[0]).sum(axis), total), divide((weight * rates[1]).sum(axis), total)
