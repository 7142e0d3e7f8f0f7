"""Quantiles of independent events, at any time.

The count of events up to the true quantile is a sum of coins with the chance q, whatever the distribution is. A
boundary that such a sum never crosses, with the chance 1 - α, makes a confidence sequence of the quantile (Howard &
Ramdas, Sequential estimation of quantiles, Bernoulli 28(3), 2022). Buckets know these counts exactly at their edges.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.histogram import bucket_quantile, buckets, check_edges
from abkit.stats.poisson import MAXIMUM_DISPERSION, dispersed
from abkit.stats.special import beta_log_ratio, check_confidence, check_share
from abkit.stats.values import Flag, Interval, Many, Text, Value, interval, numbers, text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["QuantileSequence", "QuantileTest", "quantile_radius", "quantile_sequence", "quantile_test"]

_FINENESS, _POWER, _GROWTH = 0.5, 1.4, 2.0
"""δ, s and η of the double-stitched boundary, as in the paper's figures."""

_STEPS = 100

_ASSUMPTION = "Events are independent of one another: the dispersion given is what says so."


@dataclass(frozen=True, eq=False)
class QuantileSequence(Many):
    """Where a quantile lies, at this look and all others.

    Attributes:
        value: Interpolated estimate, as of `bucket_quantile`.
        ci: (low, high), both edges of buckets: 0 (or -inf) and inf where no edge is certain.
        saturated: Whether the estimate lies in the +Inf bucket.
        events: Events in all.
        radius: Events by which the count up to the true quantile may lie (below, above) q·events.
        q: Which quantile.
        confidence: Of the sequence, over all looks.
        method: How the numbers were made.
        replication: Events.
        assumption: What has to hold.
        status: `ok`, or why there is no sequence.
    """

    value: Value
    ci: Interval
    saturated: Flag
    events: Value
    radius: Interval
    q: float
    confidence: float
    method: str
    replication: str
    assumption: str
    status: Text


@dataclass(frozen=True, eq=False)
class QuantileTest(Many):
    """Whether two arms have the same quantile, at this look and all others.

    Attributes:
        control: Interpolated quantile.
        treatment: The same.
        effect: Treatment - control.
        effect_ci: Confidence sequence of the difference: both arms' sequences, each at 1 - α/2.
        p_value: Always-valid p value, min(1, 1/E).
        e_value: Evidence against equal quantiles; capped at the largest float.
        log_e_value: Its natural logarithm, uncapped.
        q: Which quantile.
        confidence: Of the sequence, over all looks.
        method: How the numbers were made.
        replication: Events.
        assumption: What has to hold.
        status: `ok`, or why there is no test.
    """

    control: Value
    treatment: Value
    effect: Value
    effect_ci: Interval
    p_value: Value
    e_value: Value
    log_e_value: Value
    q: float
    confidence: float
    method: str
    replication: str
    assumption: str
    status: Text


@np.errstate(all="ignore")
def quantile_radius(
    events: ArrayLike, q: float, confidence: float = 0.95, *, optimal: float = 1000.0, uniform: bool = False
) -> Floats:
    """Events by which the count up to the true quantile never lies above q·events, over all times.

    With `uniform`, over all quantiles too: double stitching (theorem 3). Without, for this quantile alone, the
    beta-binomial mixture, which is tighter. Below, the radius is that of 1 - q.

    Args:
        events: How many there are, any shape.
        q: 0 < q < 1.
        confidence: 1 - α.
        optimal: Events at which the boundary is tightest; below it the stitched one doesn't shrink.
        uniform: Over all quantiles.

    Raises:
        ValueError: q or confidence outside 0 … 1, or `optimal` below 1.

    >>> [round(float(quantile_radius(1000, q, optimal=100, uniform=True)), 5) for q in (0.5, 0.9, 0.1)]
    [68.62803, 43.72119, 59.96521]
    """
    check_share("q", q)
    check_confidence(confidence)
    if not (math.isfinite(optimal) and optimal >= 1):
        msg = f"optimal is {optimal!r}; it is a number of events, 1 or more"
        raise ValueError(msg)
    n = np.asarray(events, dtype=np.float64)
    alpha = 1 - confidence
    return _stitched(n, q, alpha, optimal) if uniform else _mixed(n, q, alpha, optimal)


