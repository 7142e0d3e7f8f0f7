"""Weights: what they sum to, what they mean, and what a split by weight alone does to users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.istio import policies, splits
from abkit.routing.lint.objects import GATEWAY, ISTIO, LINKERD, SMI, Manifests, Object, fqdn, report
from abkit.routing.lint.value import Value

__all__ = ["check", "kept", "marked_none", "random_split"]

_TOTALS: Final = (100.0, 1_000.0, 10_000.0)


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about weights."""
    for service in manifests.of("VirtualService", ISTIO):
        yield from _virtual_service(manifests, service)
    for route in manifests.of("HTTPRoute", GATEWAY, LINKERD):
        yield from _http_route(route)
    for split in manifests.of("TrafficSplit", SMI):
        yield from _traffic_split(split)


def kept(weights: Sequence[float]) -> float:
    """Share of users who get the same side again on a second request, where each request is drawn anew.

    >>> round(kept([90, 10]), 4)
    0.82
    """
    total = sum(weights)
    return sum((weight / total) ** 2 for weight in weights)


def random_split(one: Object, at: Value, weights: Sequence[float], correct: str) -> Iterator[Finding]:
    """The warning about a split that is drawn for each request, unless it is what a spec asked for."""
    live = [weight for weight in weights if weight > 0]
    if len(live) < 2 or one.intact:
        return
    shares = "/".join(f"{100 * weight / sum(live):.4g}" for weight in live)
    why = (
        f"each request is drawn anew: of the users of this {shares} split {100 * kept(live):.3g} % keep their side on "
        "a second request"
    )
    yield report(one, at, "random-split", why, correct, Severity.WARNING)


def marked_none(route: Value) -> bool:
    """Whether a route of Istio marks its requests as not assigned by user: then the split is meant to be random."""
    marks = route.get("headers", "request", "set")
    return marks is not None and any(
        name.startswith("x-ab-assignment") and item.text == "none" for name, item in marks.fields()
    )


def _sums(one: Object, at: Value, targets: Sequence[tuple[Value, str, float | None]], missing: float) -> list[Finding]:
    """What is wrong with the weights of one split: (place, name, weight) each."""
    found = []
    for value, name, weight in targets:
        if weight is not None and weight < 0:
            why = f"the weight of {name} is {weight:g}: below 0"
            found.append(report(one, value.get("weight") or value, "weight", why, "a weight of 0 or more"))
        elif weight is None and any(other is not None for _, _, other in targets):
            why = f"{name} has no weight beside others that have one: it counts as {missing:g}"
            correct = "a weight for each destination"
            found.append(report(one, value, "weight-missing", why, correct, Severity.WARNING))
    total = sum(missing if weight is None else weight for _, _, weight in targets)
    given = any(weight is not None for _, _, weight in targets)
    if not found and targets and given and total == 0:
        why = "the weights sum to 0: no destination gets anything, and requests fail"
        found.append(report(one, at, "weight", why, "weights that sum to 100"))
    return found


def _virtual_service(manifests: Manifests, one: Object) -> Iterator[Finding]:
    totals: dict[float, Value] = {}
    said = False
    for route in (*one.spec.items("http"), *one.spec.items("tcp"), *one.spec.items("tls")):
        if len(single := route.items("route")) == 1:
            yield from _single(one, single[0])
    for route, targets in splits(one):
        named = [(value, _destination(value), _weight(value)) for value in targets]
        defects = _sums(one, route.get("route") or route, named, missing=0)
        yield from defects
        weights = [weight or 0.0 for _, _, weight in named]
        total = sum(weights)
        if any(finding.severity is Severity.ERROR for finding in defects) or total <= 0:
            continue
        at = route.get("route") or route
        if total not in _TOTALS:
            shares = ", ".join(
                f"{name} {100 * w / total:.4g} %" for (_, name, _), w in zip(named, weights, strict=True)
            )
            why = f"the weights sum to {total:g}, and are relative: {shares}"
            yield report(one, at, "weight-total", why, "weights that sum to 100", Severity.WARNING)
        elif totals and total not in totals:
            other, there = next(iter(totals.items()))
            why = f"the weights sum to {total:g} here and to {other:g} in line {there.line}"
            correct = "one total for all routes: users who are hashed change sides where it differs"
            yield report(one, at, "weight-total", why, correct, Severity.WARNING)
        totals.setdefault(total, at)
        if not marked_none(route):
            correct = "route on a bucket or variant header that the edge sets for each user (abkit routes writes it)"
            yield from random_split(one, at, weights, correct)
        if not said and sum(weight > 0 for weight in weights) > 1:
            hashed = list(_consistent_hash(manifests, one, at, targets))
            said = bool(hashed)
            yield from hashed


