"""Counts of events over an exposure: the exact conditional test, and whether events are independent enough for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import ClusterSums, divide
from abkit.stats.special import (
    beta_quantile,
    binomial_cdf,
    binomial_sf,
    check_alternative,
    check_confidence,
    gamma_quantile,
)
from abkit.stats.values import Interval, Many, Text, Value, interval, numbers, text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "MAXIMUM_DISPERSION",
    "CountComparison",
    "CountDispersion",
    "check_counts",
    "count_dispersion",
    "counts",
    "dispersed",
]

MAXIMUM_DISPERSION = 1.25
"""Estimated dispersion above which the exact count methods give no result.

Their variance is that of independent events. At φ = 1.25 a test at 5 % would be one at up to 8 %; an estimate on 62
degrees of freedom has a standard error of 0.18 at φ = 1, and passes φ = 2 in 2 %.
"""


@dataclass(frozen=True, eq=False)
class CountComparison(Many):
    """Two rates of events, by the exact conditional test; for one comparison or for many.

    Attributes:
        control: Events per exposure in the control.
        treatment: The same in the treatment.
        effect: Treatment - control.
        effect_ci: Square-and-add interval of the difference on the exact limits of both rates. It is no exact dual: it
            never excludes 0 where the exact test does not reject.
        ratio: Treatment over control; none without events in the control.
        ratio_ci: Exact, the dual of the p value; an end without events is open: 0 or infinite.
        lift: Ratio - 1.
        lift_ci: `ratio_ci` - 1.
        p_value: Of equal rates: twice the smaller tail, or the tail of a one-sided alternative.
        df: Infinite: no variance is estimated.
        dispersion: As given.
        confidence: Of the intervals.
        alternative: two-sided, greater or less, about treatment - control.
        method: How the numbers were made.
        replication: Events.
        assumption: What has to hold.
        status: `ok`, or why there are no p value and intervals.
        lift_status: `ok`, or why there is no lift.
    """

    control: Value
    treatment: Value
    effect: Value
    effect_ci: Interval
    ratio: Value
    ratio_ci: Interval
    lift: Value
    lift_ci: Interval
    p_value: Value
    df: float
    dispersion: Value
    confidence: float
    alternative: str
    method: str
    replication: str
    assumption: str
    status: Text
    lift_status: Text


@np.errstate(all="ignore")
def counts(
    control: tuple[ArrayLike, ArrayLike],
    treatment: tuple[ArrayLike, ArrayLike],
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    dispersion: ArrayLike | Sequence[float | None] | None = 1.0,
    maximum_dispersion: float = MAXIMUM_DISPERSION,
) -> CountComparison:
    """Compare two rates of independent events, exactly, however few there are.

    Given their sum S, the events of the treatment are Bin(S, ρ₁r/(ρ₀ + ρ₁r)) with exposures ρ and the ratio of rates r
    (Przyborowski & Wilenski, Biometrika 1940). The interval of r is Clopper & Pearson's of that share; the two-sided p
    value doubles the smaller tail, so both say the same.

    Args:
        control: (events, exposure): exposure is what the rate is per, such as requests or users; arrays for many.
        treatment: The same.
        confidence: Of the intervals.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        dispersion: φ, the variance of counts over that of independent events, as `count_dispersion` estimates it from
            replicates. None or masked: it could not be estimated, and there is no result. The default of 1 says that
            events are known to be independent.
        maximum_dispersion: φ above which there is no result.

    Raises:
        ValueError: Unknown alternative, confidence outside 0 … 1, events that are no whole numbers from 0 on, an
            exposure not finite or below 0.

    >>> found = counts(control=(5, 100), treatment=(12, 100))
    >>> [round(end, 3) for end in found.ratio_ci], round(found.p_value, 4)
    ([0.787, 8.696], 0.1435)
    >>> counts(control=(0, 100), treatment=(5, 100)).p_value, counts(control=(0, 100), treatment=(3, 100)).p_value
    (0.0625, 0.25)
    """
    check_alternative(alternative)
    check_confidence(confidence)
    k0, n0, k1, n1, phi = check_counts(control, treatment, dispersion)
    alpha = 1 - confidence
    tail = alpha / 2 if alternative == "two-sided" else alpha
    total = k0 + k1
    share = np.where((n0 > 0) & (n1 > 0), divide(n1, n0 + n1), 0.5)
    above, below = binomial_sf(k1, total, share), binomial_cdf(k1, total, share)
    p = {"two-sided": np.minimum(2 * np.minimum(above, below), 1.0), "greater": above, "less": below}[alternative]
    # A share as odds, over the odds of no effect: from whichever end of 0 … 1 keeps its digits.
    odds = [
        divide(beta_quantile(tail, k1, k0 + 1), beta_quantile(1 - tail, k0 + 1, k1)),
        divide(beta_quantile(1 - tail, k1 + 1, k0), beta_quantile(tail, k0, k1 + 1)),
    ]
    low = odds[0] * divide(n0, n1) if alternative != "less" else np.zeros(total.shape)
    high = np.where(k0 == 0, np.inf, odds[1] * divide(n0, n1))
    if alternative == "greater":
        high = np.full(total.shape, np.inf)
    rate0, rate1 = divide(k0, n0), divide(k1, n1)
    ratio = divide(rate1, rate0)
    effect_low, effect_high = _difference((k0, n0), (k1, n1), tail)
    kept = p >= alpha
    effect_low = np.where(kept, np.minimum(effect_low, 0.0), effect_low)
    effect_high = np.where(kept, np.maximum(effect_high, 0.0), effect_high)
    if alternative == "less":
        effect_low = np.full(total.shape, -np.inf)
    if alternative == "greater":
        effect_high = np.full(total.shape, np.inf)
    cases: list[tuple[ArrayLike, str]] = [
        ((n0 == 0) & (n1 == 0), "no data in either arm"),
        (n0 == 0, "no data in control"),
        (n1 == 0, "no data in treatment"),
        *dispersed(phi, maximum_dispersion),
        (total == 0, "no events in either arm: they can't be compared"),
    ]
    good = np.ones(total.shape, dtype=bool)
    for where, _ in cases:
        good &= ~np.broadcast_to(np.asarray(where, dtype=bool), total.shape)
    return CountComparison(
        control=value(rate0),
        treatment=value(rate1),
        effect=value(rate1 - rate0),
        effect_ci=interval(effect_low, effect_high, good),
        ratio=value(ratio, np.isfinite(ratio)),
        ratio_ci=interval(low, high, good),
        lift=value(ratio - 1, np.isfinite(ratio)),
        lift_ci=interval(low - 1, high - 1, good),
        p_value=value(p, good),
        df=np.inf,
        dispersion=value(phi),
        confidence=confidence,
        alternative=alternative,
        method="two counts, exact conditional binomial test, doubled tail; Clopper-Pearson interval of the ratio",
        replication="events",
        assumption="Events are independent of one another: the dispersion given is what says so.",
        status=text(total.shape, cases),
        lift_status=text(total.shape, [*cases, (k0 == 0, "no events in control")]),
    )


def check_counts(
    control: tuple[ArrayLike, ArrayLike],
    treatment: tuple[ArrayLike, ArrayLike],
    dispersion: ArrayLike | Sequence[float | None] | None,
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Events and exposures of both arms, and the dispersion, broadcast.

    Raises:
        ValueError: Events that are no whole numbers from 0 on, exposures not finite or below 0, a dispersion below 0.
    """
    arrays = (*(np.asarray(x, dtype=np.float64) for x in (*control, *treatment)), numbers(dispersion))
    k0, n0, k1, n1, phi = np.broadcast_arrays(*arrays)
    for name, k, n in (("control", k0, n0), ("treatment", k1, n1)):
        if not (np.isfinite(k).all() and (k >= 0).all() and (k == np.floor(k)).all()):
            msg = f"{name}: events must be whole numbers from 0 on"
            raise ValueError(msg)
        if not (np.isfinite(n).all() and (n >= 0).all()):
            msg = f"{name}: exposure must be finite and not below 0"
            raise ValueError(msg)
        if ((k > 0) & (n == 0)).any():
            msg = f"{name}: there are events without exposure"
            raise ValueError(msg)
    if (phi < 0).any():
        msg = f"dispersion is {float(np.nanmin(phi))!r}; it must be at least 0"
        raise ValueError(msg)
    return k0, n0, k1, n1, phi


