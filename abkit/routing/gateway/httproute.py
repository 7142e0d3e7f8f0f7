"""Routes of a plan → rules of an HTTPRoute, as Gateway API and Linkerd both have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2

from abkit.routing.base import go_duration, unable
from abkit.routing.conditions import ALWAYS, BucketMatch, HeaderMatch, PathMatch, QueryMatch, Way, both
from abkit.routing.effects import Effects
from abkit.routing.gateway.specificity import CannotBe, Specific, in_order, path_pattern, specific
from abkit.routing.plan import Plan, Reply, Route, Split, Target
from abkit.routing.services import service_of

__all__ = ["Dialect", "Rule", "rules_of", "written"]

_MOST_MATCHES: Final = 64
_MOST_RULES: Final = 16


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one implementation takes.

    Attributes:
        mesh: The mesh's name.
        matches: Most matches of a rule.
        mirrors: Whether it mirrors.
    """

    mesh: str
    matches: int
    mirrors: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, before it is written.

    Attributes:
        name: Of the route that it is from.
        matches: Most specific first is not needed: see `in_order`.
        chances: Targets and their weight.
        effects: What is done beside.
    """

    name: str
    matches: tuple[Specific, ...]
    chances: tuple[tuple[Target, int], ...]
    effects: Effects


def rules_of(plan: Plan, dialect: Dialect) -> list[Rule]:
    """Rules that mean what the routes say, in their order, whichever match is the most specific.

    Raises:
        RoutingError: It can't be said in this dialect.
    """
    drafts = [draft for route in plan.routes for draft in _drafts(plan, route, dialect)]
    try:
        ordered = in_order([draft.matches for draft in drafts], _MOST_MATCHES)
    except CannotBe as why:
        raise unable(plan, dialect.mesh, f"{why}, where the most specific match wins", ["istio", "envoy"]) from None
    return [
        Rule(draft.name, tuple(matches), draft.chances, draft.effects)
        for draft, matches in zip(drafts, ordered, strict=True)
    ]


def _drafts(plan: Plan, route: Route, dialect: Dialect) -> Iterable[Rule]:
    then = route.then
    if isinstance(then, Reply):
        raise unable(plan, dialect.mesh, f"answer by itself ({route.name})", ["istio", "envoy"])
    if route.effects.trial is not None:
        raise unable(plan, dialect.mesh, f"inject faults ({route.name})", ["istio", "envoy"])
    if route.effects.copies is not None and not dialect.mirrors:
        raise unable(plan, dialect.mesh, "mirror", ["istio", "envoy", "gateway-api"])
    if isinstance(then, Split):
        for share in then.shares:
            when = both(route.when, ((BucketMatch(then.layer, share.first, share.last),),))
            yield _draft(
                plan, f"{route.name}-{share.target.variant}", when, ((share.target, 1),), route.effects, dialect
            )
    else:
        chances = ((then, 1),) if isinstance(then, Target) else then.chances
        yield _draft(plan, route.name, route.when, chances, route.effects, dialect)


def _draft(
    plan: Plan,
    name: str,
    when: Any,
    chances: tuple[tuple[Target, int], ...],
    effects: Effects,
    dialect: Dialect,
) -> Rule:
    try:
        matches = tuple(match for alternative in when for match in specific(alternative))
    except CannotBe as why:
        raise unable(plan, dialect.mesh, f"{why} ({name})", ["istio"]) from None
    return Rule(name, (Specific(),) if when == ALWAYS else matches, chances, effects)


def written(plan: Plan, rules: Sequence[Rule], dialect: Dialect, *, timeouts: bool) -> list[dict[str, Any]]:
    """The rules as they stand in the object.

    Args:
        plan: The plan.
        rules: Its rules.
        dialect: What is taken.
        timeouts: Whether they stand in the rules.

    Raises:
        RoutingError: There are more than an HTTPRoute takes.
    """
    found: list[dict[str, Any]] = []
    for rule in rules:
        for start in range(0, len(rule.matches), dialect.matches):
            matches = [_match(plan, match, dialect) for match in rule.matches[start : start + dialect.matches]]
            found.append(_rule(plan, rule, matches, timeouts=timeouts))
    if len(found) > _MOST_RULES:
        what = f"have more than {_MOST_RULES} rules in a route ({len(found)} are needed)"
        raise unable(plan, dialect.mesh, what, ["istio", "envoy"])
    return found


def _rule(plan: Plan, rule: Rule, matches: list[dict[str, Any]], *, timeouts: bool) -> dict[str, Any]:
    filters: list[dict[str, Any]] = []
    backends: list[dict[str, Any]] = []
    if len(rule.chances) == 1:
        filters.append(_marks(rule.chances[0][0]))
    for target, weight in rule.chances:
        backend: dict[str, Any] = {"name": service_of(plan, target.version), "port": plan.port}
        if len(rule.chances) > 1:
            backend |= {"weight": weight, "filters": [_marks(target)]}
        backends.append(backend)
    copies = rule.effects.copies
    if copies is not None and copies.version not in {target.version for target, _ in rule.chances}:
        # In hundredths of a percent: `percent` alone takes whole numbers.
        share = {"numerator": round(copies.share * 100), "denominator": 10_000}
        to = {"name": service_of(plan, copies.version), "port": plan.port}
        filters.append({"type": "RequestMirror", "requestMirror": {"backendRef": to, "fraction": share}})
    any_request = matches == [{}]
    limit = rule.effects.timeout
    return {
        **({} if any_request else {"matches": matches}),
        **({"filters": filters} if filters else {}),
        "backendRefs": backends,
        **({"timeouts": {"request": go_duration(limit)}} if timeouts and limit is not None else {}),
    }


def _marks(target: Target) -> dict[str, Any]:
    marks = [{"name": name, "value": value} for name, value in target.headers.items()]
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": marks}}


def _match(plan: Plan, match: Specific, dialect: Dialect) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if match.path is not None:
        found["path"] = _path(match.path)
    if match.headers:
        headers = [one.as_header() if isinstance(one, BucketMatch) else one for one in match.headers]
        found["headers"] = [{"name": one.header, **_compared(plan, one, dialect)} for one in headers]
    if match.query:
        found["queryParams"] = [{"name": one.name, **_compared(plan, one, dialect)} for one in match.query]
    if match.method:
        found["method"] = match.method
    return found


def _path(path: PathMatch) -> dict[str, Any]:
    if path.way is Way.EXACT:
        return {"type": "Exact", "value": path.value}
    return {"type": "RegularExpression", "value": _whole(path_pattern(path))}


def _compared(plan: Plan, one: HeaderMatch | QueryMatch, dialect: Dialect) -> dict[str, str]:
    name = one.header if isinstance(one, HeaderMatch) else one.name
    if not one.value:
        raise unable(plan, dialect.mesh, f"compare {name} with an empty value", ["istio", "envoy"])
    if one.way is Way.EXACT:
        return {"type": "Exact", "value": one.value}
    return {
        "type": "RegularExpression",
        "value": _whole(f"{re2.escape(one.value)}.*" if one.way is Way.PREFIX else one.value),
    }


def _whole(pattern: str) -> str:
    """The expression with anchors: whether it must match in full without them is each implementation's own.

    Linkerd looks for the first alternative that fits, and only then whether that was the whole value: of `1|12` it
    would find 1 in 12, and refuse it.
    """
    return f"^(?:{pattern})$"
