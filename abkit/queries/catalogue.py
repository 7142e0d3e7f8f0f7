"""The metric catalogue: one file a metric in `queries/promql/`, a header of comments above pasteable selectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from abkit.errors import QueryError, did_you_mean
from abkit.resources import folder
from abkit.spec import MetricDefinition, MetricRef, Role

__all__ = ["catalogue", "definition", "parse"]

_HEADER = re.compile(r"#\s*(?P<key>[a-z]+):\s*(?P<value>.*?)\s*")
_KEYS = ("metric", "meaning", "unit", "kind", "direction", "scope", "labels", "quantile", "scale", "role")
_MAX_BYTES = 100_000


@cache
def catalogue(*folders: Path) -> Mapping[str, MetricDefinition]:
    """All metrics that may be named in an experiment file.

    Args:
        folders: Further folders with `*.promql` files of the same form.

    Returns:
        Name → definition, by name.

    Raises:
        QueryError: A file is malformed, or a name is taken.

    >>> catalogue()["conversion"].unit
    'purchases per page view'
    """
    found: dict[str, tuple[MetricDefinition, Path]] = {}
    for root in (folder("queries") / "promql", *folders):
        if not root.is_dir():
            msg = f"{root}: no such folder: name a folder with *.promql files"
            raise QueryError(msg)
        for path in sorted(root.rglob("*.promql")):
            metric = parse(_read(path), str(path))
            if metric is None:
                continue
            if metric.name in found:
                msg = (
                    f"{path}: metric '{metric.name}' is already defined in {found[metric.name][1]}: choose another name"
                )
                raise QueryError(msg)
            found[metric.name] = (metric, path)
    return MappingProxyType({name: found[name][0] for name in sorted(found)})


def definition(ref: MetricRef, *folders: Path) -> MetricDefinition:
    """What a metric of an experiment is: its inline definition, or the catalogue's.

    Args:
        ref: The experiment's reference.
        folders: Further folders of the catalogue.

    Raises:
        QueryError: The catalogue has no such metric.
    """
    if ref.definition is not None:
        return ref.definition
    known = catalogue(*folders)
    if ref.metric not in known:
        msg = f"metric '{ref.metric}' is not in the catalogue; {did_you_mean(ref.metric, known)}"
        raise QueryError(msg)
    return known[ref.metric]


def parse(text: str, file: str) -> MetricDefinition | None:
    """Read one file of the catalogue.

    Args:
        text: Its text: `# key: value` lines, and after each `# role:` line one selector.
        file: What errors call it.

    Returns:
        The metric; None where the file holds another input than a metric (`# input:`).

    Raises:
        QueryError: The file is malformed; names file, line and what would be right.
    """
    fields: dict[str, Any] = {}
    role: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"{file}:{number}"
        if not line.strip():
            continue
        if not line.lstrip().startswith("#"):
            if role is None:
                msg = f"{place}: a selector without a role: put '# role: ' with {' or '.join(Role)} on the line above"
                raise QueryError(msg)
            fields[role] = line.strip()
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
        fields[key] = value
    if role is not None:
        msg = f"{file}: role '{role}' has no selector: put it on the line below its '# role:'"
        raise QueryError(msg)
    return _validated(fields, file)


def _validated(fields: dict[str, Any], file: str) -> MetricDefinition:
    given = {("name" if key == "metric" else key): value for key, value in fields.items()}
    if "labels" in given:
        given["labels"] = tuple(label.strip() for label in str(given["labels"]).split(",") if label.strip())
    for key in ("quantile", "scale"):
        if key in given:
            try:
                given[key] = float(str(given[key]))
            except ValueError:
                msg = f"{file}: {key}: should be a number (got '{given[key]}')"
                raise QueryError(msg) from None
    try:
        return MetricDefinition.model_validate(given)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in detail["loc"])
        words = str(detail.get("ctx", {}).get("error", detail["msg"]))
        msg = f"{file}: {f'{field}: ' if field else ''}{words}"
        raise QueryError(msg) from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            raw = handle.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            msg = f"{path}: is larger than 100 kB: a metric's file is a page of text"
            raise QueryError(msg)
        return raw.decode("utf-8")
    except OSError as error:
        msg = f"{path}: can't be read: {error.strerror}"
        raise QueryError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{path}: is not UTF-8 text (byte {error.start})"
        raise QueryError(msg) from None
