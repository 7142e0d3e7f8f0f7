"""Small arms: where a t test is wrong, and what is done about it.

The variance between clusters of an arm with few effective clusters, (ΣD)²/ΣD², is estimated from a handful of units
and is often far too low: an arm of 5 % with 200 users calls a false winner in 24 % of A/A tests. Neither
Satterthwaite's degrees of freedom nor more replicates cure it. Under no effect both arms have the same users, so the
variance of the other arm, scaled by the ratio of the denominators, is a second estimate of the same thing: the larger
of the two is used.

The variance of an arm with few events is as poor, however many clusters it has: with 2 events beside 38 the interval of
the difference covers 90 %. So an arm is small too where its events are spread as fewer than 30 independent ones would
be, for the log ratio as well: where 2 % of 4,000 users make all events it is wrong in 6 % without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import divide, effective_clusters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "MINIMUM_EARLY_LOOK",
    "MINIMUM_EFFECTIVE_CLUSTERS",
    "MINIMUM_LARGER_ARM",
    "SMALL_ARM",
    "early_enough",
    "guarded",
    "inflated",
    "inflation",
    "lent",
    "steadied",
    "too_few",
    "unscattered",
]

SMALL_ARM = 30.0
"""Effective clusters, or effective events, below which an arm's variance is checked against the other arm's."""

MINIMUM_EFFECTIVE_CLUSTERS = 1.5
"""Effective clusters, in each arm, below which there is no result.

Below it one cluster holds more than four fifths of an arm: its value is that of one user, or a few, and no variance
speaks of it. Above it the rule holds: an arm of 5 % with 60 users, whose median is 1.9, calls a false winner in 2 %
of A/A tests.
"""

MINIMUM_LARGER_ARM = 8.0
"""Effective clusters of the arm that has more of them, below which there is no result.

The rule borrows from it. With two arms of 10 users on 32 replicates (2.3 effective ones) t(62) calls a false winner
in 15 % of A/A tests, with 20 users (3.8) in 8 %, with 50 users (7.4) in 5 %. Where there are fewer clusters in all,
three quarters of them are enough: t then has few degrees of freedom.
"""

MINIMUM_EARLY_LOOK = 10.0
"""Effective clusters of the events, in each arm, below which a look before the planned end decides nothing.

