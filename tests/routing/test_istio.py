from __future__ import annotations

import re
from typing import Any

import pytest
import re2
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit.assignment import bucket, bucket_header
from abkit.errors import RoutingError
from abkit.routing import assign, join, meshes, render
from abkit.routing.istio import Istio, subset_names
from abkit.routing.plan import build_plan
from abkit.spec import Experiment
from tests.routing.specs import experiment, split
from tests.routing.virtualservice import Cluster, Routed

HOST = "my-service.shop.svc.cluster.local"


def _documents(spec: Experiment, **options: Any) -> dict[str, dict[str, Any]]:
    return {(document := yaml.safe_load(one.text))["kind"]: document for one in render(spec, **options)}


def _request(spec: Experiment, unit: str, headers: dict[str, str] | None = None) -> dict[str, str]:
    """What the edge sends on for a user."""
    base = {name.lower(): value for name, value in (headers or {}).items()}
    return base | ({bucket_header(spec.layer): str(bucket(spec.salt, unit))} if unit else {})


def _same(spec: Experiment, cluster: Cluster, unit: str, headers: dict[str, str] | None = None) -> None:
    routed = cluster.send(HOST, _request(spec, unit, headers))
    wanted = assign(spec, unit, headers)
    assert routed.labels == {"version": wanted.version}
    assert routed.headers[f"x-ab-variant-{spec.layer}"] == wanted.variant
    assert routed.headers[f"x-ab-assignment-{spec.layer}"] == wanted.assignment


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
    cluster = Cluster(render(spec))
    for number in range(4_000):
        _same(spec, cluster, f"user-{number}")
    for unit in ("", *map(str, range(50))):
        for kind in (None, "vip", "VIP", "vi", ""):
            for geo in (None, "de", "fr", "dk", "def"):
                headers = {"X-User-Type": kind, "x-geo": geo}
                _same(spec, cluster, unit, {name: value for name, value in headers.items() if value is not None})


def test_every_bucket_has_one_route() -> None:
    spec = experiment(variants=split(control=1, b=9_998, c=1), assignment={"layer": "checkout"})
    cluster = Cluster(render(spec))
    routes = [cluster.send(HOST, {"x-ab-bucket-checkout": str(number)}).route for number in range(10_000)]
    assert routes == ["split-control"] + ["split-b"] * 9_998 + ["split-c"]


@pytest.mark.parametrize("value", ["00012", "99999", "abc", "", "10000", "-1", "1.0", " 12", "12,12", "12 ", "١٢"])
def test_malformed_buckets_take_the_default_route(value: str) -> None:
    routed = Cluster(render(experiment())).send(HOST, {"x-ab-bucket-checkout": value})
    assert (routed.route, routed.headers["x-ab-assignment-checkout"]) == ("without-unit", "none")


