"""Kubernetes objects against the schemas of their CustomResourceDefinitions, strictly: an unknown field is an error.

`ABKIT_CRD_DIR` names a folder with the upstream `istio.yaml`. Without it a smaller schema, written by hand from Istio's
reference for just the fields that abkit writes, stands in: the tests always test something.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

DNS_LABEL = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
LABEL_VALUE = {"type": "string", "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"}
TEXT = {"type": "string"}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _some(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


def _texts(names: str) -> dict[str, Any]:
    return {"type": "object", "propertyNames": {"pattern": names}, "additionalProperties": TEXT}


METADATA = _object(
    ["name", "namespace"],
    name=DNS_LABEL,
    namespace=DNS_LABEL,
    labels={"type": "object", "additionalProperties": LABEL_VALUE},
    annotations={"type": "object", "additionalProperties": TEXT},
)
HOST = {"type": "string", "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+svc\.cluster\.local$"}
STRING_MATCH = {**_object([], exact=TEXT, prefix=TEXT, regex=TEXT), "minProperties": 1, "maxProperties": 1}
HEADER = "^[a-z0-9][-a-z0-9_]*$"
HAND_WRITTEN = {
    "DestinationRule": _object(
        ["host", "subsets"],
        host=HOST,
        subsets=_some(
            _object(["name", "labels"], name=DNS_LABEL, labels=_object(["version"], version=LABEL_VALUE)),
        ),
    ),
    "VirtualService": _object(
        ["hosts", "http"],
        hosts=_some(HOST),
        http=_some(
            _object(
                ["name", "route"],
                name=TEXT,
                match=_some(
                    _object(
                        [],
                        headers={
                            "type": "object",
                            "minProperties": 1,
                            "propertyNames": {"pattern": HEADER},
                            "additionalProperties": STRING_MATCH,
                        },
                    )
                ),
                headers=_object([], request=_object([], set=_texts(HEADER))),
                route=_some(
                    _object(
                        ["destination"],
                        destination=_object(
                            ["host", "subset"],
                            host=HOST,
                            subset=DNS_LABEL,
                            port=_object(["number"], number={"type": "integer", "minimum": 1, "maximum": 65_535}),
                        ),
                    )
                ),
            )
        ),
    ),
}


def _strict(schema: Any) -> Any:
    """The schema as an API server reads it under strict field validation: what is not named does not exist."""
    if not isinstance(schema, dict):
        return schema
    # The branches of oneOf and its kin only ask for fields: what exists is said beside them.
    result = {key: value for key, value in schema.items() if key not in {"properties", "items", "additionalProperties"}}
    if "properties" in schema:
        result["properties"] = {name: _strict(inner) for name, inner in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result["additionalProperties"] = False
    if "items" in schema:
        result["items"] = _strict(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _strict(schema["additionalProperties"])
    return result


@cache
def _upstream(folder: str) -> dict[str, Any]:
    """Kind → schema of the version that abkit writes."""
    file = Path(folder) / "istio.yaml"
    assert file.is_file(), f"ABKIT_CRD_DIR={folder} has no istio.yaml"
    schemas: dict[str, Any] = {}
    for document in yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader):
        if document["spec"]["group"] == "networking.istio.io":
            for version in document["spec"]["versions"]:
                if version["name"] == "v1" and version["served"]:
                    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
                    schemas[document["spec"]["names"]["kind"]] = _strict(spec)
    return schemas


def schemas() -> dict[str, Any]:
    """Kind → strict schema of an object's `spec`."""
    folder = os.environ.get("ABKIT_CRD_DIR", "")
    return _upstream(folder) if folder else HAND_WRITTEN


def defects(document: Mapping[str, Any]) -> list[str]:
    """What is wrong with an object; nothing where it is right."""
    whole = _object(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "networking.istio.io/v1"},
        kind={"enum": sorted(schemas())},
        metadata=METADATA,
        spec=schemas().get(str(document.get("kind")), {}),
    )
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(document)]
