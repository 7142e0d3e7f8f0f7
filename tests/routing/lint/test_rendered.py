"""What abkit renders passes schema and lint; bent in one of six ways it passes neither one nor the other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from abkit.errors import RoutingError
from abkit.resources import folder
from abkit.routing import meshes, render, to_yaml
from abkit.routing.lint import lint
from abkit.spec import load
from tests.routing.schema import defects

SPECS = sorted((folder("data") / "experiments").glob("*.yaml"))
Document = dict[str, Any]


def _rendered(mesh: str, spec: Path) -> dict[str, str]:
    """File → text; nothing where the mesh says that it can't."""
    try:
        return {manifest.filename: manifest.text for manifest in render(load(spec), mesh)}
    except RoutingError:
        return {}


# Gateway API has no other way to read a bucket, and the manifest says so itself.
KNOWN = {"regex-not-portable"}


@pytest.mark.parametrize("mesh", sorted(meshes()))
def test_no_finding_on_what_is_rendered(mesh: str) -> None:
    checked = 0
    for spec in SPECS:
        files = _rendered(mesh, spec)
        checked += len(files)
        found = lint(files.items(), [(spec.name, load(spec))])
        assert [str(one) for one in found if one.check not in KNOWN] == [], spec.name
    assert checked


def _documents(mesh: str) -> Iterator[list[Document]]:
    for spec in SPECS:
        texts = [text for name, text in _rendered(mesh, spec).items() if name.endswith((".yaml", ".yml"))]
        documents = [one for text in texts for one in yaml.safe_load_all(text) if one]
        if documents and all("kind" in one for one in documents):
            yield documents


def _caught(documents: list[Document]) -> bool:
    found = lint([("bent.yaml", "---\n".join(to_yaml(one) for one in documents))])
    # That somebody changed it shows anyhow; the defect itself must be told.
    return any(one.check not in KNOWN | {"changed-by-hand"} for one in found) or any(map(defects, documents))


def _unknown_field(one: Document) -> None:
    one["spec"]["unheard"] = True


def _bad_duration(one: Document) -> None:
    rule = (one["spec"].get("http") or one["spec"].get("rules") or [None])[0]
    match one["kind"]:
        case "VirtualService":
            rule["timeout"] = "5 minutes"
        case "HTTPRoute":
            rule["timeouts"] = {"request": "1.5s"}
        case "DestinationRule":
            one["spec"]["trafficPolicy"] = {"outlierDetection": {"consecutive5xxErrors": 3, "interval": "10"}}
        case "Canary":
            one["spec"]["analysis"]["interval"] = "soon"


def _negative_weight(one: Document) -> None:
    match one["kind"]:
        case "VirtualService":
            one["spec"]["http"][-1]["route"][0]["weight"] = -5
        case "HTTPRoute":
            one["spec"]["rules"][-1]["backendRefs"][0]["weight"] = -5
        case "TrafficSplit":
            one["spec"]["backends"][0]["weight"] = -5
        case "Canary":
            one["spec"]["analysis"]["stepWeight"] = -5


def _undefined_subset(one: Document) -> None:
    if one["kind"] == "VirtualService":
        one["spec"]["http"][-1]["route"][0]["destination"]["subset"] = "v99"


def _bad_regex(one: Document) -> None:
    if one["kind"] == "VirtualService":
        one["spec"]["http"][0]["match"] = [{"headers": {"x-a": {"regex": "(?=a)b"}}}]
    if one["kind"] == "HTTPRoute":
        header = {"name": "x-a", "type": "RegularExpression", "value": "(?=a)b"}
        one["spec"]["rules"][0]["matches"] = [{"headers": [header]}]


WAYS: Mapping[str, Callable[[Document], None]] = {
    "unknown field": _unknown_field,
    "bad duration": _bad_duration,
    "negative weight": _negative_weight,
    "undefined subset": _undefined_subset,
    "bad regex": _bad_regex,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mesh", sorted(meshes()))
def test_what_is_bent_is_caught(mesh: str, way: str) -> None:
    bent = 0
    for documents in _documents(mesh):
        assert not _caught(documents)
        for index in range(len(documents)):
            changed = copy.deepcopy(documents)
            WAYS[way](changed[index])
            if changed != documents:
                bent += 1
                assert _caught(changed), f"{way} in {changed[index]['kind']}"
    assert bent or mesh != "istio"


def test_two_virtual_services_on_a_host_are_caught() -> None:
    (documents, *_) = _documents("istio")
    service = next(one for one in documents if one["kind"] == "VirtualService")
    other = copy.deepcopy(service)
    other["metadata"] = {"name": "by-hand", "namespace": service["metadata"]["namespace"]}
    other["spec"]["hosts"] = [one.partition(".")[0] for one in service["spec"]["hosts"]]
    found = lint([("ours.yaml", "---\n".join(map(to_yaml, documents))), ("theirs.yaml", to_yaml(other))])
    (conflict,) = (one for one in found if one.check == "host-conflict")
    assert (conflict.file, conflict.severity) == ("theirs.yaml", "error")
    assert "ours.yaml:" in conflict.why
    assert "IST0109" in conflict.why
