"""Flagger and Argo Rollouts: what their numbers mean, what they can't do, and who owns the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.istio import http_routes
from abkit.routing.lint.objects import ARGO, FLAGGER, GATEWAY, ISTIO, SMI, Manifests, Object, fqdn, report
from abkit.routing.lint.value import Value

__all__ = ["check"]

_HEADER_ROUTERS: Final = ("istio", "alb", "apisix")


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about Flagger's Canaries and Argo's Rollouts."""
    for canary in manifests.of("Canary", FLAGGER):
        if (analysis := canary.spec.get("analysis")) is not None:
            yield from _steps(canary, analysis)
            yield from _by_request(canary, analysis)
        yield from _flagger_owns(manifests, canary)
    for rollout in manifests.of("Rollout", ARGO):
        yield from _rollout(rollout)
        yield from _argo_owns(manifests, rollout)


def _number(value: Value, *names: str) -> float | None:
    found = value.get(*names)
    return None if found is None else found.number


def _steps(one: Object, analysis: Value) -> Iterator[Finding]:
    step, most, iterations = (_number(analysis, name) for name in ("stepWeight", "maxWeight", "iterations"))
    steps = analysis.items("stepWeights")
    threshold, at = _number(analysis, "threshold"), analysis.get("threshold") or analysis
    for name in ("stepWeight", "maxWeight", "mirrorWeight"):
        value, number = analysis.get(name), _number(analysis, name)
        if value is not None and number is not None and not 0 <= number <= 100:
            yield report(one, value, "weight", f"{name} is {number:g}: it is a percentage", "0 to 100")
    for value in steps:
        if value.number is not None and not 0 <= value.number <= 100:
            yield report(one, value, "weight", f"a step is {value.number:g}: it is a percentage", "0 to 100")
    if step and most and step > most:
        why = f"stepWeight {step:g} is more than maxWeight {most:g}: there is one step at most"
        place = analysis.get("stepWeight") or analysis
        yield report(one, place, "weight", why, "a stepWeight below maxWeight", Severity.WARNING)
    if not step and not steps and not iterations:
        why = "has neither stepWeight, stepWeights nor iterations: nothing is moved to the canary"
        yield report(one, analysis, "no-steps", why, "stepWeight: 5 with maxWeight: 50, or iterations: 10")
    checks = iterations or len(steps) or (math.ceil(most / step) if step and step > 0 and most else None)
    if threshold is not None and threshold <= 0:
        why = f"threshold {threshold:g} is the number of failed checks before the rollback"
        yield report(one, at, "threshold", why, "threshold: 1 for a rollback at the first failure", Severity.WARNING)
    elif threshold is not None and checks is not None and threshold > checks:
        why = (
            f"threshold {threshold:g} is the number of failed checks before the rollback, not of successes before the "
            f"next step: with more of them than the {checks:g} checks of a good run, a bad canary outlives a good one"
        )
        yield report(one, at, "threshold", why, f"threshold: {max(int(checks) // 2, 1)}", Severity.WARNING)


def _by_request(one: Object, analysis: Value) -> Iterator[Finding]:
    match, weights = analysis.get("match"), analysis.get("stepWeight") or analysis.get("stepWeights")
    if match is not None and weights is not None:
        why = "Flagger's A/B goes by header or cookie, all or nothing: the percentage beside match is not one of users"
        correct = "match with iterations, or stepWeight without match; a share of users needs abkit's bucket header"
        yield report(one, weights, "flagger-ab-percent", why, correct, Severity.WARNING)
    if (affinity := analysis.get("sessionAffinity")) is not None and weights is not None:
        why = "sessionAffinity keeps in the canary whoever came there once: its share drifts above the weight"
        correct = "plan the steps by what the canary can carry, or hash users at the edge"
        yield report(one, affinity, "flagger-affinity", why, correct, Severity.WARNING)


