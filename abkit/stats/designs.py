"""How large an effect, in standard errors at the planned end, a design finds with a given power.

This number, the drift δ·√I, is all that fixed, group-sequential and always-valid tests differ by: information needed,
sample size and smallest effect follow from it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.crossing import Path
from abkit.stats.sequential.mixture import TUNING, planned_information, sequence_boundary
from abkit.stats.sequential.spending import SPENDING, boundaries
from abkit.stats.special import check_alternative, check_share, normal_cdf, normal_quantile, student_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DESIGNS", "LOOKS", "check_design", "drift", "power_of"]

DESIGNS = ("fixed", "always-valid", *SPENDING)
"""Read once at the end; read at any time; a few looks with one of the two spending functions."""

LOOKS = {"fixed": 1, "always-valid": 28, "obrien-fleming": 5, "pocock": 5}
"""Looks, evenly spread over the information, that are assumed where no number is given."""

_MOST_DRIFT = 60.0


def check_design(design: str) -> None:
    """Refuse an unknown design.

    Raises:
        ValueError: It is none of `DESIGNS`; the message lists them.
    """
    if design not in DESIGNS:
        msg = f"design is {design!r}; valid: {', '.join(DESIGNS)}"
        raise ValueError(msg)


@lru_cache(maxsize=4096)
def power_of(
    drift: float, confidence: float, alternative: str, design: str, looks: int | None = None, df: float = math.inf
) -> tuple[float, float]:
    """Power, and the share of the planned information that is used on average.

    Sequential designs by recursive integration over the looks; the always-valid sequence is tuned to the effect itself.
    With degrees of freedom: the noncentral t for the fixed test; for the others, the drift shrunk as for the fixed one.

    Args:
        drift: Effect over its standard error at the planned end; above 0, in the alternative's direction.
        confidence: 1 - α.
        alternative: One of `ALTERNATIVES`.
        design: One of `DESIGNS`.
        looks: Evenly spread over the information.
        df: Degrees of freedom at the planned end.

    Raises:
        ValueError: Unknown design or alternative, confidence outside 0 … 1, fewer looks than 1.

    >>> power, used = power_of(2.8015852, 0.95, "two-sided", "fixed")
    >>> round(power, 6), used
    (0.800001, 1.0)
    >>> power, used = power_of(2.8015852, 0.95, "two-sided", "obrien-fleming")
    >>> round(power, 3), round(used, 3)
    (0.79, 0.809)
    """
    check_design(design)
    check_alternative(alternative)
    check_share("confidence", confidence)
    count = LOOKS[design] if looks is None else looks
    if count < 1:
        msg = f"looks is {looks!r}; there is at least 1"
        raise ValueError(msg)
    if design == "fixed":
        return _fixed(drift, confidence, alternative, df), 1.0
    if not math.isinf(df):
        drift *= _shrunk(df, confidence, alternative)
    two_sided = alternative == "two-sided"
    at = tuple((k + 1) / count for k in range(count))
    bounds: Sequence[float]
    if design == "always-valid":
        planned = float(planned_information(1.0))
        rho = TUNING * drift * drift / planned * np.array(at)
        bounds = sequence_boundary(rho, 1 - confidence, two_sided=two_sided).tolist()
    else:
        bounds = boundaries(at, 1 - confidence, design, two_sided=two_sided)
    path, power, used = Path(drift), 0.0, 0.0
    for share, bound in zip(at, bounds, strict=True):
        low = -bound if two_sided else -math.inf
        stopped = sum(path.crossing(share, low, bound))
        path.go(share, low, bound)
        power += stopped
        used += share * stopped
    return min(power, 1.0), used + max(1 - power, 0.0)


@lru_cache(maxsize=4096)
def drift(
    power: float, confidence: float, alternative: str, design: str, looks: int | None = None, df: float = math.inf
) -> float:
    """Effect over standard error, at the planned end, that is found with a given power.

    Args:
        power: Wanted, above 1 - confidence.
        confidence: As for `power_of`; so for the rest.
        alternative: As above.
        design: As above.
        looks: As above.
        df: As above.

    Raises:
        ValueError: A power outside 1 - confidence … 1, or as `power_of`.

    >>> round(drift(0.8, 0.95, "two-sided", "fixed"), 5), round(drift(0.8, 0.95, "two-sided", "pocock"), 3)
    (2.80158, 3.085)
    """
    from scipy.optimize import brentq

    check_share("power", power)
    if power <= 1 - confidence:
        msg = f"power is {power!r}; a test at confidence {confidence!r} rejects that often without any effect"
        raise ValueError(msg)

    def gap(at: float) -> float:
        return power_of(at, confidence, alternative, design, looks, df)[0] - power

    if gap(_MOST_DRIFT) < 0:
        msg = f"{df:g} degrees of freedom are too few for a power of {power:g} at confidence {confidence:g}"
        raise ValueError(msg)
    return float(brentq(gap, 1e-6, _MOST_DRIFT, xtol=1e-12, rtol=1e-14))


def _fixed(drift: float, confidence: float, alternative: str, df: float) -> float:
    tail = (1 - confidence) / 2 if alternative == "two-sided" else 1 - confidence
    if math.isinf(df):
        z = -float(normal_quantile(tail))
        above, below = float(normal_cdf(drift - z)), float(normal_cdf(-drift - z))
    else:
        from scipy.special import nctdtr

        t = -float(student_quantile(df, tail))
        # The upper tail as the lower one of the mirrored distribution: no 1 - p.
        above, below = float(nctdtr(df, -drift, -t)), float(nctdtr(df, drift, -t))
        above, below = (0.0 if math.isnan(x) else x for x in (above, below))
        if drift > t and above == 0.0:
            above = 1.0
    return above + below if alternative == "two-sided" else above


@lru_cache(maxsize=1024)
def _shrunk(df: float, confidence: float, alternative: str) -> float:
    """By what the degrees of freedom shrink a drift, at a power of 80 %."""
    return drift(0.8, confidence, alternative, "fixed") / drift(0.8, confidence, alternative, "fixed", None, df)
