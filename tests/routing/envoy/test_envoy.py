"""What is written for plain Envoy, and what it means."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit.errors import RoutingError
from abkit.routing import Request, build_plan, join, render, render_many
from abkit.routing.envoy import files, is_intact
from abkit.spec import Experiment
from tests.routing.interpreters.base import check_same, sent_by_edge
from tests.routing.interpreters.envoy import Envoy, resources
from tests.routing.specs import experiment, split
from tests.routing.strategies import UNIT, experiments, requests

PARTS = ("header", "cookie", "query", "path", "method", "device")
ROUTES = "config.route.v3.RouteConfiguration"
CLUSTERS = "config.cluster.v3.Cluster"
BUCKET = {"envoy": {"native-hash": False}}


def _routes(spec: Experiment, **options: Any) -> dict[str, dict[str, Any]]:
    [found] = resources(render(spec, "envoy", **options), ROUTES)
    [host] = found["virtual_hosts"]
    return {route["name"]: route for route in host["routes"]}


def _clusters(spec: Experiment, **options: Any) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in resources(render(spec, "envoy", **options), CLUSTERS)}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), spec=experiments(PARTS), unit=UNIT, native=st.booleans())
def test_nothing_breaks_out_and_everything_means_what_assign_says(
    data: st.DataObject, spec: Experiment, unit: str, native: bool
) -> None:
    spec = spec.model_copy(update={"mesh": experiment(mesh={"envoy": {"native-hash": native}}).mesh})
    try:
        manifests = render(spec, "envoy")
    except RoutingError as error:
        assert "two regular expressions" in str(error) or "under one name" in str(error)  # noqa: PT017
        return
    stream = join(manifests)
    assert stream.isascii()
    documents = list(yaml.safe_load_all(stream))
    assert [next(iter(document)) for document in documents] == ["version_info"] * 3 + ["node"]
    assert all(is_intact(document) for document in documents)
    mesh = Envoy(manifests)
    for who in (unit, ""):
        check_same(spec, mesh, who)
        check_same(spec, mesh, who, data.draw(requests(spec)))


@pytest.mark.parametrize("mesh", [{}, BUCKET])
def test_thousands_of_ids_go_where_assign_says(mesh: dict[str, Any]) -> None:
    spec = experiment(
        variants=split(control=6_123, b=0, c=1_377, d=2_500),
        assignment={
            "salt": "thousands",
            "layer": "checkout",
            "without-unit": "c",
            "rules": [
                {"when": {"header": {"x-user-type": {"exact": "vip"}}}, "to": "b"},
                {"when": {"header": {"x-user-type": {"prefix": ""}, "x-geo": {"regex": ""}}}, "to": "d"},
            ],
        },
        mesh=mesh,
    )
    envoy = Envoy(render(spec, "envoy"))
    for number in range(2_000):
        check_same(spec, envoy, f"user-{number}")
    for kind in (None, "vip", "v", ""):
        for geo in (None, "de", ""):
            sent = {name: value for name, value in (("x-user-type", kind), ("x-geo", geo)) if value is not None}
            check_same(spec, envoy, "user-1", Request(sent))


def test_every_bucket_has_one_route() -> None:
    spec = experiment(variants=split(control=1, b=9_998, c=1), assignment={"layer": "checkout"}, mesh=BUCKET)
    envoy = Envoy(render(spec, "envoy"))
    routes = [envoy.send(Request({"x-ab-bucket-checkout": str(number)})).route for number in range(10_000)]
    assert routes == ["split-control"] + ["split-b"] * 9_998 + ["split-c"]


@pytest.mark.parametrize("value", ["00012", "99999", "abc", "", "10000", "-1", "+1", "1.0", " 12", "12,12", "١٢"])
def test_malformed_buckets_take_the_default_route(value: str) -> None:
    routed = Envoy(render(experiment(mesh=BUCKET), "envoy")).send(Request({"x-ab-bucket-checkout": value}))
    assert (routed.route, routed.headers["x-ab-assignment-checkout"]) == ("without-unit", "none")


def test_envoys_own_hash_where_it_says_all() -> None:
    route = _routes(experiment())["split"]["route"]
    assert route["weighted_clusters"]["use_hash_policy"] is True
    assert [one["weight"] for one in route["weighted_clusters"]["clusters"]] == [5_000, 5_000]
    assert route["hash_policy"][0]["header"]["regex_rewrite"]["substitution"] == "buy-now-button-1:\\1"
    for changes in (
        {"mesh": BUCKET},
        {"assignment": {"unit": {"cookie": "uid"}}},
        {"assignment": {"holdout": {"share": 100}}},
        {"assignment": {"buckets": {"from": 0, "to": 4_999}}},
        {"policies": {"mirror": {"to": "treatment"}}},
    ):
        assert {"split-control", "split-treatment"} <= set(_routes(experiment(**changes)))


def test_files_name_each_other_and_stand_in_order() -> None:
    manifests = render(experiment(), "envoy")
    names = [manifest.filename for manifest in manifests]
    assert names == sorted(names)
    assert names == [f"my-service.shop.envoy-{part}.yaml" for part in ("1-cds", "2-rds", "3-lds", "bootstrap")]
    moved = files([build_plan(experiment())], "/srv/envoy")
    assert moved[:2] == manifests[:2]
    assert "/etc/envoy/abkit/my-service.shop.envoy-2-rds.yaml" in manifests[2].text
    for file, other in ((moved[2], "2-rds"), (moved[3], "1-cds"), (moved[3], "3-lds")):
        assert f'path: "/srv/envoy/my-service.shop.envoy-{other}.yaml"' in file.text
    assert not is_intact(yaml.safe_load(moved[3].text.replace("9901", "9902")))
    assert not is_intact(yaml.safe_load(moved[2].text.replace("10000", "10001")))


def test_only_the_routes_change_with_the_weights() -> None:
    before, after = (render(experiment(), "envoy", weights={"v2": percent}) for percent in (5, 10))
    changed = [one.filename for one, other in zip(before, after, strict=True) if one != other]
    assert changed == ["my-service.shop.envoy-2-rds.yaml"]


def test_who_computes_the_buckets() -> None:
    [host] = resources(render(experiment(), "envoy"), ROUTES)[0]["virtual_hosts"]
    assert "envoy.filters.http.lua" in host["typed_per_filter_config"]
    manifests = render(experiment(mesh={"edge": "service"}), "envoy")
    assert "lua" not in join(manifests)
    check_same(experiment(mesh={"edge": "service"}), Envoy(manifests), "user-1")


def _service(name: str, **envoy: Any) -> Experiment:
    return experiment(
        metadata={"name": f"{name}-test"},
        service={"name": name, "namespace": "shop"},
        assignment={"layer": name},
        mesh={"envoy": {"name": "edge", **envoy}},
    )


def test_services_that_name_one_envoy_share_it() -> None:
    specs = [_service("cart", hosts=["cart.example.com"]), _service("search"), experiment()]
    manifests = render_many(specs, "envoy")
    assert [one.filename.rpartition(".envoy-")[0] for one in manifests] == ["edge"] * 4 + ["my-service.shop"] * 4
    for spec, host in ((specs[0], "cart.example.com"), (specs[0], "cart"), (specs[1], "search.shop")):
        check_same(spec, Envoy(manifests[:4], spec.service.name, host), "user-7")
    hosts = resources(manifests[:4], ROUTES)[0]["virtual_hosts"]
    for host in hosts:
        source = host["typed_per_filter_config"]["envoy.filters.http.lua"]["source_code"]["inline_string"]
        for name in ("cart", "search"):
            assert f'headers:remove("x-ab-bucket-{name}")' in source
        assert source.count("headers:replace") == 2


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (_service("cart"), _service("search", listen=81), r"two values of mesh.envoy.listen, 10000 and 81"),
        (_service("cart", hosts=["a.de"]), _service("search", hosts=["b.de", "a.de"]), r"and the host a\.de"),
        (
            _service("cart"),
            _service("cart").model_copy(update={"service": experiment(service="cart").service}),
            r"both have a cluster 'cart-v1'",
        ),
    ],
)
def test_services_that_contradict_each_other(one: Experiment, other: Experiment, message: str) -> None:
    other = other.model_copy(update={"metadata": experiment(metadata={"name": "other"}).metadata})
    with pytest.raises(RoutingError, match=f"'.*' and '.*' share the Envoy 'edge'.*{message}"):
        render_many([one, other], "envoy")


def test_what_it_cannot() -> None:
    source = {"rules": [{"when": {"source": {"labels": {"app": "web"}}}, "to": "treatment"}]}
    with pytest.raises(RoutingError, match=r"'envoy' can't match by the calling workload.*a mesh that can: istio"):
        render(experiment(assignment=source), "envoy")
    paths = {"path": {"regex": "/a.*"}, "all": [{"path": {"regex": ".*b"}}]}
    with pytest.raises(RoutingError, match=r"can't match the path by two regular expressions"):
        render(experiment(assignment={"rules": [{"when": paths, "to": "treatment"}]}), "envoy")
    with pytest.raises(RoutingError, match=r"counts the versions '1\.2' and '1_2' under one name"):
        render(experiment(variants={"control": "1.2", "treatment": "1_2"}, assignment={}), "envoy")


def test_two_conditions_on_one_path_and_one_header() -> None:
    when = {
        "path": {"regex": "/[ab]/.*"},
        "header": {"x-a": {"prefix": "a"}},
        "all": [{"path": {"prefix": "/a"}}, {"header": {"x-a": {"regex": ".*b"}}}],
    }
    spec = experiment(assignment={"layer": "checkout", "rules": [{"when": when, "to": "treatment"}]})
    envoy = Envoy(render(spec, "envoy"))
    for path in ("/a/1", "/b/1", "/ab"):
        for value in ("ab", "a", "b"):
            for query in ({}, {"q": "/a"}):
                check_same(spec, envoy, "", Request({"x-a": value}, path=path, query=query))


def test_policies() -> None:
    spec = experiment(
        policies={
            "timeout": "1500ms",
            "retries": {"attempts": 2, "per-try": "400ms", "on": ["5xx", "reset"]},
            "circuit-breaker": {
                "tier": "critical",
                "requests-per-connection": 100,
                "outliers": {"consecutive-gateway-errors": 3},
            },
            "mirror": {"to": "treatment", "share": 10.5},
            "answers": [{"when": {"path": {"prefix": "/tips"}}, "body": "[]"}, {"when": {"path": "/none"}}],
            "faults": [{"delay": {"time": "2s", "share": 5}, "when": {"header": {"x-drill": "1"}}}],
        }
    )
    routes = _routes(spec)
    assert list(routes)[:5] == ["answer-1", "answer-2", "rule-1-fault-1", "rule-1-idempotent", "rule-1"]
    assert routes["answer-1"]["direct_response"] == {"status": 200, "body": {"inline_string": "[]"}}
    assert routes["answer-2"]["direct_response"] == {"status": 200}
    fault = routes["rule-1-fault-1"]["typed_per_filter_config"]["envoy.filters.http.fault"]
    assert fault["delay"] == {"fixed_delay": "2s", "percentage": {"numerator": 500, "denominator": "TEN_THOUSAND"}}
    assert "timeout" not in routes["rule-1-fault-1"]["route"]
    again = routes["split-idempotent-control"]["route"]["retry_policy"]
    assert (again["retry_on"], again["num_retries"], again["per_try_timeout"]) == ("5xx,reset", 2, "0.400s")
    assert "retry_policy" not in routes["split-control"]["route"]
    assert routes["split-control"]["route"]["timeout"] == "1.500s"
    [copies] = routes["split-control"]["route"]["request_mirror_policies"]
    assert copies["cluster"] == "my-service-v2"
    assert copies["runtime_fraction"]["default_value"]["numerator"] == 1_050
    assert "request_mirror_policies" not in routes["split-treatment"]["route"]
    cluster = _clusters(spec)["my-service-v1"]
    assert cluster["circuit_breakers"]["thresholds"][0]["max_connections"] == 1_000
    assert cluster["outlier_detection"]["enforcing_consecutive_gateway_failure"] == 100
    assert cluster["outlier_detection"]["max_ejection_percent"] == 30
    [protocols] = cluster["typed_extension_protocol_options"].values()
    assert protocols["common_http_protocol_options"] == {"max_requests_per_connection": 100}


def test_who_takes_over_is_behind_every_other_version() -> None:
    spec = experiment(
        variants=split(control=5_000, b=5_000, c=0), policies={"fallback": {"to": "control"}}, assignment={}
    )
    clusters = _clusters(spec)
    behind = {
        name: one["cluster_type"]["typed_config"]["clusters"] for name, one in clusters.items() if "cluster_type" in one
    }
    assert behind == {
        "my-service-b~or-else": ["my-service-b", "my-service-control"],
        "my-service-c~or-else": ["my-service-c", "my-service-control"],
    }
    assert clusters["my-service-b"]["outlier_detection"]["max_ejection_percent"] == 100
    assert "outlier_detection" not in clusters["my-service-control"]
    check_same(spec, Envoy(render(spec, "envoy")), "user-1")


def test_large_answers() -> None:
    spec = experiment(policies={"answers": [{"when": {"path": "/"}, "body": "é" * 4_000}]})
    [found] = resources(render(spec, "envoy"), ROUTES)
    assert found["max_direct_response_body_size_bytes"] == 8_000


def test_addresses() -> None:
    mesh = {"envoy": {"upstreams": {"v1": "10.0.0.1:81"}}}
    spec = experiment(variants={"control": "v1", "treatment": "1.2"}, assignment={}, mesh=mesh)
    first, second = _clusters(spec).values()
    assert (first["type"], second["type"]) == ("STATIC", "STRICT_DNS")
    assert (second["name"], second["alt_stat_name"]) == ("my-service-1.2", "my-service-1_2")
    for request in (sent_by_edge(spec, "user-1"), Request()):
        assert Envoy(render(spec, "envoy")).send(request).version in {"v1", "1.2"}
