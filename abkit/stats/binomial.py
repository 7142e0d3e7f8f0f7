"""Two shares of independent events: right for coins, wrong for the visits of people who come back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import divide
from abkit.stats.comparison import Comparison, conclude
from abkit.stats.special import check_alternative, check_confidence

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["proportions"]


@np.errstate(all="ignore")
def proportions(
    control: tuple[ArrayLike, ArrayLike],
    treatment: tuple[ArrayLike, ArrayLike],
    confidence: float = 0.95,
    alternative: str = "two-sided",
) -> Comparison:
    """Unpooled two-proportion z test on events.

    Warning:
        It takes every event for independent. Where users come back it is wrong: on A/A tests with sticky users it
        calls a false winner in 61-68 %. Use `ratios` on hash replicates for anything that users do more than once.

    An arm in which all or none succeeded has a variance of 0 by the formula; it takes the other arm's, scaled by n,
    if that is larger. Small counts make the normal approximation coarse, not the function fail.

    Args:
        control: (successes, trials); arrays for many comparisons.
        treatment: The same.
        confidence: Of the intervals.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.

    Raises:
        ValueError: Unknown alternative, confidence outside 0 … 1, counts below 0, not finite, or more successes than
            trials.

    >>> result = proportions(control=(480, 10_000), treatment=(560, 10_000))
    >>> round(result.p_value, 5), [round(end, 6) for end in result.effect_ci]
    (0.01083, [0.001847, 0.014153])
    """
    check_alternative(alternative)
    check_confidence(confidence)
    k0, n0, k1, n1 = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (*control, *treatment)))
    for name, k, n in (("control", k0, n0), ("treatment", k1, n1)):
        if not (np.isfinite(k).all() and np.isfinite(n).all() and (k >= 0).all() and (k <= n).all()):
            msg = f"{name}: successes and trials must be finite, with 0 <= successes <= trials"
            raise ValueError(msg)
    p0, p1 = divide(k0, n0), divide(k1, n1)
    v0, v1 = divide(p0 * (1 - p0), n0), divide(p1 * (1 - p1), n1)
    sure0, sure1 = (k0 == 0) | (k0 == n0), (k1 == 0) | (k1 == n1)
    guarded0 = np.where(sure0, np.fmax(v0, divide(v1 * n1, n0)), v0)
    guarded1 = np.where(sure1, np.fmax(v1, divide(v0 * n0, n1)), v1)
    log0, log1 = (v / np.where(p == 0, np.nan, p) ** 2 for v, p in ((guarded0, p0), (guarded1, p1)))
    return conclude(
        p0,
        p1,
        guarded0 + guarded1,
        log0 + log1,
        df=math.inf,
        confidence=confidence,
        alternative=alternative,
        effective=(n0.astype(np.float64), n1.astype(np.float64)),
        small_arm=sure0 | sure1,
        method="two proportions, unpooled z test on events",
        replication="events",
        assumption="Every event is independent of every other: wrong where one user makes more than one.",
    )
