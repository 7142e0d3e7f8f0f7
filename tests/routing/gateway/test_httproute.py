"""HTTPRoutes of Gateway API and Linkerd mean what `assign` says, though the most specific match wins there."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit.errors import RoutingError
from abkit.routing import Request, join, render
from abkit.spec import Experiment
from tests.routing.interpreters.base import check_same, sent_by_edge
from tests.routing.interpreters.gateway import Gateway
from tests.routing.specs import experiment
from tests.routing.strategies import UNIT, experiments, requests

PARTS = ("header", "cookie", "query", "path", "method", "device")
MESHES = ["gateway-api", "linkerd"]


def _documents(spec: Experiment, mesh: str) -> list[dict[str, Any]]:
    return [yaml.safe_load(one.text) for one in render(spec, mesh)]


@pytest.mark.parametrize("mesh", MESHES)
def test_an_earlier_rule_wins_over_a_more_specific_later_one(mesh: str) -> None:
    rules = [
        {"when": {"query": {"v": "1"}}, "to": "treatment"},
        {
            "when": {"header": {"x-a": "1"}, "any": [{"header": {"x-b": "1"}}, {"header": {"x-c": "1"}}]},
            "to": "control",
        },
        {"when": {"path": {"exact": "/cart"}, "method": "POST"}, "to": "treatment"},
    ]
    spec = experiment(assignment={"rules": rules, "holdout": {"share": 500}, "layer": "checkout"})
    gateway = Gateway(render(spec, mesh))
    for unit in ("", "user-1", "user-2", "user-19"):
        for query in ({}, {"v": "1"}):
            for headers in ({}, {"x-a": "1"}, {"x-a": "1", "x-b": "1"}, {"x-a": "1", "x-b": "1", "x-c": "1"}):
                for path in ("/", "/cart", "/cart/1"):
                    for method in ("GET", "POST"):
                        check_same(spec, gateway, unit, Request(headers, path, method, query))


@pytest.mark.parametrize("mesh", MESHES)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), spec=experiments(PARTS), unit=UNIT)
def test_every_meaning_is_what_assign_says(mesh: str, data: st.DataObject, spec: Experiment, unit: str) -> None:
    try:
        manifests = render(spec, mesh)
    except RoutingError as error:
        reasons = ("ask twice for", "more than 16 rules", "with 64 matches", "an empty value")
        assert any(reason in str(error) for reason in reasons)  # noqa: PT017
        return
    assert join(manifests).isascii()
    gateway = Gateway(manifests)
    for who in (unit, ""):
        check_same(spec, gateway, who)
        check_same(spec, gateway, who, data.draw(requests(spec)))


@pytest.mark.parametrize("mesh", MESHES)
def test_expressions_mean_the_same_to_who_searches_and_to_who_matches_in_full(mesh: str) -> None:
    spec = experiment(variants={"control": "v1", "treatment": "v2"}, assignment={"layer": "checkout"})
    gateway = Gateway(render(spec, mesh))
    for number in range(300):
        check_same(spec, gateway, f"user-{number}")
    route = _documents(spec, mesh)[-1]["spec"]["rules"]
    written = [header["value"] for rule in route for match in rule.get("matches", ()) for header in match["headers"]]
    assert written
    assert all(value.startswith("^(?:") and value.endswith(")$") for value in written)


@pytest.mark.parametrize("mesh", MESHES)
def test_the_order_of_rules_holds_however_expressions_stand_among_paths(mesh: str) -> None:
    rules = [
        {"when": {"path": {"prefix": "/cart/sale"}}, "to": "treatment"},
        {"when": {"path": {"prefix": "/cart"}, "header": {"x-a": "1"}}, "to": "control"},
        {"when": {"path": {"prefix": "/"}, "header": {"x-b": "1"}}, "to": "treatment"},
        {"when": {"path": {"exact": "/"}, "header": {"x-a": "1", "x-b": "1"}}, "to": "control"},
    ]
    spec = experiment(assignment={"rules": rules, "layer": "checkout"})
    gateway = Gateway(render(spec, mesh))
    for headers in ({}, {"x-a": "1"}, {"x-b": "1"}, {"x-a": "1", "x-b": "1"}):
        for path in ("/", "/cart", "/cart/sale", "/cart/sale/1", "/other"):
            check_same(spec, gateway, "user-1", Request(headers, path))


def test_what_gateway_api_has() -> None:
    spec = experiment(
        policies={"timeout": "1500ms", "mirror": {"to": "treatment", "share": 12.5}},
        mesh={"gateway-api": {"gateways": [{"name": "public", "namespace": "edge"}], "hosts": ["shop.example.com"]}},
    )
    document = _documents(spec, "gateway-api")[-1]
    assert document["spec"]["parentRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "edge"}
    ]
    assert document["spec"]["hostnames"] == ["shop.example.com"]
    gateway = Gateway(render(spec, "gateway-api"))
    routed = gateway.send(sent_by_edge(spec, ""))
    assert routed.version == "v1"
    assert routed.effects == {
        "timeouts": {"request": "1500ms"},
        "mirrors": [
            {
                "backendRef": {"name": "my-service-v2", "port": 8080},
                "fraction": {"numerator": 1250, "denominator": 10_000},
            }
        ],
    }
    assert "mirrors" not in gateway.send(sent_by_edge(spec, "", Request({"x-user-type": "vip"}))).effects


@pytest.mark.parametrize(
    ("policies", "mesh", "says"),
    [
        ({"retries": "api"}, "gateway-api", r"can't try again: .*; a mesh that can: istio, envoy, linkerd"),
        ({"circuit-breaker": "normal"}, "gateway-api", "can't break circuits; a mesh that can: istio, envoy, linkerd"),
        ({"fallback": {"to": "control"}}, "linkerd", "can't fall back"),
        ({"mirror": {"to": "treatment"}}, "linkerd", r"can't mirror; a mesh that can: istio, envoy, gateway-api"),
        ({"faults": [{"abort": {"status": 503}}]}, "linkerd", r"can't inject faults .*a mesh that can: istio, envoy"),
        ({"answers": [{"when": {"path": {"prefix": "/a"}}}]}, "gateway-api", r"can't answer by itself \(answer-1\)"),
        ({"retries": {"tier": "api", "on": ["reset"]}}, "linkerd", "can't try again on reset"),
        (
            {"circuit-breaker": {"outliers": {"consecutive-gateway-errors": 3}}},
            "linkerd",
            "can't tell gateway errors from other 5xx",
        ),
    ],
)
def test_what_they_cannot_is_an_error_that_names_who_can(policies: Any, mesh: str, says: str) -> None:
    with pytest.raises(RoutingError, match=f"buy-now-button: mesh '{mesh}' {says}"):
        render(experiment(policies=policies), mesh)


def test_linkerds_annotations() -> None:
    spec = experiment(policies={"timeout": "api", "retries": "api", "circuit-breaker": "best-effort"})
    services = [one for one in _documents(spec, "linkerd") if one["kind"] == "Service"]
    assert services[0]["metadata"]["annotations"] == {
        "balancer.linkerd.io/failure-accrual": "consecutive",
        "balancer.linkerd.io/failure-accrual-consecutive-max-failures": "3",
        "balancer.linkerd.io/failure-accrual-consecutive-min-penalty": "60s",
        "balancer.linkerd.io/failure-accrual-consecutive-max-penalty": "600s",
    }
    gateway = Gateway(render(spec, "linkerd"))
    again = gateway.send(sent_by_edge(spec, "user-1", Request(method="GET"))).effects["annotations"]
    assert again == {
        "retry.linkerd.io/http": "gateway-error",
        "retry.linkerd.io/limit": "2",
        "retry.linkerd.io/timeout": "1500ms",
        "timeout.linkerd.io/request": "5s",
    }
    # An order is not placed twice.
    once = gateway.send(sent_by_edge(spec, "user-1", Request(method="POST"))).effects["annotations"]
    assert once == {"timeout.linkerd.io/request": "5s"}
    for unit in ("", "user-1", "user-2"):
        for method in ("GET", "POST"):
            for headers in ({}, {"x-user-type": "vip"}):
                check_same(spec, gateway, unit, Request(headers, method=method))


def test_a_ramp_moves_users_one_way() -> None:
    spec = experiment(strategy="canary", variants={"control": "v1", "treatment": "v2"})
    before: set[str] = set()
    for step in range(1, 6):
        gateway = Gateway(render(spec, "gateway-api", step=step))
        now = {unit for unit in map(str, range(300)) if gateway.send(sent_by_edge(spec, unit)).version == "v2"}
        assert before < now
        before = now


def test_smi_is_legacy_and_has_weights_alone() -> None:
    canary = experiment(strategy="canary", variants={"control": "v1", "treatment": "v2"}, assignment={})
    services_and_split = render(canary, "smi", step=3)
    document = yaml.safe_load(services_and_split[-1].text)
    assert document["apiVersion"] == "split.smi-spec.io/v1alpha2"
    assert document["spec"]["backends"] == [
        {"service": "my-service-v1", "weight": 7_500},
        {"service": "my-service-v2", "weight": 2_500},
    ]
    assert "LEGACY" in services_and_split[-1].text
    with pytest.raises(RoutingError, match="mesh 'smi' can't split users"):
        render(experiment(), "smi")


@pytest.mark.parametrize("mesh", MESHES)
def test_versions_whose_names_fall_together_have_services_of_their_own(mesh: str) -> None:
    long = "a" * 60
    spec = experiment(
        service=long,
        variants={"control": {"version": "1.4", "weight": 5_000}, "treatment": {"version": "1-4", "weight": 5_000}},
        assignment={"layer": "checkout"},
    )
    names = [one["metadata"]["name"] for one in _documents(spec, mesh) if one["kind"] == "Service"]
    assert len(set(names)) == 2
    assert all(len(name) <= 63 for name in names)