A test of a few users' events holds at 5 % and not at the 1 % or less that an early look has: where 2 % of 1,000 to
2,000 users make all events, four looks by Pocock's spending are wrong in 6.1 to 9.5 % without it, with it in as many as
the test at the end. Three quarters of the clusters are enough where there are fewer.
"""

_ENOUGH_OF_FEW = 0.75


def lent(
    variances: tuple[Floats, Floats],
    scale: Floats,
    effective: tuple[Floats, Floats],
    clusters: tuple[ArrayLike, ArrayLike],
) -> tuple[Floats, Floats]:
    """The variances after the arm with fewer clusters has borrowed.

    It has at least the other's variance between clusters, scaled; with a single cluster it has all of it from there.
    Clusters that differ in number are instances. What varies between them shrinks with their number, not with the
    traffic (one pod that takes half of it is still one pod): the scale is the larger of the two ratios. Arms with
    equally many clusters stay as they are.

    Args:
        variances: Of control and treatment; NaN with one cluster.
        scale: ΣD₀/ΣD₁.
        effective: Effective clusters of control and treatment.
        clusters: How many there are.
    """
    v0, v1 = variances
    by_number = divide(effective[0], effective[1])
    n0, n1 = np.asarray(clusters[0]), np.asarray(clusters[1])
    return (
        np.where(n0 < n1, np.fmax(v0, divide(v1, np.fmin(scale, by_number))), v0),
        np.where(n1 < n0, np.fmax(v1, v0 * np.fmax(scale, by_number)), v1),
    )


def guarded(
    variances: tuple[Floats, Floats],
    scale: Floats,
    effective: tuple[Floats, Floats],
    empty: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    small: float = SMALL_ARM,
) -> tuple[Floats, Floats]:
    """The small-arm rule: Vₐ ← max(Vₐ, V of the other arm, scaled), for an arm that is small or shows no variation.

    Both sides use the variances as they came in, so swapping the arms swaps the answer.

    Args:
        variances: Of control and treatment.
        scale: What turns a variance of the control into one of the treatment: ΣD₀/ΣD₁.
        effective: Effective clusters of control and treatment.
        empty: Whether an arm has no events at all: its variance of 0 means ignorance, not certainty.
        small: Effective clusters below which an arm is small.
    """
    v0, v1 = variances
    from_treatment, from_control = divide(v1, scale), v0 * scale
    return (
        np.where((effective[0] < small) | empty[0], np.fmax(v0, from_treatment), v0),
        np.where((effective[1] < small) | empty[1], np.fmax(v1, from_control), v1),
    )


def steadied(
    variances: tuple[Floats, Floats],
    log_variances: tuple[Floats, Floats],
    rates: tuple[Floats, Floats],
    scale: Floats,
    events: tuple[Floats, Floats],
    small: float = SMALL_ARM,
) -> tuple[Floats, Floats]:
    """Of an arm with few events: Vₐ ← max(Vₐ, V of its logarithm · R²), with the ratio R of both arms together.

    An arm that happens to have few events also looks calm, and the difference is largest just there: where one arm's 15
    events come in bursts (φ = 5) it is wrong in 8 %. What its events say about its relative error holds at the rate
    that there would be without an effect.

    Args:
        variances: Of control and treatment, after `guarded`.
        log_variances: Of the logarithms of their ratios.
        rates: Their ratios.
        scale: ΣD₀/ΣD₁.
        events: As how many single events each arm's are spread.
        small: Events below which the rule is in force.
    """
    together = divide(rates[0] * scale + rates[1], scale + 1) ** 2
    return (
        np.where(events[0] < small, np.fmax(variances[0], log_variances[0] * together), variances[0]),
        np.where(events[1] < small, np.fmax(variances[1], log_variances[1] * together), variances[1]),
    )


def inflation(before: tuple[Floats, Floats], after: tuple[Floats, Floats]) -> Floats:
    """By how much the rule raised the variance of the difference; ≥ 1, and 1 where there was no variance."""
    factor = divide(after[0] + after[1], before[0] + before[1])
    return np.where(np.isfinite(factor), np.maximum(factor, 1.0), 1.0)


def inflated(jackknife: Floats, before: tuple[Floats, Floats], after: tuple[Floats, Floats]) -> Floats:
    """The small-arm rule on a jackknife variance across arms: raised as the rule raised the arms' own variances.

    In a small arm leaving out the cluster that holds most of it already makes the jackknife large. It is raised no
    further than the sum of the arms' variances after the rule: else both cautions multiply (0.7 % false winners
    instead of 2 %).

    Args:
        jackknife: Variance across arms.
        before: Variances of the arms, apart, before the rule.
        after: The same after it.
    """
    with np.errstate(over="ignore"):
        raised = np.fmin(jackknife * inflation(before, after), after[0] + after[1])
    return np.asarray(np.where(np.isnan(jackknife), np.nan, np.fmax(jackknife, raised)))


def too_few(
    effective: tuple[Floats, Floats],
    clusters: tuple[ArrayLike, ArrayLike],
    cluster: str,
    minimum: float,
    *,
    larger: bool = True,
) -> list[tuple[ArrayLike, str]]:
    """Where there are too few effective clusters for a result, and the words for it.

    Args:
        effective: Effective clusters of control and treatment.
        clusters: How many there are; an arm with a single one borrows, and has no minimum of its own.
        cluster: What a cluster is.
        minimum: In each arm.
        larger: Whether the larger arm has its own minimum; not needed where t counts effective clusters.
    """
    found: list[tuple[ArrayLike, str]] = []
    for name, e, count in zip(("control", "treatment"), effective, clusters, strict=True):
        few = (e < minimum) & (np.asarray(count) != 1)
        found.append((few, f"too few {cluster}s with data in {name}: under {minimum:g} effective ones"))
    if larger:
        enough = min(MINIMUM_LARGER_ARM, _ENOUGH_OF_FEW * max(int(np.max(count)) for count in clusters))
        less = np.maximum(effective[0], effective[1]) < enough
        found.append((less, f"too few {cluster}s with data in both arms: under {enough:g} effective ones"))
    return found


def early_enough(nums: tuple[Floats, Floats]) -> NDArray[np.bool_]:
    """Whether the events of both arms come from enough clusters for a look before the planned end.

    Args:
        nums: Numerators of control and treatment, (…, cluster); an arm with a single cluster borrows.
    """
    least = [min(MINIMUM_EARLY_LOOK, _ENOUGH_OF_FEW * num.shape[-1]) for num in nums]
    enough = [
        (effective_clusters(np.abs(num)) >= bar) | (num.shape[-1] == 1) for num, bar in zip(nums, least, strict=True)
    ]
    return np.asarray(enough[0] & enough[1])


def unscattered(
    nums: tuple[Floats, Floats],
    left: tuple[Floats, Floats],
    cluster: str,
    minimum: float = MINIMUM_EFFECTIVE_CLUSTERS,
) -> list[tuple[ArrayLike, str]]:
    """Where an arm's events come from about one cluster, so that there is no interval of a lift, and the words for it.

    The logarithm then moves with what one user did: in a 5 % arm of 50 users of whom 2 % make all events it is wrong
    in 7 %. The difference has the other arm's variance, and holds.

    Args:
        nums: Numerators of control and treatment, (…, cluster); an arm with a single cluster borrows.
        left: The arms' ratios with each cluster left out, same shapes.
        cluster: What a cluster is.
        minimum: Effective clusters of the events, in each arm.
    """
    several = [num.shape[-1] > 1 for num in nums]
    lost = [~(ratio > 0).all(-1) & many for ratio, many in zip(left, several, strict=True)]
    found: list[tuple[ArrayLike, str]] = [(lost[0] | lost[1], f"all events of an arm lie in one {cluster}")]
    for name, num, many in zip(("control", "treatment"), nums, several, strict=True):
        few = (effective_clusters(np.abs(num)) < minimum) & many
        found.append((few, f"too few {cluster}s with events in {name}: under {minimum:g} effective ones"))
    return found