def _flagger_owns(manifests: Manifests, canary: Object) -> Iterator[Finding]:
    service = canary.spec.word("service", "name") or canary.spec.word("targetRef", "name")
    if not service:
        return
    names = [service, *canary.spec.texts("service", "hosts")]
    owned = dict.fromkeys(fqdn(name, canary.namespace) for name in names)
    writes = f"Flagger writes a VirtualService {service} for this host itself"
    told = set()
    for host in owned:
        for one, value in manifests.by_host.get(host, ()):
            if id(one) not in told:
                told.add(id(one))
                yield _two_owners(one, value, canary, writes)
    for one in manifests.of("VirtualService", ISTIO):
        if one.name == service and one.namespace == canary.namespace and id(one) not in told:
            yield _two_owners(one, one.root, canary, writes)
    for one in manifests.of("HTTPRoute", GATEWAY):
        if one.name == service and one.namespace == canary.namespace:
            yield _two_owners(one, one.root, canary, f"Flagger writes the HTTPRoute {service} itself")
    for one in manifests.of("TrafficSplit", SMI):
        if one.spec.word("service") == service and one.namespace == canary.namespace:
            yield _two_owners(one, one.root, canary, f"Flagger writes the TrafficSplit of {service} itself")
    for rollout in manifests.of("Rollout", ARGO):
        if rollout.name == canary.spec.word("targetRef", "name") and rollout.namespace == canary.namespace:
            yield _two_owners(rollout, rollout.root, canary, "Flagger and Argo Rollouts both move its traffic")


def _two_owners(one: Object, at: Value, canary: Object, what: str) -> Finding:
    why = f"two owners of one host's weights: {what} ({canary}, {canary.place}); they overwrite each other"
    correct = "leave the weights to one: delete this object, or the Canary"
    return report(one, at, "two-owners", why, correct)


def _argo_services(rollout: Object) -> Iterator[tuple[Value, str]]:
    istio = rollout.spec.get("strategy", "canary", "trafficRouting", "istio")
    if istio is None:
        return
    single = istio.get("virtualService")
    for value in (*([single] if single is not None else []), *istio.items("virtualServices")):
        if value.word("name"):
            yield value, value.word("name")


def _argo_owns(manifests: Manifests, rollout: Object) -> Iterator[Finding]:
    for named, name in _argo_services(rollout):
        short, _, space = name.partition(".")
        routes = set(named.texts("routes"))
        for one in manifests.of("VirtualService", ISTIO):
            if (one.name, one.namespace) != (short, space or rollout.namespace):
                continue
            known = {route.word("name") for route in http_routes(one)}
            for value in named.items("routes"):
                if known and value.text and value.text not in known:
                    why = f"{one} ({one.place}) has no route {value.text}: the rollout stops with an error"
                    yield report(
                        rollout, value, "route-undefined", why, f"one of its routes: {', '.join(sorted(known))}"
                    )
            for route in http_routes(one):
                if routes and route.word("name") not in routes:
                    continue
                weights = [_number(target, "weight") or 0.0 for target in route.items("route")]
                live = [weight for weight in weights if weight > 0]
                at = route.get("route") or route
                if len(live) > 1:
                    why = (
                        f"two owners of the weights: Argo Rollouts writes them ({rollout}, {rollout.place}), and each "
                        "apply from git writes these back"
                    )
                    correct = "weights 100 and 0 here, and the field ignored by the GitOps tool (ignoreDifferences)"
                    yield report(one, at, "two-owners", why, correct)


def _rollout(rollout: Object) -> Iterator[Finding]:
    canary = rollout.spec.get("strategy", "canary")
    if canary is None:
        return
    routing = canary.get("trafficRouting")
    routers = [] if routing is None else [name for name, _ in routing.fields() if name not in {"managedRoutes"}]
    managed = {item.word("name") for item in canary.items("trafficRouting", "managedRoutes")}
    most = _number(canary, "trafficRouting", "maxTrafficWeight") or 100
    for step in canary.items("steps"):
        weight = step.get("setWeight")
        if weight is not None and weight.number is not None and not 0 <= weight.number <= most:
            yield report(rollout, weight, "weight", f"setWeight is {weight.number:g}", f"0 to {most:g}")
        for name in ("setHeaderRoute", "setMirrorRoute"):
            route = step.get(name)
            if route is None:
                continue
            able = _HEADER_ROUTERS if name == "setHeaderRoute" else ("istio",)
            if not set(able) & set(routers) and "plugins" not in routers:
                with_what = ", ".join(routers) or "no trafficRouting"
                why = f"{name} doesn't work with {with_what}"
                yield report(rollout, route, "argo-header-route", why, f"trafficRouting with {' or '.join(able)}")
            if route.word("name") and route.word("name") not in managed:
                why = f"the route {route.word('name')} is not among managedRoutes: the rollout is refused"
                correct = f"trafficRouting: {{managedRoutes: [{{name: {route.word('name')}}}]}}"
                yield report(rollout, route, "argo-managed-route", why, correct)
