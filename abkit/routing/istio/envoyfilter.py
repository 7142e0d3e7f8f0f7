"""The EnvoyFilters: the one that computes buckets at the gateway, and the one that turns Envoy's own hash on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from abkit.errors import RoutingError
from abkit.routing.base import Manifest
from abkit.routing.lua import edge_filter
from abkit.routing.objects import manifest
from abkit.routing.plan import Layer, Plan, Route, Stage
from abkit.spec import Edge

__all__ = ["check_gateways", "edge", "native_hash", "native_name"]

_API_VERSION: Final = "networking.istio.io/v1alpha3"
_LUA: Final = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"


def check_gateways(plans: Iterable[Plan]) -> None:
    """Refuse what two services at one gateway can't both have: each one's filter sees the requests of all.

    Raises:
        RoutingError: They have a layer with different salts or units, or different numbers of replicates.
    """
    layers: dict[tuple[object, str], tuple[Plan, Layer]] = {}
    counts: dict[object, Plan] = {}
    for plan in plans:
        if plan.settings.edge is not Edge.GATEWAY:
            continue
        settings = plan.settings.istio
        gateway = (settings.gateway_namespace, tuple(sorted(settings.gateway_labels.items())))
        for layer in plan.layers:
            other, theirs = layers.setdefault((gateway, layer.name), (plan, layer))
            if theirs != layer:
                msg = (
                    f"'{other.title}' and '{plan.title}' have the layer '{layer.name}' at one gateway with different "
                    f"salts or units ({theirs.salt} of {theirs.unit}, {layer.salt} of {layer.unit}): a layer has one "
                    "of each; call one of them something else"
                )
                raise RoutingError(msg)
        other = counts.setdefault(gateway, plan)
        if other.replicates != plan.replicates:
            msg = (
                f"'{other.title}' and '{plan.title}' have different assignment.replicates at one gateway, "
                f"{other.replicates} and {plan.replicates}: make them equal"
            )
            raise RoutingError(msg)


def edge(plan: Plan) -> Manifest:
    """The filter at the gateway that computes a request's buckets and its replicate."""
    public = plan.settings.istio.hosts
    hosts = (plan.host, *public) if public else ()
    hcm = {"name": "envoy.filters.network.http_connection_manager", "subFilter": {"name": "envoy.filters.http.router"}}
    value = {
        "name": f"abkit.{plan.service}.{plan.namespace}",
        "typed_config": {"@type": _LUA, "default_source_code": {"inline_string": edge_filter(plan, hosts=hosts)}},
    }
    patch = {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": hcm}}},
        "patch": {"operation": "INSERT_BEFORE", "value": value},
    }
    comments = (
        "Runs in the gateway's pods. It takes off what clients sent under abkit's names, and writes the bucket of each",
        "layer and the replicate of the unit.",
    )
    return _filter(plan, "edge", [patch], plan.settings.istio.gateway_namespace, comments)


def native_name(plan: Plan, route: Route) -> str:
    """What a route that Envoy's own hash splits is called: patches find it by its name, among those of all services."""
    return f"{plan.service}.{plan.namespace}.{route.name}"


def native_hash(plan: Plan) -> Manifest:
    """Experimental: turns the routes' weights into a split by Envoy's own hash of the unit."""
    [layer] = plan.layers
    policy = {
        "header": {
            "header_name": layer.header,
            "regex_rewrite": {"pattern": {"regex": "^(.*)$"}, "substitution": f"{layer.salt}:\\1"},
        }
    }
    patches = [
        {
            "applyTo": "HTTP_ROUTE",
            "match": {"context": context, "routeConfiguration": {"vhost": {"route": {"name": name}}}},
            "patch": {
                "operation": "MERGE",
                "value": {"route": {"weighted_clusters": {"use_hash_policy": True}, "hash_policy": [policy]}},
            },
        }
        for name in (native_name(plan, route) for route in plan.stage(Stage.SPLIT))
        for context in ("GATEWAY", "SIDECAR_OUTBOUND")
    ]
    comments = (
        "EXPERIMENTAL: pilot knows nothing of it. Without it, or where it no longer fits, the split below is by lot.",
        "Needs Envoy 1.37 or newer in the proxies.",
    )
    namespace = plan.settings.istio.gateway_namespace
    return _filter(plan, "native-hash", patches, namespace, comments, selected=False)


def _filter(
    plan: Plan,
    part: str,
    patches: list[dict[str, Any]],
    namespace: str,
    comments: tuple[str, ...],
    *,
    selected: bool = True,
) -> Manifest:
    spec: dict[str, Any] = {}
    if selected:
        spec["workloadSelector"] = {"labels": dict(plan.settings.istio.gateway_labels)}
    return manifest(
        plan,
        _API_VERSION,
        "EnvoyFilter",
        {**spec, "configPatches": patches},
        name=f"abkit-{plan.namespace}-{plan.service}-{part}",
        namespace=namespace,
        stem=f"envoyfilter-{part}",
        comments=comments,
    )
