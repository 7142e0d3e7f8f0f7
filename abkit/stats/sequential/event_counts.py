"""Two counts of events, at any time: exact, where events are independent."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import divide
from abkit.stats.poisson import MAXIMUM_DISPERSION, check_counts, dispersed
from abkit.stats.special import beta_log_ratio, check_confidence, deviance
from abkit.stats.values import Interval, Many, Text, Value, interval, text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["SequentialCounts", "counts"]

_STEPS = 80
"""Bisections of the interval's ends: the widest bracket shrinks below the spacing of floats long before."""


@dataclass(frozen=True, eq=False)
class SequentialCounts(Many):
    """Two rates of events at a look that may be repeated.

    Attributes:
        control: Events per exposure.
        treatment: The same.
        lift: Treatment over control, - 1; none without events in the control.
        lift_ci: Confidence sequence of the lift.
        log_ratio: ln(treatment / control); none without events in an arm.
        log_ratio_ci: Confidence sequence of it; an arm without events leaves one end infinite.
        p_value: Always-valid p value at this look, min(1, 1/E).
        e_value: Evidence against equal rates; capped at the largest float.
        log_e_value: Its natural logarithm, uncapped.
        dispersion: As given.
        confidence: Of the sequence, over all looks.
        method: How the numbers were made.
        replication: Events.
        assumption: What has to hold.
        status: `ok`, or why there is no number.
    """

    control: Value
    treatment: Value
    lift: Value
    lift_ci: Interval
    log_ratio: Value
    log_ratio_ci: Interval
    p_value: Value
    e_value: Value
    log_e_value: Value
    dispersion: Value
    confidence: float
    method: str
    replication: str
    assumption: str
    status: Text


@np.errstate(all="ignore")
def counts(
    control: tuple[ArrayLike, ArrayLike],
    treatment: tuple[ArrayLike, ArrayLike],
    confidence: float = 0.95,
    *,
    concentration: float = 100.0,
    dispersion: ArrayLike | Sequence[float | None] | None = 1.0,
    maximum_dispersion: float = MAXIMUM_DISPERSION,
) -> SequentialCounts:
    """Exact always-valid test of two rates of independent events.

    Each event falls in the treatment with the chance ρ = ρ₁r/(ρ₀ + ρ₁r), whatever the shared rate does. With a beta
    mixture of concentration k around ρ at r = 1, ln E(ρ) = lnB(kρ₁ + S₁, kρ₀ + S₀) - lnB(kρ₁, kρ₀) - S₁ ln ρ - S₀
    ln(1-ρ) (Lindon & Malek, NeurIPS 2022, arXiv 2011.03567). The p value is that of r = 1; the sequence holds every r
    with E < 1/α.

    Args:
        control: (events, exposure): arrays for many looks or comparisons. The ratio of the exposures must have been the
            same all the time: a change of weights starts a new sequence.
        treatment: The same.
        confidence: 1 - α, over all looks.
        concentration: The prior's k: larger finds small effects in large counts sooner.
        dispersion: φ of the events, as `count_dispersion` estimates it; None or masked where unknown. One arm at φ = 2
            calls a false winner in 25 %, at φ = 5 in 82 %: above `maximum_dispersion` there is no result.
        maximum_dispersion: φ above which there is no result.

    Raises:
        ValueError: As `stats.counts`; a concentration not above 0.

    >>> look = counts(control=(30, 1), treatment=(70, 1))
    >>> round(look.p_value, 7), [round(end, 7) for end in look.log_ratio_ci]
    (0.0247295, [0.0360119, 1.7557955])
    """
    check_confidence(confidence)
    if not (math.isfinite(concentration) and concentration > 0):
        msg = f"concentration is {concentration!r}; it must be finite and above 0"
        raise ValueError(msg)
    k0, n0, k1, n1, phi = check_counts(control, treatment, dispersion)
    usable = (n0 > 0) & (n1 > 0)
    share = np.where(usable, divide(n1, n0 + n1), 0.5)
    other = np.where(usable, divide(n0, n0 + n1), 0.5)
    total = k0 + k1
    log_e = beta_log_ratio(concentration * share + k1, concentration * other + k0, share) - beta_log_ratio(
        concentration * share, concentration * other, share
    )
    # Ln E(ρ) = ln E(null) + D(S; ρ) - D(S; null): only the deviance D moves with ρ.
    room = -math.log(1 - confidence) - log_e + _divergence(k1, k0, share, other)
    shift = np.log(np.where(usable, n1, 1.0)) - np.log(np.where(usable, n0, 1.0))
    low = _end(k1, k0, room, -1.0) - shift
    high = _end(k1, k0, room, 1.0) - shift
    rate0, rate1 = divide(k0, n0), divide(k1, n1)
    lift = divide(rate1, rate0) - 1
    both = (k0 > 0) & (k1 > 0)
    log_ratio = np.where(both, np.log(np.where(both, lift + 1, 1.0)), np.nan)
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
    return SequentialCounts(
        control=value(rate0),
        treatment=value(rate1),
        lift=value(lift, np.isfinite(lift)),
        lift_ci=interval(np.expm1(low), np.expm1(high), good),
        log_ratio=value(log_ratio, np.isfinite(log_ratio)),
        log_ratio_ci=interval(low, high, good),
        p_value=value(np.exp(-np.maximum(log_e, 0.0)), good),
        e_value=value(np.exp(np.minimum(log_e, math.log(sys.float_info.max))), good),
        log_e_value=value(log_e, good),
        dispersion=value(phi),
        confidence=confidence,
        method=f"sequential counts, beta mixture with concentration {concentration:g}",
        replication="events",
        assumption=(
            "Events are independent of one another, and the ratio of the exposures never changed; "
            "the rate that both arms share may move."
        ),
        status=text(total.shape, cases),
    )


def _divergence(k1: Floats, k0: Floats, share: Floats, other: Floats) -> Floats:
    """Σ S ln(S / Sρ): by how much the likelihood at the shares lies below its maximum."""
    total = k1 + k0
    mean1, mean0 = np.maximum(total * share, 1e-300), np.maximum(total * other, 1e-300)
    return np.asarray(deviance(k1, mean1) + deviance(k0, mean0))


def _end(k1: Floats, k0: Floats, room: Floats, side: float) -> Floats:
    """Log odds on one side of the observed ones at which the divergence has used up its room; infinite if it can't."""
    empty = (k1 if side < 0 else k0) == 0
    safe1, safe0 = np.where(k1 > 0, k1, 0.5), np.where(k0 > 0, k0, 0.5)
    start = np.log(safe1) - np.log(safe0)
    # The divergence falls towards the observed odds and rises beyond; far out it rises by a count per unit.
    near = np.where((k1 == 0) | (k0 == 0), -side * 700.0, start)
    far = np.full(start.shape, side * 700.0)
    for _ in range(_STEPS):
        middle = 0.5 * (near + far)
        used = _divergence(k1, k0, 1 / (1 + np.exp(-middle)), 1 / (1 + np.exp(middle)))
        inside = used < room
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    return np.where(empty, side * np.inf, 0.5 * (near + far))
