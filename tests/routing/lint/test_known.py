"""The lint's tables of fields against the meshes' own definitions, where these are at hand (ABKIT_CRD_DIR)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from abkit.routing.lint.known import KINDS
from abkit.routing.lint.objects import GATEWAY, ISTIO
from abkit.routing.lint.shape import Choice, Fields, Items, Length, Named, Scalar, Shape
from tests.routing.schema import schemas

# Fields that objects of today still have and that the newest definition has dropped, or never had by this name.
DROPPED = {"spec.http[].fault.abort.percent", "spec.tcp[].match[].sourceSubnets"}
TYPES = {
    Scalar.TEXT: {"string"},
    Scalar.INTEGER: {"integer"},
    Scalar.NUMBER: {"number"},
    Scalar.BOOLEAN: {"boolean"},
}
CASES = [
    # The other tables are read by several versions, or name what an older one has.
    (f"{group}/{version}", name, kind.spec, group in {ISTIO, GATEWAY})
    for (group, name), kind in KINDS.items()
    for version in sorted(kind.current)
]


def _differences(shape: Shape, schema: Any, path: str) -> Iterator[str]:
    match shape:
        case Fields():
            properties = schema.get("properties", {})
            if not shape.open:
                yield from (f"unknown to the lint: {path}.{name}" for name in properties.keys() - shape.known.keys())
            yield from (f"only the lint's: {path}.{name}" for name in shape.known.keys() - properties.keys())
            yield from (f"not required: {path}.{name}" for name in shape.required - set(schema.get("required", ())))
            for name in properties.keys() & shape.known.keys():
                yield from _differences(shape.known[name], properties[name], f"{path}.{name}")
        case Items():
            yield from _differences(shape.of, schema.get("items", {}), f"{path}[]")
        case Named():
            yield from _differences(shape.of, schema.get("additionalProperties", {}), f"{path}.*")
        case Choice():
            words = set(schema.get("enum", shape.words)) - {"INVALID", ""}
            yield from (f"not among the lint's: {path}={word}" for word in words - shape.words)
        case Length():
            if not {"string", "null"} & _types(schema):
                yield f"no text: {path}: {_types(schema)}"
        case _:
            if shape in TYPES and not TYPES[shape] & _types(schema):
                yield f"{path} is {_types(schema)}, not {shape}"


def _types(schema: Any) -> set[str]:
    types = schema.get("type", "null")
    found = set(types) if isinstance(types, list) else {types}
    return found | {one["type"] for one in schema.get("anyOf", ()) if "type" in one}


@pytest.mark.parametrize(
    ("version", "kind", "shape", "exact"), CASES, ids=lambda one: one if isinstance(one, str) else ""
)
def test_every_field_that_exists_is_known(version: str, kind: str, shape: Fields, exact: bool) -> None:
    schema = schemas(experimental=True).get((version, kind))
    if schema is None:  # Kubernetes' own, and versions that are served no longer
        assert version in {"apps/v1", "/v1", "split.smi-spec.io/v1alpha3"}
        return
    wrong = {one for one in _differences(shape, schema, "spec") if one.removeprefix("only the lint's: ") not in DROPPED}
    if not exact:
        wrong = {one for one in wrong if not one.startswith(("only the lint's", "not required"))}
    assert wrong == set()
