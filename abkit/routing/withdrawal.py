"""The way back: every request to the control."""

from __future__ import annotations

from dataclasses import replace

from abkit.assignment import BUCKETS
from abkit.routing.building import build_plan
from abkit.routing.plan import Plan
from abkit.spec import Experiment

__all__ = ["withdrawn_plan"]


def withdrawn_plan(experiment: Experiment) -> Plan:
    """The plan that takes the treatments out of traffic: no rule, wish, lot or copy of a request reaches them.

    The versions stay known to the mesh, so that the way forward is a change of the routes alone.

    Args:
        experiment: The experiment.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> [share.target.variant for split in withdrawn_plan(spec).splits for share in split.shares]
    ['control']
    """
    quiet = experiment.assignment.model_copy(update={"rules": (), "forced": None, "without_unit": None})
    bare = experiment.model_copy(update={"assignment": quiet})
    plan = build_plan(bare, {experiment.control: BUCKETS})
    # Copies would reach the treatment still: it may be what breaks under them.
    routes = tuple(replace(route, effects=replace(route.effects, copies=None)) for route in plan.routes)
    return replace(plan, routes=routes)
