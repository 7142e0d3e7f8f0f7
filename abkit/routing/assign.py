"""Which variant a unit gets: what the mesh does with its request, computed without one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh64_intdigest

from abkit import assignment
from abkit.errors import RoutingError
from abkit.routing.building import build_plan
from abkit.routing.conditions import Request
from abkit.routing.plan import Mark, Plan, Reply, Split, Target
from abkit.spec import Experiment

__all__ = ["Assigned", "AssignedMany", "assign", "assign_many"]


@dataclass(frozen=True, slots=True)
class Assigned:
    """What one unit gets.

    Attributes:
        unit: The unit's id, as given.
        bucket: Its bucket in the experiment's layer, 0 … 9999; None without a unit.
        replicate: Its hash replicate; None without a unit.
        variant: The variant's name; None where each request draws one.
        version: The variant's version; None likewise.
        assignment: How it came to it: `hash`, `rule`, `forced` or `none`.
    """

    unit: str
    bucket: int | None
    replicate: int | None
    variant: str | None
    version: str | None
    assignment: str


@dataclass(frozen=True, slots=True, eq=False)
class AssignedMany:
    """What many units get, in columns; all have one entry a unit, in the order given.

    Attributes:
        units: The ids.
        buckets: int32; -1 where the id is empty.
        replicates: int32; -1 where the id is empty.
        variant: int32, index into `variants` and `versions`; -1 where each request draws one.
        compared: bool; whether the unit takes part: it has an id, is not held out, and its bucket is the experiment's.
        variants: The variants' names, in the experiment file's order.
        versions: Their versions.
    """

    units: Sequence[str]
    buckets: NDArray[np.int32]
    replicates: NDArray[np.int32]
    variant: NDArray[np.int32]
    compared: NDArray[np.bool_]
    variants: tuple[str, ...]
    versions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.units)

    def __iter__(self) -> Iterator[Assigned]:
        return (self[index] for index in range(len(self.units)))

    def __getitem__(self, index: int) -> Assigned:
        place = int(self.variant[index])
        some = bool(self.units[index])
        return Assigned(
            unit=self.units[index],
            bucket=int(self.buckets[index]) if some else None,
            replicate=int(self.replicates[index]) if some else None,
            variant=None if place < 0 else self.variants[place],
            version=None if place < 0 else self.versions[place],
            assignment=(Mark.HASH if self.compared[index] else Mark.NONE).value,
        )


def assign(
    experiment: Experiment,
    unit: str,
    headers: Mapping[str, str] | None = None,
    split: Mapping[str, int] | None = None,
    request: Request | None = None,
) -> Assigned:
    """Variant of one unit.

    Args:
        experiment: The experiment.
        unit: The unit's id; empty for a request without one.
        headers: The request's other headers, which rules may ask for; names in any case.
        split: Variant → basis points; the experiment's own where left out.
        request: Path, method, query and caller, where rules ask for them; its headers too, beside `headers`.

    Raises:
        RoutingError: The id is not text that can be sent as UTF-8.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> assign(spec, "user-42")
    Assigned(unit='user-42', bucket=8827, replicate=14, variant='treatment', version='v2', assignment='hash')
    """
    plan = build_plan(experiment, split)
    buckets: dict[str, int] = {}
    replicate = None
    if unit:
        try:
            buckets = {layer.name: assignment.bucket(layer.salt, unit) for layer in plan.layers}
            replicate = assignment.replicate(unit, plan.replicates)
        except UnicodeEncodeError:
            raise _not_text(unit) from None
    asked = request or Request()
    sent = {name.lower(): value for name, value in {**asked.headers, **(headers or {})}.items()}
    target = _target(plan, replace(asked, headers=sent, buckets=buckets))
    place = (None, None, Mark.NONE) if target is None else (target.variant, target.version, target.mark)
    return Assigned(unit, buckets.get(experiment.layer), replicate, place[0], place[1], place[2].value)


def assign_many(experiment: Experiment, units: Sequence[str], split: Mapping[str, int] | None = None) -> AssignedMany:
    """Variants of many units, of requests that no rule applies to.

    Args:
        experiment: The experiment.
        units: Their ids; an empty one stands for a request without a unit.
        split: Variant → basis points; the experiment's own where left out.

    Raises:
        RoutingError: An id is not text that can be sent as UTF-8.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> [one.variant for one in assign_many(spec, ["user-1", "user-2", ""])]
    ['treatment', 'treatment', 'control']
    """
    plan = build_plan(experiment, split)
    encoded = _encode(units)
    buckets = _hashes(experiment.salt, encoded, assignment.BUCKETS)
    replicates = _hashes(assignment.REPLICATE_SALT, encoded, plan.replicates)
    names = tuple(experiment.variants)
    variant = _owners(plan, names)[buckets]
    held = experiment.assignment.holdout
    if held is not None:
        salt = next(layer.salt for layer in plan.layers if layer.name == held.layer)
        variant[_hashes(salt, encoded, assignment.BUCKETS) < held.share] = -1
    compared = variant >= 0
    variant[~compared] = names.index(experiment.control)
    without = np.fromiter((not unit for unit in units), dtype=np.bool_, count=len(units))
    default = plan.routes[-1].then
    variant[without] = names.index(default.variant) if isinstance(default, Target) else -1
    buckets[without] = replicates[without] = -1
    versions = tuple(one.version for one in experiment.variants.values())
    return AssignedMany(units, buckets, replicates, variant, compared & ~without, names, versions)


def _encode(units: Sequence[str]) -> list[bytes]:
    try:
        return [unit.encode() for unit in units]
    except UnicodeEncodeError as error:
        raise _not_text(str(error.object)) from None


def _hashes(salt: str, units: Sequence[bytes], modulus: int) -> NDArray[np.int32]:
    # The same hash as abkit.assignment, one C call an id: a test holds them together.
    prefix = f"{salt}:".encode()
    digests = np.fromiter((xxh64_intdigest(prefix + unit) for unit in units), dtype=np.uint64, count=len(units))
    return (digests % np.uint64(modulus)).astype(np.int32)


def _owners(plan: Plan, names: Sequence[str]) -> NDArray[np.int32]:
    """Bucket → index of the variant that owns it; -1 for none."""
    owners = np.full(assignment.BUCKETS, -1, dtype=np.int32)
    for share in plan.splits[0].shares:
        owners[share.first : share.last + 1] = names.index(share.target.variant)
    return owners


def _target(plan: Plan, request: Request) -> Target | None:
    """Where a request goes; None where a lot decides."""
    for route in plan.routes:
        # What the mesh answers itself on a busy day has no variant: asked is what would be without it.
        if isinstance(route.then, Reply) or not route.holds(request):
            continue
        if isinstance(route.then, Target):
            return route.then
        if not isinstance(route.then, Split):
            return None
        bucket = request.buckets.get(route.then.layer)
        if bucket is not None and (share := route.then.share_of(bucket)) is not None:
            return share.target
    raise AssertionError(plan.title)  # the last route takes everything


def _not_text(unit: str) -> RoutingError:
    return RoutingError(f"id {unit!a} is not UTF-8 text: give it as the service sends it")
