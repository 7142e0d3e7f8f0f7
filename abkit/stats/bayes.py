"""The Bayesian view: a normal prior on the log ratio, a normal likelihood from the standard error of clusters.

It answers other questions than a test does: how probable is it that the treatment is better, and what does one lose by
choosing wrongly? The prior is stated, never hidden. A posterior says what to believe after this look; rejecting at a
posterior of 95 % at any look is not an error rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.comparison import Comparison
from abkit.stats.special import check_confidence, normal_cdf, normal_quantile, student_quantile
from abkit.stats.values import Interval, Many, Text, Value, interval, numbers, text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["BETTER", "WEAK", "Posterior", "Prior", "ratio"]

BETTER = ("increase", "decrease")
"""Which way of the metric is better."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What was believed about ln(treatment / control) before.

    Attributes:
        mean: Of the log ratio; 0 believes in no effect.
        deviation: Standard deviation; infinite believes nothing.

    Raises:
        ValueError: A mean that isn't finite, or a deviation not above 0.
    """

    mean: float = 0.0
    deviation: float = 0.2

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            msg = f"the prior's mean is {self.mean!r}; it must be finite"
            raise ValueError(msg)
        if not self.deviation > 0:
            msg = f"the prior's deviation is {self.deviation!r}; it must be above 0"
            raise ValueError(msg)


WEAK = Prior()
"""No effect expected, two in three within ±20 %: wide for a product change, narrow enough to tame a first hour."""


@dataclass(frozen=True, eq=False)
class Posterior(Many):
    """What to believe about ln(treatment / control), for one comparison or for many.

    Attributes:
        mean: Posterior mean of the log ratio.
        deviation: Posterior standard deviation.
        lift: Posterior median of the lift.
        lift_ci: Equal-tailed credible interval of the lift.
        p_better: Probability that the treatment is better.
        expected_loss: What choosing the treatment costs on average, as a share of the control's value: E(max(0, loss)).
        expected_loss_control: The same of staying with the control.
        p_rope: Probability that the lift lies in the region of practical equivalence.
        p_below: Probability that it lies below it.
        p_above: Probability that it lies above it.
        shrinkage: How much of the posterior mean is the prior's, 0 … 1.
        confidence: Of the interval.
        prior: As used.
        rope: (low, high), as lifts.
        better: increase or decrease.
        method: How the numbers were made.
        replication: Of the standard error, where it is known.
        assumption: What has to hold.
        status: `ok`, or why there is no posterior.
    """

    mean: Value
    deviation: Value
    lift: Value
    lift_ci: Interval
    p_better: Value
    expected_loss: Value
    expected_loss_control: Value
    p_rope: Value
    p_below: Value
    p_above: Value
    shrinkage: Value
    confidence: float
    prior: Prior
    rope: tuple[float, float]
    better: str
    method: str
    replication: str
    assumption: str
    status: Text


@np.errstate(all="ignore")
def ratio(
    estimate: Comparison | ArrayLike | Sequence[float | None] | None,
    standard_error: ArrayLike | Sequence[float | None] | None = None,
    df: ArrayLike = math.inf,
    *,
    prior: Prior = WEAK,
    confidence: float = 0.95,
    rope: tuple[float, float] = (-0.01, 0.01),
    better: str = "increase",
) -> Posterior:
    """Normal-normal posterior of the log ratio.

    With few degrees of freedom the standard error is widened by t/z at 95 %, so that with no prior the credible
    interval is the t interval. Losses are those of the ratio itself: E(max(0, 1 - e^θ)) where an increase is better
    (Stucchio 2015, Bayesian A/B testing at VWO).

    Args:
        estimate: A `Comparison`, whose lift is taken, or log ratios of any shape; None or masked where there is none.
        standard_error: Of the log ratio; not with a `Comparison`.
        df: Degrees of freedom of the standard error; not with a `Comparison`.
        prior: What was believed before.
        confidence: Of the credible interval.
        rope: Region of practical equivalence, as lifts; (0, 0) for none.
        better: `increase` or `decrease`.

    Raises:
        ValueError: An estimate without a standard error, an unknown direction, a region whose ends are in the wrong
            order or not above -1, confidence outside 0 … 1.

    >>> found = ratio(math.log(1.1), 0.05, prior=Prior(deviation=math.inf))
    >>> round(found.p_better, 4), round(found.lift, 4), round(found.expected_loss, 5)
    (0.9717, 0.1, 0.00053)
    """
    check_confidence(confidence)
    if better not in BETTER:
        msg = f"better is {better!r}; valid: {', '.join(BETTER)}"
        raise ValueError(msg)
    if not -1 < rope[0] <= rope[1]:
        msg = f"rope is {rope!r}; give (low, high) as lifts, above -1"
        raise ValueError(msg)
    est, se, dof, replication, reasons = _given(estimate, standard_error, df)
    good = np.isfinite(est) & np.isfinite(se) & (se > 0) & (dof >= 1)
    est, se = np.where(good, est, 0.0), np.where(good, se, 1.0)
    se = se * np.where(np.isinf(dof), 1.0, student_quantile(np.where(good, dof, 1.0), 0.975) / normal_quantile(0.975))
    weight = 1 / (1 + (se / prior.deviation) ** 2)
    mean = prior.mean + weight * (est - prior.mean)
    deviation = se * np.sqrt(weight)
    z = float(normal_quantile((1 + confidence) / 2))
    sign = 1.0 if better == "increase" else -1.0
    down, up = _losses(mean, deviation)
    loss, loss_control = (down, up) if better == "increase" else (up, down)
    low, high = (math.log1p(end) for end in rope)
    below, above = normal_cdf((low - mean) / deviation), normal_cdf((mean - high) / deviation)
    inside = np.maximum(1 - below - above, 0.0)
    huge = ~np.isfinite(loss) | ~np.isfinite(loss_control)
    return Posterior(
        mean=value(mean, good),
        deviation=value(deviation, good),
        lift=value(np.expm1(mean), good),
        lift_ci=interval(np.expm1(mean - z * deviation), np.expm1(mean + z * deviation), good),
        p_better=value(normal_cdf(sign * mean / deviation), good),
        expected_loss=value(loss, good & ~huge),
        expected_loss_control=value(loss_control, good & ~huge),
        p_rope=value(inside, good),
        p_below=value(below, good),
        p_above=value(above, good),
        shrinkage=value(1 - weight, good),
        confidence=confidence,
        prior=prior,
        rope=rope,
        better=better,
        method=f"normal-normal posterior of the log ratio, prior N({prior.mean:g}, {prior.deviation:g}²)",
        replication=replication,
        assumption="The log ratio is close to normal around the true one, of which the prior says what was believed.",
        status=text(
            est.shape,
            [*reasons, (~good, "no log ratio with a standard error"), (huge, "too uncertain for an expected loss")],
        ),
    )


def _given(
    estimate: Comparison | ArrayLike | Sequence[float | None] | None,
    standard_error: ArrayLike | Sequence[float | None] | None,
    df: ArrayLike,
) -> tuple[Floats, Floats, Floats, str, list[tuple[ArrayLike, str]]]:
    """Log ratio, standard error, degrees of freedom, replication, and reasons for what is missing."""
    if isinstance(estimate, Comparison):
        if standard_error is not None:
            msg = "standard_error goes with a log ratio; a Comparison has its own"
            raise ValueError(msg)
        with np.errstate(divide="ignore"):
            log_ratio = np.log1p(numbers(estimate.lift))
        se, dof = numbers(estimate.lift_se), numbers(estimate.df)
        log_ratio, se, dof = np.broadcast_arrays(log_ratio, se, dof)
        words = np.asarray(estimate.lift_status, dtype=object)
        names = sorted({str(w) for w in words.flat} - {"ok"})
        reasons: list[tuple[ArrayLike, str]] = [(words == name, name) for name in names]
        return log_ratio, se, dof, estimate.replication, reasons
    if standard_error is None:
        msg = "give the standard_error of the log ratio, or a Comparison"
        raise ValueError(msg)
    est, se, dof = np.broadcast_arrays(numbers(estimate), numbers(standard_error), numbers(df))
    return est, se, dof, "", [(np.isnan(est), "no estimate"), (np.isnan(se), "no standard error")]


def _losses(mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """E(max(0, 1 - e^θ)) and E(max(0, e^θ - 1)) of a normal θ."""
    z = mean / deviation
    expected = np.exp(mean + 0.5 * deviation**2)
    down = normal_cdf(-z) - expected * normal_cdf(-z - deviation)
    up = expected * normal_cdf(z + deviation) - normal_cdf(z)
    return np.maximum(down, 0.0), np.maximum(up, 0.0)
