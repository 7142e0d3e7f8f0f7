"""The form in which a server stores what is applied, and the part of it that a manager owns."""

from __future__ import annotations

from typing import Any

import pytest

from abkit.export.owned_fields import applied_by, owned_part
from abkit.export.ownership import owner_of_object
from abkit.export.server_form import quantity, stored_form
from abkit.routing.document import labelled


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("0.5", "500m"),
        ("250m", "250m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("2", "2"),
        ("1.0", "1"),
        ("1000", "1k"),
        ("2500k", "2500k"),
        ("0.0005", "500u"),
        ("0", "0"),
        ("256Mi", "256Mi"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("1000Mi", "1000Mi"),
        ("0.5Ki", "512"),
        ("1G", "1G"),
        ("lots", "lots"),
    ],
)
def test_quantities(written: str, stored: str) -> None:
    assert quantity(written) == stored
    assert quantity(stored) == stored


def test_a_deployment_is_stamped_in_its_stored_form_and_a_custom_resource_is_left_alone() -> None:
    container = {
        "name": "app",
        "env": [{"name": "A", "value": ""}, {"name": "B", "value": "1.0"}],
        "resources": {"requests": {"cpu": "0.5"}},
    }
    document = labelled(
        ["one"],
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"containers": [container]}},
    )
    form = stored_form(document)
    assert form["spec"]["containers"] == [
        {
            "name": "app",
            "env": [{"name": "A"}, {"name": "B", "value": "1.0"}],
            "resources": {"requests": {"cpu": "500m"}},
        }
    ]
    assert owner_of_object(form).intact
    assert owner_of_object(document).intact
    custom = {**document, "apiVersion": "networking.istio.io/v1"}
    assert stored_form(custom) is custom


def test_the_part_of_a_deployment_that_abkit_applied() -> None:
    applied = labelled(
        ["one"],
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "x", "namespace": "shop"},
            "spec": {
                "replicas": 2,
                "containers": [{"name": "app", "ports": [{"containerPort": 80, "name": "http"}], "args": ["a", "b"]}],
            },
        },
    )
    # What a server makes of it: defaults, a container that something injected, and its account of who owns what.
    port = {"containerPort": 80, "name": "http", "protocol": "TCP"}
    own = {"name": "app", "ports": [port], "args": ["a", "b"], "imagePullPolicy": "Always"}
    labels: dict[str, Any] = {f"f:{name}": {} for name in applied["metadata"]["labels"]}
    ports: dict[str, Any] = {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:name": {}}}
    fields = {
        "f:metadata": {"f:labels": labels},
        "f:spec": {
            "f:replicas": {},
            "f:containers": {'k:{"name":"app"}': {".": {}, "f:name": {}, "f:ports": ports, "f:args": {}}},
        },
    }
    others: dict[str, Any] = {"f:status": {}, "f:spec": {"f:replicas": {}}}
    live = {
        **applied,
        "metadata": {
            **applied["metadata"],
            "uid": "u",
            "resourceVersion": "7",
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "managedFields": [
                {"manager": "abkit", "operation": "Apply", "fieldsV1": fields},
                {"manager": "abkit", "operation": "Apply", "subresource": "status", "fieldsV1": others},
                {"manager": "controller", "operation": "Update", "fieldsV1": others},
            ],
        },
        "spec": {"replicas": 2, "containers": [{"name": "proxy"}, own], "paused": False},
        "status": {"replicas": 2},
    }
    part = applied_by(live, "abkit")
    assert part == applied
    assert owner_of_object(part).intact
    live["spec"]["replicas"] = 5
    assert not owner_of_object(applied_by(live, "abkit")).intact
    assert applied_by(live, "nobody")["metadata"] == {"name": "x", "namespace": "shop"}


def test_sets_and_empty_things() -> None:
    assert owned_part({'v:"a"': {}, 'v:"c"': {}}, ["a", "b", "c"]) == ["a", "c"]
    assert owned_part({"f:spec": {".": {}}}, {"spec": {"x": 1}}) == {"spec": {}}
    assert owned_part({"f:spec": {"f:gone": {}}}, {"spec": {"x": 1}}) == {}
    assert owned_part({"f:list": {".": {}}}, {"list": [1]}) == {"list": []}
