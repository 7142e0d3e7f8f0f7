"""Kubernetes objects against the schemas of their CustomResourceDefinitions, strictly: an unknown field is an error.

`ABKIT_CRD_DIR` names a folder with upstream definitions: Istio, Gateway API, Linkerd, SMI, Flagger, Argo Rollouts,
Litmus. The schema is picked by apiVersion and kind, among the versions that are served. Without the folder a smaller
schema, written by hand for just the fields that abkit writes, stands in: the tests always test something. Objects of
Kubernetes itself are read by the models of its own client. The rules in CEL are not evaluated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.routing.core_schema import core_defects, is_core

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
    ("networking.istio.io/v1", "DestinationRule"): _object(
        ["host", "subsets"],
        host=HOST,
        subsets=_some(
            _object(["name", "labels"], name=DNS_LABEL, labels=_object(["version"], version=LABEL_VALUE)),
        ),
    ),
    ("networking.istio.io/v1", "VirtualService"): _object(
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
        # Litmus keeps unknown fields of objects that it does name fields of: a misspelt one would pass there.
        result["properties"] = {name: _strict(inner) for name, inner in schema["properties"].items()}
        result["additionalProperties"] = False
    if "items" in schema:
        result["items"] = _strict(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _strict(schema["additionalProperties"])
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    if schema.get("nullable") and isinstance(result.get("type"), str):
        result["type"] = [result["type"], "null"]
    return result


def _definitions(file: Path) -> Iterator[dict[str, Any]]:
    # Linkerd's is a Helm chart's template; what is filled in are labels, none of it schema.
    text = "".join(line for line in file.read_text(encoding="utf-8").splitlines(True) if "{{" not in line)
    for document in yaml.load_all(text, yaml.CSafeLoader):
        if document and document.get("kind") == "CustomResourceDefinition":
            yield document["spec"]


@cache
def _upstream(folder: str, experimental: bool) -> dict[tuple[str, str], Any]:
    """Schema of each served apiVersion and kind."""
    files = sorted(Path(folder).glob("*.yaml"))
    assert files, f"ABKIT_CRD_DIR={folder} has no definitions"
    found: dict[tuple[str, str], Any] = {}
    for file in files:
        # Gateway API has two channels of the same kind and version.
        if file.stem.endswith("_std" if experimental else "_exp"):
            continue
        for spec in _definitions(file):
            served = {version["name"]: version for version in spec["versions"] if version["served"]}
            # Where there is a v1, abkit writes no other.
            for name, version in {"v1": served["v1"]}.items() if "v1" in served else served.items():
                key = (f"{spec['group']}/{name}", spec["names"]["kind"])
                found[key] = _strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    return found


def schemas(*, experimental: bool = False) -> dict[tuple[str, str], Any]:
    """Strict schema of an object's `spec`, by apiVersion and kind.

    Args:
        experimental: Gateway API's experimental channel in place of the standard one.
    """
    folder = os.environ.get("ABKIT_CRD_DIR", "")
    return _upstream(folder, experimental) if folder else HAND_WRITTEN


def defects(document: Mapping[str, Any], *, experimental: bool = False) -> list[str]:
    """What is wrong with an object; nothing where it is right."""
    if is_core(document):
        return core_defects(document)
    known = schemas(experimental=experimental)
    key = (str(document.get("apiVersion")), str(document.get("kind")))
    if key not in known:
        return [f"$: no {key[1]} of {key[0]} among {sorted(known)}"]
    whole = _object(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion=TEXT,
        kind=TEXT,
        metadata=METADATA,
        spec=known[key],
    )
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(document)]
