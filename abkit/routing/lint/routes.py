"""Routes: which are never reached, whom none takes, what they are called, which headers they read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.hosts import gateways
from abkit.routing.lint.istio import http_routes
from abkit.routing.lint.objects import FLAGGER, ISTIO, Manifests, Object, report
from abkit.routing.lint.value import Value

__all__ = ["check"]

# Istio ignores these among the headers: they have fields of their own.
_NO_HEADERS: Final = frozenset({"uri", "scheme", "method", "authority"})
_MAX_EARLIER: Final = 200


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about routes and their order."""
    for service in manifests.of("VirtualService", ISTIO):
        routes = http_routes(service)
        yield from _names(service, routes)
        yield from _order(service, routes)
        yield from _rest(service, routes)
        for route in routes:
            yield from _headers(service, route)
            yield from _deprecated(service, route)
    for canary in manifests.of("Canary", FLAGGER):
        for path in (("analysis",), ("service",)):
            if (holder := canary.spec.get(*path)) is not None:
                yield from _headers(canary, holder)


def _names(one: Object, routes: list[Value]) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for route in routes:
        name = route.get("name")
        if name is not None and seen.setdefault(name.node.raw, name.line) != name.line:
            why = f"the route in line {seen[name.node.raw]} is called {name.node.raw} too: logs can't tell them apart"
            yield report(one, name, "route-name-twice", why, "a name a route", Severity.WARNING)


def _conditions(match: Value) -> frozenset[object]:
    """What a match asks for; what every request has is left out."""
    found: set[object] = set()
    for name, value in match.fields():
        if name in {"name", "statPrefix", "ignoreUriCase"} or value.is_null:
            continue
        if name == "uri" and (value.word("prefix") == "/" or value.word("regex") in {".*", "/.*", "^.*$"}):
            continue
        if name == "uri":
            folded = match.get("ignoreUriCase")
            found.add((name, value.same(), folded is not None and folded.node.data is True))
        elif value.is_mapping and name in {"headers", "withoutHeaders", "queryParams", "sourceLabels"}:
            found |= {(name, key, item.same()) for key, item in value.fields()}
        elif value.is_list:
            found.add((name, frozenset(item.same() for item in value.items())))
        else:
            found.add((name, value.same()))
    return frozenset(found)


def _alternatives(route: Value) -> list[tuple[Value, frozenset[object]]]:
    return [(match, _conditions(match)) for match in route.items("match")] or [(route, frozenset())]


def _order(one: Object, routes: list[Value]) -> Iterator[Finding]:
    earlier: list[tuple[Value, frozenset[object]]] = []
    for route in routes:
        for match, conditions in _alternatives(route):
            hiding = next((there for there, asked in earlier if asked <= conditions), None)
            if hiding is not None:
                why = f"is never reached: the route in line {hiding.line} takes all of its requests before"
                correct = "put what asks for more first, and the route without a match last"
                yield report(one, match, "unreachable-route", why, correct)
        earlier += _alternatives(route)[: max(_MAX_EARLIER - len(earlier), 0)]


def _rest(one: Object, routes: list[Value]) -> Iterator[Finding]:
    if not routes:
        return
    alternatives = [pair for route in routes for pair in _alternatives(route)]
    if any(not conditions for _, conditions in alternatives):
        return
    last = routes[-1]
    why = "every route has a match: requests that none of them takes get 404"
    correct = "a last route without a match, which names the default destination"
    matches = [match for match, _ in _alternatives(last)]
    if any(match.get(name) is not None for match in matches for name in ("port", "gateways")):
        return  # chosen by where requests come in: the others may well come in nowhere
    if not all(match.get("uri") is not None for match in matches):
        yield report(one, last, "no-default-route", why, correct)
    elif "mesh" in gateways(one) and one.spec.items("hosts"):
        yield report(one, last, "no-default-route", why, correct, Severity.WARNING)


def _headers(one: Object, route: Value) -> Iterator[Finding]:
    for match in route.items("match"):
        for named in (match.get("headers"), match.get("withoutHeaders")):
            for key, value in () if named is None else named.fields():
                yield from _header(one, key, value)
                yield from _empty(one, value)
        for name in ("uri", "authority", "method", "scheme"):
            if (part := match.get(name)) is not None:
                yield from _empty(one, part)


def _header(one: Object, key: str, value: Value) -> Iterator[Finding]:
    if key.lower() in _NO_HEADERS:
        why = f"{key} among the headers is ignored: it is no header"
        yield report(one, value, "ignored-header", why, f"match: [{{{key.lower()}: …}}], beside headers")
    elif key != key.lower():
        why = f"{key} has upper case: Istio asks for header keys in lower case"
        yield report(one, value, "header-case", why, f"{key.lower()}:", Severity.WARNING)


def _empty(one: Object, value: Value) -> Iterator[Finding]:
    for way in ("prefix", "regex"):
        pattern = value.node.fields.get(way)
        if pattern is not None and pattern.data == "" and (at := value.get(way)) is not None:
            why = f"Envoy refuses an empty {way}, and with it the whole configuration"
            yield report(one, at, "empty-pattern", why, "regex: '.*' for any value, exact: '' for an empty one")


def _deprecated(one: Object, route: Value) -> Iterator[Finding]:
    for name in ("mirrorPercent", "mirror_percent"):
        if (value := route.get(name)) is not None:
            why = f"{name} is deprecated, and whole numbers only"
            correct = f"mirrorPercentage: {{value: {value.node.raw}}}"
            yield report(one, value, "deprecated-field", why, correct, Severity.WARNING)
    for kind in ("abort", "delay"):
        if (value := route.get("fault", kind, "percent")) is not None:
            why = "percent is deprecated, and whole numbers only"
            correct = f"percentage: {{value: {value.node.raw}}}"
            yield report(one, value, "deprecated-field", why, correct, Severity.WARNING)
