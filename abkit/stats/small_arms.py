"""Small arms: where a t test is wrong, and what is done about it.

The variance between clusters of an arm with few effective clusters, (ΣD)²/ΣD², is estimated from a handful of units
and is often far too low: an arm of 5 % with 200 users calls a false winner in 24 % of A/A tests. Neither
Satterthwaite's degrees of freedom nor more replicates cure it. Under no effect both arms have the same users, so the
variance of the other arm, scaled by the ratio of the denominators, is a second estimate of the same thing: the larger
of the two is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import divide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["MINIMUM_EFFECTIVE_CLUSTERS", "SMALL_ARM", "guarded", "inflation", "too_few"]

SMALL_ARM = 30.0
"""Effective clusters below which an arm's variance is checked against the other arm's."""

MINIMUM_EFFECTIVE_CLUSTERS = 1.5
"""Effective clusters, in each arm, below which there is no result."""


def guarded(
    variances: tuple[Floats, Floats], scale: Floats, effective: tuple[Floats, Floats], empty: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """The small-arm rule: Vₐ ← max(Vₐ, V of the other arm, scaled), for an arm that is small or shows no variation.

    Both sides use the variances as they came in, so swapping the arms swaps the answer.

    Args:
        variances: Of control and treatment.
        scale: What turns a variance of the control into one of the treatment: ΣD₀/ΣD₁.
        effective: Effective clusters of control and treatment.
        empty: Whether an arm has no events at all (as bool): its variance of 0 means ignorance, not certainty.
    """
    v0, v1 = variances
    from_treatment, from_control = divide(v1, scale), v0 * scale
    return (
        np.where((effective[0] < SMALL_ARM) | (empty[0] > 0), np.fmax(v0, from_treatment), v0),
        np.where((effective[1] < SMALL_ARM) | (empty[1] > 0), np.fmax(v1, from_control), v1),
    )


def inflation(before: tuple[Floats, Floats], after: tuple[Floats, Floats]) -> Floats:
    """By how much the rule raised the variance of the difference; ≥ 1, and 1 where there was no variance."""
    factor = divide(after[0] + after[1], before[0] + before[1])
    return np.where(np.isfinite(factor), np.maximum(factor, 1.0), 1.0)


def too_few(effective: Floats, minimum: float) -> NDArray[np.bool_]:
    """Where an arm with data has too few effective clusters for a result."""
    # Half a per mille of grace: two instances with slightly unequal traffic are two instances.
    return effective < minimum
