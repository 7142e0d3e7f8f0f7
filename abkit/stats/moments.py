"""Two means of independent units, from their moments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import divide
from abkit.stats.comparison import Comparison, conclude
from abkit.stats.special import check_alternative, check_confidence, p_value, student_quantile
from abkit.stats.values import interval, numbers, text, value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["LIFTS", "Moments", "means"]

LIFTS = ("log", "fieller")
"""How the interval of the lift may be made."""


@dataclass(frozen=True, eq=False)
class Moments:
    """How many units an arm has, their mean and their variance; addable.

    Attributes:
        n: Units, shape (…).
        mean: Their mean; 0 where there are none.
        variance: Unbiased variance, divisor n - 1; 0 where there are fewer than two.

    Raises:
        ValueError: A number isn't finite, or n or the variance is below 0.

    >>> both = Moments(2, 1.0, 2.0) + Moments(2, 3.0, 2.0)
    >>> float(both.n), float(both.mean), round(float(both.variance), 6)
    (4.0, 2.0, 2.666667)
    """

    n: Floats
    mean: Floats
    variance: Floats

    def __init__(self, n: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> None:
        arrays = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (n, mean, variance)))
        for name, array in zip(("n", "mean", "variance"), arrays, strict=True):
            if not np.isfinite(array).all():
                msg = f"{name} holds NaN or infinity"
                raise ValueError(msg)
            if name != "mean" and (array < 0).any():
                msg = f"{name} holds {float(array.min())!r}; it can't be below 0"
                raise ValueError(msg)
            object.__setattr__(self, name, array)

    @classmethod
    def from_sums(cls, n: ArrayLike, total: ArrayLike, squares: ArrayLike) -> Moments:
        """From a number of units, the sum of their values and the sum of their squares.

        Sums lose digits where the mean is large beside the spread: a variance below what rounding alone can make is 0.

        Raises:
            ValueError: Sums of squares that are too small for their sum, or as `Moments`.

        >>> float(Moments.from_sums(4, 8, 24).variance)
        2.6666666666666665
        """
        count, s, q = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (n, total, squares)))
        mean = np.where(count > 0, divide(s, count), 0.0)
        around = q - mean * s
        noise = 1e-13 * np.abs(q)
        if (around < -8 * noise).any():
            msg = "squares is below total²/n: no values have such sums; give n, the sum, and the sum of squares"
            raise ValueError(msg)
        spread = np.where(around > 8 * noise, around, 0.0)
        return cls(count, mean, np.where(count > 1, np.nan_to_num(divide(spread, count - 1)), 0.0))

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        share = np.nan_to_num(divide(other.n, n))
        gap = other.mean - self.mean
        # Chan, Golub & LeVeque (1983): no sum of squares, no cancellation.
        around = self.variance * np.maximum(self.n - 1, 0) + other.variance * np.maximum(other.n - 1, 0)
        around = around + gap * gap * self.n * share
        return Moments(n, self.mean + gap * share, np.where(n > 1, np.nan_to_num(divide(around, n - 1)), 0.0))


@np.errstate(all="ignore")
def means(
    control: Moments | tuple[ArrayLike, ArrayLike, ArrayLike],
    treatment: Moments | tuple[ArrayLike, ArrayLike, ArrayLike],
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    lift: str = "log",
    unit: str = "unit",
) -> Comparison:
    """Welch's t test of two means, from moments.

    V = s₀²/n₀ + s₁²/n₁ with Satterthwaite's degrees of freedom (Welch, Biometrika 1947). The lift has two forms. `log`:
    delta method on the log ratio, V/mean² with its own Satterthwaite degrees of freedom, as everywhere in abkit; needs
    both means above 0. `fieller`: the ratios r for which m₁ - r·m₀ is not significantly off 0 (Fieller, JRSS B 1954);
    exact where means are normal, and the lift's p value is that of the difference. It is bounded only where the
    control's mean is itself clearly off 0.

    Args:
        control: `Moments`, or (n, sum, sum of squares); arrays for many comparisons.
        treatment: The same.
        confidence: Of the intervals.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        lift: `log` or `fieller`.
        unit: What was measured once: whatever is independent of every other. Requests of users who come back are not.

    Raises:
        ValueError: Unknown alternative or lift, confidence outside 0 … 1, or moments that no values have.

    >>> result = means(Moments(100, 10.0, 4.0), Moments(120, 10.8, 5.0))
    >>> round(result.effect, 3), round(result.df, 2), round(result.p_value, 4)
    (0.8, 216.89, 0.0056)
    """
    check_alternative(alternative)
    check_confidence(confidence)
    if lift not in LIFTS:
        msg = f"lift is {lift!r}; valid: {', '.join(LIFTS)}"
        raise ValueError(msg)
    arms = [arm if isinstance(arm, Moments) else Moments.from_sums(*arm) for arm in (control, treatment)]
    n0, m0, s0, n1, m1, s1 = np.broadcast_arrays(
        *(x for arm in arms for x in (arm.n, arm.mean, arm.variance)),
    )
    v0, v1 = divide(s0, n0), divide(s1, n1)
    mean0, mean1 = np.where(n0 > 0, m0, np.nan), np.where(n1 > 0, m1, np.nan)
    log0, log1 = divide(v0, m0 * m0), divide(v1, m1 * m1)
    df, log_df = _satterthwaite(v0, v1, n0, n1), _satterthwaite(log0, log1, n0, n1)
    few = (n0 < 2) | (n1 < 2)
    result = conclude(
        mean0,
        mean1,
        v0 + v1,
        log0 + log1,
        df=df,
        log_df=log_df,
        confidence=confidence,
        alternative=alternative,
        effective=(n0, n1),
        small_arm=False,
        refusals=[
            (few, f"one {unit} in an arm: nothing shows how much it varies"),
            ((v0 + v1 == 0) & ~few, f"no variation between {unit}s: nothing to estimate a variance from"),
        ],
        method=f"Welch's t test of means, lift by {'delta method on the log ratio' if lift == 'log' else 'Fieller'}",
        replication=f"{unit}s",
        assumption=f"Every {unit} is independent of every other, and there are enough for means to be close to normal.",
    )
    return result if lift == "log" else _fieller(result, (mean0, mean1), (v0, v1), df)


def _satterthwaite(v0: Floats, v1: Floats, n0: Floats, n1: Floats) -> Floats:
    """(V₀ + V₁)²/(V₀²/(n₀-1) + V₁²/(n₁-1)), from shares so that nothing overflows; 1 where it isn't defined."""
    share = divide(v0, v0 + v1)
    df = divide(1.0, divide(share**2, n0 - 1) + divide((1 - share) ** 2, n1 - 1))
    return np.where(np.isfinite(df), np.maximum(df, 1.0), 1.0)


