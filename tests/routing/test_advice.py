from __future__ import annotations

from typing import Any

import pytest

from abkit.routing import advice
from abkit.routing.weights import moved_aside
from tests.routing.specs import experiment


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"policies": {"mirror": {"to": "treatment"}}}, "policies.mirror: what a mirrored request does"),
        (
            {"policies": {"retries": {"tier": "api", "non-idempotent": True}}},
            "policies.retries.non-idempotent: an order",
        ),
        (
            {"policies": {"faults": [{"abort": {"status": 503}}]}},
            "policies.faults.0: aborted requests reach no version",
        ),
        ({"assignment": {"without-unit": "random"}}, "assignment.without-unit: random draws"),
        (
            {"assignment": {"rules": [{"when": {"header": {"x-user-id": {"regex": ".*[02468]$"}}}, "to": "control"}]}},
            "reads decimal digits: 37.5 % of users with hexadecimal ids",
        ),
        (
            {"strategy": "canary", "assignment": {"buckets": {"from": 0, "to": 4_999}}},
            "the last step gives the new version 50 % of the users",
        ),
    ],
)
def test_what_an_author_should_know(changes: dict[str, Any], says: str) -> None:
    [text] = advice(experiment(**changes))
    assert says in text


def test_a_ramp_that_pushes_users_aside() -> None:
    ramp = [
        {"from": "2026-11-01", "split": {"control": 8_000, "b": 1_000, "c": 1_000}},
        {"from": "2026-11-02", "split": {"control": 6_000, "b": 2_000, "c": 2_000}},
    ]
    pushed = experiment(variants={"control": "v1", "b": "v2", "c": "v3"}, assignment={}, ramp=ramp)
    [text] = advice(pushed)
    assert text.startswith("ramp.1: moves 10 % of the users from one treatment to another: put the control between two")
    between = experiment(variants={"b": "v2", "control": "v1", "c": "v3"}, assignment={}, ramp=ramp)
    assert advice(between) == ()
    assert advice(experiment()) == ()


def test_back_is_no_push() -> None:
    split = {"a": 5_000, "b": 5_000}
    assert moved_aside(split, {"a": 9_000, "b": 1_000}, "a") == 0
    assert moved_aside({"a": 0, "b": 5_000, "c": 5_000}, {"a": 0, "b": 10_000, "c": 0}, "a") == 0
