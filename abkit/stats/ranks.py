"""Two samples of a gauge, by ranks: Mann & Whitney's test, and the shift of Hodges & Lehmann."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.special import check_alternative, check_confidence, normal_cdf, normal_quantile
from abkit.stats.values import Interval, Many, Text, Value, interval, numbers, text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["EXACT_BELOW", "Shift", "shift"]

EXACT_BELOW = 50
"""Values an arm below which, without ties, the exact distribution is used; R's `wilcox.test` has the same rule."""

_ALL_PAIRS = 1_000_000
"""Pairs up to which all differences are written out; above, they are selected from without that."""


@dataclass(frozen=True, eq=False)
class Shift(Many):
    """By how much the treatment's values lie above the control's, for one comparison or for many.

    Attributes:
        control: Median of the control.
        treatment: Median of the treatment.
        shift: Hodges-Lehmann estimate: the median of all differences treatment - control.
        shift_ci: (low, high), from the same test as the p value; an end that so few values can't give is infinite.
        p_value: Of no difference in distribution.
        u: Mann & Whitney's U of the treatment: pairs in which it lies above, ties counting a half.
        superiority: U over all pairs: the chance that a value of the treatment lies above one of the control.
        n_control: Values of the control.
        n_treatment: Values of the treatment.
        exact: Whether the exact distribution was used.
        confidence: Of the interval.
        alternative: two-sided, greater or less, about treatment - control.
        method: How the numbers were made.
        replication: What the values are.
        assumption: What has to hold.
        status: `ok`, or why there is no number.
    """

    control: Value
    treatment: Value
    shift: Value
    shift_ci: Interval
    p_value: Value
    u: Value
    superiority: Value
    n_control: Value
    n_treatment: Value
    exact: bool | NDArray[np.bool_]
    confidence: float
    alternative: str
    method: str
    replication: str
    assumption: str
    status: Text


def shift(
    control: ArrayLike | Sequence[float | None],
    treatment: ArrayLike | Sequence[float | None],
    confidence: float = 0.98,
    alternative: str = "two-sided",
    *,
    unit: str = "interval",
) -> Shift:
    """Compare two samples of a gauge, one value an interval, without an assumption about their distribution.

    Mann & Whitney's U (Annals of Mathematical Statistics 1947): exact for fewer than `EXACT_BELOW` values an arm
    without ties, else normal, tie-corrected, with continuity correction. The shift is the median of all differences
    and its interval their order statistics at which the test starts to reject (Hodges & Lehmann 1963), as in R's
    `wilcox.test`. Up to a million pairs are written out; of more, the order statistics are found by counting, in
    O((n + m) log n) a step.

    Args:
        control: Values, (…, value); None, NaN or masked ones are left out.
        treatment: The same, with its own number of values.
        confidence: Of the interval; 98 % is what canary judges use.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        unit: What a value is one of.

    Raises:
        ValueError: Unknown alternative, confidence outside 0 … 1, infinite values, leading axes that differ.

    >>> found = shift([1.1, 2.3, 3.2, 4.8, 5.1], [3.0, 4.1, 5.5, 6.7, 7.9], confidence=0.9)
    >>> round(found.shift, 3), [round(end, 3) for end in found.shift_ci], round(found.p_value, 4), found.exact
    (1.9, [-0.2, 4.4], 0.1508, True)
    """
    check_alternative(alternative)
    check_confidence(confidence)
    arms = [numbers(control), numbers(treatment)]
    for name, arm in zip(("control", "treatment"), arms, strict=True):
        if arm.ndim == 0 or np.isinf(arm).any():
            msg = f"{name} must be finite values on the last axis; leave out what is missing"
            raise ValueError(msg)
    shape = arms[0].shape[:-1]
    if arms[1].shape[:-1] != shape:
        msg = f"control has shape {arms[0].shape} and treatment {arms[1].shape}: leading axes must be equal"
        raise ValueError(msg)
    count = math.prod(shape)
    rows = [
        _one(x[~np.isnan(x)], y[~np.isnan(y)], confidence, alternative)
        for x, y in zip(*(arm.reshape(count, arm.shape[-1]) for arm in arms), strict=True)
    ]
    found = np.array(rows, dtype=np.float64).reshape(*shape, 10)
    m0, m1, estimate, low, high, p, u, n, m, exact = np.moveaxis(found, -1, 0)
    equal = np.isnan(p) & (n > 0) & (m > 0)
    flags = exact > 0
    shown = {(False, True): "exact", (True, False): "normal, tie-corrected"}.get(
        (bool((~flags).any()), bool(flags.any())), "exact or normal, tie-corrected"
    )
    return Shift(
        control=value(m0),
        treatment=value(m1),
        shift=value(estimate),
        shift_ci=interval(low, high, ~np.isnan(p)),
        p_value=value(p),
        u=value(u),
        superiority=value(u / np.where(n * m > 0, n * m, np.nan)),
        n_control=value(n),
        n_treatment=value(m),
        exact=bool(flags) if flags.ndim == 0 else flags,
        confidence=confidence,
        alternative=alternative,
        method=f"Mann-Whitney, {shown}; Hodges-Lehmann shift",
        replication=f"{unit}s",
        assumption=f"Different {unit}s are independent of one another; for the shift, the arms differ in place alone.",
        status=text(
            shape,
            [
                ((n == 0) & (m == 0), "no data in either arm"),
                (n == 0, "no data in control"),
                (m == 0, "no data in treatment"),
                (equal, "all values are equal: ranks say nothing"),
            ],
        ),
    )


