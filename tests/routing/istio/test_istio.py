from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit.errors import RoutingError
from abkit.routing import Request, join, render
from abkit.routing.istio import subset_names
from abkit.spec import Experiment
from tests.routing.interpreters.base import Routed, check_same, sent_by_edge
from tests.routing.interpreters.istio import Istio
from tests.routing.specs import experiment, split
from tests.routing.strategies import UNIT, experiments, requests


def _documents(spec: Experiment, **options: Any) -> dict[str, dict[str, Any]]:
    return {(document := yaml.safe_load(one.text))["kind"]: document for one in render(spec, **options)}


def test_thousands_of_ids_go_where_assign_says() -> None:
    spec = experiment(
        variants=split(control=6_123, b=0, c=1_377, d=2_500),
        assignment={
            "salt": "thousands",
            "layer": "checkout",
            "without-unit": "c",
            "rules": [
                {"when": {"header": {"x-user-type": {"exact": "vip"}}}, "to": "b"},
                {"when": {"header": {"x-user-type": {"prefix": "v"}, "x-geo": {"regex": "d[ek]"}}}, "to": "d"},
                {"when": {"header": {"x-geo": {"regex": "de|fr"}}}, "to": "c"},
            ],
        },
    )
    mesh = Istio(render(spec))
    for number in range(4_000):
        check_same(spec, mesh, f"user-{number}")
    for unit in ("", *map(str, range(50))):
        for kind in (None, "vip", "VIP", "vi", ""):
            for geo in (None, "de", "fr", "dk", "def"):
                headers = {"x-user-type": kind, "x-geo": geo}
                sent = {name: value for name, value in headers.items() if value is not None}
                check_same(spec, mesh, unit, Request(sent))


def test_every_bucket_has_one_route() -> None:
    spec = experiment(variants=split(control=1, b=9_998, c=1), assignment={"layer": "checkout"})
    mesh = Istio(render(spec))
    routes = [mesh.send(Request({"x-ab-bucket-checkout": str(number)})).route for number in range(10_000)]
    assert routes == ["split-control"] + ["split-b"] * 9_998 + ["split-c"]


@pytest.mark.parametrize("value", ["00012", "99999", "abc", "", "10000", "-1", "1.0", " 12", "12,12", "12 ", "١٢"])
def test_malformed_buckets_take_the_default_route(value: str) -> None:
    routed = Istio(render(experiment())).send(Request({"x-ab-bucket-checkout": value}))
    assert (routed.route, routed.headers["x-ab-assignment-checkout"]) == ("without-unit", "none")


def test_marks_replace_what_came_and_leave_the_rest() -> None:
    sent = {"x-ab-bucket-checkout": "9999", "x-ab-variant-checkout": "spoofed", "x-other": "1", "cookie": "a=b"}
    routed = Istio(render(experiment())).send(Request(sent))
    assert routed == Routed(
        "split-treatment",
        {"v2": 1},
        {
            "x-ab-bucket-checkout": "9999",
            "x-ab-variant-checkout": "treatment",
            "x-ab-experiment-checkout": "buy-now-button",
            "x-ab-assignment-checkout": "hash",
            "x-other": "1",
            "cookie": "a=b",
        },
    )
    for route in _documents(experiment())["VirtualService"]["spec"]["http"]:
        assert set(route["headers"]) == {"request"}
        assert set(route["headers"]["request"]) == {"set"}


def test_weights_choose_the_moment_and_a_ramp_moves_users_one_way() -> None:
    ids = [f"user-{number}" for number in range(400)]
    spec = experiment(strategy="canary", canary={"steps": [5, 10, 25, 50, 100]})
    before: set[str] = set()
    for step, percent in enumerate((5, 10, 25, 50, 100), start=1):
        assert render(spec, step=step) == render(spec, weights={"v2": percent})
        mesh = Istio(render(spec, weights={"v2": percent}))
        now = {unit for unit in ids if mesh.send(sent_by_edge(spec, unit)).version == "v2"}
        assert before <= now
        assert before != now
        before = now
    assert before == set(ids)


