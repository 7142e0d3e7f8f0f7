"""The manifests pass Istio's own schema, read strictly; broken ones don't."""

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
