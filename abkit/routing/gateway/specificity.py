"""Ordered rules → matches that mean the same where the most specific match wins.

Gateway API does not read rules from the top: of all matches that fit a request, the one with the most specific path
wins, then the one with a method, then the one with most headers, then with most query parameters, and only then the
earlier one (HTTPRouteRule, "matches"). A rule that would lose to a later one gets a further match, of both conditions
together: that is at least as specific as the later one's, and comes earlier.

How regular expressions stand among paths is each implementation's own: Istio goes by the expression's length, Linkerd
takes all paths that fit by one to be equally specific. What is written means the same either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import re2

from abkit.routing.conditions import Alternative, BucketMatch, HeaderMatch, MethodMatch, PathMatch, QueryMatch, Way

__all__ = ["CannotBe", "Specific", "in_order", "path_pattern", "specific"]


_Compared = TypeVar("_Compared", HeaderMatch, QueryMatch, PathMatch)


class CannotBe(Exception):
    """Why a condition or an order can't be written as matches; follows "can't"."""


@dataclass(frozen=True, slots=True)
class Specific:
    """One match of an HTTPRoute.

    Attributes:
        path: How the path is compared; None for any.
        method: The method; empty for any.
        headers: Header → how it is compared.
        query: Parameter → how it is compared.
    """

    path: PathMatch | None = None
    method: str = ""
    headers: tuple[HeaderMatch | BucketMatch, ...] = field(default=())
    query: tuple[QueryMatch, ...] = field(default=())

    @property
    def rest(self) -> tuple[int, int, int]:
        """What decides where paths are equally specific: the greater wins."""
        return int(bool(self.method)), len(self.headers), len(self.query)

    def goes_before(self, other: Specific) -> bool:
        """Whether it takes the requests that fit both, if it is the earlier one; in doubt not."""
        if self.path == other.path:
            return self.rest >= other.rest
        if self.path is None:
            return False
        if other.path is None:
            # To Linkerd every condition on the path `/` is as specific as none.
            return not _fits(self.path, "/") or self.rest >= other.rest
        return _path_rank(self.path) >= _path_rank(other.path) and self.rest >= other.rest


def path_pattern(path: PathMatch) -> str:
    r"""The expression for a path: Gateway API's own prefixes go by whole segments, /cart would not take /cartwheel.

    >>> print(path_pattern(PathMatch(Way.PREFIX, "/cart")))
    \/cart.*
    """
    return f"{re2.escape(path.value)}.*" if path.way is Way.PREFIX else path.value


def _path_rank(path: PathMatch) -> tuple[bool, int]:
    return path.way is Way.EXACT, len(path_pattern(path))


def specific(alternative: Alternative) -> list[Specific]:
    """An alternative as matches: one a method.

    Raises:
        CannotBe: It asks for the caller, or twice for the same part in ways that can't be one.
    """
    found = Specific()
    methods: Sequence[str] = ("",)
    for condition in alternative:
        if isinstance(condition, MethodMatch):
            methods = condition.methods
        elif isinstance(condition, (HeaderMatch, BucketMatch)):
            found = _joined(found, Specific(headers=(condition,)))
        elif isinstance(condition, QueryMatch):
            found = _joined(found, Specific(query=(condition,)))
        elif condition == PathMatch(Way.PREFIX, "/"):
            continue
        elif isinstance(condition, PathMatch):
            found = _joined(found, Specific(path=condition))
        else:
            msg = "ask who calls"
            raise CannotBe(msg)
    return [replace(found, method=method) for method in methods]


def in_order(rules: Sequence[Sequence[Specific]], most: int) -> list[list[Specific]]:
    """Matches of the rules, such that the first rule that fits wins.

    Args:
        rules: The rules' matches; one without any condition stands for every request.
        most: Matches that a rule may have.

    Raises:
        CannotBe: A rule needs more, or two conditions can't be one match.
    """
    written: list[list[Specific]] = []
    for rule in reversed(rules):
        own = list(dict.fromkeys(rule))
        later = [match for other in written for match in other]
        pending = list(own)
        while pending:
            match = pending.pop()
            for other in later:
                if match.goes_before(other) or _apart(match, other):
                    continue
                both = _joined(match, other)
                if any(one.goes_before(other) and _implied(one, both) for one in own):
                    continue
                own.append(both)
                pending.append(both)
                if len(own) > most:
                    msg = f"keep the order of the rules with {most} matches a rule"
                    raise CannotBe(msg)
        written.insert(0, own)
    return written


