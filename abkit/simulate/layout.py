"""Which counters a pod exposes: families, their children and labels, as the instrumentation and Istio have them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from abkit.simulate.events import CODES
from abkit.simulate.population import ASSIGNMENTS, HASH, NONE, RULE
from abkit.simulate.world import World

__all__ = ["LATENCY_BOUNDS", "LOAD_BOUNDS", "Block", "Layout", "bound_text", "slots_of"]

LOAD_BOUNDS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, math.inf)
"""Upper bounds of `ab_page_load_seconds`, in seconds."""

LATENCY_BOUNDS = (
    *(0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0),
    *(1e3, 2.5e3, 5e3, 10e3, 30e3, 60e3, 300e3, 600e3, 1.8e6, 3.6e6, math.inf),
)
"""Upper bounds of `istio_request_duration_milliseconds`, as Istio has them, in milliseconds."""

COUNTERS = (
    "ab_exposed_users_total",
    "ab_page_views_total",
    "ab_clicks_total",
    "ab_purchases_total",
    "ab_orders_total",
    "ab_revenue_total",
    "ab_page_load_seconds_sum",
    "ab_page_load_seconds_count",
)
"""The families with a child for each variant, assignment and replicate."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What one child of the `ab_` families stands for: codes of arm, assignment and replicate."""

    arm: int
    assignment: int
    replicate: int

    @property
    def replicate_text(self) -> str:
        """The label `ab_replicate`; `none` without an id to hash."""
        return "none" if self.assignment == NONE else str(self.replicate)


@dataclass(frozen=True, slots=True)
class Block:
    """The children of one family at the pods of one version.

    Attributes:
        family: The series' name, such as `ab_clicks_total`.
        first: Index of its first child among all of the version's.
        labels: Labels of each child, without the target's.
        le: Number of bounds where it is a histogram's buckets, which are cumulative; else 0.
        lazy: Whether a child appears with its first event only, as Istio's do; others are there from the start.
    """

    family: str
    first: int
    labels: tuple[Mapping[str, str], ...]
    le: int = 0
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """The blocks of one version's pods, one after the other, `children` in all."""

    version: str
    slots: tuple[Slot, ...]
    blocks: tuple[Block, ...]
    children: int

    @classmethod
    def of(cls, world: World, version: str) -> Layout:
        """Lay out the counters of a version's pods."""
        slots = tuple(slots_of(world, version))
        blocks: list[Block] = []
        first = 0
        for family, labels, le, lazy in _families(world, version, slots):
            blocks.append(Block(family, first, labels, le, lazy))
            first += len(labels)
        return cls(version, slots, tuple(blocks), first)

    def block(self, family: str) -> Block:
        """The block of a family."""
        return next(block for block in self.blocks if block.family == family)


def slots_of(world: World, version: str) -> Iterator[Slot]:
    """What a pod of a version can count: each variant by hash; by rule and without an id where the world has such."""
    everyone = world.pre_ms > 0 and version == world.arms[world.names.index(world.control)].version
    for number, arm in enumerate(world.arms):
        if arm.version != version and not everyone:
            continue
        yield from (Slot(number, HASH, replicate) for replicate in range(world.replicates))
        if world.users.vip_share > 0 and arm.name == (world.vip_arm or world.treatments[-1]):
            yield from (Slot(number, RULE, replicate) for replicate in range(world.replicates))
        if world.users.without_id > 0 and arm.name == (world.without_unit or world.control):
            yield Slot(number, NONE, 0)


def bound_text(bound: float) -> str:
    """An upper bound as the label `le` has it.

    >>> bound_text(2500.0), bound_text(0.25), bound_text(math.inf)
    ('2500.0', '0.25', '+Inf')
    """
    return "+Inf" if math.isinf(bound) else str(float(bound))


_Family = tuple[str, tuple[dict[str, str], ...], int, bool]


def _families(world: World, version: str, slots: tuple[Slot, ...]) -> Iterator[_Family]:
    def of(slot: Slot) -> dict[str, str]:
        return {
            "ab_experiment": world.experiment,
            "ab_variant": world.arms[slot.arm].name,
            "ab_assignment": ASSIGNMENTS[slot.assignment],
            "version": version,
        }

    for family in COUNTERS:
        yield family, tuple(of(slot) | {"ab_replicate": slot.replicate_text} for slot in slots), 0, False
    # Buckets carry no replicate: the slots of one arm and assignment share theirs.
    shared = [slot for slot in slots if slot.replicate == 0]
    yield (
        "ab_page_load_seconds_bucket",
        tuple(of(slot) | {"le": bound_text(bound)} for slot in shared for bound in LOAD_BOUNDS),
        len(LOAD_BOUNDS),
        False,
    )
    istio = [
        {
            "reporter": "destination",
            "destination_service_name": world.service,
            "destination_service_namespace": world.namespace,
            "destination_version": version,
            "response_code": code,
        }
        for code in CODES
    ]
    duration = "istio_request_duration_milliseconds"
    for family in ("istio_requests_total", f"{duration}_sum", f"{duration}_count"):
        yield family, tuple(istio), 0, True
    yield (
        f"{duration}_bucket",
        tuple(labels | {"le": bound_text(bound)} for labels in istio for bound in LATENCY_BOUNDS),
        len(LATENCY_BOUNDS),
        True,
    )
