"""One file of the metric catalogue: `# key: value` lines, and below each `# role:` line one PromQL selector."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from abkit.errors import QueryError, did_you_mean
from abkit.queries.placeholders import checked
from abkit.spec import Mesh, MetricDefinition, Role

__all__ = ["Entry", "parse"]

_HEADER = re.compile(r"#\s*(?P<key>[a-z]+):\s*(?P<value>.*?)\s*")
_KEYS: Final = (
    "metric",
    "meaning",
    "unit",
    "kind",
    "direction",
    "scope",
    "mesh",
    "labels",
    "quantile",
    "scale",
    "replaces",
    "role",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the catalogue.

    Attributes:
        definition: The metric.
        mesh: Whose proxies count it; None for what no mesh counts.
        group: The folder that it lies in; empty at the top of a user's own.
        file: Where it lies.
        line: The line that names it.
        replaces: Whether it may take the place of another file's metric of this name.
        text: The whole file.
    """

    definition: MetricDefinition
    mesh: Mesh | None = None
    group: str = ""
    file: str = ""
    line: int = 1
    replaces: bool = False
    text: str = field(default="", repr=False)

    @property
    def title(self) -> str:
        r"""The name, after its mesh where it has one: unique in a catalogue.

        >>> text = "# metric: hits\n# kind: rate\n# direction: none\n# mesh: envoy\n# role: numerator\nhits_total\n"
        >>> parse(text, "hits.promql").title
        'envoy/hits'
        """
        name = self.definition.name
        return name if self.mesh is None else f"{self.mesh}/{name}"


def parse(text: str, file: str, group: str = "") -> Entry | None:
    """Read one file of the catalogue.

    Args:
        text: Its text.
        file: What errors call it.
        group: The folder that it lies in.

    Returns:
        The metric; None where the file holds another input than a metric (`# input:`).

    Raises:
        QueryError: The file is malformed, or a selector is not PromQL; names file, line and what would be right.
    """
    fields: dict[str, Any] = {}
    lines: dict[str, int] = {}
    role: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"{file}:{number}"
        if not line.strip():
            continue
        if not line.lstrip().startswith("#"):
            if role is None:
                msg = f"{place}: a selector without a role: put '# role: ' with {' or '.join(Role)} on the line above"
                raise QueryError(msg)
            checked(line.strip(), place)
            fields[role], lines[role] = line.strip(), number
            role = None
            continue
        match = _HEADER.fullmatch(line.strip())
        if match is None:
            msg = f"{place}: should be '# key: value' with one of {', '.join(_KEYS)}, or a selector"
            raise QueryError(msg)
        key, value = match["key"], match["value"]
        if key == "input" and not fields:
            return None
        if role is not None:
            msg = f"{place}: role '{role}' has no selector: put it on the line below its '# role:'"
            raise QueryError(msg)
        if key not in _KEYS:
            msg = f"{place}: no such key '{key}'; {did_you_mean(key, _KEYS)}"
            raise QueryError(msg)
        if key == "role":
            if value not in list(Role):
                msg = f"{place}: no such role '{value}'; {did_you_mean(value, list(Role))}"
                raise QueryError(msg)
            role = key = value
        if key in fields:
            msg = f"{place}: '{key}' is given twice: keep one"
            raise QueryError(msg)
        fields[key], lines[key] = value, number
    if role is not None:
        msg = f"{file}:{lines[role]}: role '{role}' has no selector: put it on the line below its '# role:'"
        raise QueryError(msg)
    mesh = _one_of(fields.pop("mesh", None), [str(mesh) for mesh in Mesh], f"{file}:{lines.get('mesh')}: mesh")
    replaces = _one_of(fields.pop("replaces", None), ["yes", "no"], f"{file}:{lines.get('replaces')}: replaces")
    return Entry(
        _validated(fields, lines, file),
        None if mesh is None else Mesh(mesh),
        group,
        file,
        lines.get("metric", 1),
        replaces == "yes",
        text,
    )


def _one_of(value: str | None, valid: list[str], place: str) -> str | None:
    if value is not None and value not in valid:
        msg = f"{place}: should be one of {', '.join(valid)} (got '{value}')"
        raise QueryError(msg)
    return value


def _validated(fields: dict[str, Any], lines: Mapping[str, int], file: str) -> MetricDefinition:
    given = {("name" if key == "metric" else key): value for key, value in fields.items()}
    if "labels" in given:
        given["labels"] = tuple(label.strip() for label in str(given["labels"]).split(",") if label.strip())
    for key in ("quantile", "scale"):
        if key in given:
            try:
                given[key] = float(str(given[key]))
            except ValueError:
                msg = f"{file}:{lines[key]}: {key}: should be a number (got '{given[key]}')"
                raise QueryError(msg) from None
    try:
        return MetricDefinition.model_validate(given)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        key = str(detail["loc"][0]) if detail["loc"] else ""
        key = "metric" if key == "name" else key
        line = lines.get(key)
        words = str(detail.get("ctx", {}).get("error", detail["msg"]))
        if detail["type"] == "missing":
            words = f"is missing: add the line '# {key}: …'"
        place = file if line is None else f"{file}:{line}"
        msg = f"{place}: {f'{key}: ' if key else ''}{words}"
        raise QueryError(msg) from None
