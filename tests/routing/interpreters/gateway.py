"""What Gateway API does with a request, read from HTTPRoutes and Services: the most specific match wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import re2
import yaml

from abkit.routing import Manifest, Request
from tests.routing.interpreters.base import Routed

_FORMS = {"gateway.networking.k8s.io/v1": 64, "policy.linkerd.io/v1beta3": 8}


class Gateway:
    """Manifests that were applied in their order; the HTTPRoutes of one service."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self.services: dict[str, str] = {}
        # Match, the rule's place, the rule: places decide between matches that are equally specific.
        self.matches: list[tuple[Mapping[str, Any], int, dict[str, Any]]] = []
        place = 0
        for manifest in manifests:
            document = yaml.safe_load(manifest.text)
            spec = document["spec"]
            if document["kind"] == "Service":
                self.services[document["metadata"]["name"]] = spec["selector"]["version"]
                continue
            assert document["kind"] == "HTTPRoute"
            assert set(spec) <= {"parentRefs", "hostnames", "rules"}
            assert len(spec["rules"]) <= 16
            annotations = document["metadata"].get("annotations", {})
            for rule in spec["rules"]:
                assert set(rule) <= {"matches", "filters", "backendRefs", "timeouts"}
                assert all(backend["name"] in self.services for backend in rule["backendRefs"])
                matches = rule.get("matches", [{}])
                assert len(matches) <= _FORMS[document["apiVersion"]]
                place += 1
                self.matches += [(match, place, {**rule, "annotations": annotations}) for match in matches]

    def send(self, request: Request) -> Routed:
        """Route one request; header names in lower case."""
        fitting = [one for one in self.matches if _fits(one[0], request)]
        assert fitting, "no rule: 404"
        _, place, rule = max(fitting, key=lambda one: (_rank(one[0]), -one[1]))
        _, same, _ = max(fitting, key=lambda one: (_rank_of_linkerd(one[0], request), -one[1]))
        assert place == same, "implementations would not agree"
        headers = {**request.headers, **_set(rule.get("filters", ()))}
        chances: dict[str, float] = {}
        total = sum(backend.get("weight", 1) for backend in rule["backendRefs"])
        for number, backend in enumerate(rule["backendRefs"]):
            version = self.services[backend["name"]]
            chances[version] = chances.get(version, 0) + backend.get("weight", 1) / total
            if number == 0:
                headers |= _set(backend.get("filters", ()))
        effects = {key: value for key, value in rule.items() if key in {"timeouts", "annotations"} and value}
        mirrors = [one["requestMirror"] for one in rule.get("filters", ()) if one["type"] == "RequestMirror"]
        return Routed(str(place), chances, headers, effects=effects | ({"mirrors": mirrors} if mirrors else {}))


def _set(filters: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {
        one["name"]: one["value"]
        for each in filters
        if each["type"] == "RequestHeaderModifier"
        for one in each["requestHeaderModifier"]["set"]
    }


def _rank(match: Mapping[str, Any]) -> tuple[int, ...]:
    """As Istio orders matches: an exact path before an expression, and that by its length."""
    path = match.get("path")
    way = 0 if path is None else {"Exact": 2, "RegularExpression": 1}[path["type"]]
    return (way, 0 if path is None else len(path["value"]), *_rest(match))


def _rank_of_linkerd(match: Mapping[str, Any], request: Request) -> tuple[int, ...]:
    """As Linkerd's proxy does: by how much of the path was matched, and an expression matches all of it."""
    return (1 if match.get("path") is None else len(request.path), *_rest(match))


def _rest(match: Mapping[str, Any]) -> tuple[int, ...]:
    return int("method" in match), len(match.get("headers", ())), len(match.get("queryParams", ()))


def _fits(match: Mapping[str, Any], request: Request) -> bool:
    assert set(match) <= {"path", "method", "headers", "queryParams"}
    names = [one["name"] for one in match.get("headers", ())]
    assert len(set(names)) == len(names), "only the first of two conditions on a header would count"
    if "method" in match and match["method"] != request.method:
        return False
    path = match.get("path")
    if path is not None and not _compared(path, request.path):
        return False
    if not all(_compared(one, request.query.get(one["name"])) for one in match.get("queryParams", ())):
        return False
    return all(_compared(one, request.headers.get(one["name"])) for one in match.get("headers", ()))


def _compared(how: Mapping[str, str], value: str | None) -> bool:
    if value is None:
        return False
    if how["type"] == "Exact":
        return value == how["value"]
    assert how["type"] == "RegularExpression"
    # Found anywhere, or the first find being the whole value (Linkerd), or matched in full (Envoy): all the same.
    found, whole = re2.search(how["value"], value), re2.fullmatch(how["value"], value)
    assert (found is None) == (whole is None), "implementations would not agree"
    assert found is None or found.span() == (0, len(value)), "Linkerd would not take it"
    return whole is not None
