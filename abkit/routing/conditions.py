"""Conditions on a request, mesh-neutral: what a spec's `when` becomes, and whether a request fulfils it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Final

import re2

from abkit.assignment import bucket_header
from abkit.routing.ranges import range_regex
from abkit.spec import Device, Match, StringMatch

__all__ = [
    "ALWAYS",
    "IDEMPOTENT",
    "Alternative",
    "BucketMatch",
    "Condition",
    "HeaderMatch",
    "MethodMatch",
    "PathMatch",
    "QueryMatch",
    "Request",
    "SourceMatch",
    "Way",
    "both",
    "cookie_match",
    "from_spec",
    "fulfils",
]

# What user agents say of themselves: https://developer.mozilla.org/docs/Web/HTTP/Guides/Browser_detection_using_the_user_agent
_DEVICES: Final = {
    Device.MOBILE: r"(?i).*(iPhone|iPod|Android.*Mobile|Mobile.*Firefox|Windows Phone|IEMobile|Opera Mini).*",
    Device.TABLET: r"(?i).*(iPad|Tablet|PlayBook|Silk/|Kindle).*",
    Device.DESKTOP: r"(?i).*(Windows NT|Macintosh|X11;|CrOS ).*",
    Device.BOT: r"(?i).*(bot\b|crawler|spider|slurp|headless).*",
}

IDEMPOTENT: Final = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
"""Methods that may be sent twice: RFC 9110, 9.2.2."""


class Way(StrEnum):
    """How a value is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    """RE2, and the whole value must match."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a mesh sees it.

    Attributes:
        headers: Header → value, names in lower case.
        path: The path without the query.
        method: In capitals.
        query: Parameter → value, as they stand in the URL.
        labels: The calling pod's labels.
        namespace: The calling pod's namespace.
        buckets: Layer → the unit's bucket; empty without a unit.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = "/"
    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    buckets: Mapping[str, int] = field(default_factory=dict)


def _compare(way: Way, pattern: str, value: str | None) -> bool:
    if value is None:
        return False
    match way:
        case Way.EXACT:
            return value == pattern
        case Way.PREFIX:
            return value.startswith(pattern)
        case Way.REGEX:
            return re2.fullmatch(pattern, value) is not None


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

    def holds(self, request: Request) -> bool:
        """Whether a request fulfils it.

        >>> HeaderMatch("x-user-type", Way.EXACT, "vip").holds(Request({"x-user-type": "vip"}))
        True
        """
        return _compare(self.way, self.value, request.headers.get(self.header))


@dataclass(frozen=True, slots=True)
class PathMatch:
    """A condition on the path."""

    way: Way
    value: str

    def holds(self, request: Request) -> bool:
        """Whether a request fulfils it."""
        return _compare(self.way, self.value, request.path)


@dataclass(frozen=True, slots=True)
class QueryMatch:
    """A condition on a parameter of the query."""

    name: str
    way: Way
    value: str

    def holds(self, request: Request) -> bool:
        """Whether a request fulfils it."""
        return _compare(self.way, self.value, request.query.get(self.name))


@dataclass(frozen=True, slots=True)
class MethodMatch:
    """A condition on the method: one of these."""

    methods: tuple[str, ...]

    def holds(self, request: Request) -> bool:
        """Whether a request fulfils it."""
        return request.method in self.methods


@dataclass(frozen=True, slots=True)
class SourceMatch:
    """A condition on the calling pods.

    Attributes:
        labels: Pairs of label and value, sorted.
        namespace: Their namespace; empty for any.
    """

    labels: tuple[tuple[str, str], ...]
    namespace: str

    def holds(self, request: Request) -> bool:
        """Whether a request fulfils it."""
        same = not self.namespace or request.namespace == self.namespace
        return same and all(request.labels.get(name) == value for name, value in self.labels)


@dataclass(frozen=True, slots=True)
class BucketMatch:
    """A condition on the unit's bucket in a layer: `first` … `last`; without a unit it does not hold."""

    layer: str
    first: int
    last: int

    @property
    def header(self) -> str:
        """The request header that carries the bucket."""
        return bucket_header(self.layer)

    def as_header(self) -> HeaderMatch:
        """The same for a mesh that can only match text."""
        return HeaderMatch(self.header, Way.REGEX, range_regex(self.first, self.last))

    def holds(self, request: Request) -> bool:
        """Whether a request fulfils it."""
        bucket = request.buckets.get(self.layer)
        return bucket is not None and self.first <= bucket <= self.last


