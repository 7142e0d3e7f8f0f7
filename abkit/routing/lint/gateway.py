"""HTTPRoutes of Gateway API and Linkerd, and SMI: what the mesh can't do, or no longer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from abkit.routing.lint.durations import DIALECTS
from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.objects import GATEWAY, LINKERD, SMI, Manifests, Object, report
from abkit.routing.lint.value import Value

__all__ = ["check"]

_DURATIONS: Final = (
    "retry.linkerd.io/timeout",
    "timeout.linkerd.io/request",
    "timeout.linkerd.io/response",
    "timeout.linkerd.io/idle",
    "balancer.linkerd.io/failure-accrual-consecutive-min-penalty",
    "balancer.linkerd.io/failure-accrual-consecutive-max-penalty",
)


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about HTTPRoutes and TrafficSplits."""
    for route in manifests.of("HTTPRoute", GATEWAY, LINKERD):
        yield from _filters(route)
        yield from _patterns(route)
    yield from _rest(manifests)
    for split in manifests.of("TrafficSplit", SMI):
        if not split.intact:
            why = "SMI is archived, and Linkerd reads it only with its deprecated extension linkerd-smi"
            yield report(split, split.root, "smi", why, "an HTTPRoute with weighted backendRefs", Severity.WARNING)
        yield from _apex(split)
    for one in (*manifests.of("Service", ""), *manifests.of("HTTPRoute", GATEWAY, LINKERD)):
        yield from _annotations(one)


def _linkerd(route: Object) -> bool:
    annotations = route.root.get("metadata", "annotations")
    named = [] if annotations is None else [name for name, _ in annotations.fields()]
    return route.group == LINKERD or any(".linkerd.io/" in name for name in named)


def _filters(route: Object) -> Iterator[Finding]:
    if not _linkerd(route):
        return
    for rule in route.spec.items("rules"):
        holders = [rule, *rule.items("backendRefs")]
        for one in (item for holder in holders for item in holder.items("filters")):
            kind, at = one.word("type"), one.get("type") or one
            if kind == "RequestMirror":
                why = "Linkerd can't mirror requests: it refuses the route, or ignores the filter"
                yield report(route, at, "linkerd-filter", why, "a mesh that can: Istio, Envoy, Gateway API elsewhere")
            elif kind in {"URLRewrite", "ExtensionRef", "CORS"} or "fault" in kind.lower():
                why = f"Linkerd doesn't know the filter {kind}; it has no fault injection either"
                yield report(route, at, "linkerd-filter", why, "a mesh that can: Istio, Envoy")


def _patterns(route: Object) -> Iterator[Finding]:
    for rule in route.spec.items("rules"):
        for match in rule.items("matches"):
            parts = [
                *match.items("headers"),
                *match.items("queryParams"),
                *([match.get("path")] if match.get("path") else []),
            ]
            for part in parts:
                if part is not None and part.word("type") == "RegularExpression" and not _linkerd(route):
                    at = part.get("type") or part
                    why = "regular expressions are left to each implementation: its syntax, or none at all"
                    correct = "type: Exact on a header that the edge sets, which every implementation takes"
                    yield report(route, at, "regex-not-portable", why, correct, Severity.NOTE)


def _catches_all(rule: Value) -> bool:
    matches = rule.items("matches")
    return not matches or any(_takes_all(match) for match in matches)


def _takes_all(match: Value) -> bool:
    path = match.get("path")
    slash = path is None or (path.word("type") in {"", "PathPrefix"} and path.word("value") in {"", "/"})
    return slash and not match.items("headers") and not match.items("queryParams") and match.get("method") is None


def _rest(manifests: Manifests) -> Iterator[Finding]:
    """Requests that no rule takes, over all routes of one parent: they get 404."""
    routes: defaultdict[tuple[object, ...], list[Object]] = defaultdict(list)
    for route in manifests.of("HTTPRoute", GATEWAY, LINKERD):
        names = frozenset(route.spec.texts("hostnames"))
        for parent in route.spec.items("parentRefs"):
            space = parent.word("namespace") or route.namespace
            routes[parent.word("kind"), parent.word("name"), space, names].append(route)
    for group in routes.values():
        rules = [rule for route in group for rule in route.spec.items("rules")]
        if not rules or any(map(_catches_all, rules)):
            continue
        last = group[-1].spec.items("rules")
        if last and any(match.get("path") is None for match in last[-1].items("matches")):
            why = "every rule has a match: requests that none of them takes get 404"
            correct = "a rule without matches, with the default backend"
            yield report(group[-1], last[-1], "no-default-route", why, correct, Severity.WARNING)


def _apex(split: Object) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for backend in split.spec.items("backends"):
        name = backend.word("service")
        if name and seen.setdefault(name, backend.line) != backend.line:
            why = f"{name} is a backend in line {seen[name]} already"
            yield report(split, backend, "backend-twice", why, "one backend a service")


def _annotations(one: Object) -> Iterator[Finding]:
    annotations = one.root.get("metadata", "annotations")
    if annotations is None:
        return
    dialect = DIALECTS["linkerd"]
    for name, value in annotations.fields():
        if name in _DURATIONS and value.text is not None and (defect := dialect.defect(value.text)):
            yield report(one, value, "duration", defect, f"such as {dialect.example}")
        elif name == "retry.linkerd.io/http" and value.text is not None:
            words = [word.strip() for word in value.text.split(",")]
            if bad := [word for word in words if not _condition(word)]:
                why = f"'{bad[0][:50]}' is no condition that Linkerd retries on"
                yield report(one, value, "wrong-value", why, "5xx, gateway-error, or codes such as 500,503-504")


def _condition(word: str) -> bool:
    codes = word.split("-")
    return word in {"5xx", "gateway-error"} or (len(codes) <= 2 and all(len(c) == 3 and c.isdecimal() for c in codes))
