"""By how much clusters raise the variance over that of independent units: measured, or expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import ClusterSums, divide
from abkit.stats.ratio import linearised, variance_of_mean
from abkit.stats.values import Value, value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["design_effect", "kish"]


@np.errstate(all="ignore")
def design_effect(arm: ClusterSums) -> Value:
    """Measured design effect of a proportion: its variance between clusters over that of independent trials.

    Args:
        arm: Successes and trials, (…, cluster).

    Returns:
        φ; none without trials, with one cluster, or where all or none succeeded.

    >>> round(design_effect(ClusterSums([9, 0, 1, 8, 0, 2, 7, 1], [20] * 8)), 2)
    5.05
    """
    total, events = arm.den.sum(-1), arm.num.sum(-1)
    share = divide(events, total)
    plain = divide(share * (1 - share), total)
    return value(divide(variance_of_mean(linearised(arm.num, arm.den)), np.where(plain > 0, plain, np.nan)))


def kish(size: ArrayLike, correlation: ArrayLike, variation: ArrayLike = 0.0) -> Value:
    """Design effect that is expected: 1 + ((1 + cv²)·m - 1)·ρ (Kish, Survey Sampling, 1965; Eldridge et al. 2006).

    Args:
        size: Mean units a user, m.
        correlation: Between units of the same user, ρ.
        variation: Coefficient of variation of the units a user.

    Raises:
        ValueError: A size below 1, or a correlation outside 0 … 1.

    >>> kish(8, 0.1), kish(8, 0.1, variation=1.5)
    (1.7000000000000002, 3.5)
    """
    m, rho, cv = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (size, correlation, variation)))
    if not ((m >= 1).all() and (rho >= 0).all() and (rho <= 1).all()):
        msg = "size must be at least 1, and correlation between 0 and 1"
        raise ValueError(msg)
    return value(1 + ((1 + cv * cv) * m - 1) * rho)
