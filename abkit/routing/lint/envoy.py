"""Plain Envoy: clusters, weighted clusters and the hash that makes them stick to a user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from abkit.errors import did_you_mean
from abkit.routing.lint.durations import DIALECTS
from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.objects import ISTIO, Manifests, Object, report
from abkit.routing.lint.value import Value
from abkit.routing.lint.weights import random_split

__all__ = ["check"]

_DURATIONS: Final = frozenset(
    {"base_ejection_time", "base_interval", "connect_timeout", "drain_timeout", "fixed_delay", "idle_timeout"}
    | {"grpc_timeout_header_max", "interval", "max_connection_duration", "max_ejection_time", "max_interval"}
    | {"max_stream_duration", "per_try_idle_timeout", "per_try_timeout", "refresh_interval", "request_timeout"}
    | {"stream_idle_timeout", "timeout", "ttl", "unhealthy_interval"}
)
_BUCKET: Final = (
    "match a bucket header that the edge computes, or hash a header: use_hash_policy: true with hash_policy"
)


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about Envoy's configurations, and those inside an EnvoyFilter."""
    clusters = {name for one in manifests.envoys for name in _clusters(one.root)}
    for one in manifests.envoys:
        yield from _configuration(one, one.root, clusters)
    for one in manifests.of("EnvoyFilter", ISTIO):
        for patch in one.spec.items("configPatches"):
            if (value := patch.get("patch", "value")) is not None:
                yield from _configuration(one, value, set())


def _either(value: Value, name: str) -> Value | None:
    """A field under its protobuf name or the name that JSON gives it."""
    first, *rest = name.split("_")
    return value.get(name) or value.get(first + "".join(word.title() for word in rest))


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _is_cluster(value: Value) -> bool:
    fields = ("connect_timeout", "load_assignment", "lb_policy", "cluster_type", "eds_cluster_config")
    typed = value.word("@type").endswith("cluster.v3.Cluster")
    return typed or (value.get("type") is not None and any(_either(value, name) is not None for name in fields))


def _clusters(root: Value) -> Iterator[str]:
    static = _either(root, "static_resources") or root
    for one in (*static.items("clusters"), *root.items("resources"), root):
        if one.word("name") and (one.path.rpartition(".")[2].startswith("clusters[") or _is_cluster(one)):
            yield one.word("name")


def _configuration(one: Object, root: Value, clusters: set[str]) -> Iterator[Finding]:
    totals: dict[float, Value] = {}
    for name, value in root.walk():
        if value.is_mapping:
            if (action := value.get("route")) is not None and action.is_mapping:
                yield from _route(one, value, action, clusters, totals)
        elif _snake(name) in _DURATIONS and not value.is_list:
            yield from _duration(one, value)
        elif value.text == "" and (name == "regex" or _in_string_match(name, value)):
            why = f"Envoy refuses an empty {name}, and with it the whole configuration"
            yield report(
                one, value, "empty-pattern", why, "present_match: true for any value, exact: '' for an empty one"
            )


def _in_string_match(name: str, value: Value) -> bool:
    holder = value.path.split(".")[-2:-1]
    return name in {"prefix", "suffix", "contains"} and holder in (["string_match"], ["stringMatch"])


def _duration(one: Object, value: Value) -> Iterator[Finding]:
    dialect = DIALECTS["protobuf"]
    if value.is_null:
        return
    defect = f"{value.node.raw[:100]} has no unit" if value.text is None else dialect.defect(value.text)
    if defect:
        yield report(one, value, "duration", defect, f"such as {dialect.example}")


def _route(
    one: Object, route: Value, action: Value, clusters: set[str], totals: dict[float, Value]
) -> Iterator[Finding]:
    for holder in (action, *_mirrors(action)):
        if (cluster := holder.get("cluster")) is not None:
            yield from _cluster(one, cluster, clusters)
    weighted = _either(action, "weighted_clusters")
    if weighted is None:
        return
    targets = weighted.items("clusters")
    weights: list[float] = []
    for target in targets:
        if (cluster := target.get("name")) is not None:
            yield from _cluster(one, cluster, clusters)
        weight = target.get("weight")
        number = 0.0 if weight is None or weight.number is None else weight.number
        if weight is not None and number < 0:
            yield report(one, weight, "weight", f"the weight is {number:g}: below 0", "a weight of 0 or more")
        weights.append(number)
    if targets and sum(weights) == 0:
        why = "the weights sum to 0: Envoy refuses the whole configuration"
        yield report(one, weighted, "weight", why, "weights that sum to 10000")
        return
    if min(weights, default=0.0) < 0:
        return
    yield from _total(one, weighted, sum(weights))
    yield from _sticky(one, route, action, weighted, weights, totals)