def dispersed(phi: Floats, maximum: float) -> list[tuple[ArrayLike, str]]:
    """Where the dispersion forbids the exact methods, and the words for it."""
    return [
        (np.isnan(phi), "the dispersion of the events is not known: compare on clusters"),
        (
            phi > maximum,
            f"events vary more than independent ones would: dispersion above {maximum:g}, compare on clusters",
        ),
    ]


def _difference(control: tuple[Floats, Floats], treatment: tuple[Floats, Floats], tail: float) -> tuple[Floats, Floats]:
    """Square-and-add interval of a difference of rates on Garwood's limits (Li, Tang & Wong, Biom. J. 2014)."""
    ends = []
    for k, n in (control, treatment):
        ends.append((divide(k, n), divide(gamma_quantile(tail, k), n), divide(gamma_quantile(1 - tail, k + 1), n)))
    (r0, l0, u0), (r1, l1, u1) = ends
    return r1 - r0 - np.hypot(r1 - l1, u0 - r0), r1 - r0 + np.hypot(u1 - r1, r0 - l0)


@dataclass(frozen=True, eq=False)
class CountDispersion(Many):
    """How much more counts vary between clusters than counts of independent events.

    Attributes:
        dispersion: φ, Pearson's χ² over its degrees of freedom, over both arms; may fall below 1 by chance.
        standard_error: Of φ if events are independent.
        df: Degrees of freedom: clusters with exposure, less one an arm.
        allowed: Whether φ is at most `MAXIMUM_DISPERSION`.
        method: How the numbers were made.
        replication: What the clusters are.
        assumption: What has to hold.
        status: `ok`, or why there is no number.
    """

    dispersion: Value
    standard_error: Value
    df: Value
    allowed: bool | NDArray[np.bool_]
    method: str
    replication: str
    assumption: str
    status: Text