def _joined(one: Specific, other: Specific) -> Specific:
    """Both conditions in one match."""
    headers = {match.header: match for match in one.headers}
    for match in other.headers:
        headers[match.header] = _one_header(headers[match.header], match) if match.header in headers else match
    query = {match.name: match for match in one.query}
    for asked in other.query:
        query[asked.name] = _one_of(query[asked.name], asked) if asked.name in query else asked
    path = one.path or other.path
    if one.path is not None and other.path is not None:
        path = _one_of(one.path, other.path)
    return Specific(path, one.method or other.method, tuple(headers.values()), tuple(query.values()))


def _one_header(one: HeaderMatch | BucketMatch, other: HeaderMatch | BucketMatch) -> HeaderMatch | BucketMatch:
    if isinstance(one, BucketMatch) and isinstance(other, BucketMatch):
        # Ranges that have nothing in common were told apart before.
        return BucketMatch(one.layer, max(one.first, other.first), min(one.last, other.last))
    return _one_of(_as_header(one), _as_header(other))


def _as_header(condition: HeaderMatch | BucketMatch) -> HeaderMatch:
    return condition.as_header() if isinstance(condition, BucketMatch) else condition


def _one_of(one: _Compared, other: _Compared) -> _Compared:
    """The one of two conditions on the same part that says both."""
    for narrow, wide in ((one, other), (other, one)):
        if narrow == wide or (narrow.way is Way.EXACT and _fits(wide, narrow.value)):
            return narrow
        if narrow.way is Way.PREFIX and wide.way is Way.PREFIX and narrow.value.startswith(wide.value):
            return narrow
    raise CannotBe(f"ask twice for {_part(one)}")


def _part(condition: HeaderMatch | QueryMatch | PathMatch) -> str:
    if isinstance(condition, PathMatch):
        return "the path"
    return condition.header if isinstance(condition, HeaderMatch) else condition.name


def _fits(condition: HeaderMatch | QueryMatch | PathMatch, value: str) -> bool:
    if condition.way is Way.EXACT:
        return value == condition.value
    if condition.way is Way.PREFIX:
        return value.startswith(condition.value)
    return re2.fullmatch(condition.value, value) is not None


def _apart(one: Specific, other: Specific) -> bool:
    """Whether no request can fit both; in doubt it can."""
    if one.method and other.method and one.method != other.method:
        return True
    if one.path is not None and other.path is not None and _different(one.path, other.path):
        return True
    theirs = {match.header: match for match in other.headers}
    if any(match.header in theirs and _different_headers(match, theirs[match.header]) for match in one.headers):
        return True
    asked = {match.name: match for match in other.query}
    return any(match.name in asked and _different(match, asked[match.name]) for match in one.query)


def _different_headers(one: HeaderMatch | BucketMatch, other: HeaderMatch | BucketMatch) -> bool:
    if isinstance(one, BucketMatch) and isinstance(other, BucketMatch):
        return one.last < other.first or other.last < one.first
    return _different(_as_header(one), _as_header(other))


def _different(one: HeaderMatch | QueryMatch | PathMatch, other: HeaderMatch | QueryMatch | PathMatch) -> bool:
    for narrow, wide in ((one, other), (other, one)):
        if narrow.way is Way.EXACT:
            return not _fits(wide, narrow.value)
    if one.way is Way.PREFIX and other.way is Way.PREFIX:
        return not (one.value.startswith(other.value) or other.value.startswith(one.value))
    return False


def _implied(wide: Specific, narrow: Specific) -> bool:
    """Whether every request that fits the narrow match fits the wide one; in doubt not."""
    return (
        (wide.path is None or wide.path == narrow.path)
        and wide.method in {"", narrow.method}
        and _subset(wide.headers, narrow.headers)
        and _subset(wide.query, narrow.query)
    )


def _subset(few: Iterable[object], many: Iterable[object]) -> bool:
    return set(few) <= set(many)
