"""The result of comparing two arms, and the step from estimates and variances to it.

Every two-arm method ends here, so that p values and intervals are duals of one another everywhere: the interval at
confidence 1 - p just touches no effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import divide
from abkit.stats.special import p_value, student_quantile
from abkit.stats.values import Flag, Interval, Many, Text, Value, flag, interval, text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Comparison", "conclude"]


@dataclass(frozen=True, eq=False)
class Comparison(Many):
    """Treatment against control, for one comparison or for many.

    One comparison: Python floats, None for what does not exist. Many: masked arrays of the leading shape, `status` and
    `lift_status` arrays of str; `at` picks one.

    Attributes:
        control: The metric in the control, in its unit.
        treatment: The metric in the treatment.
        effect: Treatment - control.
        effect_ci: Interval of the effect, (low, high); one-sided alternatives leave one end infinite.
        effect_se: Standard error of the effect.
        p_value: Of no effect, on the plain scale.
        lift: Effect over control. Exists where both arms are above 0.
        lift_ci: Interval of the lift, made on the log ratio.
        lift_se: Standard error of the log ratio.
        lift_p_value: Of no effect, on the log ratio.
        df: Degrees of freedom of Student's t, one number, or one a comparison where it depends on effective
            instances; infinite for the normal.
        effective_control: Effective number of clusters of the control, (ΣD)²/ΣD².
        effective_treatment: The same of the treatment.
        small_arm: Whether the small-arm rule was in force.
        early_looks: Whether a look before the planned end of a group-sequential test may rest on it: the events of both
            arms come from enough users.
        confidence: Of the intervals.
        alternative: two-sided, greater or less, about treatment - control.
        method: How the numbers were made.
        replication: What was taken to vary as a whole, and how many of them there are.
        assumption: What has to hold, in one sentence.
        status: `ok`, or why there are no p value and interval.
        lift_status: `ok`, or why there is no lift or no interval of it.
    """

    control: Value
    treatment: Value
    effect: Value
    effect_ci: Interval
    effect_se: Value
    p_value: Value
    lift: Value
    lift_ci: Interval
    lift_se: Value
    lift_p_value: Value
    df: Value
    effective_control: Value
    effective_treatment: Value
    small_arm: Flag
    early_looks: Flag
    confidence: float
    alternative: str
    method: str
    replication: str
    assumption: str
    status: Text
    lift_status: Text


def conclude(
    control: NDArray[np.float64],
    treatment: NDArray[np.float64],
    variance: NDArray[np.float64],
    log_variance: NDArray[np.float64],
    *,
    df: Floats | float,
    log_df: Floats | float | None = None,
    confidence: float,
    alternative: str,
    effective: tuple[NDArray[np.float64], NDArray[np.float64]],
    small_arm: ArrayLike,
    early_looks: ArrayLike = True,
    missing: Sequence[tuple[ArrayLike, str]] = (),
    refusals: Sequence[tuple[ArrayLike, str]] = (),
    lift_refusals: Sequence[tuple[ArrayLike, str]] = (),
    method: str,
    replication: str,
    assumption: str,
) -> Comparison:
    """Estimates and variances → result.

    Args:
        control: Estimates, leading shape; NaN where there is none.
        treatment: The same of the treatment.
        variance: Of the difference; NaN where there is none.
        log_variance: Of the log ratio; NaN where there is none.
        df: Degrees of freedom of t; infinite for the normal.
        log_df: The same for the log ratio, where they differ.
        confidence: Of the intervals.
        alternative: About treatment - control; checked by the caller.
        effective: Effective clusters of control and treatment.
        small_arm: Where the small-arm rule was in force.
        early_looks: Where a look before the planned end may rest on it.
        missing: (where, reason): why an estimate is NaN there; without it, for want of data.
        refusals: (where, reason): no p value and no interval there. The first that applies is the status.
        lift_refusals: The same for the interval of the lift alone.
        method: See `Comparison`; so for the rest.
        replication: As above.
        assumption: As above.
    """
    shape = control.shape
    effect = treatment - control
    # Two arms that agree in every cluster have a variance of rounding errors: that is none.
    scale = np.maximum(np.abs(control), np.abs(treatment))
    tiny = (1e-12 * scale) ** 2
    flat = ~(variance > tiny)
    cases = [
        *missing,
        (np.isnan(control) & np.isnan(treatment), "no data in either arm"),
        (np.isnan(control), "no data in control"),
        (np.isnan(treatment), "no data in treatment"),
        *refusals,
        ((control == 0) & (treatment == 0) & flat, "no events in either arm: nothing to estimate a variance from"),
        (flat, "no variation between clusters: nothing to estimate a variance from"),
        (~np.isfinite(variance) | ~np.isfinite(effect), "too large to compute"),
    ]
    refused = np.zeros(shape, dtype=bool)
    for where, _ in cases:
        refused = refused | np.broadcast_to(np.asarray(where, dtype=bool), shape)
    se = np.sqrt(np.where(refused, 1.0, variance))
    t = np.where(refused, 0.0, effect) / se

    positive = (control > 0) & (treatment > 0)
    ratio = np.where(positive, divide(treatment, np.where(positive, control, 1.0)), np.nan)
    log_flat = ~(log_variance > 1e-24) | ~np.isfinite(log_variance)
    lift_cases = [
        *missing,
        (np.isnan(effect), "no data in an arm"),
        ((control == 0) & (treatment == 0), "no events in either arm"),
        (control == 0, "no events in control"),
        (treatment == 0, "no events in treatment"),
        (~positive, "a lift needs both arms above 0"),
        (~np.isfinite(ratio), "too large to compute"),
        *cases,
        *lift_refusals,
        (log_flat, "no variation between clusters: nothing to estimate a variance from"),
    ]
    lift_refused = refused.copy()
    for where, _ in lift_cases:
        lift_refused = lift_refused | np.broadcast_to(np.asarray(where, dtype=bool), shape)
    log_se = np.sqrt(np.where(lift_refused, 1.0, log_variance))
    log_ratio = np.log(np.where(np.isfinite(ratio) & (ratio > 0), ratio, 1.0))
    with np.errstate(over="ignore"):
        lift_df = df if log_df is None else log_df
        lift_ends = [np.expm1(end) for end in _ends(log_ratio, log_se, lift_df, confidence, alternative)]
    return Comparison(
        control=value(control),
        treatment=value(treatment),
        effect=value(effect),
        effect_ci=interval(*_ends(effect, se, df, confidence, alternative), ~refused),
        effect_se=value(se, ~refused),
        p_value=value(p_value(t, df, alternative), ~refused),
        lift=value(ratio - 1, np.isfinite(ratio)),
        lift_ci=interval(lift_ends[0], lift_ends[1], ~lift_refused),
        lift_se=value(log_se, ~lift_refused),
        lift_p_value=value(p_value(log_ratio / log_se, lift_df, alternative), ~lift_refused),
        df=value(df) if np.ndim(df) else float(df),
        effective_control=value(effective[0]),
        effective_treatment=value(effective[1]),
        small_arm=flag(np.broadcast_to(np.asarray(small_arm, dtype=bool), shape)),
        early_looks=flag(np.broadcast_to(np.asarray(early_looks, dtype=bool), shape)),
        confidence=confidence,
        alternative=alternative,
        method=method,
        replication=replication,
        assumption=assumption,
        status=text(shape, cases),
        lift_status=text(shape, lift_cases),
    )


def _ends(
    estimate: NDArray[np.float64], se: NDArray[np.float64], df: Floats | float, confidence: float, alternative: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the interval that is the dual of the test."""
    two_sided = alternative == "two-sided"
    radius = student_quantile(df, (1 + confidence) / 2 if two_sided else confidence) * se
    low = estimate - radius if alternative != "less" else np.full_like(estimate, -np.inf)
    high = estimate + radius if alternative != "greater" else np.full_like(estimate, np.inf)
    return low, high
