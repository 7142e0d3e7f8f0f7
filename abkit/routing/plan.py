"""Experiment → one plan that knows no mesh: ordered routes, a split by bucket, a deliberate default.

Read from the top: the first route whose conditions hold and that has a destination for the request takes it. A `Split`
has one only for a request that carries its bucket; the last route has no conditions and takes everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import re2

from abkit.assignment import BUCKETS, assignment_header, bucket_header, variant_header
from abkit.spec import Experiment, Match, Strategy

__all__ = ["HeaderMatch", "Mark", "Plan", "Route", "Share", "Split", "Target", "Way", "build_plan"]


class Mark(StrEnum):
    """How a request came to its variant. Only what was randomised by the hash is compared."""

    HASH = "hash"
    """By its unit's bucket."""
    RULE = "rule"
    """By a rule of the experiment file."""
    FORCED = "forced"
    """By a tester's wish."""
    NONE = "none"
    """By default: it carried no unit."""


class Way(StrEnum):
    """How a header's value is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    """RE2, and the whole value must match."""


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """A condition on one request header; a header that is missing fulfils none.

    Attributes:
        header: The header's name, in lower case.
        way: How the value is compared.
        value: With what.
    """

    header: str
    way: Way
    value: str

    def holds(self, headers: Mapping[str, str]) -> bool:
        """Whether a request fulfils it.

        Args:
            headers: Header → value, names in lower case.

        >>> HeaderMatch("x-user-type", Way.EXACT, "vip").holds({"x-user-type": "vip"})
        True
        """
        value = headers.get(self.header)
        if value is None:
            return False
        match self.way:
            case Way.EXACT:
                return value == self.value
            case Way.PREFIX:
                return value.startswith(self.value)
            case Way.REGEX:
                return re2.fullmatch(self.value, value) is not None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes.

    Attributes:
        variant: The variant's name.
        version: The `version` label of its pods.
        mark: How the request came to it.
    """

    variant: str
    version: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Share:
    """A variant's part of the buckets: `first` … `last`, both included."""

    target: Target
    first: int
    last: int

    @property
    def weight(self) -> int:
        """Number of buckets: basis points of the users."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Split:
    """A division of the users by their bucket.

    Attributes:
        layer: The layer that the buckets belong to.
        salt: Its salt.
        shares: In the order of the buckets, without gaps, 10,000 in all; variants without weight have none.
    """

    layer: str
    salt: str
    shares: tuple[Share, ...]

    @property
    def header(self) -> str:
        """The request header that carries the bucket."""
        return bucket_header(self.layer)

    def share_of(self, bucket: int) -> Share:
        """The share that owns a bucket, 0 … 9999."""
        return next(share for share in self.shares if share.first <= bucket <= share.last)


@dataclass(frozen=True, slots=True)
class Route:
    """Conditions, and what is done with a request that fulfils them all.

    Attributes:
        name: Unique within the plan.
        when: Conditions; none holds for every request.
        then: A destination, or a split that has one for requests with a bucket.
    """

    name: str
    when: tuple[HeaderMatch, ...]
    then: Target | Split

    def holds(self, headers: Mapping[str, str]) -> bool:
        """Whether a request (names in lower case) fulfils all conditions."""
        return all(condition.holds(headers) for condition in self.when)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a mesh has to do for one experiment.

    Attributes:
        experiment: The experiment's name.
        strategy: How the versions are released.
        service: The service's Kubernetes name.
        namespace: Its namespace.
        port: Its port.
        layer: The experiment's layer.
        unit: What is hashed, in words: `header x-user-id` or `cookie uid`.
        versions: Every version of the experiment file, once each, in its order; those without weight too.
        routes: In order; the last takes everything.
    """

    experiment: str
    strategy: Strategy
    service: str
    namespace: str
    port: int
    layer: str
    unit: str
    versions: tuple[str, ...]
    routes: tuple[Route, ...]

    def headers_to_set(self, target: Target) -> dict[str, str]:
        """Request headers that mark traffic on its way to a target."""
        return {assignment_header(self.layer): target.mark.value, variant_header(self.layer): target.variant}


def build_plan(experiment: Experiment, split: Mapping[str, int] | None = None) -> Plan:
    """Plan of an experiment.

    Args:
        experiment: The experiment.
        split: Variant → basis points, 10,000 in all; the experiment's own where left out. `resolve_split` makes one.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> [route.name for route in build_plan(spec).routes]
    ['split', 'without-unit']
    """
    weights = experiment.split if split is None else split

    def target(variant: str, mark: Mark) -> Target:
        return Target(variant, experiment.variants[variant].version, mark)

    rules = (
        Route(f"rule-{number}", _conditions(rule.when), target(rule.to, Mark.RULE))
        for number, rule in enumerate(experiment.assignment.rules, start=1)
    )
    shares: list[Share] = []
    first = 0
    for variant in experiment.variants:
        # The file's order, whatever the mapping's: the walk is the contract with the hash.
        if weight := weights.get(variant, 0):
            shares.append(Share(target(variant, Mark.HASH), first, first + weight - 1))
            first += weight
    if first != BUCKETS:
        msg = f"the split of {experiment.name} sums to {first}, not to {BUCKETS}"
        raise ValueError(msg)
    unit = experiment.assignment.unit
    return Plan(
        experiment=experiment.name,
        strategy=experiment.strategy,
        service=experiment.service.name,
        namespace=experiment.service.namespace,
        port=experiment.service.port,
        layer=experiment.layer,
        unit=f"cookie {unit.cookie}" if unit.header is None else f"header {unit.header}",
        versions=tuple(dict.fromkeys(variant.version for variant in experiment.variants.values())),
        routes=(
            *rules,
            Route("split", (), Split(experiment.layer, experiment.salt, tuple(shares))),
            Route("without-unit", (), target(experiment.without_unit, Mark.NONE)),
        ),
    )


def _conditions(match: Match) -> tuple[HeaderMatch, ...]:
    found: list[HeaderMatch] = []
    for header, how in match.header.items():
        for way in Way:
            value = getattr(how, way.value)
            if value is not None:
                found.append(HeaderMatch(header, way, value))
    return tuple(found)
