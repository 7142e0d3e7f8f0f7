from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from abkit.routing import Request, build_plan
from abkit.routing.conditions import ALWAYS, HeaderMatch, Way
from abkit.routing.plan import Mark, Route, Share, Split, Stage, Target
from tests.routing.specs import experiment, split


def test_rules_in_order_then_split_then_default() -> None:
    rules = [
        {"when": {"header": {"x-staff": {"regex": "yes|true"}, "x-user-type": {"prefix": "vip-"}}}, "to": "treatment"},
        {"when": {"header": {"X-User-Type": {"exact": "vip"}}}, "to": "control"},
    ]
    plan = build_plan(
        experiment(assignment={"salt": "s", "layer": "checkout", "rules": rules, "without-unit": "treatment"})
    )
    control, treatment = (("control", "v1"), ("treatment", "v2"))
    where = ("buy-now-button", "checkout")
    assert plan.routes == (
        Route(
            Stage.RULE,
            "rule-1",
            ((HeaderMatch("x-staff", Way.REGEX, "yes|true"), HeaderMatch("x-user-type", Way.PREFIX, "vip-")),),
            Target(*treatment, Mark.RULE, *where),
        ),
        Route(
            Stage.RULE,
            "rule-2",
            ((HeaderMatch("x-user-type", Way.EXACT, "vip"),),),
            Target(*control, Mark.RULE, *where),
        ),
        Route(
            Stage.SPLIT,
            "split",
            ALWAYS,
            Split(
                "checkout",
                "s",
                (
                    Share(Target(*control, Mark.HASH, *where), 0, 4_999),
                    Share(Target(*treatment, Mark.HASH, *where), 5_000, 9_999),
                ),
            ),
        ),
        Route(Stage.DEFAULT, "without-unit", ALWAYS, Target(*treatment, Mark.NONE, *where)),
    )
    assert Target(*treatment, Mark.RULE, *where).headers == {
        "x-ab-assignment-checkout": "rule",
        "x-ab-experiment-checkout": "buy-now-button",
        "x-ab-variant-checkout": "treatment",
    }


def test_what_the_plan_is_about() -> None:
    plan = build_plan(experiment(assignment={"unit": {"cookie": "uid"}}))
    assert (plan.title, plan.service, plan.namespace, plan.port) == ("buy-now-button", "my-service", "shop", 8080)
    assert (plan.layers[0].unit, plan.layers[0].name, plan.versions) == ("cookie uid", "buy-now-button", ("v1", "v2"))
    with pytest.raises(FrozenInstanceError):
        plan.port = 1  # type: ignore[misc]


def test_buckets_follow_the_files_order_and_leave_out_what_has_no_weight() -> None:
    spec = experiment(variants=split(control=9_000, b=0, c=400, d=600), assignment={})
    [cut] = [route.then for route in build_plan(spec).routes if isinstance(route.then, Split)]
    assert [(share.target.variant, share.first, share.last, share.weight) for share in cut.shares] == [
        ("control", 0, 8_999, 9_000),
        ("c", 9_000, 9_399, 400),
        ("d", 9_400, 9_999, 600),
    ]
    # The order is the file's, also where a split comes in another one.
    again = build_plan(spec, {"d": 600, "c": 400, "control": 9_000})
    assert build_plan(spec) == again
    assert build_plan(spec).versions == ("control", "b", "c", "d")


def test_versions_are_named_once() -> None:
    spec = experiment(variants={"control": "v1", "treatment": "v1"}, assignment={})
    assert build_plan(spec).versions == ("v1",)


def test_a_split_that_is_not_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="sums to 9999, not to 10000"):
        build_plan(experiment(), {"control": 5_000, "treatment": 4_999})


@pytest.mark.parametrize(
    ("way", "pattern", "value", "holds"),
    [
        (Way.EXACT, "vip", "vip", True),
        (Way.EXACT, "vip", "VIP", False),
        (Way.EXACT, "", "", True),
        (Way.PREFIX, "vi", "vip", True),
        (Way.PREFIX, "vip", "vi", False),
        (Way.REGEX, "v.p", "vip", True),
        (Way.REGEX, "v.p", "vips", False),
        (Way.REGEX, "a|vip", "avip", False),
        (Way.REGEX, ".*", None, False),
        (Way.EXACT, "", None, False),
        (Way.PREFIX, "v", None, False),
    ],
)
def test_header_match(way: Way, pattern: str, value: str | None, holds: bool) -> None:
    assert HeaderMatch("x-a", way, pattern).holds(Request({} if value is None else {"x-a": value})) is holds


def test_a_version_gets_no_copies_of_its_own_requests() -> None:
    spec = experiment(
        assignment={"without-unit": "random", "forced": {"header": "x-force"}}, policies={"mirror": {"to": "treatment"}}
    )
    routes = {route.name: route for route in build_plan(spec).routes}
    assert {name for name, route in routes.items() if route.effects.copies is not None} == {"forced-control", "split"}
