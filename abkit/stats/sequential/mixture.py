"""The default for looks: a normal-mixture confidence sequence on information."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.special import (
    check_alternative,
    check_confidence,
    normal_log_cdf,
    normal_quantile,
    t_to_z,
    z_to_t,
)
from abkit.stats.values import Interval, Many, Text, Value, interval, numbers, text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "TUNING",
    "ConfidenceSequence",
    "confidence_sequence",
    "plan",
    "planned_information",
    "sequence_boundary",
]

TUNING = 7.94
"""I·τ² at the planned information: where the boundary of the normal mixture at α = 0.05 is tightest."""


@dataclass(frozen=True, eq=False)
class ConfidenceSequence(Many):
    """An interval that holds at all looks at once.

    Attributes:
        estimate: As given.
        ci: (low, high); one-sided alternatives leave one end infinite.
        p_value: Always-valid p value: the smallest α at which the sequence excludes the null at this look.
        e_value: Evidence against the null, for `adjust_e`; capped at the largest float. It may be multiplied over
            independent experiments and averaged over dependent ones.
        log_e_value: Its natural logarithm, uncapped.
        radius: Half the width; with a one-sided alternative the distance of the bound from the estimate.
        information: 1 / standard error².
        information_fraction: Information over the planned one; may exceed 1.
        confidence: Of the sequence.
        alternative: two-sided, greater or less, about the estimate.
        null: What the p value is about.
        method: How the numbers were made.
        replication: Empty: the standard error's result says it.
        assumption: What has to hold.
        status: `ok`, or why there is no interval.
    """

    estimate: Value
    ci: Interval
    p_value: Value
    e_value: Value
    log_e_value: Value
    radius: Value
    information: Value
    information_fraction: Value
    confidence: float
    alternative: str
    null: float
    method: str
    replication: str
    assumption: str
    status: Text


def planned_information(planned_effect: ArrayLike) -> NDArray[np.float64]:
    """Information 1/V at which a fixed test at 5 % finds an effect with 80 % power: (z.975 + z.8)²/δ².

    >>> round(float(planned_information(0.02)))
    19622
    """
    power = float(normal_quantile(0.975) + normal_quantile(0.8))
    return np.asarray((power / np.asarray(planned_effect, dtype=np.float64)) ** 2)


@np.errstate(all="ignore")
def confidence_sequence(
    estimate: ArrayLike | Sequence[float | None] | None,
    standard_error: ArrayLike | Sequence[float | None] | None,
    df: ArrayLike = math.inf,
    planned_effect: ArrayLike | None = None,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    planned_information: ArrayLike | None = None,
    null: float = 0.0,
) -> ConfidenceSequence:
    """Normal-mixture confidence sequence around an estimate, on information.

    Two-sided, |z| > √((1 + 1/(Iτ²))·ln((1 + Iτ²)/α²)) with I = 1/se² and Iτ² = `TUNING` at the planned information: the
    asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (Annals of Statistics 2024, arXiv
    2103.06476). The t statistic is turned into z by its p value, and back for the radius. One-sided, the mixture runs
    over the half-normal (Robbins, 1970): E = 2·(1 + Iτ²)^(-½)·exp(a²/2)·Φ(a), a = z·√(Iτ²/(1 + Iτ²)), is a
    supermartingale under every effect on the null's side, so rejecting at E ≥ 1/α is valid at any look. A
    non-inferiority test of a guardrail where lower is better is `alternative="less", null=margin`.

    Args:
        estimate: One a look or comparison, any shape; None or masked where there is none.
        standard_error: Of the estimate, broadcast; None or masked where there is none.
        df: Degrees of freedom of t; infinite for the normal.
        planned_effect: Effect the experiment is planned for (the MDE), on the estimate's scale: ln(1 + MDE) for a log
            ratio. It only tunes where the sequence is tightest: the error rate holds whatever it is.
        confidence: 1 - α, over all looks.
        alternative: `two-sided`, `greater` or `less`, about estimate - null.
        planned_information: Instead of `planned_effect`: the planned 1/V.
        null: Value that the p value is about.

    Raises:
        ValueError: Unknown alternative, confidence outside 0 … 1, or not exactly one of the two plans, or it isn't
            above 0.

    >>> look = confidence_sequence(0.05, 0.015, df=31, planned_effect=0.05)
    >>> round(look.radius, 4), round(look.p_value, 4), look.status
    (0.0497, 0.0478, 'ok')
    """
    check_alternative(alternative)
    check_confidence(confidence)
    est, se, dof, planned = np.broadcast_arrays(
        numbers(estimate), numbers(standard_error), numbers(df), plan(planned_effect, planned_information)
    )
    bad = ~(np.isfinite(se) & (se > 0) & np.isfinite(est) & (dof > 0))
    unknown = ~(dof > 0)
    safe = np.where(bad, 1.0, se)
    with np.errstate(over="ignore", under="ignore"):
        information = 1 / safe / safe
        rho = TUNING * (information / planned)
    extreme = ~np.isfinite(rho) | (rho <= 1e-290)
    bad = bad | extreme
    rho = np.where(bad, 1.0, rho)
    dof = np.where(dof > 0, dof, np.inf)
    t = np.where(bad, 0.0, est - null) / safe
    two_sided = alternative == "two-sided"
    z = t_to_z(t if alternative != "less" else -t, dof)
    boundary = sequence_boundary(rho, 1 - confidence, two_sided=two_sided)
    radius = z_to_t(boundary, dof) * safe
    log_e = _two_sided_log_e(z, rho) if two_sided else _one_sided_log_e(z, rho)
    missing = np.isnan(est)
    low = est - radius if alternative != "less" else np.full(est.shape, -np.inf)
    high = est + radius if alternative != "greater" else np.full(est.shape, np.inf)
    cases = [
        (missing, "no estimate"),
        (np.isnan(se), "no standard error"),
        (~(se > 0), "the standard error is 0: nothing to estimate a variance from"),
        (unknown, "no degrees of freedom: nothing says how sure the standard error is"),
        (bad, "information too small or too large to compute"),
    ]
    kind = "normal mixture" if two_sided else "half-normal mixture"
    return ConfidenceSequence(
        estimate=value(est),
        ci=interval(low, high, ~bad),
        p_value=value(np.exp(-np.maximum(log_e, 0.0)), ~bad),
        e_value=value(np.exp(np.minimum(log_e, math.log(sys.float_info.max))), ~bad),
        log_e_value=value(log_e, ~bad),
        radius=value(radius, ~bad),
        information=value(information, ~bad),
        information_fraction=value(rho / TUNING, ~bad),
        confidence=confidence,
        alternative=alternative,
        null=null,
        method=f"asymptotic confidence sequence, {kind} on information",
        replication="",
        assumption="The standard error is that of clusters; the estimate is close to normal from the first look on.",
        status=text(est.shape, cases),
    )


def plan(planned_effect: ArrayLike | None, information: ArrayLike | None) -> Floats:
    """The planned information, from either of the two ways to state it.

    Raises:
        ValueError: Not exactly one of them is given, or it isn't finite and above 0.
    """
    if (planned_effect is None) == (information is None):
        msg = "give either planned_effect (the MDE on the estimate's scale) or planned_information"
        raise ValueError(msg)
    given = np.asarray(planned_effect if information is None else information, dtype=np.float64)
    name = "planned_effect" if information is None else "planned_information"
    usable = np.isfinite(given) & ((given != 0) if information is None else (given > 0))
    if not usable.all():
        msg = f"{name} is {given[~usable].flat[0]!r}; it must be finite and above 0"
        raise ValueError(msg)
    return planned_information(given) if information is None else given


def sequence_boundary(rho: Floats, alpha: float, *, two_sided: bool) -> Floats:
    """Z at which the sequence excludes the null, at Iτ² = rho.

    >>> round(float(sequence_boundary(np.array(TUNING), 0.05, two_sided=True)), 4)
    3.0352
    """
    return _two_sided_boundary(rho, alpha) if two_sided else _one_sided_boundary(rho, alpha)


def _two_sided_boundary(rho: Floats, alpha: float) -> Floats:
    return np.asarray(np.sqrt((1 + 1 / rho) * (np.log1p(rho) - 2 * math.log(alpha))))


def _two_sided_log_e(z: Floats, rho: Floats) -> Floats:
    return np.asarray(0.5 * (z * z * (rho / (1 + rho)) - np.log1p(rho)))


def _one_sided_boundary(rho: Floats, alpha: float) -> Floats:
    """Root z of ln E = -ln α; Newton on a²/2 + lnΦ(a), which is convex and rises, from its right."""
    target = 0.5 * np.log1p(rho) - math.log(2 * alpha)
    a = np.sqrt(2 * (target + math.log(2)))
    for _ in range(30):
        log_cdf = normal_log_cdf(a)
        hazard = np.exp(-0.5 * a * a - 0.5 * math.log(2 * math.pi) - log_cdf)
        a = a - (0.5 * a * a + log_cdf - target) / (a + hazard)
    return np.asarray(a * np.sqrt((1 + rho) / rho))


def _one_sided_log_e(z: Floats, rho: Floats) -> Floats:
    a = z * np.sqrt(rho / (1 + rho))
    return np.asarray(math.log(2) - 0.5 * np.log1p(rho) + 0.5 * a * a + normal_log_cdf(a))