def _fieller(
    result: Comparison, mean: tuple[Floats, Floats], variance: tuple[Floats, Floats], df: Floats
) -> Comparison:
    """The result with Fieller's interval of the lift in the place of the delta method's."""
    two_sided = result.alternative == "two-sided"
    t = student_quantile(df, (1 + result.confidence) / 2 if two_sided else result.confidence)
    (m0, m1), (v0, v1) = mean, variance
    # (m₁ - r·m₀)² = t²·(v₁ + r²·v₀), a quadratic in r; bounded where the control's mean is clearly above 0.
    lead = m0 * m0 - t * t * v0
    root = np.sqrt(np.maximum(t * t * (m1 * m1 * v0 + m0 * m0 * v1 - t * t * v0 * v1), 0.0))
    low, high = divide(m0 * m1 - root, lead), divide(m0 * m1 + root, lead)
    if result.alternative == "less":
        low = np.full(low.shape, -np.inf)
    if result.alternative == "greater":
        high = np.full(high.shape, np.inf)
    unsure = ~(lead > 0)
    there = ~np.isnan(numbers(result.effect_se))
    positive = ~np.isnan(numbers(result.lift))
    good = there & positive & ~unsure
    statuses = np.asarray(result.lift_status, dtype=object)
    keep: list[tuple[ArrayLike, str]] = [(statuses == reason, str(reason)) for reason in set(statuses.flat) - {"ok"}]
    keep.append((unsure & there & positive, "the control is not clearly above 0: its lift has no bounds"))
    test = p_value(numbers(result.effect) / numbers(result.effect_se), df, result.alternative)
    return replace(
        result,
        lift_ci=interval(low - 1, high - 1, good),
        lift_p_value=value(test, good),
        lift_status=text(np.shape(m0), keep),
    )
