"""Comparisons in time: this period with an earlier one, and the trend of a lift.

Neither is randomised in time. What changed between two weeks is everything that changed, not the treatment; the arms of
an experiment are what is comparable at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from abkit.stats.clusters import ClusterSums, divide
from abkit.stats.comparison import Comparison
from abkit.stats.ratio import leave_one_out_variance, ratios
from abkit.stats.special import check_confidence, p_value, student_quantile
from abkit.stats.values import Interval, Many, Text, Value, interval, text, value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Novelty", "compare_periods", "novelty"]


@np.errstate(all="ignore")
def compare_periods(
    before: ClusterSums,
    now: ClusterSums,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    cluster: str = "hash replicate",
    slot: str = "hour",
) -> Comparison:
    """Compare a ratio metric of one period with the same hours of an earlier one: `control` is before.

    Only slots (hours of the week, or of the day) that both periods have count, so that a night that is missing on one
    side doesn't shift the other. The same replicates stand on both sides: users who came in both periods cancel out in
    part. Delete-one-replicate jackknife, t(G - 1).

    Args:
        before: Sums of the earlier period, (…, slot, replicate).
        now: Sums of this period, the same slots and replicates in the same order.
        confidence: Of the intervals.
        alternative: `two-sided`, `greater` or `less`, about now - before.
        cluster: What a cluster is, for the words of the result.
        slot: What a slot is, for the words of the result.

    Raises:
        ValueError: Unknown alternative, confidence outside 0 … 1, or shapes that differ.

    >>> views = np.array([[100, 100, 100, 100], [0, 0, 0, 0]])
    >>> before = ClusterSums([[10, 11, 9, 10], [0, 0, 0, 0]], views)
    >>> now = ClusterSums([[12, 12, 11, 13], [50, 50, 50, 50]], [[100] * 4, [100] * 4])
    >>> found = compare_periods(before, now)
    >>> found.control, found.treatment, found.replication
    (0.1, 0.12, '4 hash replicates, 1 of 2 hours')
    """
    if before.num.ndim < 2 or before.num.shape != now.num.shape:
        msg = (
            f"before has shape {before.num.shape} and now {now.num.shape}: "
            f"both must be (…, {slot}, {cluster}), with the same {slot}s and {cluster}s"
        )
        raise ValueError(msg)
    both = (before.den.sum(-1) > 0) & (now.den.sum(-1) > 0)
    kept = [
        ClusterSums(np.where(both[..., None], arm.num, 0.0).sum(-2), np.where(both[..., None], arm.den, 0.0).sum(-2))
        for arm in (before, now)
    ]
    result = ratios(kept[0], kept[1], confidence, alternative, paired=True, cluster=cluster)
    used = both.sum(-1)
    least, most = int(used.min(initial=both.shape[-1])), int(used.max(initial=0))
    shown = f"{most}" if least == most else f"{least} to {most}"
    none = used == 0
    words: dict[str, Any] = {
        "replication": f"{result.replication}, {shown} of {both.shape[-1]} {slot}s",
        "method": f"the same {slot}s of two periods, {result.method}",
        "assumption": (
            f"Different {cluster}s vary independently of one another. Nothing was randomised: what differs is all that "
            "changed between the periods."
        ),
    }
    reason = f"no {slot} has data in both periods"
    return replace(
        result,
        **words,
        status=_instead(result.status, none, reason),
        lift_status=_instead(result.lift_status, none, reason),
    )


def _instead(status: Text, where: NDArray[np.bool_], reason: str) -> Text:
    if not isinstance(status, np.ndarray):
        return reason if bool(where) else status
    return np.where(where, reason, status).astype(object)


@dataclass(frozen=True, eq=False)
class Novelty(Many):
    """How a lift moves over time, for one experiment or for many.

    Attributes:
        slope: Change of the log ratio per unit of time; below 0 where a gain fades.
        slope_ci: Its interval.
        slope_se: Its standard error.
        p_value: Of no trend.
        first_lift: Fitted lift at the first day that was used.
        last_lift: Fitted lift at the last one.
        lifts: Lift of each day, (…, day); none where a day has none.
        days: Days used.
        df: Degrees of freedom.
        confidence: Of the interval.
        method: How the numbers were made.
        replication: What was taken to vary as a whole.
        assumption: What has to hold.
        status: `ok`, or why there is no trend.
    """

    slope: Value
    slope_ci: Interval
    slope_se: Value
    p_value: Value
    first_lift: Value
    last_lift: Value
    lifts: Value
    days: Value
    df: float
    confidence: float
    method: str
    replication: str
    assumption: str
    status: Text


@np.errstate(all="ignore")
def novelty(
    control: ClusterSums,
    treatment: ClusterSums,
    confidence: float = 0.95,
    *,
    time: ArrayLike | None = None,
    cluster: str = "hash replicate",
) -> Novelty:
    """Trend of the lift over the days of an experiment: does a novelty wear off, or is it learnt?

    Weighted least squares of the log ratio of each day on time; the weight is that of its events, M₀M₁/(M₀ + M₁). The
    standard error leaves one replicate out of all days at a time, so that the same users on all days are one unit: t(G
    - 1).

    Args:
        control: Sums, (…, day, replicate).
        treatment: The same days and replicates in the same order.
        confidence: Of the interval.
        time: When each day is, (day,); 0, 1, 2, … where left out. The slope is per its unit.
        cluster: What a cluster is, for the words of the result.

    Raises:
        ValueError: Confidence outside 0 … 1, shapes that don't fit, or times that are not finite.

    >>> rng = np.random.default_rng(8)
    >>> views = np.full((10, 32), 300)
    >>> fading = 0.1 * (1 + 0.5 * np.exp(-np.arange(10) / 3))[:, None]
    >>> found = novelty(ClusterSums(rng.binomial(views, 0.1), views), ClusterSums(rng.binomial(views, fading), views))
    >>> found.slope < 0, found.p_value < 0.01, found.first_lift > found.last_lift
    (True, True, True)
    """
    check_confidence(confidence)
    shape = control.num.shape
    if control.num.ndim < 2 or shape != treatment.num.shape:
        msg = (
            f"control has shape {shape} and treatment {treatment.num.shape}: "
            f"both must be (…, day, {cluster}), with the same days and {cluster}s"
        )
        raise ValueError(msg)
    t = np.arange(shape[-2], dtype=np.float64) if time is None else np.asarray(time, dtype=np.float64)
    if t.shape != shape[-2:-1] or not np.isfinite(t).all():
        msg = f"time has shape {t.shape}: give {shape[-2]} finite numbers, one a day"
        raise ValueError(msg)
    G = shape[-1]
    full = [divide(arm.num.sum(-1), arm.den.sum(-1)) for arm in (control, treatment)]
    left = [
        divide(arm.num.sum(-1, keepdims=True) - arm.num, arm.den.sum(-1, keepdims=True) - arm.den)
        for arm in (control, treatment)
    ]
    daily = np.where((full[0] > 0) & (full[1] > 0), np.log(full[1]) - np.log(full[0]), np.nan)
    without = np.where((left[0] > 0) & (left[1] > 0), np.log(left[1]) - np.log(left[0]), np.nan)
    # By counts, not by the jackknife variance of single days: that is so noisy that it would cost more than it gains.
    variance = leave_one_out_variance(without)
    used = np.isfinite(daily) & np.isfinite(variance) & (variance > 0)
    events = [np.where(used, arm.num.sum(-1), 0.0) for arm in (control, treatment)]
    weight = np.where(used, divide(events[0] * events[1], events[0] + events[1]), 0.0)
    weight = np.where(weight > 0, weight, 0.0)
    slope, level = _line(t, np.where(used, daily, 0.0), weight)
    left_slope, _ = _line(t[:, None], np.where(used[..., None], without, 0.0), weight[..., None], axis=-2)
    error = leave_one_out_variance(left_slope)
    count = used.sum(-1)
    df = float(max(G - 1, 1))
    cases: list[tuple[Any, str]] = [
        (count < 3, "fewer than three days with a lift"),
        (np.asarray(G == 1), f"one {cluster}: nothing shows how much it varies"),
        (~(error > 1e-24) | ~np.isfinite(error), f"no variation between {cluster}s"),
    ]
    good = np.ones(count.shape, dtype=bool)
    for where, _ in cases:
        good &= ~np.broadcast_to(where, count.shape)
    se = np.sqrt(np.where(good, error, 1.0))
    radius = float(student_quantile(df, (1 + confidence) / 2)) * se
    begin = np.where(used, t, np.inf).min(-1)
    end = np.where(used, t, -np.inf).max(-1)
    return Novelty(
        slope=value(slope, count >= 3),
        slope_ci=interval(slope - radius, slope + radius, good),
        slope_se=value(se, good),
        p_value=value(p_value(slope / se, df, "two-sided"), good),
        first_lift=value(np.expm1(level + slope * begin), count >= 3),
        last_lift=value(np.expm1(level + slope * end), count >= 3),
        lifts=value(np.expm1(daily)),
        days=value(count.astype(np.float64)),
        df=df,
        confidence=confidence,
        method=f"weighted slope of the daily log ratio, delete-one-{cluster} jackknife over all days, t({G - 1})",
        replication=f"{G} {cluster}s",
        assumption=f"Different {cluster}s vary independently of one another; the trend is close to a straight line.",
        status=text(count.shape, cases),
    )


def _line(t: Floats, y: Floats, weight: Floats, axis: int = -1) -> tuple[Floats, Floats]:
    """Slope and level of a weighted straight line; NaN where there is none."""
    total = weight.sum(axis)
    centre = divide((weight * t).sum(axis), total)
    mean = divide((weight * y).sum(axis), total)
    d = t - np.expand_dims(centre, axis)
    slope = divide((weight * d * y).sum(axis), (weight * d * d).sum(axis))
    return slope, mean - slope * centre