def test_marks_replace_what_came_and_leave_the_rest() -> None:
    sent = {"x-ab-bucket-checkout": "9999", "x-ab-variant-checkout": "spoofed", "x-other": "1", "cookie": "a=b"}
    routed = Cluster(render(experiment())).send(HOST, sent)
    assert routed == Routed(
        "split-treatment",
        {"version": "v2"},
        8080,
        {
            "x-ab-bucket-checkout": "9999",
            "x-ab-variant-checkout": "treatment",
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
        cluster = Cluster(render(spec, weights={"v2": percent}))
        now = {unit for unit in ids if cluster.send(HOST, _request(spec, unit)).labels == {"version": "v2"}}
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
    cluster = Cluster(render(spec))
    variants = [cluster.send(HOST, {"x-ab-bucket-aa": b}).headers["x-ab-variant-aa"] for b in ("0", "9999")]
    assert variants == ["control", "treatment"]


def test_metadata() -> None:
    rule, service = render(experiment())
    assert [rule.filename, service.filename] == [
        "my-service.shop.destinationrule.yaml",
        "my-service.shop.virtualservice.yaml",
    ]
    documents = _documents(experiment())
    assert list(documents) == ["DestinationRule", "VirtualService"]
    for document in documents.values():
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "abkit"
        assert labels["abkit.dev/experiment"] == "buy-now-button"
        assert re.fullmatch("[0-9a-f]{16}", labels["abkit.dev/content-hash"])
        assert (document["metadata"]["name"], document["metadata"]["namespace"]) == ("my-service", "shop")
    assert documents["VirtualService"]["metadata"]["annotations"] == {
        "abkit.dev/bucket-header": "x-ab-bucket-checkout",
        "abkit.dev/salt": "buy-now-button-1",
        "abkit.dev/split": "control=5000,treatment=5000",
        "abkit.dev/unit": "header x-user-id",
    }
    assert "# header x-user-id and the salt buy-now-button-1" in service.text
    assert "# cookie uid and the salt" in render(experiment(assignment={"unit": {"cookie": "uid"}}))[1].text


def test_hash_follows_the_content() -> None:
    def hashes(**options: Any) -> list[str]:
        return [
            one["metadata"]["labels"]["abkit.dev/content-hash"] for one in _documents(experiment(), **options).values()
        ]

    assert hashes() == hashes()
    assert hashes()[0] == hashes(weights={"v2": 10})[0]
    assert hashes()[1] != hashes(weights={"v2": 10})[1]


def test_same_bytes_again() -> None:
    assert join(render(experiment())) == join(render(experiment()))


def test_what_is_not_rendered() -> None:
    for strategy in ("blue-green", "mirror"):
        with pytest.raises(RoutingError) as raised:
            render(experiment(strategy=strategy))
        assert str(raised.value) == (
            f"buy-now-button: mesh 'istio' is not rendered for strategy '{strategy}', only for ab, canary; "
            "no mesh is so far"
        )
        with pytest.raises(RoutingError, match="only for ab, canary"):
            Istio().render(build_plan(experiment(strategy=strategy)))
    with pytest.raises(RoutingError, match=r"mesh 'linkerd': .* yet; a mesh that can: istio"):
        render(experiment(), mesh="linkerd")
    with pytest.raises(RoutingError, match="no mesh is called 'isto': did you mean 'istio'"):
        render(experiment(), mesh="isto")
    assert {name: mesh.name for name, mesh in meshes().items()} == {"istio": "istio"}


@pytest.mark.parametrize("way", ["prefix", "regex"])
def test_patterns_that_envoy_refuses(way: str) -> None:
    rules = [{"when": {"header": {"x-a": {way: ""}}}, "to": "control"}]
    with pytest.raises(RoutingError, match=f"mesh 'istio' can't match header 'x-a' by an empty {way}: write regex"):
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


label = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,12}[a-z0-9])?", fullmatch=True)
words = st.sampled_from(
    ["on", "off", "yes", "n", "null", "true", "1", "0x1f", "1e3", "0o7", "12", "1-1-1", "2026-11-01"]
)
name = st.one_of(label, words)
version = st.one_of(
    st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,12}[A-Za-z0-9])?", fullmatch=True), st.just("1.10"), words
)
salt = st.one_of(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,30}", fullmatch=True), words)
header = st.one_of(st.from_regex(r"[A-Za-z0-9][-A-Za-z0-9_]{0,20}", fullmatch=True), words)
text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
nasty = st.sampled_from(
    ["\n---\nkind: Secret", '"', "'", "\\", "#", ": ", "- x", "{{x}}", "\x00", "\x85", "\u2028", "*a", "&a", "!!x"]
)
value = st.one_of(text, nasty, words)


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    names = draw(st.lists(name, min_size=2, max_size=4, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=len(names) - 1, max_size=len(names) - 1)))
    weights = [high - low for low, high in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    how = st.one_of(
        st.fixed_dictionaries({"exact": value}),
        st.fixed_dictionaries({"prefix": value}),
        st.fixed_dictionaries({"regex": value.map(re2.escape)}),
    )
    rule = st.fixed_dictionaries(
        {
            "when": st.fixed_dictionaries(
                {"header": st.dictionaries(header.map(str.lower), how, min_size=1, max_size=2)}
            ),
            "to": st.sampled_from(names),
        }
    )
    return experiment(
        metadata={"name": draw(name), "owner": draw(value), "hypothesis": draw(value)},
        service={"name": "my-service", "namespace": "shop"},
        variants={
            one: {"version": draw(version), "weight": weight} for one, weight in zip(names, weights, strict=True)
        },
        assignment={
            "salt": draw(salt),
            "layer": draw(name),
            "without-unit": draw(st.sampled_from(names)),
            "rules": draw(st.lists(rule, max_size=3)),
        },
    )


@settings(max_examples=150, deadline=None)
@given(spec=experiments(), unit=text, other=value)
def test_nothing_breaks_out_and_everything_means_what_assign_says(spec: Experiment, unit: str, other: str) -> None:
    manifests = render(spec)
    stream = join(manifests)
    assert stream.isascii()
    assert [document["kind"] for document in yaml.safe_load_all(stream)] == ["DestinationRule", "VirtualService"]
    cluster = Cluster(manifests)
    for who in (unit, ""):
        _same(spec, cluster, who)
        _same(spec, cluster, who, {"x-other": other})
        for rule in spec.assignment.rules:
            fits: dict[str, str] = {}
            for header_name, how in rule.when.header.items():
                fits[header_name] = how.exact or how.prefix or other
            _same(spec, cluster, who, fits)
