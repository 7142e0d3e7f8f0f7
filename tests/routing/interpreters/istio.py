"""What Istio does with a request, read from DestinationRule and VirtualService."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import re2
import yaml

from abkit.routing import Manifest, Request
from tests.routing.interpreters.base import Routed

_EFFECTS = {"timeout", "retries", "fault", "mirrors"}


class Istio:
    """Manifests that were applied in their order."""

    def __init__(self, manifests: Sequence[Manifest], host: str = "my-service.shop.svc.cluster.local") -> None:
        self.host = host
        self.subsets: dict[tuple[str, str], str] = {}
        self.services: dict[str, list[dict[str, Any]]] = {}
        kinds = {"DestinationRule": self._rule, "VirtualService": self._service}
        for manifest in manifests:
            document = yaml.safe_load(manifest.text)
            if document["kind"] in kinds:
                assert document["apiVersion"] == "networking.istio.io/v1"
                kinds[document["kind"]](document["spec"])

    def _rule(self, spec: dict[str, Any]) -> None:
        assert set(spec) <= {"host", "subsets", "trafficPolicy"}
        for subset in spec["subsets"]:
            key = spec["host"], subset["name"]
            assert key not in self.subsets, "a subset is defined once"
            if "labels" in subset:
                assert set(subset) == {"name", "labels"}
                self.subsets[key] = subset["labels"]["version"]
            else:
                # All pods, those of one version first.
                [first] = subset["trafficPolicy"]["loadBalancer"]["localityLbSetting"]["failoverPriority"]
                assert subset["trafficPolicy"]["outlierDetection"]
                self.subsets[key] = first.removeprefix("version=")

    def _service(self, spec: dict[str, Any]) -> None:
        assert set(spec) <= {"hosts", "gateways", "http"}
        for route in spec["http"]:
            assert set(route) <= {"name", "match", "headers", "route", "directResponse", *_EFFECTS}
            assert not ("fault" in route and ("timeout" in route or "retries" in route))
            for destination in (*route.get("route", ()), *route.get("mirrors", ())):
                target = destination["destination"]
                # Istio answers 503 for a subset it does not know at that moment.
                assert (target["host"], target["subset"]) in self.subsets, f"no subset {target['subset']}"
        names = [route["name"] for route in spec["http"]]
        assert len(set(names)) == len(names)
        for host in spec["hosts"]:
            assert host not in self.services, f"two VirtualServices on {host}"
            self.services[host] = spec["http"]

    def send(self, request: Request) -> Routed:
        """Route one request; header names in lower case."""
        for route in self.services[self.host]:
            if any(_matches(match, request) for match in route.get("match", [{}])):
                return self._routed(route, request)
        raise AssertionError("no route: Istio answers 404")

    def _routed(self, route: dict[str, Any], request: Request) -> Routed:
        effects = {name: route[name] for name in _EFFECTS if name in route}
        if "directResponse" in route:
            answer = route["directResponse"]
            return Routed(
                route["name"], {}, answer=(answer["status"], answer.get("body", {}).get("string", "")), effects=effects
            )
        chances: dict[str, float] = {}
        headers: dict[str, str] | None = None
        for destination in route["route"]:
            target = destination["destination"]
            version = self.subsets[target["host"], target["subset"]]
            weight = destination.get("weight", 10_000) / 10_000
            chances[version] = chances.get(version, 0) + weight
            marks = destination.get("headers", route.get("headers"))
            headers = headers or {**request.headers, **marks["request"]["set"]}
        return Routed(route["name"], chances, headers or {}, effects=effects)


def _matches(match: Mapping[str, Any], request: Request) -> bool:
    assert set(match) <= {"headers", "uri", "method", "queryParams", "sourceLabels", "sourceNamespace"}
    if "uri" in match and not _fits(match["uri"], request.path):
        return False
    if "method" in match and not _fits(match["method"], request.method):
        return False
    if "sourceNamespace" in match and request.namespace != match["sourceNamespace"]:
        return False
    if any(request.labels.get(name) != value for name, value in match.get("sourceLabels", {}).items()):
        return False
    if not all(_fits(how, request.query.get(name)) for name, how in match.get("queryParams", {}).items()):
        return False
    return all(_fits(how, request.headers.get(name)) for name, how in match.get("headers", {}).items())


def _fits(how: Mapping[str, str], value: str | None) -> bool:
    [(way, pattern)] = how.items()
    if value is None:
        return False
    if way == "exact":
        return value == pattern
    if way == "prefix":
        return value.startswith(pattern)
    assert way == "regex"
    return re2.fullmatch(pattern, value) is not None