def _stitched(n: Floats, q: float, alpha: float, optimal: float) -> Floats:
    """Theorem 3: stitched over time in steps of η, and over quantiles on a grid of logits of width 2δ."""
    from scipy.special import zeta

    time = np.maximum(n, optimal)
    grown = time / optimal
    logit = math.log(q / (1 - q))
    # For a quantile below the median, its neighbour on the grid, towards the median, has the larger variance.
    next_one = 1 / (1 + np.exp(-(logit + 2 * _FINENESS * np.sqrt(_GROWTH / grown))))
    r = np.full(time.shape, q) if q >= 0.5 else np.minimum(0.5, next_one)
    variance = r * (1 - r)
    place = np.sqrt(grown) * abs(logit) / (2 * _FINENESS) + 1
    z = float(zeta(_POWER))
    level = _POWER * (np.log(np.log(_GROWTH * grown)) + np.log(place)) + math.log(
        2 * z * (2 * z + 1) / (alpha * math.log(_GROWTH) ** _POWER)
    )
    k1 = (_GROWTH**0.25 + _GROWTH**-0.25) / math.sqrt(2)
    skew = (math.sqrt(_GROWTH) + 1) / 2 * (1 - 2 * q) / 3 * level
    root = np.sqrt(k1 * k1 * variance * time * level + skew * skew)
    return np.asarray(_FINENESS * np.sqrt(_GROWTH * time * variance / optimal) + root + skew)


def _concentration(optimal: float, alpha: float) -> float:
    """Of the beta mixture that is tightest at a number of events (Howard et al., Annals of Statistics 2021, 3.5)."""
    level = -2 * math.log(alpha)
    return max(optimal / (level + math.log1p(level)) - 1, 1e-3)


def _log_e(count: Floats, n: Floats, q: float, k: float) -> Floats:
    """Ln E of a share other than q, from the count up to a point."""
    return np.asarray(beta_log_ratio(k * q + count, k * (1 - q) + n - count, q) - beta_log_ratio(k * q, k * (1 - q), q))


def _mixed(n: Floats, q: float, alpha: float, optimal: float) -> Floats:
    """Deviation above q·n at which the mixture reaches 1/α; infinite where not even all events do."""
    k = _concentration(optimal, alpha)
    bar = -math.log(alpha)
    low, high = np.zeros(n.shape), n * (1 - q)
    never = _log_e(n, n, q, k) < bar
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        inside = _log_e(q * n + middle, n, q, k) < bar
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return np.where(never, np.inf, high)


@np.errstate(all="ignore")
def quantile_sequence(
    edges: ArrayLike,
    counts: ArrayLike,
    q: float,
    confidence: float = 0.95,
    *,
    optimal: float = 1000.0,
    uniform: bool = False,
    cumulative: bool = False,
    dispersion: ArrayLike | Sequence[float | None] | None = 1.0,
    maximum_dispersion: float = MAXIMUM_DISPERSION,
) -> QuantileSequence:
    """Confidence sequence of a quantile, from buckets.

    The quantile lies above every edge up to which there are too few events, and not above an edge with too many.

    Args:
        edges: Upper edges (`le`), rising, the last one +Inf; in the metric's unit.
        counts: Events, (…, bucket), cumulated over time since the start.
        q: 0 < q < 1.
        confidence: 1 - α, over all looks.
        optimal: Events at which the sequence is tightest.
        uniform: Whether it also holds for all quantiles at once: of several, or one chosen after a look at the data.
        cumulative: Whether counts are those up to each edge.
        dispersion: φ of the events, as `count_dispersion` estimates it; None or masked where unknown.
        maximum_dispersion: φ above which there is no sequence.

    Raises:
        ValueError: As `bucket_quantile` and `quantile_radius`.

    >>> found = quantile_sequence([0.1, 0.2, 0.5, 1.0, float("inf")], [400, 300, 200, 90, 10], 0.5)
    >>> round(found.value, 3), found.ci
    (0.133, (0.1, 0.2))
    """
    le = check_edges(edges)
    each = buckets(le, counts, -1, cumulative)
    point = bucket_quantile(edges, counts, q, cumulative=cumulative)
    total = each.sum(-1)
    below = quantile_radius(total, 1 - q, confidence, optimal=optimal, uniform=uniform)
    above = quantile_radius(total, q, confidence, optimal=optimal, uniform=uniform)
    low, high = _edges(le, each, q, below, above)
    phi = np.broadcast_to(numbers(dispersion), total.shape)
    cases: list[tuple[ArrayLike, str]] = [(total == 0, "no events"), *dispersed(phi, maximum_dispersion)]
    good = (total > 0) & (phi <= maximum_dispersion)
    kind = "double stitching, over all quantiles" if uniform else "beta-binomial mixture"
    return QuantileSequence(
        value=point.value,
        ci=interval(low, high, good),
        saturated=point.saturated,
        events=value(total),
        radius=interval(below, above, good),
        q=q,
        confidence=confidence,
        method=f"confidence sequence of quantile {q:g} of {le.size} buckets, {kind}",
        replication="events",
        assumption=_ASSUMPTION,
        status=text(total.shape, cases),
    )


