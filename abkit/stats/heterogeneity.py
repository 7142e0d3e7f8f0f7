"""Does the effect differ between segments?

A segment that looks different is the rule, not the exception: of twenty, one is significant by chance. So first one
test asks whether segments differ at all; only then are single ones worth a look, with corrected p values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import ClusterSums, divide
from abkit.stats.comparison import Comparison
from abkit.stats.multiplicity import adjust
from abkit.stats.ratio import ratios
from abkit.stats.special import f_sf
from abkit.stats.values import Many, Text, Value, numbers, text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["SCALES", "Interaction", "heterogeneity", "interaction"]

SCALES = ("lift", "effect")
"""Whether segments should have the same lift (log ratio) or the same absolute effect."""


@dataclass(frozen=True, eq=False)
class Interaction(Many):
    """Whether effects differ between segments. Segments are on the last axis of `p_adjusted`.

    Attributes:
        statistic: F.
        df1: Its numerator's degrees of freedom: segments that could be compared - 1.
        df2: Its denominator's.
        p_value: Of the same effect in all segments.
        common: Effect of all segments together, weighted by precision, on `scale` (a log ratio for lifts).
        i_squared: Share of the variance between segments that is more than chance, max(0, 1 - 1/F).
        p_adjusted: P values of the segments' own effects, corrected for their number.
        segments: The comparisons themselves; None where effects were given.
        scale: lift or effect.
        method: How the numbers were made.
        replication: What was taken to vary as a whole.
        assumption: What has to hold.
        status: `ok`, or why there is no test.
    """

    statistic: Value
    df1: Value
    df2: Value
    p_value: Value
    common: Value
    i_squared: Value
    p_adjusted: Value
    segments: Comparison | None
    scale: str
    method: str
    replication: str
    assumption: str
    status: Text


@np.errstate(all="ignore")
def heterogeneity(
    effects: ArrayLike | Sequence[float | None],
    standard_errors: ArrayLike | Sequence[float | None],
    df: ArrayLike = np.inf,
    *,
    p_values: ArrayLike | Sequence[float | None] | None = None,
    method: str = "holm",
    scale: str = "effect",
    replication: str = "",
    segments: Comparison | None = None,
) -> Interaction:
    """Cochran's Q over independent segments, with Welch's correction for few degrees of freedom.

    Q = Σw(θ - θ̄)², w = 1/se² (Cochran, Biometrics 1954). As standard errors are estimates themselves, Q/(S - 1) is
    divided by 1 + 2(S - 2)/(S² - 1)·Λ and held against F(S - 1, (S² - 1)/3Λ), Λ = Σ(1 - w/Σw)²/df (Welch, Biometrika
    1951). With infinite degrees of freedom that is χ²(S - 1).

    Args:
        effects: One a segment, (…, segment); None or masked ones are left out.
        standard_errors: Of them.
        df: Degrees of freedom of each standard error.
        p_values: Of the segments' own effects, to be corrected.
        method: Of the correction, as for `adjust`.
        scale: What the effects are, for the result.
        replication: What varies as a whole, for the result.
        segments: The comparisons, for the result.

    Raises:
        ValueError: A single effect, or shapes that don't fit.

    >>> found = heterogeneity([0.10, 0.02, -0.05], [0.03, 0.03, 0.03])
    >>> round(found.statistic * found.df1, 4), round(found.p_value, 5)
    (12.5185, 0.00191)
    """
    theta, se, dof = np.broadcast_arrays(numbers(effects), numbers(standard_errors), numbers(df))
    if theta.ndim == 0:
        msg = "effects is a single number: give one a segment, on the last axis"
        raise ValueError(msg)
    used = np.isfinite(theta) & np.isfinite(se) & (se > 0) & (dof > 0)
    w = np.where(used, 1 / np.where(used, se, 1.0) ** 2, 0.0)
    total = w.sum(-1)
    safe = np.where(used, theta, 0.0)
    common = divide((w * safe).sum(-1), total)
    q = np.where(used, w * (safe - common[..., None]) ** 2, 0.0).sum(-1)
    count = used.sum(-1).astype(np.float64)
    share = divide(w, total[..., None])
    spread = np.where(used, (1 - share) ** 2 / np.where(used, dof, 1.0), 0.0).sum(-1)
    df1 = np.maximum(count - 1, 1.0)
    df2 = divide(count**2 - 1, 3 * spread)
    df2 = np.where(spread > 0, df2, np.inf)
    statistic = q / df1 / (1 + 2 * (count - 2) / np.maximum(count**2 - 1, 1.0) * spread)
    good = count >= 2
    return Interaction(
        statistic=value(statistic, good),
        df1=value(df1, good),
        df2=value(df2, good),
        p_value=value(f_sf(df1, df2, statistic), good),
        common=value(common, good),
        i_squared=value(np.maximum(0.0, 1 - divide(1.0, statistic)), good & (statistic > 0)),
        p_adjusted=None if p_values is None else _adjusted(p_values, method),
        segments=segments,
        scale=scale,
        method=f"Cochran's Q over segments, Welch's F; segments corrected by {method}",
        replication=replication,
        assumption="Segments share no users, so that their effects are independent of one another.",
        status=text(count.shape, [(~good, "fewer than two segments with an effect and its standard error")]),
    )


@np.errstate(all="ignore")
def interaction(
    control: ClusterSums,
    treatment: ClusterSums,
    confidence: float = 0.95,
    *,
    scale: str = "lift",
    method: str = "holm",
    cluster: str = "hash replicate",
) -> Interaction:
    """Test whether the effect of a ratio metric differs between segments, and compare in each of them.

    Leave-one-replicate-out effects of all segments give their whole covariance matrix, so users may be in several
    segments (two devices, two countries). With more replicates than segments by at least three, Hotelling's T² of the
    segments' contrasts, F = (G - S + 1)/((G - 1)(S - 1))·T² on S - 1 and G - S + 1; else Cochran's Q (`heterogeneity`).
    Segments without an effect are left out, row by row.

    Args:
        control: Sums, (…, segment, replicate).
        treatment: The same replicates in the same order.
        confidence: Of the segments' intervals.
        scale: `lift` or `effect`.
        method: Of the correction, as for `adjust`.
        cluster: What a cluster is, for the words of the result.

    Raises:
        ValueError: Unknown scale or method, or shapes that don't fit.

    >>> rng = np.random.default_rng(5)
    >>> views = np.full((3, 32), 200)
    >>> same = ClusterSums(rng.binomial(views, 0.1), views), ClusterSums(rng.binomial(views, 0.1), views)
    >>> other = ClusterSums(rng.binomial(views, [[0.1], [0.1], [0.16]]), views)
    >>> interaction(*same).p_value > 0.05, interaction(same[0], other).p_value < 0.001
    (True, True)
    """
    if scale not in SCALES:
        msg = f"scale is {scale!r}; valid: {', '.join(SCALES)}"
        raise ValueError(msg)
    if control.num.ndim < 2 or control.num.shape != treatment.num.shape:
        msg = (
            f"control has shape {control.num.shape} and treatment {treatment.num.shape}: "
            f"both must be (…, segment, {cluster}), with the same {cluster}s"
        )
        raise ValueError(msg)
    segments = ratios(control, treatment, confidence, paired=True, cluster=cluster)
    lift = scale == "lift"
    effects = np.log1p(numbers(segments.lift)) if lift else numbers(segments.effect)
    errors = numbers(segments.lift_se if lift else segments.effect_se)
    p_values = numbers(segments.lift_p_value if lift else segments.p_value)
    words = f"{control.clusters} {cluster}s"
    rough = heterogeneity(
        effects,
        errors,
        numbers(segments.df),
        p_values=np.ma.masked_invalid(p_values),
        method=method,
        scale=scale,
        replication=words,
        segments=segments,
    )
    G = control.clusters
    S = int(control.num.shape[-2])
    if G < S + 3 or S < 2:
        return rough
    left = _left(control, treatment, lift)
    shape = effects.shape[:-1]
    f, df1, df2 = (np.full(shape, np.nan) for _ in range(3))
    for row in np.ndindex(*shape):
        used = np.flatnonzero(np.isfinite(effects[row]) & np.isfinite(errors[row]))
        if used.size >= 2:
            f[row], df1[row], df2[row] = _hotelling(effects[row][used], errors[row][used], left[row][used], G)
    good = np.isfinite(f)
    return Interaction(
        statistic=value(f),
        df1=value(df1),
        df2=value(df2),
        p_value=value(f_sf(np.where(good, df1, 1.0), np.where(good, df2, 1.0), np.where(good, f, 0.0)), good),
        common=rough.common,
        i_squared=value(np.maximum(0.0, 1 - divide(1.0, f)), good & (f > 0)),
        p_adjusted=rough.p_adjusted,
        segments=segments,
        scale=scale,
        method=(
            f"Hotelling's T² of segments' contrasts, delete-one-{cluster} jackknife; segments corrected by {method}"
        ),
        replication=words,
        assumption=f"Different {cluster}s vary independently of one another; users may be in several segments.",
        status=text(shape, [(~good, "fewer than two segments with an effect and its standard error")]),
    )


def _adjusted(p_values: ArrayLike | Sequence[float | None], method: str) -> Value:
    given = numbers(p_values)
    return adjust(np.ma.MaskedArray(given, mask=np.isnan(given)), method)


def _left(control: ClusterSums, treatment: ClusterSums, lift: bool) -> Floats:
    """Effects with each cluster left out, (…, segment, cluster)."""
    rates = [
        divide(arm.num.sum(-1, keepdims=True) - arm.num, arm.den.sum(-1, keepdims=True) - arm.den)
        for arm in (control, treatment)
    ]
    if not lift:
        return rates[1] - rates[0]
    safe = [np.where(rate > 0, rate, np.nan) for rate in rates]
    return np.log(safe[1]) - np.log(safe[0])


def _hotelling(effects: Floats, errors: Floats, left: Floats, G: int) -> tuple[float, float, float]:
    """F and its degrees of freedom, of segments' effects all being equal."""
    S = effects.size
    d = left - left.mean(-1, keepdims=True)
    covariance = d @ d.T * ((G - 1) / G)
    # The small-arm rule has raised some standard errors: the covariance follows, its correlations as they were.
    own = np.sqrt(np.diag(covariance))
    raised = np.where(own > 0, errors / np.where(own > 0, own, 1.0), 1.0)
    covariance = covariance * np.outer(raised, raised)
    contrast = np.concatenate([-np.ones((S - 1, 1)), np.eye(S - 1)], axis=1)
    difference = contrast @ effects
    spread = contrast @ covariance @ contrast.T
    try:
        t2 = float(difference @ np.linalg.solve(spread, difference))
    except np.linalg.LinAlgError:
        return float("nan"), float("nan"), float("nan")
    df2 = float(G - S + 1)
    return max(t2, 0.0) * df2 / ((G - 1) * (S - 1)), float(S - 1), df2
