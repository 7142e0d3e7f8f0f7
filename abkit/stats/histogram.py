"""Quantiles from histogram buckets, and their comparison between two arms.

Buckets know the distribution function exactly at each `le` and nowhere else. So a quantile is a bucket first, and a
number by interpolation second; in the +Inf bucket it is not a number at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import divide, effective_clusters
from abkit.stats.comparison import Comparison, conclude
from abkit.stats.ratio import active, borrower, counted, instance_df
from abkit.stats.small_arms import MINIMUM_EFFECTIVE_CLUSTERS, lent, too_few
from abkit.stats.special import check_alternative, check_confidence, check_share
from abkit.stats.values import Flag, Many, Text, Value, flag, text, value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["BucketQuantile", "bucket_quantile", "buckets", "check_edges", "quantiles"]


@dataclass(frozen=True, eq=False)
class BucketQuantile(Many):
    """A quantile as buckets know it.

    Attributes:
        value: Interpolated inside the bracketing bucket, as Prometheus' `histogram_quantile` does; none when saturated.
        low: Lower edge of the bracketing bucket: the quantile is above it.
        high: Upper edge: the quantile is at most this; infinite when saturated.
        saturated: Whether the quantile lies in the +Inf bucket.
        q: Which quantile.
        method: How it was made.
        replication: Empty: a quantile alone has no standard error; `jackknife` and `quantiles` give it one.
        assumption: What has to hold.
        status: `ok`, or why there is no value.
    """

    value: Value
    low: Value
    high: Value
    saturated: Flag
    q: float
    method: str
    replication: str
    assumption: str
    status: Text


@np.errstate(all="ignore")
def bucket_quantile(
    edges: ArrayLike, counts: ArrayLike, q: float, *, axis: int = -1, cumulative: bool = False
) -> BucketQuantile:
    """Quantile of a histogram.

    The first bucket starts at 0 where its edge is above 0, as with Prometheus; else it has no lower edge, and a
    quantile in it has the edge as its value.

    Args:
        edges: Upper edges (`le`), rising, the last one +Inf; in the metric's unit.
        counts: Events a bucket, on `axis`; floats are fine (merged or left-out increments).
        q: 0 < q < 1.
        axis: Where the buckets are. With 0 the function fits `jackknife` over totals (bucket, replicate):
            `lambda t: bucket_quantile(edges, t, 0.95, axis=0).value`.
        cumulative: Whether counts are those up to each edge, as Prometheus exposes them, instead of each bucket's own.

    Raises:
        ValueError: Edges that don't rise to +Inf, counts of another length, not finite or negative, or q outside 0 … 1.

    >>> found = bucket_quantile([0.1, 0.5, 1.0, float("inf")], [50, 40, 10, 0], 0.95)
    >>> found.low, found.high, round(found.value, 4), found.saturated
    (0.5, 1.0, 0.75, False)
    """
    check_share("q", q)
    le = check_edges(edges)
    each = buckets(le, counts, axis, cumulative)
    estimate, low, high, saturated, empty = _quantile(le, each, q)
    return BucketQuantile(
        value=value(estimate),
        low=value(low, ~empty),
        high=value(high, ~empty),
        saturated=flag(saturated),
        q=q,
        method=f"quantile {q:g} of {le.size} buckets, linear inside the bucket",
        replication="",
        assumption="Events spread evenly inside the bracketing bucket; which bucket it is needs no assumption.",
        status=text(
            estimate.shape,
            [(empty, "no events"), (saturated, f"the quantile lies above the last finite edge, {le[-2]:g}")],
        ),
    )


def check_edges(edges: ArrayLike) -> Floats:
    """Upper edges of buckets as an array.

    Raises:
        ValueError: Fewer than two, not rising, or not ending in +Inf.
    """
    le = np.asarray(edges, dtype=np.float64)
    if le.ndim != 1 or le.size < 2 or le[-1] != np.inf or not (np.isfinite(le[:-1]).all() and (np.diff(le) > 0).all()):
        msg = f"edges are {le.tolist()}: give two or more upper edges that rise, the last one +Inf"
        raise ValueError(msg)
    return le


def buckets(le: Floats, counts: ArrayLike, axis: int, cumulative: bool) -> Floats:
    """Counts of each bucket, buckets on the last axis.

    Raises:
        ValueError: Counts of another length than the edges, not finite, or negative.
    """
    array = np.moveaxis(np.asarray(counts, dtype=np.float64), axis, -1)
    if array.shape[-1] != le.size:
        msg = f"counts have {array.shape[-1]} buckets on axis {axis}; there are {le.size} edges"
        raise ValueError(msg)
    if cumulative:
        array = np.diff(array, axis=-1, prepend=0.0)
    # Left-out totals are differences of floats: a bucket may end a rounding error below 0.
    scale = np.abs(array).sum(-1, keepdims=True)
    if not np.isfinite(array).all() or (array < -1e-9 * scale).any():
        msg = "counts must be finite and not below 0; cumulative ones must not fall along the edges"
        raise ValueError(msg)
    return np.maximum(array, 0.0)


def _quantile(
    le: Floats, counts: Floats, q: float
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Value (NaN where none), low, high, saturated, empty."""
    cumulative = np.cumsum(counts, axis=-1)
    total = cumulative[..., -1]
    empty = ~(total > 0)
    rank = q * total
    # The first bucket that reaches the rank and has events of its own.
    reached = (cumulative >= rank[..., None]) & (counts > 0)
    index = np.asarray(np.argmax(reached, axis=-1))
    lower = np.concatenate([[0.0 if le[0] > 0 else -np.inf], le[:-1]])
    low, high = lower[index], le[index]
    inside = np.take_along_axis(counts, index[..., None], axis=-1)[..., 0]
    below = np.take_along_axis(cumulative, index[..., None], axis=-1)[..., 0] - inside
    saturated = (index == le.size - 1) & ~empty
    share = np.clip(np.nan_to_num(divide(rank - below, inside)), 0.0, 1.0)
    finite = np.isfinite(low) & np.isfinite(high)
    estimate = np.where(finite, low + (np.where(finite, high, 0.0) - np.where(finite, low, 0.0)) * share, high)
    return np.where(saturated | empty, np.nan, estimate), low, high, saturated, empty