def _edges(le: Floats, each: Floats, q: float, below: Floats, above: Floats) -> tuple[Floats, Floats]:
    """The largest edge that is certainly below the quantile, and the smallest that certainly isn't."""
    upto = np.cumsum(each, axis=-1)
    rank = q * upto[..., -1:]
    few, many = upto <= rank - below[..., None], upto >= rank + above[..., None]
    start = 0.0 if le[0] > 0 else -np.inf
    low = np.where(few, le, start).max(-1)
    high = np.where(many, le, np.inf).min(-1)
    return low, high


@np.errstate(all="ignore")
def quantile_test(
    edges: ArrayLike,
    control_counts: ArrayLike,
    treatment_counts: ArrayLike,
    q: float,
    confidence: float = 0.95,
    *,
    optimal: float = 1000.0,
    cumulative: bool = False,
    dispersion: ArrayLike | Sequence[float | None] | None = 1.0,
    maximum_dispersion: float = MAXIMUM_DISPERSION,
) -> QuantileTest:
    """Do two arms have the same quantile? To be asked at any time.

    If they do, at some x both counts up to it are sums of coins with the chance q, and the product of both mixtures at
    x is an e process. Which x it is nobody knows: the smallest product over all x counts (section 4 of the paper).
    Between edges the counts are only bracketed; the smallest product that fits is taken.

    Args:
        edges: Upper edges (`le`), rising, the last one +Inf; in the metric's unit.
        control_counts: Events, (…, bucket), cumulated over time since the start.
        treatment_counts: The same.
        q: 0 < q < 1.
        confidence: 1 - α, over all looks.
        optimal: Events an arm at which the test is most powerful.
        cumulative: Whether counts are those up to each edge.
        dispersion: φ of the events; None or masked where unknown.
        maximum_dispersion: φ above which there is no result.

    Raises:
        ValueError: As `quantile_sequence`; leading axes that differ.

    >>> edges = [0.1, 0.2, 0.5, 1.0, float("inf")]
    >>> found = quantile_test(edges, [900, 500, 300, 200, 100], [300, 400, 500, 500, 300], 0.5)
    >>> found.p_value < 0.001, found.effect_ci
    (True, (0.0, 0.4))
    """
    le = check_edges(edges)
    arms = [buckets(le, counts, -1, cumulative) for counts in (control_counts, treatment_counts)]
    if arms[0].shape != arms[1].shape:
        msg = f"control has shape {arms[0].shape} and treatment {arms[1].shape}: both must be (…, bucket)"
        raise ValueError(msg)
    check_confidence(confidence)
    half = 1 - (1 - confidence) / 2
    one, other = (quantile_sequence(edges, arm, q, half, optimal=optimal) for arm in arms)
    k = _concentration(optimal, 1 - confidence)
    log_e = np.asarray(sum(_least(arm, q, k) for arm in arms).min(-1))  # type: ignore[union-attr]
    totals = [arm.sum(-1) for arm in arms]
    phi = np.broadcast_to(numbers(dispersion), totals[0].shape)
    points = [numbers(s.value) for s in (one, other)]
    ends = [
        [np.where(t > 0, numbers(end), np.nan) for end in _pair(s.ci)]
        for s, t in zip((one, other), totals, strict=True)
    ]
    cases: list[tuple[ArrayLike, str]] = [
        ((totals[0] == 0) & (totals[1] == 0), "no data in either arm"),
        (totals[0] == 0, "no data in control"),
        (totals[1] == 0, "no data in treatment"),
        *dispersed(phi, maximum_dispersion),
    ]
    good = (totals[0] > 0) & (totals[1] > 0) & (phi <= maximum_dispersion)
    return QuantileTest(
        control=one.value,
        treatment=other.value,
        effect=value(points[1] - points[0]),
        effect_ci=interval(ends[1][0] - ends[0][1], ends[1][1] - ends[0][0], good),
        p_value=value(np.exp(-np.maximum(log_e, 0.0)), good),
        e_value=value(np.exp(np.minimum(log_e, math.log(sys.float_info.max))), good),
        log_e_value=value(log_e, good),
        q=q,
        confidence=confidence,
        method=f"sequential test of equal quantiles {q:g}, product of beta-binomial mixtures",
        replication="events",
        assumption=_ASSUMPTION,
        status=text(totals[0].shape, cases),
    )


def _pair(ci: Interval) -> tuple[Value, Value]:
    return (None, None) if ci is None else ci


def _least(each: Floats, q: float, k: float) -> Floats:
    """The smallest ln E of an arm in each bucket: its counts lie between those at the two edges."""
    upto = np.cumsum(each, axis=-1)
    n = upto[..., -1:]
    # Ln E is convex in the count: golden section finds where it is smallest.
    low, high = np.zeros(n.shape), n.copy()
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(_STEPS):
        a, b = high - golden * (high - low), low + golden * (high - low)
        left = _log_e(a, n, q, k) <= _log_e(b, n, q, k)
        low, high = np.where(left, low, a), np.where(left, b, high)
    best = np.clip(0.5 * (low + high), upto - each, upto)
    return _log_e(best, n, q, k)
