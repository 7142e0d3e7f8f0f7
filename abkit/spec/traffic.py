"""Who gets which variant: service, variants, assignment, rules and how the split changed in time."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar, Self

import re2
from pydantic import Field, field_validator, model_validator

from abkit.assignment import BUCKETS
from abkit.spec.base import DnsLabel, HeaderName, LabelValue, Model, Moment

__all__ = ["Assignment", "Match", "RampStep", "Rule", "Service", "StringMatch", "Unit", "Variant"]

Weight = Annotated[int, Field(strict=True, ge=0, le=BUCKETS)]


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
    cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")] | None = None
    """A cookie that carries it."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            msg = "give one of header and cookie"
            raise ValueError(msg)
        return self


class StringMatch(Model):
    """How a header's value is matched; exactly one of the fields."""

    exact: str | None = None
    """Equal to it."""
    prefix: str | None = None
    """Starts with it."""
    regex: str | None = None
    """The whole value matches it; RE2, as the meshes have."""

    @field_validator("regex")
    @classmethod
    def _re2(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            options = re2.Options()
            options.log_errors = False
            try:
                re2.compile(pattern, options)
            except re2.error as error:
                words = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
                msg = f"is not a regular expression that RE2 takes: {words}"
                raise ValueError(msg) from None
        return pattern

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(way is not None for way in (self.exact, self.prefix, self.regex)) != 1:
            msg = "give one of exact, prefix and regex"
            raise ValueError(msg)
        return self


class Match(Model):
    """A condition on a request; all of its parts must hold."""

    header: Annotated[dict[HeaderName, StringMatch], Field(min_length=1)]
    """Header → how its value is matched."""


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


class Assignment(Model):
    """How a request comes to its variant."""

    unit: Unit = Unit(header="x-user-id")
    """What is hashed."""
    salt: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = None
    """Salt of the hash; the experiment's name where left out."""
    layer: DnsLabel | None = None
    """Experiments in one layer share salt and buckets; the experiment's name where left out."""
    replicates: Annotated[int, Field(strict=True, ge=8, le=256)] = 32
    """Number of hash replicates that the services label their counters with."""
    rules: tuple[Rule, ...] = ()
    """First match wins, before the split."""
    without_unit: DnsLabel | None = None
    """The variant for requests that carry no id; the control where left out."""