@np.errstate(all="ignore")
def quantiles(
    edges: ArrayLike,
    control_counts: ArrayLike,
    treatment_counts: ArrayLike,
    q: float,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    cumulative: bool = False,
    cluster: str = "instance",
    minimum_effective: float = MINIMUM_EFFECTIVE_CLUSTERS,
) -> Comparison:
    """Compare a quantile of merged histograms between two arms, with instances as clusters.

    Delete-one-instance jackknife of the interpolated quantile in each arm, variances added, t(B₀ + B₁ - 2);
    difference on the plain scale, lift on the log. The arm with fewer instances has at least the other's variance
    between instances, scaled to its number; an arm with one borrows it. Histogram buckets carry no replicates: who is
    slow because of which users were drawn is not in this standard error, unless the clusters given are replicates.

    Args:
        edges: Upper edges (`le`), rising, the last one +Inf; in the metric's unit.
        control_counts: Events, (…, cluster, bucket). One axis alone is the buckets of a single cluster: both quantiles
            are given, and the status says that nothing shows how much they vary.
        treatment_counts: The same, with its own clusters.
        q: 0 < q < 1.
        confidence: Of the intervals.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        cumulative: Whether counts are those up to each edge.
        cluster: What a cluster is, for the words of the result.
        minimum_effective: Effective clusters, in each arm, below which there is no result.

    Raises:
        ValueError: As `bucket_quantile`; unknown alternative; leading axes that differ.

    >>> slow = [[40, 50, 10, 0], [50, 35, 15, 0], [45, 40, 15, 0]]
    >>> fast = [[60, 35, 5, 0], [55, 40, 5, 0], [58, 38, 4, 0]]
    >>> result = quantiles([0.1, 0.5, 1.0, float("inf")], slow, fast, 0.95)
    >>> round(result.control, 4), round(result.treatment, 4), result.df, result.p_value < 0.05
    (0.8125, 0.4965, 4.0, True)
    """
    check_alternative(alternative)
    check_confidence(confidence)
    check_share("q", q)
    le = check_edges(edges)
    arms = [buckets(le, counts, -1, cumulative) for counts in (control_counts, treatment_counts)]
    arms = [arm[None] if arm.ndim == 1 else arm for arm in arms]
    if arms[0].shape[:-2] != arms[1].shape[:-2]:
        msg = (
            f"control has shape {arms[0].shape} and treatment {arms[1].shape}: "
            f"both must be (…, {cluster}, bucket) with the same leading axes"
        )
        raise ValueError(msg)
    found = [_quantile(le, arm.sum(-2), q) for arm in arms]
    estimate = [f[0] for f in found]
    size = [arm.sum(-1) for arm in arms]
    effective = effective_clusters(size[0]), effective_clusters(size[1])
    left = [_quantile(le, np.maximum(arm.sum(-2, keepdims=True) - arm, 0.0), q)[0] for arm in arms]
    scale = divide(size[0].sum(-1), size[1].sum(-1))
    number = active(size[0]), active(size[1])
    own, broken, log_own = [], [], []
    for without, served, count in zip(left, size, number, strict=True):
        # An instance without traffic isn't there, and leaving it out is no estimate.
        missing = np.isnan(without)
        lost = np.asarray(missing.any(-1)) & (count > 1)
        broken.append(lost)
        own.append(_between(np.where(missing, 0.0, without), served, lost))
        below = np.asarray((without <= 0).any(-1))
        log_own.append(_between(np.log(np.where(without > 0, without, 1.0)), served, lost | below))
    plain = lent((own[0], own[1]), scale, effective, number)
    log = lent((log_own[0], log_own[1]), scale, effective, number)
    words = ("control", "treatment")
    saturated = f"the quantile lies above the last finite edge, {le[-2]:g}, in "
    unsure = f"the quantile lies above the last finite edge, {le[-2]:g}, with one {cluster} left out, in "
    refusals: list[tuple[ArrayLike, str]] = []
    single = number[0] == 1, number[1] == 1
    both = single[0] & single[1]
    refusals.append((both, f"one {cluster} in each arm: nothing shows how much it varies by itself"))
    refusals += too_few(effective, number, cluster, minimum_effective, larger=False)
    refusals += [(lost, unsure + word) for lost, word in zip(broken, words, strict=True)]
    method = f"quantile {q:g} of merged buckets, delete-one-{cluster} jackknife in each arm, t on effective {cluster}s"
    assumption = f"Different {cluster}s vary independently of one another; events spread evenly inside a bucket."
    lone = borrower(single, cluster)
    if lone:
        method += lone
        assumption = f"{assumption[:-1]}; {cluster}s of both arms vary alike."
    return conclude(
        estimate[0],
        estimate[1],
        plain[0] + plain[1],
        log[0] + log[1],
        df=instance_df(effective),
        confidence=confidence,
        alternative=alternative,
        effective=effective,
        small_arm=False,
        missing=[(f[3], saturated + word) for f, word in zip(found, words, strict=True)],
        refusals=refusals,
        method=method,
        replication=counted(cluster, number),
        assumption=assumption,
    )


def _between(without: Floats, served: Floats, lost: NDArray[np.bool_]) -> Floats:
    """Jackknife variance of one arm over its active instances; NaN with one, or where an estimate was lost."""
    there = served > 0
    B = active(served)
    mean = divide(np.where(there, without, 0.0).sum(-1), B)
    d = np.where(there, without - mean[..., None], 0.0)
    d = np.where(np.abs(d) <= 1e-14 * np.abs(without), 0.0, d)
    return np.where(lost | (B < 2), np.nan, (d * d).sum(-1) * divide(B - 1, B))
