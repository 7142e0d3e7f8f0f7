"""What the checks of Istio's objects share: routes, destinations and policies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from abkit.routing.lint.objects import Object, fqdn
from abkit.routing.lint.value import Value

__all__ = ["Destination", "destinations", "http_routes", "policies", "splits"]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a route sends requests.

    Attributes:
        value: Its place.
        host: The host's whole name.
        subset: The subset's name; empty where none is named.
    """

    value: Value
    host: str
    subset: str


def http_routes(service: Object) -> list[Value]:
    """The HTTP routes of a VirtualService, in their order."""
    return service.spec.items("http")


def destinations(service: Object) -> Iterator[Destination]:
    """Everything a VirtualService sends requests to, copies included."""
    for protocol in ("http", "tcp", "tls"):
        for route in service.spec.items(protocol):
            places = [one.get("destination") for one in (*route.items("route"), *route.items("mirrors"))]
            for place in (*places, route.get("mirror")):
                if place is not None and place.word("host"):
                    subset = place.get("subset")
                    host = fqdn(place.word("host"), service.namespace)
                    yield Destination(place, host, "" if subset is None else subset.node.raw)


def policies(rule: Object) -> Iterator[Value]:
    """Every traffic policy of a DestinationRule, or of a Flagger Canary's service: of host, subsets and ports."""
    subsets = [subset.get("trafficPolicy") for subset in rule.spec.items("subsets")]
    for policy in (rule.spec.get("trafficPolicy"), rule.spec.get("service", "trafficPolicy"), *subsets):
        if policy is not None:
            yield policy
            yield from policy.items("portLevelSettings")


def splits(service: Object) -> Iterator[tuple[Value, list[Value]]]:
    """The routes of a VirtualService that have more than one destination."""
    for protocol in ("http", "tcp", "tls"):
        for route in service.spec.items(protocol):
            targets = route.items("route")
            if len(targets) > 1:
                yield route, targets