def _single(one: Object, target: Value) -> Iterator[Finding]:
    weight = _weight(target)
    if weight is not None and weight < 0:
        why = f"the weight of {_destination(target)} is {weight:g}: below 0"
        yield report(one, target.get("weight") or target, "weight", why, "no weight: there is one destination")


def _consistent_hash(manifests: Manifests, one: Object, at: Value, targets: Sequence[Value]) -> Iterator[Finding]:
    hosts = dict.fromkeys(fqdn(target.word("destination", "host"), one.namespace) for target in targets)
    for rule in {id(rule): rule for host in hosts for rule in manifests.rules(host)}.values():
        for policy in policies(rule):
            if (hashed := policy.get("loadBalancer", "consistentHash")) is not None:
                why = (
                    "consistentHash picks a pod inside a subset, never the subset: the split of "
                    f"{one} ({at.file}:{at.line}) stays a draw for each request"
                )
                correct = "route on a bucket header; keep consistentHash only for caches"
                yield report(rule, hashed, "hash-not-sticky", why, correct, Severity.WARNING)
                break


def _http_route(one: Object) -> Iterator[Finding]:
    for rule in one.spec.items("rules"):
        refs = rule.items("backendRefs")
        at = rule.get("backendRefs") or rule
        named = [(ref, _name(ref.get("name")), _weight(ref)) for ref in refs]
        defects = _sums(one, at, named, missing=1) if len(refs) > 1 else []
        yield from defects
        if len(refs) == 1 and (weight := _weight(refs[0])) is not None and weight <= 0:
            why = f"the only backend has weight {weight:g}: its requests get 500"
            yield report(one, refs[0].get("weight") or at, "weight", why, "no weight: there is one backend")
        for ref, name, weight in named:
            if weight is not None and weight > 1_000_000:
                why = f"the weight of {name} is {weight:g}: Gateway API takes 1,000,000 at most"
                yield report(one, ref.get("weight") or ref, "weight", why, "weights that sum to 100")
        weights = [1.0 if weight is None else weight for _, _, weight in named]
        if len(weights) > 1 and not any(finding.severity is Severity.ERROR for finding in defects):
            correct = "a rule a variant that matches a variant header exactly, which the edge sets for each user"
            if not _modifier_none(rule):
                yield from random_split(one, at, weights, correct)


def _modifier_none(rule: Value) -> bool:
    return any(
        item.word("name").lower().startswith("x-ab-assignment") and item.word("value") == "none"
        for one in rule.items("filters")
        for item in one.items("requestHeaderModifier", "set")
    )


def _traffic_split(one: Object) -> Iterator[Finding]:
    backends = one.spec.items("backends")
    named = [(value, _name(value.get("service")), _weight(value)) for value in backends]
    at = one.spec.get("backends") or one.spec
    defects = _sums(one, at, named, missing=0)
    yield from defects
    if not defects:
        correct = "an HTTPRoute a variant on a header that the edge sets for each user"
        yield from random_split(one, at, [weight or 0.0 for _, _, weight in named], correct)


def _weight(value: Value) -> float | None:
    weight = value.get("weight")
    if weight is None:
        return None
    if weight.number is not None:
        return weight.number
    # SMI takes Kubernetes quantities too: 500m is a half.
    try:
        raw = weight.node.raw
        return float(raw.removesuffix("m")) / (1000 if raw.endswith("m") else 1)
    except ValueError:
        return None


def _name(value: Value | None) -> str:
    return "a destination" if value is None else value.node.raw or "a destination"


def _destination(value: Value) -> str:
    subset, host = value.get("destination", "subset"), value.get("destination", "host")
    return _name(subset or host)
