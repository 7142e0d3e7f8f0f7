"""The route configuration: a virtual host a service, in it the plan's routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from abkit.assignment import BUCKETS
from abkit.routing.conditions import Alternative, BucketMatch
from abkit.routing.effects import Effects, Trial
from abkit.routing.envoy.clusters import meant_for, name_of
from abkit.routing.envoy.matching import present, route_match
from abkit.routing.envoy.objects import FILTERS, marks, seconds, share_of, typed
from abkit.routing.lua import edge_filter
from abkit.routing.plan import Layer, Lot, Plan, Reply, Route, Share, Split, Target
from abkit.spec import Edge

__all__ = ["ROUTES", "route_configuration"]

ROUTES: Final = "abkit"
"""The route configuration's name: the listener asks for it."""

_LARGEST_BODY: Final = 4_096
"""Bytes of a static answer, where nothing else is said."""
_PREVIOUS_HOSTS: Final = "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"


def route_configuration(plans: Sequence[Plan], domains: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The routes of all services behind one Envoy.

    Args:
        plans: A plan a service.
        domains: The host names of each, `*` for all.

    Raises:
        RoutingError: Envoy can't match one of the conditions.
    """
    replies = [route.then for plan in plans for route in plan.routes if isinstance(route.then, Reply)]
    largest = max((len(reply.body.encode()) for reply in replies), default=0)
    layers = tuple(dict.fromkeys(layer for plan in plans for layer in plan.layers))
    return typed(
        "config.route.v3.RouteConfiguration",
        name=ROUTES,
        ignore_port_in_host_matching=True,
        **({"max_direct_response_body_size_bytes": largest} if largest > _LARGEST_BODY else {}),
        virtual_hosts=[_virtual_host(plan, names, layers) for plan, names in zip(plans, domains, strict=True)],
    )


def _virtual_host(plan: Plan, domains: Sequence[str], layers: Sequence[Layer]) -> dict[str, Any]:
    host: dict[str, Any] = {"name": plan.host, "domains": list(domains)}
    if plan.settings.edge is Edge.GATEWAY:
        # Here and not in the listener: a new layer comes with the routes that read it, in one update.
        source = {"inline_string": edge_filter(plan, layers)}
        lua = typed("extensions.filters.http.lua.v3.LuaPerRoute", source_code=source)
        host["typed_per_filter_config"] = {f"{FILTERS}.lua": lua}
    host["routes"] = [written for route in plan.routes for written in _routes(plan, route)]
    return host


def _routes(plan: Plan, route: Route) -> Iterator[dict[str, Any]]:
    """A route for each alternative: all of a match must hold."""
    then = route.then
    if isinstance(then, Split):
        yield from _natively(plan, route, then) if _is_native(plan, route, then) else _by_bucket(plan, route, then)
        return
    for alternative in route.when:
        match = route_match(plan, route, alternative)
        if isinstance(then, Target):
            action = {"cluster": meant_for(plan, then.version)}
            yield _written(route.name, match, action, plan, route.effects, then.headers)
        elif isinstance(then, Lot):
            weighted, common = _weighted(plan, then.chances)
            yield _written(route.name, match, {"weighted_clusters": weighted}, plan, route.effects, common)
        else:
            yield _answer(route.name, match, then)


def _answer(name: str, match: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    kind = {"header": {"key": "content-type", "value": reply.content_type}}
    return {
        "name": name,
        "match": match,
        "direct_response": {
            "status": reply.status,
            **({"body": {"inline_string": reply.body}} if reply.body else {}),
        },
        "response_headers_to_add": [{**kind, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
    }


def _is_native(plan: Plan, route: Route, split: Split) -> bool:
    """Whether Envoy's own hash divides the users: nobody is left out and no bucket is asked for besides."""
    copies = route.effects.copies
    return (
        plan.settings.envoy.native_hash
        and _layer(plan, split).header is not None
        and sum(share.weight for share in split.shares) == BUCKETS
        and not any(isinstance(one, BucketMatch) for other in plan.routes for way in other.when for one in way)
        # Copies are for all clusters of a route, and a version gets none of its own requests.
        and not (copies is not None and any(share.target.version == copies.version for share in split.shares))
    )


def _layer(plan: Plan, split: Split) -> Layer:
    return next(layer for layer in plan.layers if layer.name == split.layer)


def _natively(plan: Plan, route: Route, split: Split) -> Iterator[dict[str, Any]]:
    header = _layer(plan, split).header or ""
    weighted, common = _weighted(plan, [(share.target, share.weight) for share in split.shares])
    policy = {
        "header": {
            "header_name": header,
            # Any bytes, as everywhere; with `.` an id that is no UTF-8 would stay without the salt.
            "regex_rewrite": {"pattern": {"regex": r"^(\C*)$"}, "substitution": f"{split.salt}:\\1"},
        }
    }
    action = {"weighted_clusters": {"use_hash_policy": True, **weighted}, "hash_policy": [policy]}
    for alternative in route.when:
        match = route_match(plan, route, alternative)
        # A request without an id would be split by lot.
        match["headers"] = [*match.get("headers", ()), present(header)]
        yield _written(route.name, match, action, plan, route.effects, common)


def _by_bucket(plan: Plan, route: Route, split: Split) -> Iterator[dict[str, Any]]:
    for share in split.shares:
        target = share.target
        action = {"cluster": meant_for(plan, target.version)}
        for alternative in route.when:
            match = route_match(plan, route, _within(split, share, alternative))
            effects = _without_own_copies(route.effects, target)
            yield _written(f"{route.name}-{target.variant}", match, action, plan, effects, target.headers)


def _within(split: Split, share: Share, alternative: Alternative) -> Alternative:
    return (*alternative, BucketMatch(split.layer, share.first, share.last))


def _without_own_copies(effects: Effects, target: Target) -> Effects:
    copies = effects.copies
    return replace(effects, copies=None) if copies is not None and copies.version == target.version else effects


def _weighted(plan: Plan, chances: Sequence[tuple[Target, int]]) -> tuple[dict[str, Any], dict[str, str]]:
    """Weighted clusters with the marks in which they differ, and the marks that all have."""
    every = [target.headers for target, _ in chances]
    common = {name: value for name, value in every[0].items() if all(one[name] == value for one in every)}
    clusters = [
        {
            "name": meant_for(plan, target.version),
            "weight": weight,
            **marks({name: value for name, value in target.headers.items() if name not in common}),
        }
        for target, weight in chances
    ]
    return {"clusters": clusters}, common


def _written(
    name: str,
    match: Mapping[str, Any],
    action: Mapping[str, Any],
    plan: Plan,
    effects: Effects,
    headers: Mapping[str, str],
) -> dict[str, Any]:
    filters = {} if effects.trial is None else {"typed_per_filter_config": {f"{FILTERS}.fault": _fault(effects.trial)}}
    return {
        "name": name,
        "match": match,
        "route": {**action, **_effects(plan, effects)},
        **marks(headers),
        **filters,
    }


def _effects(plan: Plan, effects: Effects) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if effects.timeout is not None:
        found["timeout"] = seconds(effects.timeout)
    again = effects.retrying
    if again is not None and again.per_try is not None:
        found["retry_policy"] = {
            "retry_on": ",".join(again.on),
            "num_retries": again.attempts,
            "per_try_timeout": seconds(again.per_try),
            # Another pod, where there is one.
            "retry_host_predicate": [
                {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": typed(_PREVIOUS_HOSTS)}
            ],
            "host_selection_retry_max_attempts": 3,
        }
    copies = effects.copies
    if copies is not None:
        share = {"default_value": share_of(copies.share)}
        found["request_mirror_policies"] = [{"cluster": name_of(plan, copies.version), "runtime_fraction": share}]
    return found


def _fault(trial: Trial) -> dict[str, Any]:
    fault: dict[str, Any] = {}
    if trial.delay is not None:
        fault["delay"] = {"fixed_delay": seconds(trial.delay), "percentage": share_of(trial.delay_share)}
    if trial.abort is not None:
        fault["abort"] = {"http_status": trial.abort, "percentage": share_of(trial.abort_share)}
    return typed("extensions.filters.http.fault.v3.HTTPFault", **fault)