def test_no_route_without_weight_but_a_subset() -> None:
    documents = _documents(experiment(), weights={"v2": 0})
    routes = [route["name"] for route in documents["VirtualService"]["spec"]["http"]]
    assert routes == ["rule-1", "split-control", "without-unit"]
    assert [one["name"] for one in documents["DestinationRule"]["spec"]["subsets"]] == ["v1", "v2"]
    assert documents["DestinationRule"] == _documents(experiment(), weights={"v2": 50})["DestinationRule"]


def test_two_variants_of_one_version_share_its_subset() -> None:
    spec = experiment(variants={"control": "v1", "treatment": "v1"}, assignment={"layer": "aa"})
    assert _documents(spec)["DestinationRule"]["spec"]["subsets"] == [{"name": "v1", "labels": {"version": "v1"}}]
    mesh = Istio(render(spec))
    variants = [mesh.send(Request({"x-ab-bucket-aa": b})).headers["x-ab-variant-aa"] for b in ("0", "9999")]
    assert variants == ["control", "treatment"]


def test_metadata() -> None:
    manifests = render(experiment())
    assert [manifest.filename for manifest in manifests] == [
        "my-service.shop.destinationrule.yaml",
        "my-service.shop.envoyfilter-edge.yaml",
        "my-service.shop.telemetry.yaml",
        "my-service.shop.virtualservice.yaml",
    ]
    documents = _documents(experiment())
    assert list(documents) == ["DestinationRule", "EnvoyFilter", "Telemetry", "VirtualService"]
    plain = experiment(mesh={"edge": "service", "istio": {"telemetry": False}})
    assert list(_documents(plain)) == ["DestinationRule", "VirtualService"]
    for document in documents.values():
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "abkit"
        assert labels["abkit.dev/experiment"] == "buy-now-button"
        assert re.fullmatch("[0-9a-f]{16}", labels["abkit.dev/content-hash"])
    service = documents["VirtualService"]["metadata"]
    assert (service["name"], service["namespace"]) == ("my-service", "shop")
    assert service["annotations"] == {
        "abkit.dev/bucket-header": "x-ab-bucket-checkout",
        "abkit.dev/salt": "buy-now-button-1",
        "abkit.dev/split": "control=5000,treatment=5000",
        "abkit.dev/unit": "header x-user-id",
    }
    assert "# header x-user-id and the salt buy-now-button-1" in manifests[-1].text
    assert "# cookie uid and the salt" in render(experiment(assignment={"unit": {"cookie": "uid"}}))[-1].text


def test_hash_follows_the_content() -> None:
    def hashes(**options: Any) -> list[str]:
        return [
            one["metadata"]["labels"]["abkit.dev/content-hash"] for one in _documents(experiment(), **options).values()
        ]

    assert hashes() == hashes()
    assert hashes()[0] == hashes(weights={"v2": 10})[0]
    assert hashes()[3] != hashes(weights={"v2": 10})[3]
    assert hashes(weights={"v2": 0})[:3] == hashes()[:3], "a ramp changes the routes alone"


def test_same_bytes_again() -> None:
    assert join(render(experiment())) == join(render(experiment()))


def test_what_is_not_rendered() -> None:
    with pytest.raises(RoutingError, match=r"no mesh is called 'isto': did you mean 'istio'"):
        render(experiment(), mesh="isto")
    with pytest.raises(RoutingError, match=r"can't fall back to control alone .*a mesh that can: envoy"):
        render(
            experiment(variants=split(control=5_000, treatment=5_000, c=0), policies={"fallback": {"to": "control"}})
        )


@pytest.mark.parametrize("way", ["prefix", "regex"])
def test_patterns_that_envoy_refuses(way: str) -> None:
    rules = [{"when": {"header": {"x-a": {way: ""}}}, "to": "control"}]
    with pytest.raises(RoutingError, match=f"mesh 'istio' can't match by an empty {way} .*write regex"):
        render(experiment(assignment={"rules": rules}))


