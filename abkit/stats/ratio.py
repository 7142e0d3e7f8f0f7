"""Two arms compared on a ratio of sums, with clusters as units of replication."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import ClusterSums, divide, effective_clusters, effective_events
from abkit.stats.comparison import Comparison, conclude
from abkit.stats.small_arms import (
    MINIMUM_EFFECTIVE_CLUSTERS,
    SMALL_ARM,
    early_enough,
    guarded,
    inflated,
    lent,
    steadied,
    too_few,
    unscattered,
)
from abkit.stats.special import check_alternative, check_confidence

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "active",
    "borrower",
    "counted",
    "instance_df",
    "leave_one_out_variance",
    "linearised",
    "log_variance",
    "logarithms",
    "ratios",
    "variance_of_instances",
    "variance_of_mean",
    "without_one",
]


@np.errstate(all="ignore")
def ratios(
    control: ClusterSums,
    treatment: ClusterSums,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    paired: bool = False,
    *,
    cluster: str = "cluster",
    instances: bool = False,
    small_arm_rule: bool = True,
    minimum_effective: float = MINIMUM_EFFECTIVE_CLUSTERS,
) -> Comparison:
    """Compare a ratio of sums (a proportion, a conversion, a mean) between two arms.

    The absolute difference is tested on the plain scale, the lift on the log ratio; each has its own p value, the
    dual of its interval. The small-arm rule of `abkit.stats.small_arms` holds in both modes.

    Apart, u_b = M_b - R·D_b, Var = B/(B-1)·Σu²/(ΣD)² in each arm (the ratio estimator under cluster sampling: Cochran,
    Sampling Techniques, 3rd ed., ch. 6 and 11), t(B₀ + B₁ - 2); of the log ratio the larger of that over R² and the
    delete-one jackknife, see `log_variance`. An arm with one cluster borrows the other's variance between clusters.
    Paired, the same clusters stand in both arms, and one is left out of both at a time (delete-one jackknife: Efron &
    Stein 1981), t(G - 1). Where all events of an arm come from about one cluster there is no interval of the lift.

    Args:
        control: Sums of the control, (…, cluster).
        treatment: Sums of the treatment, same leading axes; with `paired` the same clusters in the same order.
        confidence: Of the intervals.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        paired: Whether cluster b is the same hash replicate, or day, in both arms.
        cluster: What a cluster is, for the words of the result: `hash replicate`, `instance`.
        instances: Whether clusters are instances (pods, proxies) instead of users. What varies between them is the
            instance, so the small-arm rule, which is about users, is off; the arm with fewer has at least the other's
            variance, scaled to its number. They are few, and traffic is often unequal (a pod born midway): each arm's
            variance is its delete-one jackknife, and t has as many degrees of freedom as effective instances, so that
            B₀ + B₁ - 2 is the special case of equal traffic. An instance without traffic doesn't count: rows may be
            padded with zeros. Not with `paired`.
        small_arm_rule: Whether it is in force; off is for showing what it is for.
        minimum_effective: Effective clusters, in each arm, below which there is no result.

    Raises:
        ValueError: Unknown alternative, confidence outside 0 … 1, arms whose shapes don't fit, or paired instances.

    >>> result = ratios(ClusterSums([50, 40, 60, 50], [500] * 4), ClusterSums([60, 62, 58, 70], [500] * 4))
    >>> result.control, result.treatment, round(result.effect, 4), result.df, result.status
    (0.1, 0.125, 0.025, 6.0, 'ok')
    """
    check_alternative(alternative)
    check_confidence(confidence)
    if control.num.shape[:-1] != treatment.num.shape[:-1]:
        msg = f"control has shape {control.num.shape} and treatment {treatment.num.shape}: leading axes must be equal"
        raise ValueError(msg)
    arms = (control, treatment)
    B0, B1 = control.clusters, treatment.clusters
    if paired and B0 != B1:
        msg = f"paired needs the same clusters in both arms; control has {B0}, treatment {B1}"
        raise ValueError(msg)
    if paired and instances:
        msg = "paired and instances exclude one another: an instance serves one arm"
        raise ValueError(msg)

    den = [arm.den.sum(-1) for arm in arms]
    num = [arm.num.sum(-1) for arm in arms]
    rate = [divide(n, d) for n, d in zip(num, den, strict=True)]
    effective = effective_clusters(control.den), effective_clusters(treatment.den)
    parts = [linearised(arm.num, arm.den) for arm in arms]
    relative = [divide(part, r[..., None]) for part, r in zip(parts, rate, strict=True)]
    scale = divide(den[0], den[1])
    number: tuple[ArrayLike, ArrayLike] = (B0, B1)
    left = [without_one(arm.num, arm.den) for arm in arms]
    if instances:
        number = active(control.den), active(treatment.den)
        own = variance_of_instances(parts[0], control.den), variance_of_instances(parts[1], treatment.den)
        log_own = variance_of_instances(relative[0], control.den), variance_of_instances(relative[1], treatment.den)
    else:
        own = variance_of_mean(parts[0]), variance_of_mean(parts[1])
        log_own = log_variance(relative[0], left[0]), log_variance(relative[1], left[1])
    plain = lent(own, scale, effective, number)
    log = lent(log_own, scale, effective, number)
    single = np.asarray(number[0]) == 1, np.asarray(number[1]) == 1
    empty = (num[0] == 0) & ~np.isnan(rate[0]), (num[1] == 0) & ~np.isnan(rate[1])
    bar = SMALL_ARM if small_arm_rule and not instances else 0.0
    # A few events are as uncertain as a few clusters.
    events = effective_events(control.num), effective_events(treatment.num)
    rare = np.minimum(effective[0], events[0]), np.minimum(effective[1], events[1])
    after = steadied(guarded(plain, scale, rare, empty, bar), log, (rate[0], rate[1]), scale, events, bar)
    log_after = guarded(log, scale, rare, empty, bar)

    refusals: list[tuple[ArrayLike, str]] = []
    both = single[0] & single[1]
    refusals.append((both, f"one {cluster} in each arm: nothing shows how much it varies by itself"))
    refusals += too_few(effective, number, cluster, minimum_effective, larger=not instances)

    lift_refusals: list[tuple[ArrayLike, str]] = []
    if paired and B0 > 1:
        logs = logarithms(left[0]), logarithms(left[1])
        variance = inflated(leave_one_out_variance(left[1] - left[0]), plain, after)
        log_ratio_variance = inflated(leave_one_out_variance(logs[1] - logs[0]), log, log_after)
        df: Floats | float = float(B0 - 1)
        method = f"ratio of sums, delete-one-{cluster} jackknife across arms, t({B0 - 1})"
        replication = f"{B0} {cluster}s"
    elif instances:
        variance, log_ratio_variance = after[0] + after[1], log_after[0] + log_after[1]
        df = instance_df(effective)
        method = f"ratio of sums, delete-one-{cluster} jackknife in each arm, t on effective {cluster}s"
        replication = counted(cluster, number)
    else:
        variance, log_ratio_variance = after[0] + after[1], log_after[0] + log_after[1]
        df = float(max(B0 + B1 - 2, 1))
        method = f"ratio of sums, variance between {cluster}s in each arm, t({B0 + B1 - 2})"
        replication = counted(cluster, number)
    if not instances:
        lift_refusals += unscattered((control.num, treatment.num), (left[0], left[1]), cluster, minimum_effective)
    assumption = f"Different {cluster}s vary independently of one another"
    assumption += "; the same one may be correlated across arms." if paired else ", in each arm and across arms."
    lone = borrower(single, cluster)
    if lone:
        method += lone
        assumption = f"{assumption[:-1]}, and {cluster}s of both arms vary alike."
    small = (rare[0] < bar) | (rare[1] < bar) | empty[0] | empty[1]
    if small.any():
        method += ", small-arm rule"
    return conclude(
        rate[0],
        rate[1],
        variance,
        log_ratio_variance,
        df=df,
        confidence=confidence,
        alternative=alternative,
        effective=effective,
        small_arm=small,
        early_looks=True if instances else early_enough((control.num, treatment.num)),
        refusals=refusals,
        lift_refusals=lift_refusals,
        method=method,
        replication=replication,
        assumption=assumption,
    )


def borrower(single: tuple[NDArray[np.bool_], NDArray[np.bool_]], cluster: str) -> str:
    """Words for the arm that has one cluster and borrows; empty where none does."""
    names = [name for name, one, other in (("control", *single), ("treatment", *single[::-1])) if (one & ~other).any()]
    return f"; {' or '.join(names)} has one {cluster} and borrows the other arm's variance" if names else ""


def counted(cluster: str, number: tuple[ArrayLike, ArrayLike]) -> str:
    """Words for how many clusters the arms have, over all comparisons."""
    shown = []
    for count in number:
        least, most = int(np.min(count)), int(np.max(count))
        shown.append(f"{most}" if least == most else f"{least} to {most}")
    return (
        f"{shown[0]} {cluster}s"
        if shown[0] == shown[1]
        else f"{shown[0]} {cluster}s in control, {shown[1]} in treatment"
    )


def active(den: Floats) -> NDArray[np.int64]:
    """Clusters with data, over the last axis."""
    return np.asarray((den > 0).sum(-1))


def variance_of_instances(parts: Floats, den: Floats) -> Floats:
    """Delete-one jackknife variance of a ratio around itself: (B-1)/B·Σ(u/(1-s))², s the share of the denominator.

    Without instance b the ratio moves by exactly -u_b/(1-s_b). With equal shares this is B/(B-1)·Σu²; an instance
    with a large share pulls the ratio towards itself, which this undoes.

    Args:
        parts: (M_b - R·D_b)/ΣD, see `linearised`, or the same over R.
        den: Denominators.
    """
    B = active(den)
    kept = 1 - divide(den, den.sum(-1, keepdims=True))
    moved = np.where(den > 0, divide(parts, kept), 0.0)
    return np.where(B > 1, (moved * moved).sum(-1) * divide(B - 1, B), np.nan)


def instance_df(effective: tuple[Floats, Floats]) -> Floats:
    """Degrees of freedom of t on effective instances: their sum - 2, at least 1."""
    return np.asarray(np.maximum(effective[0] + effective[1] - 2, 1.0))


def linearised(num: Floats, den: Floats) -> Floats:
    """What each cluster adds to the error of the ratio: (M_b - R·D_b)/ΣD, shape (…, cluster); NaN without data.

    Rounding errors are set to 0, so that clusters that agree exactly have no variance.
    """
    total = den.sum(-1, keepdims=True)
    ratio = divide(num.sum(-1, keepdims=True), total)
    fitted = ratio * den
    u = num - fitted
    u = np.where(np.abs(u) <= 1e-13 * (np.abs(num) + np.abs(fitted)), 0.0, u)
    return divide(u, total)


def variance_of_mean(parts: Floats) -> Floats:
    """B/(B-1)·Σ parts² over the last axis; NaN with one cluster."""
    B = parts.shape[-1]
    with np.errstate(over="ignore"):
        squares: Floats = (parts * parts).sum(-1)
    return squares * (B / (B - 1)) if B > 1 else np.full(squares.shape, np.nan)


def leave_one_out_variance(estimates: Floats) -> Floats:
    """Jackknife variance (B-1)/B·Σ(θ₍b₎ - θ̄)² of leave-one-out estimates, last axis = the one left out."""
    B = estimates.shape[-1]
    with np.errstate(over="ignore", invalid="ignore"):
        d = estimates - estimates.mean(-1, keepdims=True)
        # Where all are equal their mean may differ from them by a rounding error.
        d = np.where(np.abs(d) <= 1e-14 * np.abs(estimates), 0.0, d)
        return np.asarray((d * d).sum(-1) * ((B - 1) / B))


def logarithms(left: Floats) -> Floats:
    """Logarithms of leave-one-out ratios, last axis = the one left out; NaN where one of them isn't above 0."""
    good = left > 0
    return np.where(good.all(-1, keepdims=True), np.log(np.where(good, left, 1.0)), np.nan)


def log_variance(relative: Floats, left: Floats) -> Floats:
    """Variance of the logarithm of one arm's ratio: the larger of linearised and delete-one jackknife.

    A logarithm of a few users is skewed: far below the truth more often than far above it. There the linearised
    variance is too small, as an arm whose best users were not drawn looks calm; without each of those that were drawn
    the logarithm moves far.

    Args:
        relative: What each cluster adds to the error, over the ratio, (…, cluster).
        left: The ratio without each of them, same shape.
    """
    return np.asarray(np.fmax(variance_of_mean(relative), leave_one_out_variance(logarithms(left))))


def without_one(num: Floats, den: Floats) -> Floats:
    """An arm's ratio with each cluster left out, (…, cluster)."""
    return divide(num.sum(-1, keepdims=True) - num, den.sum(-1, keepdims=True) - den)