def _mirrors(action: Value) -> list[Value]:
    return [*action.items("request_mirror_policies"), *action.items("requestMirrorPolicies")]


def _cluster(one: Object, at: Value, clusters: set[str]) -> Iterator[Finding]:
    if clusters and at.text is not None and at.text not in clusters:
        why = f"no cluster is called '{at.text[:100]}': its requests get 503, or Envoy refuses the configuration"
        yield report(one, at, "cluster-unknown", why, did_you_mean(at.text[:100], clusters))


def _total(one: Object, weighted: Value, total: float) -> Iterator[Finding]:
    stated = _either(weighted, "total_weight")
    if stated is not None and stated.number is not None and stated.number != total:
        why = f"total_weight is {stated.number:g}, the weights sum to {total:g}, and Envoy no longer reads the former"
        correct = f"leave it out; weights that sum to {stated.number:g}, if that was meant"
        yield report(one, stated, "weight-total", why, correct, Severity.WARNING)


def _sticky(
    one: Object,
    route: Value,
    action: Value,
    weighted: Value,
    weights: list[float],
    totals: dict[float, Value],
) -> Iterator[Finding]:
    if sum(weight > 0 for weight in weights) < 2:
        return
    flag = _either(weighted, "use_hash_policy")
    hashed = flag is not None and flag.node.data is True
    policies = [*action.items("hash_policy"), *action.items("hashPolicy")]
    if not hashed:
        if policies:
            why = "hash_policy picks an endpoint in a cluster; without use_hash_policy the cluster is drawn anew"
            yield report(one, weighted, "hash-not-used", why, "use_hash_policy: true beside clusters", Severity.WARNING)
        elif not _marked_none(route):
            yield from random_split(one, weighted, weights, _BUCKET)
        return
    if not policies:
        why = "use_hash_policy has no hash_policy to use: the cluster is drawn anew for each request"
        yield report(one, weighted, "hash-missing", why, "route: {hash_policy: [{header: {header_name: x-user-id}}]}")
        return
    total = sum(weights)
    if totals and total not in totals:
        other, there = next(iter(totals.items()))
        why = f"the total weight is {total:g} here and {other:g} in line {there.line}: users change sides between them"
        yield report(one, weighted, "weight-total", why, "one total for all, such as 10000", Severity.WARNING)
    totals.setdefault(total, weighted)
    for policy in policies:
        yield from _policy(one, route, policy)


def _policy(one: Object, route: Value, policy: Value) -> Iterator[Finding]:
    if (cookie := policy.get("cookie")) is not None and cookie.get("ttl") is not None:
        why = "a cookie with ttl is made after the first request was routed: half of the sessions (154 of 300) change "
        why += "sides with their second request"
        correct = "mint the id at the edge before routing, and hash its header"
        yield report(one, cookie, "hash-cookie", why, correct, Severity.WARNING)
    header = policy.get("header")
    name = None if header is None else _either(header, "header_name")
    if header is None or name is None:
        return
    if _either(header, "regex_rewrite") is None:
        why = "the hash has no salt: users of one side here are on one side in every other experiment too "
        why += "(P(B in 2 | B in 1) = 0.21 where 0.10 is right)"
        correct = "regex_rewrite: {pattern: {regex: '^(.*)$'}, substitution: 'SALT:\\1'}"
        yield report(one, header, "hash-without-salt", why, correct, Severity.WARNING)
    asked = {match.word("name").lower() for match in route.items("match", "headers")}
    if (name.text or "").lower() not in asked:
        why = f"a request without {name.node.raw[:100]} is drawn at random each time, without a word"
        correct = "match: {headers: [{name: …, present_match: true}]} here, and a route after it for the others"
        yield report(one, header, "hash-header-missing", why, correct, Severity.WARNING)


def _marked_none(route: Value) -> bool:
    """Whether the route marks its requests as not assigned by user: then the split is meant to be random."""
    added = [*route.items("request_headers_to_add"), *route.items("requestHeadersToAdd")]
    action = route.get("route")
    added += [] if action is None else action.items("request_headers_to_add")
    pairs: list[Mapping[str, str]] = [
        {"key": one.word("header", "key").lower(), "value": one.word("header", "value")} for one in added
    ]
    return any(pair["key"].startswith("x-ab-assignment") and pair["value"] == "none" for pair in pairs)
