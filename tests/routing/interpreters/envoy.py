"""What plain Envoy does with a request, read from its clusters and routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import re2
import yaml
from xxhash import xxh64_intdigest

from abkit.routing import Manifest, Request
from tests.routing.interpreters.base import Routed

_EFFECTS = {"timeout", "retry_policy", "request_mirror_policies"}
_ROUTE = {"name", "match", "route", "direct_response", "request_headers_to_add", "response_headers_to_add"}
_PREFIX = "type.googleapis.com/envoy."


def resources(manifests: Sequence[Manifest], kind: str) -> list[dict[str, Any]]:
    """Resources of a kind, such as `config.cluster.v3.Cluster`."""
    documents = [yaml.safe_load(manifest.text) for manifest in manifests]
    found = [one for document in documents for one in document.get("resources", ())]
    return [one for one in found if one["@type"] == _PREFIX + kind]


class Envoy:
    """An Envoy that has read its files."""

    def __init__(self, manifests: Sequence[Manifest], service: str = "my-service", host: str = "any.example") -> None:
        self.service, self.host = service, host
        self.clusters = {one["name"]: one for one in resources(manifests, "config.cluster.v3.Cluster")}
        [routes] = resources(manifests, "config.route.v3.RouteConfiguration")
        self.hosts: dict[str, list[dict[str, Any]]] = {}
        for host_ in routes["virtual_hosts"]:
            for domain in host_["domains"]:
                assert domain not in self.hosts, "a domain has one virtual host"
                self.hosts[domain] = host_["routes"]

    def send(self, request: Request) -> Routed:
        """Route one request as it is behind the Lua filter; header names in lower case."""
        for route in self.hosts.get(self.host, self.hosts.get("*", [])):
            assert set(route) <= _ROUTE | {"typed_per_filter_config"}
            if _matches(route["match"], request):
                return self._routed(route, request)
        raise AssertionError("no route: Envoy answers 404")

    def _routed(self, route: dict[str, Any], request: Request) -> Routed:
        if "direct_response" in route:
            reply = route["direct_response"]
            return Routed(route["name"], {}, answer=(reply["status"], reply.get("body", {}).get("inline_string", "")))
        action = route["route"]
        assert set(action) <= {"cluster", "weighted_clusters", "hash_policy", *_EFFECTS}
        effects: dict[str, object] = {name: action[name] for name in _EFFECTS if name in action}
        effects |= route.get("typed_per_filter_config", {})
        assert not (set(effects) & {"timeout", "retry_policy"} and "envoy.filters.http.fault" in effects)
        headers = {**request.headers, **_set(route)}
        if "cluster" in action:
            return Routed(route["name"], {self._version(action["cluster"]): 1}, headers, effects=effects)
        weighted = action["weighted_clusters"]
        assert set(weighted) <= {"use_hash_policy", "clusters"}
        total = sum(one["weight"] for one in weighted["clusters"])
        assert total == 10_000, "another total would give users another side"
        if weighted.get("use_hash_policy"):
            point = _hashed(action["hash_policy"], request) % total
            for one in weighted["clusters"]:
                point -= one["weight"]
                if point < 0:
                    break
            return Routed(route["name"], {self._version(one["name"]): 1}, {**headers, **_set(one)}, effects=effects)
        chances: dict[str, float] = {}
        for one in weighted["clusters"]:
            version = self._version(one["name"])
            chances[version] = chances.get(version, 0) + one["weight"] / total
        return Routed(route["name"], chances, {**headers, **_set(weighted["clusters"][0])}, effects=effects)

    def _version(self, name: str) -> str:
        """The version that a cluster's requests are meant for."""
        cluster = self.clusters[name]
        if "cluster_type" in cluster:
            name, _ = cluster["cluster_type"]["typed_config"]["clusters"]
        assert name in self.clusters
        return name.removeprefix(f"{self.service}-")


def _set(holder: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for option in holder.get("request_headers_to_add", ()):
        assert option["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"
        value = option["header"]["value"]
        assert "%" not in value.replace("%%", ""), "a command of Envoy's formatter"
        found[option["header"]["key"]] = value.replace("%%", "%")
    return found


def _hashed(policies: Sequence[Mapping[str, Any]], request: Request) -> int:
    [policy] = policies
    header = policy["header"]
    assert set(header) == {"header_name", "regex_rewrite"}
    rewrite = header["regex_rewrite"]
    value = request.headers[header["header_name"]].encode()
    rewritten = re2.sub(rewrite["pattern"]["regex"].encode(), rewrite["substitution"].encode(), value)
    return xxh64_intdigest(rewritten)


def _matches(match: Mapping[str, Any], request: Request) -> bool:
    assert set(match) <= {"prefix", "path", "safe_regex", "headers", "query_parameters"}
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    headers = {
        **request.headers,
        ":method": request.method,
        ":path": f"{request.path}?{query}" if query else request.path,
    }
    path = (
        ("prefix" in match and request.path.startswith(match["prefix"]))
        or ("path" in match and request.path == match["path"])
        or ("safe_regex" in match and _full(match["safe_regex"], request.path))
    )
    return (
        path
        and all(_fits(how, headers.get(how["name"])) for how in match.get("headers", ()))
        and all(_fits(how, request.query.get(how["name"])) for how in match.get("query_parameters", ()))
    )


def _fits(how: Mapping[str, Any], value: str | None) -> bool:
    if value is None:
        return False
    if "present_match" in how:
        assert set(how) == {"name", "present_match"}
        return how["present_match"] is True
    assert set(how) == {"name", "string_match"}
    [(way, pattern)] = how["string_match"].items()
    if way == "safe_regex":
        return _full(pattern, value)
    assert way in {"exact", "prefix"}
    return value == pattern if way == "exact" else value.startswith(pattern)


def _full(pattern: Mapping[str, str], value: str) -> bool:
    assert set(pattern) == {"regex"}
    return re2.fullmatch(pattern["regex"], value) is not None
