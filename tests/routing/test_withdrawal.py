"""The way back: nothing reaches a treatment."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given

from abkit.routing import join, merge_plans, render_many, withdrawn_plan
from abkit.routing.plan import Lot, Split, Target
from abkit.spec import Experiment
from tests.routing.specs import experiment
from tests.routing.strategies import experiments


def versions(spec: Experiment) -> set[str]:
    """Versions that get requests or copies."""
    found: set[str] = set()
    for route in withdrawn_plan(spec).routes:
        if isinstance(route.then, Target):
            found.add(route.then.version)
        elif isinstance(route.then, Split):
            found |= {share.target.version for share in route.then.shares}
        else:
            assert not isinstance(route.then, Lot)
        assert route.effects.copies is None
    return found


@given(experiments())
def test_all_requests_go_to_the_control(spec: Experiment) -> None:
    assert versions(spec) == {spec.variants[spec.control].version}


@pytest.mark.parametrize("strategy", ["canary", "blue-green", "mirror"])
def test_every_strategy_has_a_way_back(strategy: str) -> None:
    spec = experiment(strategy=strategy, policies={"mirror": {"to": "treatment"}} if strategy == "mirror" else {})
    assert versions(spec) == {"v1"}
    rule, *_, routes = yaml.safe_load_all(join(render_many([spec], withdrawn=True)))
    assert [subset["name"] for subset in rule["spec"]["subsets"]] == ["v1", "v2"], (
        "the way forward is a change of routes"
    )
    assert "v2" not in json.dumps(routes["spec"])


def test_it_merges_as_the_way_forward_does() -> None:
    halves = [
        experiment(
            metadata={"name": name},
            assignment={"layer": "checkout", "salt": "s", "buckets": {"from": low, "to": low + 4_999}},
        )
        for name, low in (("one", 0), ("two", 5_000))
    ]
    (plan,) = merge_plans(map(withdrawn_plan, halves))
    assert plan.experiments == ("one", "two")
