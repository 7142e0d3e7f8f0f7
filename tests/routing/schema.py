"""Kubernetes objects against the schemas of their CustomResourceDefinitions, strictly: an unknown field is an error.

`ABKIT_CRD_DIR` names a folder with upstream definitions: Istio, Gateway API, Linkerd, SMI, Flagger, Argo Rollouts,
Litmus. The schema is picked by apiVersion and kind, among the versions that are served. Without the folder the
lint's own tables of fields stand in, which are written by hand: the tests always test something. Objects of Kubernetes
itself are read by the models of its own client. The rules in CEL are not evaluated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from abkit.routing.lint.durations import DIALECTS
from abkit.routing.lint.known import KINDS
from abkit.routing.lint.shape import Choice, Fields, Items, Length, Named, Scalar, Shape
from tests.routing.core_schema import core_defects, is_core

DNS_LABEL = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
LABEL_VALUE = {"type": "string", "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"}
TEXT = {"type": "string"}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


METADATA = _object(
    ["name", "namespace"],
    name=DNS_LABEL,
    namespace=DNS_LABEL,
    labels={"type": "object", "additionalProperties": LABEL_VALUE},
    annotations={"type": "object", "additionalProperties": TEXT},
)


def _stand_in(shape: Shape) -> dict[str, Any]:
    """A shape of the lint as a JSON Schema."""
    match shape:
        case Fields():
            pairs = combinations(sorted(shape.one_of), 2)
            return {
                "type": "object",
                "additionalProperties": shape.open,
                "required": sorted(shape.required),
                "properties": {name: _stand_in(inner) for name, inner in shape.known.items()},
                "allOf": [{"not": {"required": list(pair)}} for pair in pairs],
            }
        case Named():
            return {"type": "object", "additionalProperties": _stand_in(shape.of)}
        case Items():
            return {"type": "array", "items": _stand_in(shape.of)}
        case Length():
            text = {"type": "string", "pattern": f"^(?:{DIALECTS[shape.dialect].pattern.pattern})$"}
            return {"anyOf": [text, {"type": "number"}]} if shape.numbers else text
        case Choice():
            return {"enum": sorted(shape.words)}
        case Scalar.ANY:
            return {}
        case Scalar.TEXT:
            return TEXT
        case Scalar.INTEGER_OR_TEXT:
            return {"type": ["integer", "string"]}
        case Scalar.BOOLEAN:
            return {"type": "boolean"}
        case Scalar.INTEGER | Scalar.NUMBER:
            return {"type": {Scalar.INTEGER: "integer", Scalar.NUMBER: "number"}[shape]}


@cache
def _hand_written() -> dict[tuple[str, str], Any]:
    return {
        (f"{group}/{version}", name): _stand_in(kind.spec)
        for (group, name), kind in KINDS.items()
        for version in kind.current
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
    return _upstream(folder, experimental) if folder else _hand_written()


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
