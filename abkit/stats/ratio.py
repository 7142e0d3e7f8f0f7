"""Two arms compared on a ratio of sums, with clusters as units of replication."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import ClusterSums, divide, effective_clusters
from abkit.stats.comparison import Comparison, conclude
from abkit.stats.small_arms import MINIMUM_EFFECTIVE_CLUSTERS, SMALL_ARM, guarded, inflated, lent, too_few
from abkit.stats.special import check_alternative, check_confidence

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["leave_one_out_variance", "linearised", "ratios", "variance_of_mean"]


@np.errstate(all="ignore")
def ratios(
    control: ClusterSums,
    treatment: ClusterSums,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    paired: bool = False,
    *,
    cluster: str = "cluster",
    small_arm_rule: bool = True,
    minimum_effective: float = MINIMUM_EFFECTIVE_CLUSTERS,
) -> Comparison:
    """Compare a ratio of sums (a proportion, a conversion, a mean) between two arms.

    The absolute difference is tested on the plain scale, the lift on the log ratio; each has its own p value, the
    dual of its interval. The small-arm rule of `abkit.stats.small_arms` holds in both modes.

    Apart, u_b = M_b - R·D_b, Var = B/(B-1)·Σu²/(ΣD)² in each arm (the ratio estimator under cluster sampling: Cochran,
    Sampling Techniques, 3rd ed., ch. 6 and 11), t(B₀ + B₁ - 2). An arm with one cluster borrows the other's variance
    between clusters. Paired, the same clusters stand in both arms, and one is left out of both at a time (delete-one
    jackknife: Efron & Stein 1981), t(G - 1).

    Args:
        control: Sums of the control, (…, cluster).
        treatment: Sums of the treatment, same leading axes; with `paired` the same clusters in the same order.
        confidence: Of the intervals.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        paired: Whether cluster b is the same hash replicate, or day, in both arms.
        cluster: What a cluster is, for the words of the result: `hash replicate`, `instance`.
        small_arm_rule: Whether it is in force. Without it, which is right where clusters are instances, only the arm
            with fewer clusters is raised, to the other's variance between them, scaled to its number.
        minimum_effective: Effective clusters, in each arm, below which there is no result.

    Raises:
        ValueError: Unknown alternative, confidence outside 0 … 1, or arms whose shapes don't fit.

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

    den = [arm.den.sum(-1) for arm in arms]
    num = [arm.num.sum(-1) for arm in arms]
    rate = [divide(n, d) for n, d in zip(num, den, strict=True)]
    effective = effective_clusters(control.den), effective_clusters(treatment.den)
    parts = [linearised(arm.num, arm.den) for arm in arms]
    own = variance_of_mean(parts[0]), variance_of_mean(parts[1])
    relative = [divide(part, r[..., None]) for part, r in zip(parts, rate, strict=True)]
    log_own = variance_of_mean(relative[0]), variance_of_mean(relative[1])
    scale = divide(den[0], den[1])
    plain = lent(own, scale, effective, (B0, B1))
    log = lent(log_own, scale, effective, (B0, B1))
    single = (B0 == 1, B1 == 1)
    empty = (num[0] == 0) & ~np.isnan(rate[0]), (num[1] == 0) & ~np.isnan(rate[1])
    bar = SMALL_ARM if small_arm_rule else 0.0
    after = guarded(plain, scale, effective, empty, bar)
    log_after = guarded(log, scale, effective, empty, bar)

    refusals: list[tuple[ArrayLike, str]] = []
    if single[0] and single[1]:
        refusals.append((True, f"one {cluster} in each arm: nothing shows how much it varies by itself"))
    refusals += too_few(effective, (B0, B1), cluster, minimum_effective)

    lift_refusals: list[tuple[ArrayLike, str]] = []
    if paired and B0 > 1:
        variance, log_variance, undefined = _jackknife(arms)
        variance = inflated(variance, plain, after)
        log_variance = inflated(log_variance, log, log_after)
        lift_refusals.append((undefined, f"all events of an arm lie in one {cluster}"))
        df = float(B0 - 1)
        method = f"ratio of sums, delete-one-{cluster} jackknife across arms, t({B0 - 1})"
        replication = f"{B0} {cluster}s"
    else:
        variance, log_variance = after[0] + after[1], log_after[0] + log_after[1]
        df = float(max(B0 + B1 - 2, 1))
        method = f"ratio of sums, variance between {cluster}s in each arm, t({B0 + B1 - 2})"
        replication = f"{B0} {cluster}s" if B0 == B1 else f"{B0} {cluster}s in control, {B1} in treatment"
    assumption = f"Different {cluster}s vary independently of one another"
    assumption += "; the same one may be correlated across arms." if paired else ", in each arm and across arms."
    if single[0] != single[1]:
        lone_name = "control" if single[0] else "treatment"
        method += f"; {lone_name} has one {cluster} and borrows the other arm's variance"
        assumption = f"{assumption[:-1]}, and {cluster}s of both arms vary alike."
    small = (effective[0] < bar) | (effective[1] < bar) | empty[0] | empty[1]
    if small.any():
        method += ", small-arm rule"
    return conclude(
        rate[0],
        rate[1],
        variance,
        log_variance,
        df=df,
        confidence=confidence,
        alternative=alternative,
        effective=effective,
        small_arm=small,
        refusals=refusals,
        lift_refusals=lift_refusals,
        method=method,
        replication=replication,
        assumption=assumption,
    )


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


def _jackknife(arms: tuple[ClusterSums, ClusterSums]) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Variance of difference and log ratio by leaving a cluster out of both arms, and where the log doesn't exist."""
    left = [divide(arm.num.sum(-1, keepdims=True) - arm.num, arm.den.sum(-1, keepdims=True) - arm.den) for arm in arms]
    variance = leave_one_out_variance(left[1] - left[0])
    good = (left[0] > 0) & (left[1] > 0)
    defined = np.asarray(good.all(-1))
    logs = np.log(np.where(good, left[1], 1.0)) - np.log(np.where(good, left[0], 1.0))
    return variance, np.where(defined, leave_one_out_variance(logs), np.nan), ~defined
