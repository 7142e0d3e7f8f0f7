"""Experiments on one service make one list of routes, or an error that names both."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from abkit.assignment import bucket
from abkit.errors import RoutingError
from abkit.routing import assign, build_plan, merge_plans, render_many
from abkit.spec import Experiment
from tests.routing.interpreters.base import sent_by_edge
from tests.routing.interpreters.istio import Istio
from tests.routing.specs import experiment


def one(name: str, first: int, last: int, **changes: Any) -> Experiment:
    """An experiment on a part of the layer `checkout`."""
    assignment = {"layer": "checkout", "salt": "s", "buckets": {"from": first, "to": last}}
    extra = changes.pop("assignment", {})
    versions = {"control": "v1", "treatment": f"v-{name}"}
    return experiment(metadata={"name": name}, variants=versions, assignment=assignment | extra, **changes)


def test_two_share_a_layer_and_the_rest_get_the_control() -> None:
    first, second = one("a", 0, 3_999), one("b", 4_000, 7_999)
    manifests = render_many([second, first])
    [service] = [yaml.safe_load(m.text) for m in manifests if m.filename.endswith("virtualservice.yaml")]
    assert service["metadata"]["annotations"]["abkit.dev/experiments"] == "a,b"
    mesh = Istio(manifests)
    for number in range(600):
        unit = f"user-{number}"
        routed = mesh.send(sent_by_edge(first, unit))
        place = bucket("s", unit)
        owner = first if place < 4_000 else second if place < 8_000 else None
        if owner is None:
            assert (routed.version, routed.headers["x-ab-assignment-checkout"]) == ("v1", "none")
        else:
            assert routed.version == assign(owner, unit).version
            assert routed.headers["x-ab-experiment-checkout"] == owner.name
            assert routed.headers["x-ab-assignment-checkout"] == "hash"


def test_alone_the_rest_of_the_layer_gets_the_control_and_is_not_compared() -> None:
    spec = one("a", 2_000, 5_999)
    got = [assign(spec, f"user-{number}") for number in range(2_000)]
    inside = [row for row in got if row.bucket is not None and 2_000 <= row.bucket < 6_000]
    assert {row.assignment for row in inside} == {"hash"}
    assert {row.variant for row in inside} == {"control", "treatment"}
    assert {(row.variant, row.assignment) for row in got if row not in inside} == {("control", "none")}


def test_other_services_stay_apart_and_the_order_is_the_names() -> None:
    plans = merge_plans(
        build_plan(spec)
        for spec in (one("b", 5_000, 9_999), one("a", 0, 4_999), one("c", 0, 9_999, service={"name": "other"}))
    )
    assert [(plan.service, plan.experiments) for plan in plans] == [("other", ("c",)), ("my-service", ("a", "b"))]
    assert [route.name for route in plans[1].routes] == ["a-split", "b-split", "a-without-unit"]


RULE = {"when": {"header": {"x-a": "1"}}}


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (one("b", 3_000, 6_999), r"both take the buckets 3000 to 3999 of the layer 'checkout'"),
        (one("b", 4_000, 7_999, assignment={"layer": "other"}), "in different layers, 'checkout' and 'other'"),
        (one("b", 4_000, 7_999, assignment={"salt": "t"}), "with different salts or units"),
        (
            one("b", 4_000, 7_999, assignment={"rules": [RULE | {"to": "treatment"}]}),
            r"decide about the same requests \(.*x-a.*\): keep the rule in one of them",
        ),
        (
            one("b", 4_000, 7_999, service={"name": "my-service", "namespace": "shop", "port": 1}),
            "different service.port",
        ),
        (one("b", 4_000, 7_999, policies={"fallback": {"to": "treatment"}}), "different fallbacks"),
        (one("b", 4_000, 7_999, assignment={"replicates": 64}), "different assignment.replicates"),
        (
            one("b", 4_000, 7_999, assignment={"without-unit": "treatment"}),
            "different versions for requests without a unit",
        ),
        (one("b", 4_000, 7_999, assignment={"holdout": {"share": 100}}), "different assignment.holdout"),
        (one("b", 4_000, 7_999, policies={"timeout": "fast"}), "different timeouts, retries or faults"),
        (one("a", 4_000, 7_999), "two experiments are called 'a'"),
    ],
)
def test_conflicts_name_both(second: Experiment, says: str) -> None:
    first = one(
        "a", 0, 3_999, assignment={"rules": [RULE | {"to": "control"}]}, policies={"fallback": {"to": "control"}}
    )
    with pytest.raises(RoutingError, match=says) as raised:
        render_many([first, second])
    assert "'a'" in str(raised.value)
    if second.name == "b":
        assert "'b'" in str(raised.value)


def test_the_control_is_one_version_and_a_holdout_holds_for_all() -> None:
    held = {"holdout": {"share": 500}}
    first, second = (one(name, low, low + 4_999, assignment=held) for name, low in (("a", 0), ("b", 5_000)))
    mesh = Istio(render_many([first, second]))
    for number in range(600):
        unit = f"user-{number}"
        routed = mesh.send(sent_by_edge(first, unit))
        owner = first if bucket("s", unit) < 5_000 else second
        wanted = assign(owner, unit)
        assert (routed.version, routed.headers["x-ab-assignment-checkout"]) == (wanted.version, wanted.assignment)
    other = second.model_copy(update={"variants": {**second.variants, "control": second.variants["treatment"]}})
    with pytest.raises(RoutingError, match=r"'a' and 'b' .*different versions"):
        render_many([first, other])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"salt": "t"}, "the layer 'checkout' at one gateway with different salts or units"),
        ({"layer": "other", "replicates": 64}, "different assignment.replicates at one gateway, 64 and 32"),
    ],
)
def test_services_at_one_gateway_agree(changes: dict[str, Any], says: str) -> None:
    first = one("a", 0, 9_999)
    # A filter of Istio's gateway runs for the requests of all services.
    second = one("b", 0, 9_999, service={"name": "other"}, assignment=changes)
    with pytest.raises(RoutingError, match=f"'b' and 'a' have .*{says}"):
        render_many([first, second])
    for mesh in ({"edge": "service"}, {"istio": {"gateway-labels": {"istio": "inner"}}}):
        render_many([first, one("b", 0, 9_999, service={"name": "other"}, assignment=changes, mesh=mesh)])
    render_many([first, second], "envoy")


def test_one_owner_holds_the_weights() -> None:
    canaries = [one(name, first, first + 4_999, strategy="canary") for name, first in (("a", 0), ("b", 5_000))]
    with pytest.raises(RoutingError, match=r"'a' and 'b' .*one owner holds the weights"):
        render_many(canaries)
    render_many([canaries[0], one("b", 5_000, 9_999)])


def test_part_of_a_layer_that_a_split_does_not_fit() -> None:
    with pytest.raises(RoutingError, match=r"99.95 % of the 1,000 buckets in assignment.buckets is not a whole number"):
        build_plan(one("a", 0, 999), {"control": 9_995, "treatment": 5})
