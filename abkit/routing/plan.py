"""One plan that knows no mesh: ordered routes, splits by bucket, a deliberate default, and what happens beside it.

Read from the top: the first route whose condition holds and that has a destination for the request takes it. A `Split`
has one only for a request whose bucket is among its shares; the last route takes everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from abkit.assignment import assignment_header, bucket_header, experiment_header, variant_header
from abkit.routing.conditions import ALWAYS, Alternative, Request, fulfils
from abkit.routing.effects import NO_EFFECTS, Breaker, Effects
from abkit.spec import Experiment, MeshSettings, Strategy

__all__ = ["Destination", "Layer", "Lot", "Mark", "Plan", "Reply", "Route", "Share", "Split", "Stage", "Target"]


class Mark(StrEnum):
    """How a request came to its variant. Only what was randomised by the hash is compared."""

    HASH = "hash"
    """By its unit's bucket."""
    RULE = "rule"
    """By a rule of the experiment file."""
    FORCED = "forced"
    """By a tester's wish."""
    NONE = "none"
    """By default: it carried no unit, or its unit takes no part in the experiment."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes.

    Attributes:
        variant: The variant's name.
        version: The `version` label of its pods.
        mark: How the request came to it.
        experiment: The experiment that it is a variant of.
        layer: The experiment's layer.
    """

    variant: str
    version: str
    mark: Mark
    experiment: str
    layer: str

    @property
    def headers(self) -> dict[str, str]:
        """Request headers that mark traffic on its way: the service counts by them."""
        return {
            assignment_header(self.layer): self.mark.value,
            experiment_header(self.layer): self.experiment,
            variant_header(self.layer): self.variant,
        }


@dataclass(frozen=True, slots=True)
class Share:
    """A variant's part of the buckets: `first` … `last`, both included."""

    target: Target
    first: int
    last: int

    @property
    def weight(self) -> int:
        """Number of buckets."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Split:
    """A division of the users by their bucket.

    Attributes:
        layer: The layer that the buckets belong to.
        salt: Its salt.
        shares: In the order of the buckets, without gaps; variants without weight have none. Buckets before the first
            and after the last one take no part.
    """

    layer: str
    salt: str
    shares: tuple[Share, ...]

    @property
    def header(self) -> str:
        """The request header that carries the bucket."""
        return bucket_header(self.layer)

    def share_of(self, bucket: int) -> Share | None:
        """The share that owns a bucket, 0 … 9999; None where none does."""
        return next((share for share in self.shares if share.first <= bucket <= share.last), None)


@dataclass(frozen=True, slots=True)
class Lot:
    """A draw for each request: not sticky, not user-level.

    Attributes:
        chances: Targets and their weight; the weights sum to 10,000.
    """

    chances: tuple[tuple[Target, int], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """A static answer, by the mesh itself.

    Attributes:
        status: The HTTP status.
        body: Text.
        content_type: Its media type.
    """

    status: int
    body: str
    content_type: str


Destination = Target | Split | Lot | Reply


class Stage(IntEnum):
    """Why a route is there, in the order of the routes."""

    ANSWER = 1
    """A static answer."""
    FORCED = 2
    """A tester's wish."""
    RULE = 3
    """A rule of the experiment file."""
    HOLDOUT = 4
    """Users who take part in no experiment."""
    SPLIT = 5
    """The users, by their bucket."""
    OUTSIDE = 6
    """Users whose bucket no experiment has."""
    DEFAULT = 7
    """All others: requests without a unit."""


@dataclass(frozen=True, slots=True)
class Route:
    """A condition, and what is done with a request that fulfils it.

    Attributes:
        stage: Why it is there.
        name: Unique within the plan.
        when: Alternatives, each of conditions that must all hold.
        then: A destination, or a split that has one for requests with a bucket in it.
        effects: What is done beside.
    """

    stage: Stage
    name: str
    when: tuple[Alternative, ...]
    then: Destination
    effects: Effects = NO_EFFECTS

    @property
    def always(self) -> bool:
        """Whether the condition holds for every request."""
        return self.when == ALWAYS

    def holds(self, request: Request) -> bool:
        """Whether a request fulfils the condition."""
        return fulfils(self.when, request)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose buckets the routes read.

    Attributes:
        name: Its name, which names the bucket header.
        salt: Its salt.
        header: The request header that carries the unit's id; None where a cookie does.
        cookie: The cookie that does.
    """

    name: str
    salt: str
    header: str | None
    cookie: str | None

    @property
    def unit(self) -> str:
        """What is hashed, in words: `header x-user-id` or `cookie uid`."""
        return f"cookie {self.cookie}" if self.header is None else f"header {self.header}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a mesh has to do for the experiments on one service.

    Attributes:
        experiments: Their names, in the order of their routes.
        strategies: Their strategies.
        service: The service's Kubernetes name.
        namespace: Its namespace.
        port: Its port.
        layers: The layers that the routes read, the experiments' own first.
        replicates: Number of hash replicates.
        versions: Every version of the experiment files, once each, in their order; those without weight too.
        routes: In order; the last takes everything.
        settings: What the meshes need to know.
        specs: What the plan was made from, for what is no routing: pods, stages, drills.
        breaker: The circuit breaker of each version; None for none.
        fallback: The version whose pods take over while those of another one are not healthy; None for none.
    """

    experiments: tuple[str, ...]
    strategies: tuple[Strategy, ...]
    service: str
    namespace: str
    port: int
    layers: tuple[Layer, ...]
    replicates: int
    versions: tuple[str, ...]
    routes: tuple[Route, ...]
    settings: MeshSettings
    specs: tuple[Experiment, ...]
    breaker: Breaker | None = None
    fallback: str | None = None

    def stage(self, stage: Stage) -> tuple[Route, ...]:
        """The routes of a stage."""
        return tuple(route for route in self.routes if route.stage is stage)

    @property
    def title(self) -> str:
        """The experiments' names, for errors and comments."""
        return ", ".join(self.experiments)

    @property
    def host(self) -> str:
        """The service's name in the cluster."""
        return f"{self.service}.{self.namespace}.svc.cluster.local"

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits, each once."""
        return tuple(dict.fromkeys(route.then for route in self.routes if isinstance(route.then, Split)))
