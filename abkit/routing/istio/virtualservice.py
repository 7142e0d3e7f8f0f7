"""The VirtualService: the plan's routes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from abkit.routing.base import Manifest, go_duration, unable
from abkit.routing.conditions import (
    Alternative,
    BucketMatch,
    Condition,
    HeaderMatch,
    MethodMatch,
    PathMatch,
    SourceMatch,
    Way,
)
from abkit.routing.effects import Effects
from abkit.routing.istio.destinationrule import API_VERSION, subset_names, subset_of
from abkit.routing.istio.envoyfilter import native_name
from abkit.routing.objects import manifest
from abkit.routing.plan import Lot, Plan, Reply, Route, Split, Target
from abkit.spec import Edge

__all__ = ["virtual_service"]


def virtual_service(plan: Plan) -> Manifest:
    """The routes of all experiments on a host, in one object: Istio leaves undefined what several do together.

    Raises:
        RoutingError: Istio or Envoy would refuse a condition.
    """
    settings = plan.settings.istio
    spec: dict[str, Any] = {"hosts": [plan.host, *settings.hosts]}
    if settings.gateways:
        spec["gateways"] = ["mesh", *settings.gateways]
    spec["http"] = [written for route in plan.routes for written in _routes(plan, route)]
    layer, split = plan.layers[0], plan.splits[0]
    shares = [share for one in plan.splits for share in one.shares]
    annotations = {
        "abkit.dev/bucket-header": split.header,
        "abkit.dev/salt": split.salt,
        "abkit.dev/split": ",".join(f"{share.target.variant}={share.weight}" for share in shares),
        "abkit.dev/unit": layer.unit,
    }
    edge = "the EnvoyFilter beside it does" if plan.settings.edge is Edge.GATEWAY else "abkit.instrument does"
    comments = (
        f"The split reads the request header {split.header} (0 to 9999), which the edge computes from the",
        f"{layer.unit} and the salt {split.salt} ({edge}) and never takes from a client.",
        "Requests without it, or with one that is malformed, take the last route.",
    )
    return manifest(plan, API_VERSION, "VirtualService", spec, annotations=annotations, comments=comments)


def _routes(plan: Plan, route: Route) -> Iterator[dict[str, Any]]:
    matches = [] if route.always else [_match(plan, route, alternative) for alternative in route.when]
    then = route.then
    if isinstance(then, Target):
        yield _written(route.name, matches, {**_marked(then), "route": [_destination(plan, then)]}, plan, route.effects)
    elif isinstance(then, Reply):
        body = {"string": then.body}
        answer: dict[str, Any] = {"headers": {"response": {"set": {"content-type": then.content_type}}}}
        answer["directResponse"] = {"status": then.status, **({"body": body} if then.body else {})}
        yield _written(route.name, matches, answer, plan, route.effects)
    elif isinstance(then, Lot):
        weighted = [
            {**_destination(plan, target), "weight": weight, **_marked(target)} for target, weight in then.chances
        ]
        yield _written(route.name, matches, {"route": weighted}, plan, route.effects)
    elif plan.settings.istio.native_hash:
        yield _natively(plan, route, then, matches)
    else:
        yield from _by_bucket(plan, route, then, matches)


def _by_bucket(plan: Plan, route: Route, split: Split, matches: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for share in split.shares:
        bucket = BucketMatch(split.layer, share.first, share.last)
        narrowed = [_with(plan, route, match, bucket.as_header()) for match in matches or [{}]]
        target = share.target
        action = {**_marked(target), "route": [_destination(plan, target)]}
        name = f"{route.name}-{target.variant}"
        yield _written(name, narrowed, action, plan, _without_own_copies(route.effects, target))


def _natively(plan: Plan, route: Route, split: Split, matches: Sequence[dict[str, Any]]) -> dict[str, Any]:
    header = plan.layers[0].header
    if header is None or any(isinstance(c, BucketMatch) for one in plan.routes for way in one.when for c in way):
        what = "split by Envoy's own hash where a cookie is the unit, or where a holdout or other buckets are set"
        raise unable(plan, "istio", what, [], "leave out mesh.istio.native-hash")
    weighted = [
        {**_destination(plan, share.target), "weight": share.weight, **_marked(share.target)} for share in split.shares
    ]
    # A request without the header would be split by lot.
    present = HeaderMatch(header, Way.REGEX, ".+")
    narrowed = [_with(plan, route, match, present) for match in matches or [{}]]
    return _written(native_name(plan, route), narrowed, {"route": weighted}, plan, route.effects)


def _without_own_copies(effects: Effects, target: Target) -> Effects:
    copies = effects.copies
    if copies is None or copies.version != target.version:
        return effects
    return Effects(effects.timeout, effects.retrying, effects.trial)


def _written(
    name: str, matches: Sequence[dict[str, Any]], action: dict[str, Any], plan: Plan, effects: Effects
) -> dict[str, Any]:
    return {"name": name, **({"match": list(matches)} if matches else {}), **action, **_effects(plan, effects)}


def _destination(plan: Plan, target: Target) -> dict[str, Any]:
    subset = subset_of(plan, target.version)
    return {"destination": {"host": plan.host, "port": {"number": plan.port}, "subset": subset}}


def _marked(target: Target) -> dict[str, Any]:
    return {"headers": {"request": {"set": target.headers}}}


def _effects(plan: Plan, effects: Effects) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if effects.timeout is not None:
        found["timeout"] = go_duration(effects.timeout)
    again = effects.retrying
    if again is not None:
        found["retries"] = {"attempts": again.attempts}
        if again.per_try is not None:
            found["retries"] |= {"perTryTimeout": go_duration(again.per_try), "retryOn": ",".join(again.on)}
    trial = effects.trial
    if trial is not None:
        fault: dict[str, Any] = {}
        if trial.delay is not None:
            fault["delay"] = {"fixedDelay": go_duration(trial.delay), "percentage": {"value": trial.delay_share}}
        if trial.abort is not None:
            fault["abort"] = {"httpStatus": trial.abort, "percentage": {"value": trial.abort_share}}
        found["fault"] = fault
    copies = effects.copies
    if copies is not None:
        port = {"number": plan.port}
        # Its own pods alone: copies must not reach those that take over.
        own = {"host": plan.host, "port": port, "subset": subset_names(plan.versions)[copies.version]}
        found["mirrors"] = [{"destination": own, "percentage": {"value": copies.share}}]
    return found


def _match(plan: Plan, route: Route, alternative: Alternative) -> dict[str, Any]:
    match: dict[str, Any] = {}
    for condition in alternative:
        match = _with(plan, route, match, condition)
    return match


def _with(plan: Plan, route: Route, match: dict[str, Any], condition: Condition) -> dict[str, Any]:
    """A match with one more condition; all of a match must hold."""
    if isinstance(condition, BucketMatch):
        condition = condition.as_header()
    if isinstance(condition, MethodMatch):
        how = {"exact": condition.methods[0]} if len(condition.methods) == 1 else {"regex": "|".join(condition.methods)}
        return {**match, "method": how}
    if isinstance(condition, SourceMatch):
        labels = {"sourceLabels": dict(condition.labels)} if condition.labels else {}
        return match | labels | ({"sourceNamespace": condition.namespace} if condition.namespace else {})
    # Envoy refuses empty patterns, and with them the whole configuration.
    if not condition.value and condition.way is not Way.EXACT:
        msg = f"match by an empty {condition.way} ({route.name})"
        raise unable(plan, "istio", msg, [], "write regex: '.*' for any value, or exact: '' for an empty one")
    how = {condition.way.value: condition.value}
    if isinstance(condition, PathMatch):
        key, name, place = "uri", "", match.get("uri")
    else:
        key = "headers" if isinstance(condition, HeaderMatch) else "queryParams"
        name = condition.header if isinstance(condition, HeaderMatch) else condition.name
        place = match.get(key, {}).get(name)
    if place is not None and place != how:
        raise unable(plan, "istio", f"ask twice for {name or 'the path'} in one condition ({route.name})", ["envoy"])
    return {**match, key: {**match.get(key, {}), name: how} if name else how}
