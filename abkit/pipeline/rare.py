"""Few events: where a normal interval of the difference is wrong, and whether exact counts may take its place.

With fewer than about 30 events in an arm a difference's normal interval covers 90 % instead of 95 %. Exact tests of
counts hold however few events there are, but only if events are independent of one another. So how much they vary
between hash replicates, between instances, and from moment to moment within an instance is measured: all of it must
allow them.

An arm with up to three events can't show that: it has so few because a burst is missing. Where one arm's 8 events come
in bursts (φ = 5) the exact test is wrong in 8 %, with φ = 10 in 15 %, and all of these worlds have next to nothing in
that arm. So both arms need some events for it. The sequential counts are cautious enough for such numbers, and need
none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abkit import stats
from abkit.spec import Kind, MetricDefinition

__all__ = ["FEW", "LEAST", "Rare", "rare_events", "within_looks"]

FEW = 30
"""Events in an arm below which the difference has no normal interval."""

LEAST = 4
"""Events in each arm under which the exact test read once has no say: they can't show whether they come in bursts."""

Floats = NDArray[np.float64]
Arms = tuple[stats.ClusterSums, stats.ClusterSums]


@dataclass(frozen=True, slots=True, eq=False)
class Rare:
    """Where a metric has few events, look by look.

    Attributes:
        few: Whether an arm has fewer than `FEW` events at a look, (look,).
        exact: Whether exact counts may be used there, (look,).
        of_misses: Whether what is few is not the metric's events but the rest of a proportion, as errors of a success
            rate are.
        control: Events and exposure of the control, (look,) each; of what is few.
        treatment: The same of the treatment.
        dispersion: φ of the events at each look, the largest that was measured; NaN where it is not known.
        measured_on: What it was measured on.
    """

    few: NDArray[np.bool_]
    exact: NDArray[np.bool_]
    of_misses: bool
    control: tuple[Floats, Floats]
    treatment: tuple[Floats, Floats]
    dispersion: Floats
    measured_on: str

    def used(self, look: int) -> bool:
        """Whether exact counts are what a look is judged by."""
        return bool(self.few[look] and self.exact[look])

    def shown(self, look: int) -> bool:
        """Whether both arms have enough events at a look to show how they vary, which one reading needs."""
        return bool(min(self.control[0][look], self.treatment[0][look]) >= LEAST)

    def fixed(self, look: int, confidence: float, alternative: str = "two-sided") -> stats.CountComparison:
        """The exact comparison at a look, read once: of the events that are few.

        Args:
            look: Which.
            confidence: Of the intervals.
            alternative: About treatment - control.
        """
        return stats.counts(
            self._at(self.control, look),
            self._at(self.treatment, look),
            confidence,
            alternative,
            dispersion=float(self.dispersion[look]),
        )

    def at_any_time(self, look: int, confidence: float) -> stats.sequential.SequentialCounts:
        """The same, for looks whenever one likes.

        Args:
            look: Which.
            confidence: Over all looks.
        """
        return stats.sequential.counts(
            self._at(self.control, look),
            self._at(self.treatment, look),
            confidence,
            dispersion=float(self.dispersion[look]),
        )

    def words(self, look: int) -> str:
        """What was counted and why it may be, for a result's method."""
        what = "events that did not happen" if self.of_misses else "events"
        few = min(self.control[0][look], self.treatment[0][look])
        return f"{what}, {few:,.0f} in an arm; dispersion {self.dispersion[look]:.2f} on {self.measured_on}"

    @staticmethod
    def _at(arm: tuple[Floats, Floats], look: int) -> tuple[float, float]:
        return float(arm[0][look]), float(arm[1][look])


def rare_events(definition: MetricDefinition, clusterings: Sequence[tuple[str, Arms]], *, epochs: int) -> Rare | None:
    """Where a metric's events are few, and whether they are independent enough to be counted exactly.

    Args:
        definition: The metric's.
        clusterings: Name and sums of both arms, (look, cluster), cumulative: each way in which events may hang
            together. All have the same totals.
        epochs: Weight epochs in the window. With several the ratio of the exposures changed: no exact counts.

    Returns:
        None where the numerator is no count of events: a mean's, or a ratio of sums such as revenue.
    """
    if definition.kind not in {Kind.PROPORTION, Kind.RATIO} or definition.scale != 1:
        return None
    arms = clusterings[0][1]
    events = [arm.num.sum(-1) for arm in arms]
    if any((arm.num < 0).any() or (arm.num != np.floor(arm.num)).any() for arm in arms):
        return None
    exposure = [arm.den.sum(-1) for arm in arms]
    few = np.minimum(*events) < FEW
    of_misses = False
    if definition.kind is Kind.PROPORTION and not few[-1]:
        # Nearly all succeed: what the noise comes from is the few that don't.
        missed = [np.maximum(den - num, 0.0) for num, den in zip(events, exposure, strict=True)]
        of_misses = bool((np.minimum(*missed) < FEW)[-1])
        if of_misses:
            events, few = missed, np.minimum(*missed) < FEW
            clusterings = [(name, (_misses(first), _misses(second))) for name, (first, second) in clusterings]
    dispersion = np.zeros(few.shape)
    for name, (first, second) in clusterings:
        found = stats.count_dispersion(first, second, cluster=name)
        dispersion = np.maximum(dispersion, np.ma.filled(found.dispersion, np.nan))
    return Rare(
        few=few,
        exact=(dispersion <= stats.MAXIMUM_DISPERSION) & (epochs == 1),
        of_misses=of_misses,
        control=(events[0], exposure[0]),
        treatment=(events[1], exposure[1]),
        dispersion=dispersion,
        measured_on=" and ".join(f"{name}s" for name, _ in clusterings),
    )


def within_looks(arm: stats.ClusterSums) -> stats.ClusterSums:
    """Sums by cluster and time: each cluster's increments from look to look are clusters of their own.

    Args:
        arm: Cumulative sums, (look, cluster).

    Returns:
        (look, cluster × look): at each look the increments until then, zeros after it.
    """
    looks = arm.num.shape[0]
    until = np.tril(np.ones((looks, looks)))[:, :, np.newaxis]
    parts = [(np.diff(sums, axis=0, prepend=0.0)[np.newaxis] * until).reshape(looks, -1) for sums in (arm.num, arm.den)]
    return stats.ClusterSums(np.maximum(parts[0], 0.0), np.maximum(parts[1], 0.0))


def _misses(arm: stats.ClusterSums) -> stats.ClusterSums:
    return stats.ClusterSums(np.maximum(arm.den - arm.num, 0.0), arm.den)
