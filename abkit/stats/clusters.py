"""Sums per cluster: the sufficient statistics of every ratio metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.values import Value, value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ClusterSums", "divide", "effective_clusters", "effective_events"]


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """Numerator and denominator of one arm, summed per cluster.

    A cluster is what varies as a whole: a hash replicate of users, an instance, a day. A cluster that saw nothing is a
    zero, not a gap: with G replicates the last axis always has length G.

    Attributes:
        num: Sums of the numerator, shape (…, cluster), in the metric's unit; may be negative (refunds).
        den: Sums of the denominator, same shape, not negative.

    Raises:
        ValueError: A number isn't finite, a denominator is negative, the shapes don't match, or there is no cluster
            axis.

    >>> day1 = ClusterSums(num=[3, 1, 2], den=[30, 20, 25])
    >>> day2 = ClusterSums(num=[2, 2, 2], den=[20, 30, 25])
    >>> both = day1 + day2
    >>> both.total, both.ratio, both.effective
    ((12.0, 150.0), 0.08, 3.0)
    """

    num: NDArray[np.float64]
    den: NDArray[np.float64]

    def __init__(self, num: ArrayLike, den: ArrayLike) -> None:
        top, bottom = np.asarray(num, dtype=np.float64), np.asarray(den, dtype=np.float64)
        try:
            top, bottom = np.broadcast_arrays(top, bottom)
        except ValueError as error:
            msg = f"num has shape {top.shape} and den {bottom.shape}: give both per cluster, on the same axes"
            raise ValueError(msg) from error
        if top.ndim == 0 or top.shape[-1] == 0:
            msg = f"shape {top.shape} has no clusters: the last axis is the cluster"
            raise ValueError(msg)
        for name, array in (("num", top), ("den", bottom)):
            if not np.isfinite(array).all():
                msg = f"{name} holds NaN or infinity: leave such samples out before summing"
                raise ValueError(msg)
        if (bottom < 0).any():
            msg = f"den holds {bottom.min()!r}: a denominator is a count or a duration and can't be negative"
            raise ValueError(msg)
        object.__setattr__(self, "num", top)
        object.__setattr__(self, "den", bottom)

    def __add__(self, other: ClusterSums) -> ClusterSums:
        return ClusterSums(self.num + other.num, self.den + other.den)

    @property
    def clusters(self) -> int:
        """Number of clusters, those with zeros included."""
        return int(self.num.shape[-1])

    @property
    def total(self) -> tuple[Value, Value]:
        """Numerator and denominator over all clusters."""
        return value(self.num.sum(-1)), value(self.den.sum(-1))

    @property
    def ratio(self) -> Value:
        """Numerator over denominator; none where the denominator is 0."""
        return value(divide(self.num.sum(-1), self.den.sum(-1)))

    @property
    def effective(self) -> Value:
        """Effective number of clusters, (ΣD)²/ΣD²: how many equal ones would be worth as much. 0 without data."""
        return value(effective_clusters(self.den))


def divide(top: ArrayLike, bottom: ArrayLike) -> NDArray[np.float64]:
    """Quotient, NaN where the divisor is 0; for use inside only."""
    a, b = np.broadcast_arrays(np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64))
    out = np.full(a.shape, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        np.divide(a, b, out=out, where=b != 0)
    return out


def effective_clusters(den: NDArray[np.float64]) -> NDArray[np.float64]:
    """Effective number of clusters of denominators, last axis = cluster: (ΣD)²/ΣD², 0 without data."""
    # Shares first: the squares of enormous sums would overflow.
    share = divide(den, den.sum(-1, keepdims=True))
    return np.nan_to_num(divide(1.0, (share * share).sum(-1)))


def effective_events(num: NDArray[np.float64]) -> NDArray[np.float64]:
    """As how many single events sums are spread over clusters, last axis = cluster; 0 without any, infinite if evenly.

    n independent events on B clusters have about n/(1 + n/B) effective clusters: this is that n.

    >>> effective_events(np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 2.0, 2.0, 1.0]])).round(6).tolist()
    [4.0, 36.0]
    """
    clusters = effective_clusters(np.abs(num))
    left = 1 - clusters / num.shape[-1]
    return np.where(left > 1e-12, clusters / np.where(left > 1e-12, left, 1.0), np.inf)
