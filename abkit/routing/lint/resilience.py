"""Faults, retries, timeouts and outlier detection: what is never read, excludes each other, or does harm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import re2

from abkit.routing.lint.durations import seconds
from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.istio import http_routes, policies
from abkit.routing.lint.objects import FLAGGER, GATEWAY, ISTIO, LINKERD, Manifests, Object, report
from abkit.routing.lint.patterns import compiled
from abkit.routing.lint.value import Value

__all__ = ["check"]

_UNSAFE_METHODS: Final = ("POST", "PATCH")
# The request never reached the service, so that sending it again does no harm.
_SAFE_CONDITIONS: Final = frozenset(
    {"connect-failure", "refused-stream", "unavailable", "cancelled", "reset-before-request", "retriable-headers"}
)


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about faults, retries, timeouts and outlier detection."""
    for one in (*manifests.of("DestinationRule", ISTIO), *manifests.of("Canary", FLAGGER)):
        for policy in policies(one):
            yield from _outliers(one, policy)
    for service in manifests.of("VirtualService", ISTIO):
        for route in http_routes(service):
            yield from _fault(service, route)
            yield from _retries(service, route)
    for canary in manifests.of("Canary", FLAGGER):
        if (holder := canary.spec.get("service")) is not None:
            yield from _budget(canary, holder)
    for one in manifests.of("HTTPRoute", GATEWAY, LINKERD):
        for rule in one.spec.items("rules"):
            yield from _backend_timeout(one, rule)


def _outliers(one: Object, policy: Value) -> Iterator[Finding]:
    found = policy.get("outlierDetection", "consecutiveErrors")
    if found is None:
        return
    why = "consecutiveErrors is accepted and never read: the limit that holds is the default, 5 errors (5xx)"
    number = found.node.raw
    correct = f"consecutive5xxErrors: {number} (or consecutiveGatewayErrors: {number} for 502, 503, 504)"
    yield report(one, found, "never-read", why, correct)


def _off(value: Value) -> bool:
    """Whether retries or a timeout are there only to be off."""
    attempts = value.get("attempts")
    return (attempts is not None and attempts.number == 0) or seconds(value.text or "") == 0


def _fault(one: Object, route: Value) -> Iterator[Finding]:
    fault = route.get("fault")
    if fault is None:
        return
    beside = [name for name in ("timeout", "retries") if (value := route.get(name)) is not None and not _off(value)]
    if beside:
        lines = ", ".join(f"{name} in line {value.line}" for name in beside if (value := route.get(name)) is not None)
        why = (
            f"fault together with {' and '.join(beside)} on one route ({lines}): Istio doesn't support it, and retries "
        )
        why += "don't help (half of the requests aborted, 3 retries: 48.7 % still failed)"
        correct = f"take {' and '.join(beside)} off this route while the fault is injected"
        yield report(one, fault, "fault-with-retries", why, correct)
    abort = fault.get("abort")
    share = None if abort is None else abort.get("percentage", "value") or abort.get("percent")
    everyone = not route.items("match")
    if abort is not None and share is not None and share.number is not None and share.number >= 100 and everyone:
        why = "aborts every request of a route that takes all: that is an outage, not a fallback"
        correct = "directResponse with a static answer, or a subset to fail over to; a match for a drill"
        if not one.intact:
            yield report(one, abort, "abort-as-fallback", why, correct, Severity.WARNING)


def _unsafe_methods(route: Value) -> bool:
    """Whether requests that must not be sent twice can take the route."""
    alternatives = route.items("match")
    return not alternatives or any(_takes_unsafe(match) for match in alternatives)


def _takes_unsafe(match: Value) -> bool:
    method = match.get("method")
    if method is None:
        return True
    exact, prefix, pattern = method.word("exact"), method.word("prefix"), method.word("regex")
    if pattern:
        expression = compiled(pattern)
        return not isinstance(expression, str) and any(re2.fullmatch(expression, name) for name in _UNSAFE_METHODS)
    return any(name == exact if exact else name.startswith(prefix) for name in _UNSAFE_METHODS)


def _retries(one: Object, route: Value) -> Iterator[Finding]:
    yield from _budget(one, route)
    retries = route.get("retries")
    if retries is None or _off(retries) or one.intact:
        return
    conditions = {word.strip() for word in re.split(r"[,\s]+", retries.word("retryOn")) if word.strip()}
    harmful = sorted(conditions - _SAFE_CONDITIONS)
    if harmful and _unsafe_methods(route):
        at = retries.get("retryOn") or retries
        why = f"retries on {', '.join(harmful)} for every method: a POST that failed late is carried out twice"
        correct = "a route of its own with match: [{method: {regex: GET|HEAD|OPTIONS}}], or retryOn: connect-failure,"
        yield report(one, at, "retry-not-idempotent", why, correct + "refused-stream", Severity.WARNING)


def _budget(one: Object, route: Value) -> Iterator[Finding]:
    retries = route.get("retries")
    total, each = seconds(route.word("timeout")), seconds(route.word("retries", "perTryTimeout"))
    attempts = None if retries is None else retries.get("attempts")
    if retries is None or not total or not each or attempts is None or not attempts.number or attempts.number < 0:
        return
    tries = attempts.number + 1
    if each * tries <= total * (1 + 1e-9):
        return
    at = retries.get("perTryTimeout") or retries
    fit = int(total / each + 1e-9)
    why = (
        f"{tries:g} tries of {route.word('retries', 'perTryTimeout')} need {each * tries:g} s, the timeout is "
        f"{route.word('timeout')}: {fit or 'none'} of them {'fits' if fit == 1 else 'fit'}"
    )
    correct = (
        f"timeout: {each * tries:g}s, or perTryTimeout: {1000 * total / tries:.0f}ms (attempts counts retries only)"
    )
    severity = Severity.WARNING if each * attempts.number > total * (1 + 1e-9) else Severity.NOTE
    yield report(one, at, "retry-budget", why, correct, severity)


def _backend_timeout(one: Object, rule: Value) -> Iterator[Finding]:
    whole, each = seconds(rule.word("timeouts", "request")), seconds(rule.word("timeouts", "backendRequest"))
    at = rule.get("timeouts", "backendRequest")
    if at is not None and whole and each and each > whole:
        why = f"backendRequest {rule.word('timeouts', 'backendRequest')} is longer than request "
        why += f"{rule.word('timeouts', 'request')}: the API server refuses it"
        yield report(one, at, "retry-budget", why, "backendRequest of at most request")
