"""What Istio does with a request, read from the manifests alone. For tests: knows only the fields that abkit writes.

Fields it does not know are an error, so that abkit can't write what these tests don't understand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import re2
import yaml

from abkit.routing import Manifest


@dataclass(frozen=True)
class Routed:
    """Where a request went: the route's name, the labels of the pods, the headers it arrived with."""

    route: str
    labels: Mapping[str, str]
    port: int
    headers: Mapping[str, str]


class Cluster:
    """Manifests that were applied in their order."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self.subsets: dict[tuple[str, str], Mapping[str, str]] = {}
        self.services: dict[str, list[dict[str, Any]]] = {}
        for manifest in manifests:
            document = yaml.safe_load(manifest.text)
            assert document["apiVersion"] == "networking.istio.io/v1"
            {"DestinationRule": self._rule, "VirtualService": self._service}[document["kind"]](document["spec"])

    def _rule(self, spec: dict[str, Any]) -> None:
        host, subsets = spec.pop("host"), spec.pop("subsets")
        assert not spec
        for subset in subsets:
            assert set(subset) == {"name", "labels"}
            assert (host, subset["name"]) not in self.subsets, "a subset is defined once"
            self.subsets[host, subset["name"]] = subset["labels"]

    def _service(self, spec: dict[str, Any]) -> None:
        hosts, http = spec.pop("hosts"), spec.pop("http")
        assert not spec
        for route in http:
            assert set(route) <= {"name", "match", "headers", "route"}
            for host in hosts:
                for destination in route["route"]:
                    target = destination["destination"]
                    # Istio answers 503 for a subset it does not know at that moment.
                    assert (target["host"], target["subset"]) in self.subsets, f"{host}: no subset {target['subset']}"
        names = [route["name"] for route in http]
        assert len(set(names)) == len(names)
        for host in hosts:
            assert host not in self.services, f"two VirtualServices on {host}"
            self.services[host] = http

    def send(self, host: str, headers: Mapping[str, str]) -> Routed:
        """Route one request; header names in lower case."""
        for route in self.services[host]:
            if any(_matches(match, headers) for match in route.get("match", [{}])):
                [destination] = route["route"]
                target = destination["destination"]
                arrived = {**headers, **route["headers"]["request"]["set"]}
                labels = self.subsets[target["host"], target["subset"]]
                return Routed(route["name"], labels, target["port"]["number"], arrived)
        raise AssertionError("no route: Istio answers 404")


def _matches(match: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    assert set(match) <= {"headers"}
    return all(_value_matches(how, headers.get(name)) for name, how in match.get("headers", {}).items())


def _value_matches(how: Mapping[str, str], value: str | None) -> bool:
    [(way, pattern)] = how.items()
    if value is None:
        return False
    if way == "exact":
        return value == pattern
    if way == "prefix":
        return value.startswith(pattern)
    assert way == "regex"
    return re2.fullmatch(pattern, value) is not None
