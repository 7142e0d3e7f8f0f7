"""Which variant a unit gets: what the mesh does with its request, computed without one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh64_intdigest

from abkit import assignment
from abkit.errors import RoutingError
from abkit.routing.plan import Mark, Plan, Route, Split, Target, build_plan
from abkit.spec import Experiment

__all__ = ["Assigned", "AssignedMany", "assign", "assign_many"]


@dataclass(frozen=True, slots=True)
class Assigned:
    """What one unit gets.

    Attributes:
        unit: The unit's id, as given.
        bucket: Its bucket in the experiment's layer, 0 … 9999; None without a unit.
        replicate: Its hash replicate; None without a unit.
        variant: The variant's name.
        version: The variant's version.
        assignment: How it came to it: `hash`, `rule`, `forced` or `none`.
    """

    unit: str
    bucket: int | None
    replicate: int | None
    variant: str
    version: str
    assignment: str


@dataclass(frozen=True, slots=True, eq=False)
class AssignedMany:
    """What many units get, in columns; all have one entry a unit, in the order given.

    Attributes:
        units: The ids.
        buckets: int32; -1 where the id is empty.
        replicates: int32; -1 where the id is empty.
        variant: int32, index into `variants` and `versions`.
        variants: The variants' names, in the experiment file's order.
        versions: Their versions.
    """

    units: Sequence[str]
    buckets: NDArray[np.int32]
    replicates: NDArray[np.int32]
    variant: NDArray[np.int32]
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
            variant=self.variants[place],
            version=self.versions[place],
            assignment=(Mark.HASH if some else Mark.NONE).value,
        )


def assign(
    experiment: Experiment,
    unit: str,
    headers: Mapping[str, str] | None = None,
    split: Mapping[str, int] | None = None,
) -> Assigned:
    """Variant of one unit.

    Args:
        experiment: The experiment.
        unit: The unit's id; empty for a request without one.
        headers: The request's other headers, which rules may ask for; names in any case.
        split: Variant → basis points; the experiment's own where left out.

    Raises:
        RoutingError: The id is not text that can be sent as UTF-8.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> assign(spec, "user-42")
    Assigned(unit='user-42', bucket=8827, replicate=14, variant='treatment', version='v2', assignment='hash')
    """
    bucket = replicate = None
    if unit:
        try:
            bucket = assignment.bucket(experiment.salt, unit)
            replicate = assignment.replicate(unit, experiment.assignment.replicates)
        except UnicodeEncodeError:
            raise _not_text(unit) from None
    request = {name.lower(): value for name, value in (headers or {}).items()}
    target = _target(build_plan(experiment, split), request, bucket)
    return Assigned(unit, bucket, replicate, target.variant, target.version, target.mark.value)


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
    encoded = _encode(units)
    buckets = _hashes(experiment.salt, encoded, assignment.BUCKETS)
    replicates = _hashes(assignment.REPLICATE_SALT, encoded, experiment.assignment.replicates)
    names = tuple(experiment.variants)
    weights = experiment.split if split is None else split
    ends = np.cumsum([weights.get(name, 0) for name in names])
    # The first end beyond the bucket: variants without weight have their predecessor's end and are passed over.
    variant = np.searchsorted(ends, buckets, side="right").astype(np.int32)
    without = np.fromiter((not unit for unit in units), dtype=np.bool_, count=len(units))
    variant[without] = names.index(experiment.without_unit)
    buckets[without] = replicates[without] = -1
    versions = tuple(one.version for one in experiment.variants.values())
    return AssignedMany(units, buckets, replicates, variant, names, versions)


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


def _target(plan: Plan, headers: Mapping[str, str], bucket: int | None) -> Target:
    for route in plan.routes:
        if route.holds(headers) and (target := _destination(route, bucket)) is not None:
            return target
    raise AssertionError(plan.experiment)  # the last route takes everything


def _destination(route: Route, bucket: int | None) -> Target | None:
    if isinstance(route.then, Split):
        return None if bucket is None else route.then.share_of(bucket).target
    return route.then


def _not_text(unit: str) -> RoutingError:
    return RoutingError(f"id {unit!a} is not UTF-8 text: give it as the service sends it")