def count_dispersion(
    control: ClusterSums, treatment: ClusterSums, *, cluster: str = "hash replicate"
) -> CountDispersion:
    """Dispersion of counts between clusters: does the variance of independent events hold?

    χ² = Σ(k - λe)²/λe over clusters with exposure, each arm with its own rate λ, over its degrees of freedom
    (McCullagh & Nelder, Generalized Linear Models, ch. 6.2.3). Given the sum, its mean is exactly 1 for independent
    events, however few.

    Args:
        control: Events and exposures, (…, cluster).
        treatment: The same.
        cluster: What a cluster is, for the words of the result.

    Raises:
        ValueError: Leading axes that differ, or counts below 0.

    >>> sticky = ClusterSums([9, 0, 0, 8, 0, 1, 0, 0], [100] * 8)
    >>> even = ClusterSums([2, 3, 1, 2, 3, 2, 2, 3], [100] * 8)
    >>> count_dispersion(sticky, sticky).allowed, count_dispersion(even, even).allowed
    (False, True)
    """
    if control.num.shape[:-1] != treatment.num.shape[:-1]:
        msg = f"control has shape {control.num.shape} and treatment {treatment.num.shape}: leading axes must be equal"
        raise ValueError(msg)
    if (control.num < 0).any() or (treatment.num < 0).any():
        msg = "events must not be below 0"
        raise ValueError(msg)
    shape = control.num.shape[:-1]
    square, df, events = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for arm in (control, treatment):
        total = arm.num.sum(-1)
        expected = divide(total, arm.den.sum(-1))[..., None] * arm.den
        used = expected > 0
        square = square + np.where(used, divide((arm.num - expected) ** 2, expected), 0.0).sum(-1)
        # An arm without events says nothing: its clusters would only water the others down.
        df = df + np.maximum(used.sum(-1) - 1, 0)
        events = events + total
    phi = divide(square, df)
    allowed = np.asarray(phi <= MAXIMUM_DISPERSION)
    return CountDispersion(
        dispersion=value(phi),
        standard_error=value(np.sqrt(divide(2 * np.maximum(1 - divide(1.0, events), 0.0), df))),
        df=value(df),
        allowed=bool(allowed) if allowed.ndim == 0 else allowed,
        method="Pearson χ²/df of counts, one rate an arm",
        replication=f"{control.clusters} {cluster}s",
        assumption=f"The rate is the same in all {cluster}s of an arm; what differs beyond chance is dispersion.",
        status=text(shape, [(events == 0, "no events"), (df == 0, f"one {cluster}: nothing shows how much it varies")]),
    )
