"""Conditions on a request: what a rule, a fault or a static answer asks for."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

import re2
from pydantic import Field, StringConstraints, field_validator, model_validator

from abkit.spec.base import DnsLabel, HeaderName, LabelValue, Model

__all__ = ["MAX_ALTERNATIVES", "Device", "Match", "Method", "NumberRange", "SourceWorkload", "StringMatch"]

MAX_ALTERNATIVES = 64
"""Most alternatives of a condition, its `any` and `all` multiplied out: each becomes a match of the mesh."""

CookieName = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
QueryName = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_.~-]{1,100}$")]
LabelName = Annotated[
    str, StringConstraints(strict=True, pattern=r"^([a-z0-9.-]{1,200}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
]


class Method(StrEnum):
    """An HTTP method."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"
    TRACE = "TRACE"
    CONNECT = "CONNECT"


class Device(StrEnum):
    """What a request's User-Agent says that it comes from."""

    MOBILE = "mobile"
    """A phone."""
    TABLET = "tablet"
    """A tablet."""
    DESKTOP = "desktop"
    """A computer with a keyboard."""
    BOT = "bot"
    """A crawler that says so."""


class NumberRange(Model):
    """Whole numbers from `from` to `to`, both included; written in decimal, without sign or leading zeros."""

    from_: Annotated[int, Field(strict=True, ge=0, lt=10**12)] = Field(alias="from")
    """The least."""
    to: Annotated[int, Field(strict=True, ge=0, lt=10**12)]
    """The greatest."""

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.to < self.from_:
            msg = f"ends at {self.to}, before it starts at {self.from_}: swap them"
            raise ValueError(msg)
        return self


class StringMatch(Model):
    """How a value is matched; exactly one of the fields. A bare string is taken as `exact`."""

    shorthands: ClassVar = ({"type": "string"},)

    exact: str | None = None
    """Equal to it."""
    prefix: str | None = None
    """Starts with it."""
    regex: str | None = None
    """The whole value matches it; RE2, as the meshes have."""
    range: NumberRange | None = None
    """A number within it."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        return {"exact": data} if isinstance(data, str) else data

    @field_validator("exact", "prefix", "regex")
    @classmethod
    def _one_line(cls, text: str | None) -> str | None:
        # No request carries them, and no mesh takes them in its configuration.
        if text is not None and any(ord(character) < 32 or ord(character) == 127 for character in text):
            msg = "has a line break or another control character: leave it out"
            raise ValueError(msg)
        return text

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
        if sum(way is not None for way in (self.exact, self.prefix, self.regex, self.range)) != 1:
            msg = "give one of exact, prefix, regex and range"
            raise ValueError(msg)
        return self


class SourceWorkload(Model):
    """Who calls, for meshes that know: the labels and the namespace of the calling pods."""

    labels: dict[LabelName, LabelValue] = Field(default_factory=dict)
    """Labels that the calling pods have, such as {app: checkout}."""
    namespace: DnsLabel | None = None
    """The namespace that they run in."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.labels and self.namespace is None:
            msg = "give labels, namespace or both"
            raise ValueError(msg)
        return self


def _one_or_more(schema: dict[str, Any]) -> None:
    """One need not stand in a list."""
    del schema["type"]
    items = schema.pop("items")
    schema["anyOf"] = [items, {"type": "array", "items": items}]


class Match(Model):
    """A condition on a request; all of its parts must hold."""

    header: dict[HeaderName, StringMatch] = Field(default_factory=dict)
    """Header → how its value is matched."""
    cookie: dict[CookieName, StringMatch] = Field(default_factory=dict)
    """Cookie → how its value is matched."""
    query: dict[QueryName, StringMatch] = Field(default_factory=dict)
    """Parameter of the query → how its value is matched, as it stands in the URL."""
    path: StringMatch | None = None
    """How the path is matched, without the query."""
    method: tuple[Method, ...] = Field(default=(), json_schema_extra=_one_or_more)
    """One of these methods."""
    device: tuple[Device, ...] = Field(default=(), json_schema_extra=_one_or_more)
    """One of these devices, by the User-Agent."""
    source: SourceWorkload | None = None
    """Who calls."""
    all: tuple[Match, ...] = ()
    """All of these must hold too."""
    any: tuple[Match, ...] = ()
    """One of these must hold too."""

    @field_validator("method", "device", mode="before")
    @classmethod
    def _one(cls, data: Any) -> Any:
        return [data] if isinstance(data, str) else data

    @field_validator("path")
    @classmethod
    def _path(cls, path: StringMatch | None) -> StringMatch | None:
        if path is not None:
            if path.range is not None:
                msg = "a path has no range: give exact, prefix or regex"
                raise ValueError(msg)
            given = path.exact if path.exact is not None else path.prefix
            if given is not None and not given.startswith("/"):
                msg = f"{given!r} should start with '/'"
                raise ValueError(msg)
        return path

    @property
    def alternatives(self) -> int:
        """Number of alternatives once `any` and `all` are multiplied out."""
        count = max(len(self.device), 1) * (sum(one.alternatives for one in self.any) or 1)
        for one in self.all:
            count *= one.alternatives
        return count

    @model_validator(mode="after")
    def _some(self) -> Self:
        parts = (
            self.header,
            self.cookie,
            self.query,
            self.path,
            self.method,
            self.device,
            self.source,
            self.all,
            self.any,
        )
        if not any(parts):
            msg = "is empty: give header, cookie, query, path, method, device, source, all or any"
            raise ValueError(msg)
        if self.alternatives > MAX_ALTERNATIVES:
            msg = (
                f"has {self.alternatives} alternatives once multiplied out, {MAX_ALTERNATIVES} is the most: "
                "make several rules"
            )
            raise ValueError(msg)
        return self
