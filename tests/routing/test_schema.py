"""The manifests pass the meshes' own schemas, read strictly; broken ones don't."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from abkit.routing import render
from abkit.spec import Experiment
from tests.routing.schema import defects
from tests.routing.specs import experiment, split

MANY_RULES = {
    "rules": [
        {"when": {"header": {"x-a": {"exact": "on"}, "on": {"prefix": "1e3"}}}, "to": "control"},
        {"when": {"header": {"x-a": {"regex": "(?i)a|b\\d+"}}}, "to": "c"},
    ]
}


@pytest.mark.parametrize(
    "spec",
    [
        experiment(),
        experiment(variants=split(control=9_998, b=0, c=1, d=1), assignment=MANY_RULES),
        experiment(strategy="canary", variants={"stable": "1.4.2", "canary": "1-4-2"}, assignment={}),
        experiment(service="on", metadata={}, variants={"control": "1", "treatment": "null"}, assignment={}),
    ],
)
def test_what_is_rendered_is_valid(spec: Experiment) -> None:
    for manifest in render(spec):
        assert defects(yaml.safe_load(manifest.text)) == []


def _first_route(document: dict[str, Any]) -> Any:
    return document["spec"]["http"][0]


@pytest.mark.parametrize(
    ("kind", "breakage"),
    [
        ("VirtualService", lambda d: d["spec"].update(htpp=[])),
        ("VirtualService", lambda d: _first_route(d).update(wieght=1)),
        ("VirtualService", lambda d: _first_route(d).update(route={"destination": {}})),
        ("VirtualService", lambda d: _first_route(d)["route"][0]["destination"].pop("host")),
        ("VirtualService", lambda d: _first_route(d)["route"][0]["destination"]["port"].update(number="8080")),
        ("VirtualService", lambda d: _first_route(d)["match"][0]["headers"]["x-user-type"].update(regex="a")),
        ("VirtualService", lambda d: _first_route(d)["match"][0]["headers"]["x-user-type"].update(exact=True)),
        ("VirtualService", lambda d: _first_route(d)["headers"]["request"]["set"].update({"x-a": 1})),
        ("DestinationRule", lambda d: d["spec"]["subsets"][0].update(label={})),
        ("DestinationRule", lambda d: d["spec"]["subsets"][0]["labels"].update(version=1.1)),
        ("DestinationRule", lambda d: d["spec"].update(host=None)),
        ("DestinationRule", lambda d: d.update(apiVersion="networking.istio.io/v1alpha3")),
        ("DestinationRule", lambda d: d["metadata"]["labels"].update(a="not a label value")),
    ],
)
def test_what_is_broken_is_not(kind: str, breakage: Callable[[dict[str, Any]], None]) -> None:
    documents = {(one := yaml.safe_load(manifest.text))["kind"]: one for manifest in render(experiment())}
    broken = copy.deepcopy(documents[kind])
    breakage(broken)
    assert defects(broken) != []
    assert defects(documents[kind]) == []


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop", "labels": {"app": "shop"}},
    "spec": {"selector": {"app": "shop"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop-v1"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "shop"}},
        "template": {
            "metadata": {"labels": {"app": "shop", "version": "v1"}},
            "spec": {"containers": [{"name": "shop", "image": "shop:1", "env": [{"name": "VERSION", "value": "v1"}]}]},
        },
    },
}


@pytest.mark.parametrize(
    ("document", "breakage", "words"),
    [
        (SERVICE, lambda d: d["spec"].update(slector={}), "no field 'slector'"),
        (SERVICE, lambda d: d["spec"]["ports"][0].update(port="80"), "not of type int"),
        (SERVICE, lambda d: d["spec"]["ports"][0].pop("port"), "'port' is missing"),
        (SERVICE, lambda d: d["spec"].update(selector={"version": 1.1}), "not of type str"),
        (DEPLOYMENT, lambda d: d["spec"].update(replicas=True), "not of type int"),
        (DEPLOYMENT, lambda d: d["spec"].pop("selector"), "'selector' is missing"),
        (DEPLOYMENT, lambda d: d["spec"]["template"]["spec"].update(containers={}), "not a list"),
        (DEPLOYMENT, lambda d: d["spec"].update(template=[]), "not a mapping"),
    ],
)
def test_objects_of_kubernetes_itself(document: Any, breakage: Callable[[dict[str, Any]], None], words: str) -> None:
    assert defects(document) == []
    broken = copy.deepcopy(document)
    breakage(broken)
    assert any(words in defect for defect in defects(broken))


def _kubernetes(api: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "shop", "namespace": "shop"}, "spec": spec}


ROUTE: dict[str, Any] = {
    "parentRefs": [{"kind": "Service", "group": "", "name": "shop", "port": 80}],
    "rules": [{"backendRefs": [{"name": "shop-v1", "port": 80, "weight": 90}], "timeouts": {"request": "1s"}}],
}
KINDS = [
    _kubernetes("gateway.networking.k8s.io/v1", "HTTPRoute", ROUTE),
    _kubernetes("policy.linkerd.io/v1beta3", "HTTPRoute", ROUTE),
    _kubernetes(
        "split.smi-spec.io/v1alpha2",
        "TrafficSplit",
        {"service": "shop", "backends": [{"service": "shop-v1", "weight": 90}]},
    ),
    _kubernetes(
        "telemetry.istio.io/v1",
        "Telemetry",
        {"metrics": [{"overrides": [{"tagOverrides": {"ab": {"value": "request.headers['x-ab']"}}}]}]},
    ),
    _kubernetes(
        "networking.istio.io/v1alpha3",
        "EnvoyFilter",
        {"configPatches": [{"applyTo": "HTTP_FILTER", "patch": {"operation": "INSERT_BEFORE", "value": {"any": [1]}}}]},
    ),
    _kubernetes(
        "flagger.app/v1beta1",
        "Canary",
        {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "service": {"port": 80, "targetPort": "http"},
            "analysis": {"interval": "1m", "threshold": 5, "stepWeight": 5, "maxWeight": 50},
        },
    ),
    _kubernetes(
        "argoproj.io/v1alpha1",
        "Rollout",
        {
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            },
            "strategy": {"canary": {"maxSurge": "25%", "steps": [{"setWeight": 5}, {"pause": {"duration": "10m"}}]}},
        },
    ),
    _kubernetes(
        "litmuschaos.io/v1alpha1",
        "ChaosEngine",
        {
            "engineState": "stop",
            "appinfo": {"appns": "shop", "applabel": "app=shop", "appkind": "deployment"},
            "experiments": [{"name": "pod-delete", "spec": {"components": {"env": [{"name": "A", "value": "1"}]}}}],
        },
    ),
]


@pytest.mark.parametrize("document", KINDS, ids=lambda one: f"{one['apiVersion']}-{one['kind']}")
def test_every_kind_has_a_schema_that_knows_its_fields(document: dict[str, Any]) -> None:
    assert defects(document) == []
    spec = document["spec"]
    assert defects(document | {"spec": spec | {"unheard": 1}}) != []
    assert defects(document | {"apiVersion": "example.com/v1"}) != []
    assert defects(document | {"metadata": {"name": "No Name", "namespace": "shop"}}) != []
    for name, value in spec.items():
        assert defects(document | {"spec": spec | {name: [value] if isinstance(value, dict) else {"a": value}}}) != []
        deeper = value[0] if isinstance(value, list) else value
        if isinstance(deeper, dict) and name not in {"matchLabels"}:
            bent = deeper | {"unheard": 1}
            assert defects(document | {"spec": spec | {name: [bent] if isinstance(value, list) else bent}}) != [], name


def test_gateway_apis_experimental_channel_on_request() -> None:
    rule = ROUTE["rules"][0] | {"retry": {"attempts": 2, "codes": [503]}}
    document = _kubernetes("gateway.networking.k8s.io/v1", "HTTPRoute", ROUTE | {"rules": [rule]})
    assert defects(document, experimental=True) == []
    assert defects(document | {"spec": ROUTE | {"rules": [rule | {"retry": {"atempts": 2}}]}}, experimental=True) != []
