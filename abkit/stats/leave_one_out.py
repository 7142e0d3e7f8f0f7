"""The standard error of any function of totals: leave one replicate out at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from abkit.stats.ratio import leave_one_out_variance
from abkit.stats.special import check_confidence, student_quantile
from abkit.stats.values import Interval, Many, Text, Value, interval, numbers, text, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

__all__ = ["Jackknife", "jackknife"]


@dataclass(frozen=True, eq=False)
class Jackknife(Many):
    """An estimate and its standard error.

    Attributes:
        estimate: The statistic of the full totals.
        standard_error: Delete-one jackknife.
        ci: (low, high), estimate ± t(G - 1)·standard error.
        df: G - 1.
        confidence: Of the interval.
        method: How the numbers were made.
        replication: How many replicates.
        assumption: What has to hold.
        status: `ok`, or why there is no standard error.
    """

    estimate: Value
    standard_error: Value
    ci: Interval
    df: float
    confidence: float
    method: str
    replication: str
    assumption: str
    status: Text


@np.errstate(all="ignore")
def jackknife(
    statistic: Callable[[Any], Any], totals: ArrayLike, confidence: float = 0.95, *, cluster: str = "replicate"
) -> Jackknife:
    """Delete-one-replicate jackknife of any smooth function of totals.

    Keep the totals of all arms in one array, the replicate last: then correlation within a replicate, across arms, days
    and metrics, is taken care of (Efron & Stein, Annals of Statistics 1981). Leave-one-out totals are total -
    replicate: columns, no loops.

    Args:
        statistic: Called twice: with the totals, shape (…), and with the leave-one-out totals, shape (…, G). It must
            work elementwise on what lies behind the axes it indexes, as `lambda t: t[0] / t[1]` does. It may answer
            NaN, None or masked where it has no value.
        totals: Sums, shape (…, replicate).
        confidence: Of the interval.
        cluster: What a replicate is, for the words of the result.

    Raises:
        ValueError: A total isn't finite, there is no replicate axis, or the statistic answers the wrong shape.

    >>> purchases, views = [5, 4, 6, 5], [50, 50, 50, 50]
    >>> result = jackknife(lambda t: t[0] / t[1], [purchases, views])
    >>> result.estimate, round(result.standard_error, 6), result.df
    (0.1, 0.008165, 3.0)
    """
    check_confidence(confidence)
    array = np.asarray(totals, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] == 0:
        msg = f"totals have shape {array.shape}: the last axis is the replicate"
        raise ValueError(msg)
    if not np.isfinite(array).all():
        msg = "totals hold NaN or infinity: leave such samples out before summing"
        raise ValueError(msg)
    G = array.shape[-1]
    full = array.sum(-1)
    with np.errstate(all="ignore"):
        estimate = numbers(statistic(full))
        left = numbers(statistic(full[..., None] - array))
    if left.shape != (*estimate.shape, G):
        msg = (
            f"the statistic answered shape {estimate.shape} for the totals and {left.shape} with one of {G} left out; "
            f"the second must be {(*estimate.shape, G)}: index leading axes only, as in t[0] / t[1]"
        )
        raise ValueError(msg)
    missing = ~np.isfinite(estimate)
    broken = np.asarray(~np.isfinite(left).all(-1))
    variance = leave_one_out_variance(np.where(broken[..., None], 0.0, left))
    cases = [
        (missing, "the statistic has no value on the totals"),
        (np.asarray(G == 1), f"one {cluster}: nothing shows how much it varies"),
        (broken, f"the statistic has no value with one {cluster} left out"),
        (~np.isfinite(variance), "too large to compute"),
        (~(variance > (1e-13 * np.abs(estimate)) ** 2), f"no variation between {cluster}s"),
    ]
    refused = np.zeros(estimate.shape, dtype=bool)
    for where, _ in cases:
        refused = refused | where
    se = np.sqrt(np.where(refused, 1.0, variance))
    df = float(max(G - 1, 1))
    radius = float(student_quantile(df, (1 + confidence) / 2)) * se
    return Jackknife(
        estimate=value(estimate, ~missing),
        standard_error=value(se, ~refused),
        ci=interval(estimate - radius, estimate + radius, ~refused),
        df=df,
        confidence=confidence,
        method=f"delete-one-{cluster} jackknife, t({G - 1})",
        replication=f"{G} {cluster}s",
        assumption=f"Different {cluster}s vary independently of one another; the statistic is smooth in the totals.",
        status=text(estimate.shape, cases),
    )
