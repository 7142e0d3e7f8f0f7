"""The chance that a standardised estimate crosses boundaries at some look, by recursive integration.

At looks with information I₁ < I₂ < … the sum S_k = Z_k·√I_k of a drifting Brownian motion has independent normal
increments. The density of S at a look, on the paths that have not crossed before, is the convolution of the one before
with the increment (Armitage, McPherson & Rowe, JRSS A 1969; Jennison & Turnbull, Group Sequential Methods, ch. 19).
It is smooth between the boundaries, so Gauss-Legendre nodes converge as fast as anything can.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.special import normal_cdf

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Path"]

_WIDE = 9.0
"""Standard deviations beyond which no path is: 10⁻¹⁹ of them."""

_SPACING = 0.7
"""Largest distance of nodes in standard deviations of the increment: errors are then below 10⁻¹⁰."""

_FEWEST, _MOST = 24, 1200

_TRIES = 80
"""Steps of a search: bisection alone, from end to end, takes fewer."""


@lru_cache(maxsize=64)
def _legendre(count: int) -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes, weights


class Path:
    """Paths that have not crossed yet, look by look.

    Args:
        drift: Mean of Z at information 1: effect·√I in units in which the looks' information is given.

    >>> path = Path()
    >>> round(path.crossing(1.0, -1.96, 1.96)[1], 4)
    0.025
    >>> path.go(1.0, -1.96, 1.96)
    >>> round(path.remaining, 4)
    0.95
    """

    def __init__(self, drift: float = 0.0) -> None:
        self.drift = drift
        self.information = 0.0
        self.remaining = 1.0
        self._nodes: Floats = np.zeros(1)
        self._mass: Floats = np.ones(1)

    def crossing(self, information: float, low: float, high: float) -> tuple[float, float]:
        """The chance to cross at the next look for the first time, below and above.

        Args:
            information: Of the next look, above that of the last one.
            low: Boundary of Z, may be -inf.
            high: Boundary of Z, may be inf.
        """
        step = math.sqrt(information - self.information)
        mean = self._nodes + self.drift * (information - self.information)
        root = math.sqrt(information)
        below = normal_cdf((low * root - mean) / step) if math.isfinite(low) else np.zeros(1)
        above = normal_cdf((mean - high * root) / step) if math.isfinite(high) else np.zeros(1)
        return float((self._mass * below).sum()), float((self._mass * above).sum())

    def go(self, information: float, low: float, high: float) -> None:
        """Take the next look: keep the paths between the boundaries.

        Args:
            information: As for `crossing`.
            low: As for `crossing`.
            high: As for `crossing`.
        """
        gap = information - self.information
        step, root = math.sqrt(gap), math.sqrt(information)
        mean = self.drift * information
        ends = max(low * root, mean - _WIDE * root), min(high * root, mean + _WIDE * root)
        self.information = information
        if ends[1] <= ends[0] or not self._mass.size:
            self._nodes, self._mass, self.remaining = np.zeros(0), np.zeros(0), 0.0
            return
        width = ends[1] - ends[0]
        # Gauss-Legendre nodes lie π/2 wider apart in the middle than evenly spread ones.
        count = math.ceil(width / step * (math.pi / 2) / _SPACING)
        count = 8 * math.ceil(min(max(count, _FEWEST), _MOST) / 8)
        x, weight = _legendre(count)
        nodes = 0.5 * (ends[0] + ends[1]) + 0.5 * width * x
        z = (nodes[:, None] - self._nodes - self.drift * gap) / step
        density = np.exp(-0.5 * z * z) @ self._mass / (step * math.sqrt(2 * math.pi))
        self._nodes, self._mass = nodes, density * weight * (0.5 * width)
        self.remaining = float(self._mass.sum())

    def boundary(self, information: float, chance: float) -> float:
        """Z at which the paths that are left cross upwards with a given chance, at the next look.

        Args:
            information: As for `crossing`.
            chance: To cross above. 0 gives infinity.
        """
        if chance < 1e-18:
            return math.inf
        low, high = -_WIDE, _WIDE
        if self.crossing(information, -math.inf, low)[1] <= chance:
            return low
        step, root = math.sqrt(information - self.information), math.sqrt(information)
        mean = self._nodes + self.drift * (information - self.information)
        target, at = math.log(chance), 2.0
        # Newton on the logarithm of the tail, which is nearly a parabola; bisection where that leaves the bracket.
        for _ in range(_TRIES):
            z = (mean - at * root) / step
            tail = float((self._mass * normal_cdf(z)).sum())
            if tail > chance:
                low = at
            else:
                high = at
            density = float((self._mass * np.exp(-0.5 * z * z)).sum()) * root / (step * math.sqrt(2 * math.pi))
            move = (math.log(tail) - target) * tail / density if tail > 0 and density > 0 else math.inf
            if high - low < 1e-12 or abs(move) < 1e-12:
                break
            at = at + move if low < at + move < high else 0.5 * (low + high)
        return at
