"""The JSON Schema takes what abkit takes, for editors and other programs."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from abkit.resources import folder
from abkit.spec import Experiment
from tests.spec.test_loading import CANARY_TEXT, MINIMAL, WHOLE, change

SCHEMA = Experiment.model_json_schema(by_alias=True)


class _Texts(yaml.SafeLoader):
    """YAML whose times stay text, as JSON has them, and so does the field `on`, as in YAML 1.2."""


_Texts.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if letter not in "oO"
}


def parsed(text: str) -> Any:
    return yaml.load(text, Loader=_Texts)


def examples() -> list[str]:
    return [path.read_text() for path in sorted((folder("data") / "experiments").glob("*.yaml"))]


@pytest.mark.parametrize("text", [WHOLE, MINIMAL, CANARY_TEXT, *examples()])
def test_what_abkit_takes_is_valid(text: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(parsed(text), SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        change("mde:", "mdee:"),
        change("strategy: ab", "strategy: canry"),
        change("port: 8080", "port: 0"),
        change("confidence: 0.95", "confidence: 1.5"),
        change("exact:", "exactt:"),
        MINIMAL.replace("service", "servce"),
    ],
)
def test_what_abkit_refuses_by_shape_is_not(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(parsed(text), SCHEMA)


def test_every_field_is_described() -> None:
    definitions = {**SCHEMA["$defs"], "Experiment": SCHEMA}
    for name, definition in definitions.items():
        shapes = [definition, *definition.get("anyOf", [])]
        for field, schema in next((shape["properties"] for shape in shapes if "properties" in shape), {}).items():
            shared = SCHEMA["$defs"].get(schema.get("$ref", "").removeprefix("#/$defs/"), {})
            assert schema.get("description") or shared.get("description"), f"{name}.{field}"