Condition = HeaderMatch | PathMatch | QueryMatch | MethodMatch | SourceMatch | BucketMatch
Alternative = tuple[Condition, ...]
"""Conditions that must all hold."""

ALWAYS: Final[tuple[Alternative, ...]] = ((),)
"""Holds for every request."""


def fulfils(when: Iterable[Alternative], request: Request) -> bool:
    """Whether a request fulfils one of the alternatives."""
    return any(all(condition.holds(request) for condition in alternative) for alternative in when)


def both(one: Iterable[Alternative], other: Iterable[Alternative]) -> tuple[Alternative, ...]:
    """Alternatives of "one and the other"; those that no request can fulfil by its method are left out.

    >>> both(((MethodMatch(("GET", "PUT")),),), ((MethodMatch(("PUT",)),),))
    ((MethodMatch(methods=('PUT',)),),)
    """
    return tuple(dict.fromkeys(joined for pair in product(one, other) if (joined := _joined(*pair)) is not None))


def _joined(one: Alternative, other: Alternative) -> Alternative | None:
    conditions = tuple(dict.fromkeys((*one, *other)))
    methods = [condition.methods for condition in conditions if isinstance(condition, MethodMatch)]
    if len(methods) < 2:
        return conditions
    left = tuple(method for method in methods[0] if all(method in others for others in methods[1:]))
    rest = tuple(condition for condition in conditions if not isinstance(condition, MethodMatch))
    return (*rest, MethodMatch(left)) if left else None


def cookie_match(name: str, way: Way, value: str) -> HeaderMatch:
    """A condition on a cookie, as one on the header that carries all of them.

    >>> cookie_match("beta", Way.EXACT, "1").holds(Request({"cookie": "a=2; beta=1; c=3"}))
    True
    """
    pattern = {
        Way.EXACT: re2.escape(value),
        Way.PREFIX: f"{re2.escape(value)}[^;]*",
        Way.REGEX: f"(?:{value})",
    }[way]
    return HeaderMatch("cookie", Way.REGEX, f"(?:.*;)? *{re2.escape(name)}={pattern} *(?:;.*)?")


def from_spec(match: Match) -> tuple[Alternative, ...]:
    """Alternatives of a spec's condition.

    >>> spec = Match.model_validate({"any": [{"header": {"x-staff": "yes"}}, {"path": {"prefix": "/beta"}}]})
    >>> [len(alternative) for alternative in from_spec(spec)]
    [1, 1]
    """
    found: list[Condition] = []
    found += [HeaderMatch(name, *how) for name, given in match.header.items() for how in _ways(given)]
    found += [cookie_match(name, *how) for name, given in match.cookie.items() for how in _ways(given)]
    found += [QueryMatch(name, *how) for name, given in match.query.items() for how in _ways(given)]
    if match.path is not None:
        found += [PathMatch(*how) for how in _ways(match.path)]
    if match.method:
        found.append(MethodMatch(tuple(method.value for method in match.method)))
    if match.source is not None:
        found.append(SourceMatch(tuple(sorted(match.source.labels.items())), match.source.namespace or ""))
    when: tuple[Alternative, ...] = (tuple(found),)
    if match.device:
        when = both(when, [(HeaderMatch("user-agent", Way.REGEX, _DEVICES[one]),) for one in match.device])
    for one in match.all:
        when = both(when, from_spec(one))
    if match.any:
        when = both(when, [alternative for one in match.any for alternative in from_spec(one)])
    return when


def _ways(match: StringMatch) -> Iterator[tuple[Way, str]]:
    if match.range is not None:
        yield Way.REGEX, range_regex(match.range.from_, match.range.to)
    for way in Way:
        value = getattr(match, way.value)
        if value is not None:
            yield way, value