@pytest.mark.parametrize(
    "versions",
    [
        ["v1", "v2"],
        ["1.4.2", "1-4-2", "1_4_2", "1.4-2"],
        ["V1", "v1"],
        ["A" * 63, "a" * 62 + "A", "a" * 63],
        ["a" * 61 + ".b", "a" * 61 + "_b"],
    ],
)
def test_subset_names_are_dns_labels_and_differ(versions: list[str]) -> None:
    names = subset_names(versions)
    assert list(names) == versions
    assert len(set(names.values())) == len(versions)
    assert all(re.fullmatch("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for name in names.values())
    backwards = subset_names(versions[::-1])
    assert all(backwards[version] == name for version, name in names.items())


def test_a_version_keeps_its_name_beside_one_that_looks_like_its_hash() -> None:
    taken = subset_names(["1.4.2", "1_4_2"])["1.4.2"]
    names = subset_names(["1.4.2", "1_4_2", taken])
    assert names[taken] == taken
    assert len(set(names.values())) == 3


def test_conditions_of_every_kind_and_what_cannot_be() -> None:
    when = {
        "header": {"x-year": {"range": {"from": 2020, "to": 2023}}},
        "cookie": {"beta": "1"},
        "query": {"v": "2"},
        "path": {"prefix": "/cart"},
        "method": ["GET", "HEAD"],
        "device": "mobile",
        "source": {"labels": {"app": "web"}, "namespace": "shop"},
        "any": [{"header": {"x-a": "1"}}, {"header": {"x-b": "1"}}],
    }
    route = _documents(experiment(assignment={"rules": [{"when": when, "to": "treatment"}]}))["VirtualService"]
    first, second = route["spec"]["http"][0]["match"]
    assert set(first) == {"headers", "uri", "method", "queryParams", "sourceLabels", "sourceNamespace"}
    assert (set(first["headers"]) ^ set(second["headers"])) == {"x-a", "x-b"}
    assert first["headers"]["x-year"] == {"regex": "202[0-3]"}
    twice = {"header": {"x-a": {"prefix": "a"}}, "all": [{"header": {"x-a": {"regex": ".*b"}}}]}
    with pytest.raises(RoutingError, match=r"can't ask twice for x-a in one condition.*a mesh that can: envoy"):
        render(experiment(assignment={"rules": [{"when": twice, "to": "treatment"}]}))


def test_policies() -> None:
    spec = experiment(
        policies={
            "timeout": "api",
            "retries": "api",
            "circuit-breaker": {"tier": "critical", "outliers": {"consecutive-gateway-errors": 3}},
            "fallback": {"to": "control"},
            "mirror": {"to": "treatment", "share": 10},
            "answers": [{"when": {"path": {"prefix": "/tips"}}, "body": "[]"}],
            "faults": [{"delay": {"time": "2s", "share": 5}, "when": {"header": {"x-drill": "1"}}}],
        }
    )
    documents = _documents(spec)
    routes = {route["name"]: route for route in documents["VirtualService"]["spec"]["http"]}
    assert list(routes)[:4] == ["answer-1", "rule-1-fault-1", "rule-1-idempotent", "rule-1"]
    assert routes["answer-1"]["directResponse"] == {"status": 200, "body": {"string": "[]"}}
    assert routes["rule-1-fault-1"]["fault"] == {"delay": {"fixedDelay": "2s", "percentage": {"value": 5.0}}}
    assert not {"timeout", "retries"} & set(routes["rule-1-fault-1"])
    assert routes["split-idempotent-control"]["retries"] == {
        "attempts": 2,
        "perTryTimeout": "1500ms",
        "retryOn": "connect-failure,refused-stream,gateway-error",
    }
    # Istio tries POST again by default, too.
    assert routes["split-control"]["retries"] == {"attempts": 0}
    assert routes["split-control"]["timeout"] == "5s"
    assert routes["split-control"]["mirrors"][0]["percentage"] == {"value": 10.0}
    # Not the subset in which the control takes over: it would get copies of its own requests.
    assert routes["split-control"]["mirrors"][0]["destination"]["subset"] == "v2"
    assert "mirrors" not in routes["split-treatment"]
    rule = documents["DestinationRule"]["spec"]
    assert rule["trafficPolicy"]["outlierDetection"]["consecutiveGatewayErrors"] == 3
    assert rule["subsets"][2]["name"] == "v2-or-else"
    assert rule["subsets"][2]["trafficPolicy"]["outlierDetection"]["maxEjectionPercent"] == 100
    assert Istio(render(spec)).send(sent_by_edge(spec, "", Request({"x-user-type": "vip"}))).version == "v2"


def test_blue_green_and_its_way_back() -> None:
    spec = experiment(
        strategy="blue-green", variants={"control": "v1", "treatment": "v2"}, assignment={"layer": "checkout"}
    )
    ids = [f"user-{number}" for number in range(100)]

    def versions(**options: Any) -> set[str]:
        mesh = Istio(render(spec, **options))
        return {mesh.send(sent_by_edge(spec, unit)).version for unit in ids}

    assert versions() == {"v2"}
    assert versions(weights={"v2": 0}) == {"v1"}


def test_mirror_first_then_up() -> None:
    spec = experiment(
        strategy="mirror", variants={"control": "v1", "treatment": "v2"}, assignment={"layer": "checkout"}
    )
    routes = _documents(spec)["VirtualService"]["spec"]["http"]
    assert [route["name"] for route in routes] == ["split-control", "without-unit"]
    assert all(route["mirrors"][0]["destination"]["subset"] == "v2" for route in routes)
    up = _documents(spec, step=2)["VirtualService"]
    assert up["metadata"]["annotations"]["abkit.dev/split"] == "control=8000,treatment=2000"
    assert not any("mirrors" in route for route in up["spec"]["http"])


def test_native_hash_is_marked_and_says_what_it_cannot() -> None:
    mesh = {"istio": {"native-hash": True}}
    manifests = render(experiment(mesh=mesh))
    patch = next(one for one in manifests if "native-hash" in one.filename)
    assert "EXPERIMENTAL" in patch.text
    [route] = [
        route
        for route in _documents(experiment(mesh=mesh))["VirtualService"]["spec"]["http"]
        if route["name"] == "my-service.shop.split"
    ]
    # Patches find routes by name, in the proxies of all services.
    patched = yaml.safe_load(patch.text)["spec"]["configPatches"]
    assert {one["match"]["routeConfiguration"]["vhost"]["route"]["name"] for one in patched} == {route["name"]}
    assert [one["weight"] for one in route["route"]] == [5_000, 5_000]
    assert route["match"] == [{"headers": {"x-user-id": {"regex": ".+"}}}]
    with pytest.raises(RoutingError, match=r"leave out mesh\.istio.native-hash"):
        render(experiment(mesh=mesh, assignment={"unit": {"cookie": "uid"}}))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), spec=experiments(), unit=UNIT)
def test_nothing_breaks_out_and_everything_means_what_assign_says(
    data: st.DataObject, spec: Experiment, unit: str
) -> None:
    try:
        manifests = render(spec)
    except RoutingError as error:
        assert "ask twice for" in str(error)  # noqa: PT017  two conditions on one header, which Istio can't have
        return
    stream = join(manifests)
    assert stream.isascii()
    kinds = ["DestinationRule", "EnvoyFilter", "Telemetry", "VirtualService"]
    assert [document["kind"] for document in yaml.safe_load_all(stream)] == kinds
    mesh = Istio(manifests)
    for who in (unit, ""):
        check_same(spec, mesh, who)
        check_same(spec, mesh, who, data.draw(requests(spec)))
