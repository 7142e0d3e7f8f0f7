"""Experiment → plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from abkit.assignment import BUCKETS
from abkit.errors import RoutingError
from abkit.routing.conditions import (
    ALWAYS,
    Alternative,
    BucketMatch,
    HeaderMatch,
    QueryMatch,
    Way,
    cookie_match,
    from_spec,
)
from abkit.routing.effects import Copies, breaker, effects_of, narrowed
from abkit.routing.plan import Destination, Layer, Lot, Mark, Plan, Reply, Route, Share, Split, Stage, Target
from abkit.spec import Experiment, Strategy

__all__ = ["build_plan"]


def build_plan(experiment: Experiment, split: Mapping[str, int] | None = None) -> Plan:
    """Plan of an experiment.

    The order of its routes: static answers, forced variants, rules, the holdout, the split, units that take no part,
    requests without a unit.

    Args:
        experiment: The experiment.
        split: Variant → basis points, 10,000 in all; the experiment's own where left out. `resolve_split` makes one.

    Raises:
        RoutingError: The split does not come out even in the experiment's part of its layer, or conditions multiply
            beyond what a mesh takes.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> [route.name for route in build_plan(spec).routes]
    ['split', 'without-unit']
    """
    weights = experiment.split if split is None else split
    asked, unit = experiment.assignment, experiment.assignment.unit
    layers = [Layer(experiment.layer, experiment.salt, unit.header, unit.cookie)]
    if asked.holdout is not None:
        salt = asked.holdout.salt or asked.holdout.layer
        layers.append(Layer(asked.holdout.layer, salt, unit.header, unit.cookie))
    base = [*_forced(experiment), *_rules(experiment), *_holdout(experiment), *_by_bucket(experiment, weights)]
    base.append(Route(Stage.DEFAULT, "without-unit", ALWAYS, _without_unit(experiment, weights)))
    policies = experiment.policies
    fallback = experiment.fallback
    return Plan(
        experiments=(experiment.name,),
        strategies=(experiment.strategy,),
        service=experiment.service.name,
        namespace=experiment.service.namespace,
        port=experiment.service.port,
        layers=tuple(layers),
        replicates=asked.replicates,
        versions=tuple(dict.fromkeys(variant.version for variant in experiment.variants.values())),
        routes=(*_answers(experiment), *_with_effects(experiment, base, weights)),
        settings=experiment.mesh,
        specs=(experiment,),
        breaker=None if policies.circuit_breaker is None else breaker(policies.circuit_breaker),
        fallback=None if fallback is None else experiment.variants[fallback].version,
    )


def _target(experiment: Experiment, variant: str, mark: Mark) -> Target:
    return Target(variant, experiment.variants[variant].version, mark, experiment.name, experiment.layer)


def _answers(experiment: Experiment) -> Iterator[Route]:
    for number, answer in enumerate(experiment.policies.answers, start=1):
        reply = Reply(answer.status, answer.body, answer.content_type)
        yield Route(Stage.ANSWER, f"answer-{number}", from_spec(answer.when), reply)


def _forced(experiment: Experiment) -> Iterator[Route]:
    forced = experiment.assignment.forced
    if forced is None:
        return
    for variant in experiment.variants:
        ways: list[Alternative] = []
        if forced.header is not None:
            ways.append((HeaderMatch(forced.header, Way.EXACT, variant),))
        if forced.cookie is not None:
            ways.append((cookie_match(forced.cookie, Way.EXACT, variant),))
        if forced.query is not None:
            ways.append((QueryMatch(forced.query, Way.EXACT, variant),))
        yield Route(Stage.FORCED, f"forced-{variant}", tuple(ways), _target(experiment, variant, Mark.FORCED))


def _rules(experiment: Experiment) -> Iterator[Route]:
    for number, rule in enumerate(experiment.assignment.rules, start=1):
        yield Route(Stage.RULE, f"rule-{number}", from_spec(rule.when), _target(experiment, rule.to, Mark.RULE))


def _holdout(experiment: Experiment) -> Iterator[Route]:
    held = experiment.assignment.holdout
    if held is not None:
        within = BucketMatch(held.layer, 0, held.share - 1)
        yield Route(Stage.HOLDOUT, "holdout", ((within,),), _target(experiment, experiment.control, Mark.NONE))


def _by_bucket(experiment: Experiment, weights: Mapping[str, int]) -> Iterator[Route]:
    if (total := sum(weights.get(variant, 0) for variant in experiment.variants)) != BUCKETS:
        msg = f"the split of {experiment.name} sums to {total}, not to {BUCKETS}"
        raise ValueError(msg)
    taken = experiment.assignment.buckets
    start, size = (0, BUCKETS) if taken is None else (taken.from_, taken.size)
    shares: list[Share] = []
    first = start
    for variant in experiment.variants:
        # The file's order, whatever the mapping's: the walk is the contract with the hash.
        count, broken = divmod(weights.get(variant, 0) * size, BUCKETS)
        if broken:
            msg = (
                f"{experiment.name}: {weights[variant] / 100:g} % of the {size:,} buckets in assignment.buckets is not "
                f"a whole number of them: give '{variant}' another share, or the experiment other buckets"
            )
            raise RoutingError(msg)
        if count:
            shares.append(Share(_target(experiment, variant, Mark.HASH), first, first + count - 1))
            first += count
    yield Route(Stage.SPLIT, "split", ALWAYS, Split(experiment.layer, experiment.salt, tuple(shares)))
    outside = [(0, start - 1), (start + size, BUCKETS - 1)]
    rest = tuple((BucketMatch(experiment.layer, low, high),) for low, high in outside if low <= high)
    if rest:
        yield Route(Stage.OUTSIDE, "outside", rest, _target(experiment, experiment.control, Mark.NONE))


def _without_unit(experiment: Experiment, weights: Mapping[str, int]) -> Target | Lot:
    if not experiment.random_without_unit:
        chosen, asked = experiment.without_unit, experiment.assignment
        whole = asked.buckets is None or asked.buckets.size == BUCKETS
        if experiment.strategy is not Strategy.AB and asked.without_unit is None and whole:
            # A release that is through is through for all: the old version can be taken away.
            chosen = next((name for name in experiment.variants if weights.get(name) == BUCKETS), chosen)
        return _target(experiment, chosen, Mark.NONE)
    chances = ((_target(experiment, name, Mark.NONE), weights.get(name, 0)) for name in experiment.variants)
    return Lot(tuple(chance for chance in chances if chance[1]))


def _with_effects(experiment: Experiment, base: list[Route], weights: Mapping[str, int]) -> Iterator[Route]:
    found = effects_of(experiment, _copies(experiment, weights))
    for route in base:
        for name, when, effects in found:
            place = f"{experiment.name}, {route.name}"
            condition = narrowed(place, route.when, when)
            if not condition:
                continue
            copies = effects.copies
            if copies is not None and copies.version in _served(route.then):
                effects = replace(effects, copies=None)
            yield Route(route.stage, f"{route.name}-{name}" if name else route.name, condition, route.then, effects)


def _served(then: Destination) -> tuple[str, ...]:
    """Versions that a destination sends requests to; of a split, none: each of its shares is looked at by itself."""
    if isinstance(then, Lot):
        return tuple(target.version for target, _ in then.chances)
    return (then.version,) if isinstance(then, Target) else ()


def _copies(experiment: Experiment, weights: Mapping[str, int]) -> Copies | None:
    mirror = experiment.mirror
    # Strategy mirror: once users are served, copies would be counted beside their requests.
    if mirror is None or (experiment.strategy is Strategy.MIRROR and weights.get(mirror.to, 0) > 0):
        return None
    return Copies(experiment.variants[mirror.to].version, mirror.share)
