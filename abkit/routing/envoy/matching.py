"""Conditions → Envoy's route matches: one path, and headers and parameters of which all must fit."""

from __future__ import annotations

from typing import Any, Final

import re2

from abkit.routing.base import unable
from abkit.routing.conditions import Alternative, BucketMatch, MethodMatch, PathMatch, QueryMatch, SourceMatch, Way
from abkit.routing.plan import Plan, Route

__all__ = ["present", "route_match"]

_NOTHING: Final = "(?:)"
# Any bytes: what is no UTF-8 has a hash too.
_SOME: Final = r"\C+"


def route_match(plan: Plan, route: Route, alternative: Alternative) -> dict[str, Any]:
    """One of the alternatives of a route's condition.

    Raises:
        RoutingError: It asks for the caller, or for the path in more ways than Envoy can compare.
    """
    path: dict[str, Any] = {"prefix": "/"}
    headers: list[dict[str, Any]] = []
    parameters: list[dict[str, Any]] = []
    paths = [condition for condition in alternative if isinstance(condition, PathMatch)]
    # Regular expressions can be told only where the path is compared without the query.
    paths.sort(key=lambda condition: condition.way is not Way.REGEX)
    for condition in alternative:
        if isinstance(condition, BucketMatch):
            # RE2, though Envoy can compare numbers: its `range_match` takes '+12', '012' and ' 12' for 12.
            condition = condition.as_header()
        if isinstance(condition, PathMatch):
            if condition is paths[0]:
                path = _path(condition)
            else:
                headers.append(_second_path(plan, route, condition))
        elif isinstance(condition, MethodMatch):
            way = Way.EXACT if len(condition.methods) == 1 else Way.REGEX
            headers.append({"name": ":method", **_matcher(way, "|".join(condition.methods))})
        elif isinstance(condition, QueryMatch):
            parameters.append({"name": condition.name, **_matcher(condition.way, condition.value)})
        elif isinstance(condition, SourceMatch):
            what = f"match by the calling workload ({route.name})"
            raise unable(plan, "envoy", what, ["istio"], "match a header that the caller sends")
        else:
            headers.append({"name": condition.header, **_matcher(condition.way, condition.value)})
    return {
        **path,
        **({"headers": headers} if headers else {}),
        **({"query_parameters": parameters} if parameters else {}),
    }


def present(header: str) -> dict[str, Any]:
    """A header that is there and not empty."""
    return {"name": header, **_matcher(Way.REGEX, _SOME)}


def _path(condition: PathMatch) -> dict[str, Any]:
    match condition.way:
        case Way.EXACT:
            return {"path": condition.value}
        case Way.PREFIX:
            return {"prefix": condition.value}
        case Way.REGEX:
            return {"safe_regex": {"regex": condition.value or _NOTHING}}


def _second_path(plan: Plan, route: Route, condition: PathMatch) -> dict[str, Any]:
    """A further condition on the path, on the header that has the query behind it."""
    if condition.way is Way.REGEX:
        what = f"match the path by two regular expressions in one condition ({route.name})"
        raise unable(plan, "envoy", what, [], "make one expression of them")
    rest = "" if condition.way is Way.EXACT else r"[^?]*"
    return {"name": ":path", **_matcher(Way.REGEX, rf"{re2.escape(condition.value)}{rest}(?:\?.*)?")}


def _matcher(way: Way, value: str) -> dict[str, Any]:
    # Envoy refuses empty prefixes and expressions, and with them the whole configuration.
    if way is Way.PREFIX and not value:
        return {"present_match": True}
    if way is Way.REGEX:
        return {"string_match": {"safe_regex": {"regex": value or _NOTHING}}}
    return {"string_match": {way.value: value}}
