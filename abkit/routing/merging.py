"""Plans of the experiments on one service → one plan, or the conflict that names both.

A mesh has one list of routes a host: Istio leaves undefined what several VirtualServices do together. So the routes of
all experiments on a service make one list, stage by stage (see `Stage`), within a stage by the experiments' names.
Experiments on one service share a layer and split its buckets among them: a request can go to one version only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from abkit.errors import RoutingError
from abkit.routing.conditions import Alternative
from abkit.routing.plan import Destination, Lot, Plan, Reply, Route, Split, Stage, Target
from abkit.spec import Strategy

__all__ = ["merge_plans"]


def merge_plans(plans: Iterable[Plan]) -> tuple[Plan, ...]:
    """One plan a service.

    Args:
        plans: Plans of one experiment each, in any order.

    Returns:
        Plans by namespace and service.

    Raises:
        RoutingError: Two experiments contradict each other; names both, and what to change.
    """
    services: dict[tuple[str, str], list[Plan]] = {}
    for plan in sorted(plans, key=lambda one: one.experiments):
        services.setdefault((plan.namespace, plan.service), []).append(plan)
    return tuple(_merged(services[place]) for place in sorted(services))


def _merged(plans: Sequence[Plan]) -> Plan:
    if len(plans) == 1:
        return plans[0]
    for one, other in combinations(plans, 2):
        _check(one, other)
    routes: list[Route] = []
    for stage in Stage:
        found = [(plan, route) for plan in plans for route in plan.stage(stage)]
        if stage in {Stage.OUTSIDE, Stage.DEFAULT}:
            # They come after all splits and are of one mind: the first experiment's take what no split has taken.
            first = next((plan for plan, _ in found), None)
            found = [(plan, route) for plan, route in found if plan is first]
            if (
                stage is Stage.OUTSIDE
                and sum(share.weight for plan in plans for share in _split(plan).shares) == 10_000
            ):
                found = []
        routes += [replace(route, name=f"{plan.title}-{route.name}") for plan, route in found]
    first = plans[0]
    return replace(
        first,
        experiments=tuple(plan.title for plan in plans),
        strategies=tuple(strategy for plan in plans for strategy in plan.strategies),
        layers=tuple(dict.fromkeys(layer for plan in plans for layer in plan.layers)),
        versions=tuple(dict.fromkeys(version for plan in plans for version in plan.versions)),
        routes=tuple(routes),
        specs=tuple(spec for plan in plans for spec in plan.specs),
        breaker=next((plan.breaker for plan in plans if plan.breaker is not None), None),
        fallback=next((plan.fallback for plan in plans if plan.fallback is not None), None),
    )


def _split(plan: Plan) -> Split:
    [split] = plan.splits
    return split


def _check(one: Plan, other: Plan) -> None:
    """Refuse what two experiments on a service can't both have."""
    both = f"'{one.title}' and '{other.title}' are both on {one.host}"
    if one.title == other.title:
        msg = f"two experiments are called '{one.title}': give one of them another metadata.name"
        raise RoutingError(msg)
    if Strategy.AB not in (*one.strategies, *other.strategies):
        msg = (
            f"{both} and both move its weights ({one.strategies[0]} and {other.strategies[0]}): one owner holds the "
            "weights of a service; end one of them first"
        )
        raise RoutingError(msg)
    _check_layers(one, other, both)
    for what, of in _SHARED:
        mine, theirs = of(one), of(other)
        if mine != theirs and mine is not None and theirs is not None:
            msg = f"{both} with different {what}: make them equal"
            raise RoutingError(msg)
    ours = dict(_decided(one))
    for alternative, theirs_then in _decided(other):
        then = ours.get(alternative)
        if then is not None and _place(then) != _place(theirs_then):
            shown = " and ".join(str(condition) for condition in alternative)
            msg = f"{both} and decide about the same requests ({shown}): keep the rule in one of them"
            raise RoutingError(msg)


def _check_layers(one: Plan, other: Plan, both: str) -> None:
    mine, theirs = one.layers[0], other.layers[0]
    if mine.name != theirs.name:
        msg = (
            f"{both} in different layers, '{mine.name}' and '{theirs.name}': a request can go to one version only; "
            "give both the same assignment.layer, and each its own assignment.buckets"
        )
        raise RoutingError(msg)
    if mine != theirs:
        msg = (
            f"{both} in the layer '{mine.name}' with different salts or units ({mine.salt} of {mine.unit}, "
            f"{theirs.salt} of {theirs.unit}): a layer has one of each"
        )
        raise RoutingError(msg)
    for share in _split(one).shares:
        for their in _split(other).shares:
            if share.first <= their.last and their.first <= share.last:
                first, last = max(share.first, their.first), min(share.last, their.last)
                msg = (
                    f"{both} and both take the buckets {first} to {last} of the layer '{mine.name}': give each its own "
                    "assignment.buckets"
                )
                raise RoutingError(msg)
    for layer in one.layers[1:]:
        for their_layer in other.layers[1:]:
            if layer.name == their_layer.name and layer != their_layer:
                msg = f"{both} and read the layer '{layer.name}' with different salts or units: a layer has one of each"
                raise RoutingError(msg)


def _default_place(plan: Plan) -> object:
    return tuple(_place(route.then) for route in plan.stage(Stage.DEFAULT))[-1:]


def _control(plan: Plan) -> str:
    [spec] = plan.specs
    return spec.variants[spec.control].version


def _policies(plan: Plan) -> object:
    """What is done with a request that nothing else is known of; copies are each experiment's own."""
    return tuple((route.when, replace(route.effects, copies=None)) for route in plan.stage(Stage.DEFAULT))


_SHARED: tuple[tuple[str, Callable[[Plan], object]], ...] = (
    ("service.port", lambda plan: plan.port),
    ("mesh settings", lambda plan: plan.settings),
    ("assignment.replicates", lambda plan: plan.replicates),
    ("circuit breakers", lambda plan: plan.breaker),
    ("fallbacks", lambda plan: plan.fallback),
    ("versions for requests without a unit", _default_place),
    ("versions of the control", _control),
    # One alone would take its users out of the other's buckets, who are randomised as far as that one knows.
    ("assignment.holdout", lambda plan: (plan.specs[0].assignment.holdout,)),
    ("timeouts, retries or faults under policies, which hold for the whole service", _policies),
)


def _place(then: Destination) -> object:
    """Where requests end up, whatever they are called."""
    if isinstance(then, Target):
        return then.version
    if isinstance(then, Lot):
        return tuple((target.version, weight) for target, weight in then.chances)
    return then


def _decided(plan: Plan) -> Iterator[tuple[Alternative, Target | Reply]]:
    """What rules, wishes and answers say of which requests."""
    for stage in (Stage.ANSWER, Stage.FORCED, Stage.RULE):
        for route in plan.stage(stage):
            if isinstance(route.then, (Target, Reply)):
                yield from ((alternative, route.then) for alternative in route.when)