def _one(x: Floats, y: Floats, confidence: float, alternative: str) -> tuple[float, ...]:
    """Medians, shift, ends, p value, U, sizes, exact; NaN where there is none."""
    n, m = x.size, y.size
    nan = float("nan")
    medians = tuple(float(np.median(a)) if a.size else nan for a in (x, y))
    if not (n and m):
        return (*medians, nan, nan, nan, nan, nan, n, m, 0.0)
    x, y = np.sort(x), np.sort(y)
    pairs = n * m
    below, upto = np.searchsorted(x, y, "left"), np.searchsorted(x, y, "right")
    u = float((below + upto).sum()) / 2
    middle = [(pairs + 1) // 2, pairs // 2 + 1]
    _, ties = np.unique(np.concatenate([x, y]), return_counts=True)
    exact = max(n, m) < EXACT_BELOW and bool((ties == 1).all())
    tail = (1 - confidence) / 2 if alternative == "two-sided" else 1 - confidence
    if exact:
        cumulative = _distribution(min(n, m), max(n, m))
        upper, lower = cumulative[pairs - int(u)], cumulative[int(u)]
        first = int(np.searchsorted(cumulative, tail * (1 - 1e-12)))
    else:
        sd = _deviation(n, m, ties)
        if sd == 0:
            a, b = _selected(x, y, middle)
            return (*medians, (a + b) / 2, nan, nan, nan, u, n, m, 0.0)
        upper, lower = (float(normal_cdf(-(side * (u - pairs / 2) - 0.5) / sd)) for side in (1, -1))
        # Shifted by almost any amount, values tie only within their own arm.
        own = np.concatenate([np.unique(a, return_counts=True)[1] for a in (x, y)])
        reach = -float(normal_quantile(tail)) * _deviation(n, m, own) + 0.5
        first = max(int(np.floor(pairs / 2 - reach)) + 1, 0)
    p = {"two-sided": min(2 * min(upper, lower), 1.0), "greater": min(upper, 1.0), "less": min(lower, 1.0)}[alternative]
    wanted = sorted({*middle, max(first, 1), max(pairs - first + 1, 1) if first else pairs})
    at = dict(zip(wanted, _selected(x, y, wanted), strict=True))
    low = at[first] if first and alternative != "less" else -np.inf
    high = at[pairs - first + 1] if first and alternative != "greater" else np.inf
    return (*medians, (at[middle[0]] + at[middle[1]]) / 2, low, high, p, u, n, m, float(exact))


def _deviation(n: int, m: int, ties: NDArray[np.int64]) -> float:
    """Standard deviation of U under no difference, corrected for groups of ties."""
    size = float(n + m)
    if size < 2:
        return 0.0
    t = ties.astype(np.float64)
    correction = float((t**3 - t).sum()) / (size * (size - 1))
    return float(np.sqrt(max(n * m / 12 * (size + 1 - correction), 0.0)))


@lru_cache(maxsize=256)
def _distribution(n: int, m: int) -> Floats:
    """P(U ≤ u) for u = 0 … n·m without ties: coefficients of the Gaussian binomial, in whole numbers."""
    size = n * m + 1
    ways = [1] + [0] * (size - 1)
    for i in range(1, n + 1):
        for k in range(size - 1, m + i - 1, -1):
            ways[k] -= ways[k - m - i]
        for k in range(i, size):
            ways[k] += ways[k - i]
    total, seen, out = sum(ways), 0, []
    for count in ways:
        seen += count
        out.append(seen / total)
    return np.array(out)


def _selected(x: Floats, y: Floats, ranks: list[int]) -> list[float]:
    """The differences y - x of the given ranks (1 = smallest); both sorted."""
    if x.size * y.size <= _ALL_PAIRS:
        index = [rank - 1 for rank in ranks]
        differences = np.partition(np.subtract.outer(y, x).ravel(), sorted(set(index)))
        return [float(differences[i]) for i in index]
    return [_ranked(x, y, rank) for rank in ranks]


def _ranked(x: Floats, y: Floats, rank: int) -> float:
    """One difference by bisection on its value: count those below, halve, and write out the few that are left."""
    low, high = np.nextafter(y[0] - x[-1], -np.inf), y[-1] - x[0]
    under, upto = 0, x.size * y.size
    grain = 4 * np.finfo(np.float64).eps * max(abs(x[0]), abs(x[-1]), abs(y[0]), abs(y[-1]))
    while upto - under > _ALL_PAIRS // 4 and high - low > grain:
        middle = 0.5 * (low + high)
        count = int(np.searchsorted(y, x + middle, "right").sum())
        if count >= rank:
            high, upto = middle, count
        else:
            low, under = middle, count
    if upto - under > _ALL_PAIRS // 4:
        # So many ties that they are all there is: the largest difference not above.
        last = np.searchsorted(y, x + high, "right") - 1
        return float((y[last[last >= 0]] - x[last >= 0]).max())
    start, stop = np.searchsorted(y, x + low, "right"), np.searchsorted(y, x + high, "right")
    length = stop - start
    offset = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
    left = y[np.repeat(start, length) + offset] - np.repeat(x, length)
    return float(np.partition(left, rank - under - 1)[rank - under - 1])
