"""Who gets which variant: service, variants, assignment, rules and how the split changed in time."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field, model_validator

from abkit.assignment import BUCKETS
from abkit.spec.base import DnsLabel, HeaderName, LabelValue, Model, Moment
from abkit.spec.deployment import EnvironmentName, Image
from abkit.spec.matching import CookieName, Match, QueryName

__all__ = [
    "RANDOM",
    "Assignment",
    "BucketRange",
    "Forced",
    "Holdout",
    "RampStep",
    "Rule",
    "Service",
    "Unit",
    "Variant",
]

RANDOM: Final = "random"
"""In place of a variant, for requests without a unit: drawn anew for each request, not user-level."""

Weight = Annotated[int, Field(strict=True, ge=0, le=BUCKETS)]
Salt = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Service(Model):
    """The service under test. A bare string is taken as its name."""

    shorthands: ClassVar = ({"type": "string"},)

    name: DnsLabel
    """Its Kubernetes name."""
    namespace: DnsLabel = "default"
    """Its namespace."""
    port: Annotated[int, Field(strict=True, ge=1, le=65_535)] = 80
    """Its port."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data


class Variant(Model):
    """One side of the experiment. A bare string is taken as its version."""

    shorthands: ClassVar = ({"type": "string"},)

    version: LabelValue
    """The `version` label that mesh and Prometheus know it by."""
    weight: Weight | None = None
    """Share of the users in basis points; even where no variant has one."""
    image: Image | None = None
    """Container image, for the Deployment that is rendered for it."""
    replicas: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 2
    """Pods of the Deployment."""
    env: dict[EnvironmentName, str] = Field(default_factory=dict)
    """Environment of this version alone. No secrets: the file is kept in git."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        if isinstance(data, (bool, int, float, date)):
            msg = "a version is text: write it in quotes, as it is called"
            raise ValueError(msg)
        return {"version": data} if isinstance(data, str) else data


class Unit(Model):
    """What is hashed: the value of a header or of a cookie."""

    header: HeaderName | None = None
    """A request header that carries the unit's id."""
    cookie: CookieName | None = None
    """A cookie that carries it."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            msg = "give one of header and cookie"
            raise ValueError(msg)
        if self.header is not None and self.header.startswith("x-ab-"):
            msg = f"@header@{self.header!r}@the edge takes headers that start with x-ab- from no client: name another"
            raise ValueError(msg)
        return self


class Rule(Model):
    """Requests that go to one variant whatever their bucket; not randomised, so never compared."""

    when: Match
    """Which requests."""
    to: DnsLabel
    """The variant they get."""


class RampStep(Model):
    """A split and when it came into force."""

    from_: Moment = Field(alias="from")
    """From when on."""
    split: dict[DnsLabel, Weight]
    """Variant → basis points."""


class BucketRange(Model):
    """Part of a layer's buckets, `from` … `to`, both included."""

    from_: Annotated[int, Field(strict=True, ge=0, lt=BUCKETS)] = Field(alias="from")
    """The first bucket."""
    to: Annotated[int, Field(strict=True, ge=0, lt=BUCKETS)]
    """The last bucket."""

    @property
    def size(self) -> int:
        """Number of buckets."""
        return self.to - self.from_ + 1

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.to < self.from_:
            msg = f"ends at {self.to}, before it starts at {self.from_}: swap them"
            raise ValueError(msg)
        return self


class Holdout(Model):
    """Users who take part in no experiment: they get the control and are compared with nobody.

    The layer is their own, so that the same users stay out of every experiment that names it.
    """

    share: Annotated[int, Field(strict=True, ge=1, lt=BUCKETS)]
    """How many, in basis points."""
    layer: DnsLabel = "holdout"
    """The layer whose first buckets they are."""
    salt: Salt | None = None
    """Its salt; the layer's name where left out."""


class Forced(Model):
    """How testers ask for a variant by its name. Anybody who knows the name can: nothing that it shows is secret."""

    header: HeaderName | None = None
    """A request header that names the variant."""
    cookie: CookieName | None = None
    """A cookie that names it."""
    query: QueryName | None = None
    """A parameter of the query that names it."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.header is None and self.cookie is None and self.query is None:
            msg = "give header, cookie or query"
            raise ValueError(msg)
        if self.header is not None and self.header.startswith("x-ab-"):
            msg = f"@header@{self.header!r}@the edge takes headers that start with x-ab- from no client: name another"
            raise ValueError(msg)
        return self


class Assignment(Model):
    """How a request comes to its variant."""

    unit: Unit = Unit(header="x-user-id")
    """What is hashed."""
    salt: Salt | None = None
    """Salt of the hash; the experiment's name where left out."""
    layer: DnsLabel | None = None
    """Experiments in one layer share salt and buckets; the experiment's name where left out."""
    buckets: BucketRange | None = None
    """The layer's buckets that this experiment takes; all where left out. The others get the control, not compared."""
    replicates: Annotated[int, Field(strict=True, ge=8, le=256)] = 32
    """Number of hash replicates that the services label their counters with."""
    holdout: Holdout | None = None
    """Users who take part in no experiment."""
    forced: Forced | None = None
    """How testers ask for a variant."""
    rules: tuple[Rule, ...] = ()
    """First match wins, before the split."""
    without_unit: DnsLabel | None = None
    """The variant for requests that carry no id; `random` draws one for each request.

    Where left out the control, until a canary, blue-green or mirror gives another variant all users: then that one.
    """
