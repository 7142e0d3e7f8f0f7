"""Reads experiment files. Nothing else in abkit parses YAML.

Every error names file, line, field, the bad value and what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from abkit.errors import InputError, Problem, SpecError, did_you_mean
from abkit.spec.experiment import Experiment

__all__ = ["find_specs", "load", "loads"]

_MAX_BYTES = 1_000_000
_MAX_NODES = 50_000
_CLEAR = re.compile(r"@(?P<field>[^@]*)@(?P<value>[^@]*)@(?P<message>.*)", re.DOTALL)
_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
_CREDENTIALS = re.compile(r"//[^/\s]*@")
_PATTERNS = {
    "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$": "should be lower-case letters, digits and '-', at most 63, such as buy-now",
    "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$": "should be letters, digits, '-', '_' and '.', at most 63",
}


def load(path: Path | str) -> Experiment:
    """Read an experiment file.

    Args:
        path: The YAML file.

    Returns:
        The experiment, checked.

    Raises:
        SpecError: It can't be read, is not YAML, or breaks a rule; all defects are listed.
    """
    file = str(path)
    try:
        with Path(path).open("rb") as handle:
            raw = handle.read(_MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except FileNotFoundError:
        raise SpecError([Problem(file, None, "", None, "no such file: check the path")]) from None
    except IsADirectoryError:
        raise SpecError([Problem(file, None, "", None, "is a folder: name the experiment file")]) from None
    except OSError as error:
        raise SpecError([Problem(file, None, "", None, f"can't be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise SpecError([Problem(file, None, "", None, f"is not UTF-8 text (byte {error.start})")]) from None
    if len(raw) > _MAX_BYTES:
        raise SpecError([Problem(file, None, "", None, "is larger than 1 MB: an experiment file is a page of text")])
    return loads(text, file)


def loads(text: str, file: str = "<text>") -> Experiment:
    """Read an experiment from YAML text.

    Args:
        text: The YAML.
        file: What errors call it.

    Raises:
        SpecError: It is not YAML, or breaks a rule.
    """
    document, lines = _parse(text, file)
    if not isinstance(document, dict):
        shown = None if document is None else type(document).__name__
        message = "should be a mapping that starts with service:, variants: and metrics:"
        raise SpecError([Problem(file, 1, "", shown, message)])
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        problems = sorted(
            (_problem(detail, file, lines) for detail in error.errors(include_url=False)),
            key=lambda problem: (problem.line or 0, problem.field),
        )
        raise SpecError(list(dict.fromkeys(problems))) from None


def find_specs(folder: Path | str) -> list[Path]:
    """Experiment files of a folder: `*.yaml` and `*.yml`, by name, not of its sub-folders.

    Raises:
        InputError: The folder is missing or has none.
    """
    directory = Path(folder)
    if not directory.is_dir():
        msg = f"{directory}: no such folder: name the folder that holds the experiment files"
        raise InputError(msg)
    found = sorted(path for path in directory.iterdir() if path.suffix in {".yaml", ".yml"} and path.is_file())
    if not found:
        msg = f"{directory}: holds no experiment files (*.yaml)"
        raise InputError(msg)
    return found


def _parse(text: str, file: str) -> tuple[Any, dict[tuple[str | int, ...], int]]:
    """The document, and the line of each path in it."""
    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:
        raise SpecError([Problem(file, None, "", None, f"is not YAML: {str(error).splitlines()[0]}")]) from None
    try:
        node = loader.get_single_node()
        if node is None:
            raise SpecError([Problem(file, None, "", None, "is empty: see data/experiments/ for examples")])
        lines = dict(_walk(node, file))
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(part for part in (error.context, error.problem) if part)
        line = None if mark is None else mark.line + 1
        raise SpecError([Problem(file, line, "", None, f"is not YAML: {words}")]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        words = "too deeply nested" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise SpecError([Problem(file, None, "", None, f"is not YAML: {words}")]) from None
    finally:
        loader.dispose()


def _walk(root: yaml.Node, file: str) -> Iterator[tuple[tuple[str | int, ...], int]]:
    pending: list[tuple[tuple[str | int, ...], yaml.Node]] = [((), root)]
    seen = 0
    while pending:
        path, node = pending.pop()
        seen += 1
        if seen > _MAX_NODES:  # aliases of aliases grow without bound
            raise SpecError([Problem(file, None, "", None, "has more than 50,000 values: too many aliases?")])
        if not path or isinstance(path[-1], int):  # a mapping's values are placed by their keys
            yield path, node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise SpecError([Problem(file, line, _dotted(path), None, "a key must be plain text")])
                if key.value in keys:
                    where = _dotted((*path, key.value))
                    raise SpecError([Problem(file, line, where, None, "is given twice: keep one")])
                keys.add(key.value)
                if key.tag != _MERGE:
                    key.tag = _TEXT  # YAML 1.1 takes the field `on` for a boolean, and a variant `1` for a number
                yield (*path, key.value), line
                pending.append(((*path, key.value), value))
        elif isinstance(node, yaml.SequenceNode):
            pending.extend(((*path, index), child) for index, child in enumerate(node.value))


def _problem(detail: ErrorDetails, file: str, lines: dict[tuple[str | int, ...], int]) -> Problem:
    # Keys of mappings appear as ('header', 'X-Id', '[key]'); an inline metric's fields lie under 'definition'.
    where = tuple(part for part in detail["loc"] if part not in {"[key]", "definition"})
    value: str | None = _shown(detail["input"])
    message = _words(detail, where)
    if detail["type"] == "value_error" and (clear := _CLEAR.fullmatch(message)):
        where = (*where, *(int(part) if part.isdigit() else part for part in clear["field"].split(".")))
        value, message = clear["value"] or None, clear["message"]
    elif detail["type"] == "missing":
        value = None
    where = _written(where, lines)
    line, known = None, where
    while line is None:
        line = lines.get(known)
        if not known:
            break
        known = known[:-1]
    return Problem(file, line, _dotted(where), value, message)


def _written(where: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]) -> tuple[str | int, ...]:
    """A place as the file has it: what was written without brackets is no list's first entry."""
    found: tuple[str | int, ...] = ()
    for part in where:
        if part != 0 or (*found, part) in lines or found not in lines:
            found = (*found, part)
    return found


def _words(detail: ErrorDetails, where: tuple[str | int, ...]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return f"no such field; {did_you_mean(str(where[-1]), _fields_at(detail['loc'][:-1]))}"
        case "too_short":
            return f"needs at least {context['min_length']}, has {context['actual_length']}"
        case "missing":
            return "is missing: give it"
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return _PATTERNS.get(context["pattern"], f"should match {context['pattern']}")
        case "enum" | "literal_error":
            return f"should be {context['expected']}"
        case "string_type":
            return "should be text: write it in quotes"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "should be a mapping of fields"
        case _:
            text = detail["msg"].removeprefix("Input ")
            return text[0].lower() + text[1:]


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields that the model at a place of the file has."""
    model: Any = Experiment
    keyed = False  # the next part is a list's index or a mapping's key, not a field
    for part in location:
        if keyed:
            keyed = False
        elif isinstance(model, type) and issubclass(model, BaseModel):
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            annotation = fields[str(part)].annotation if part in fields else None
            model, keyed = _inner(annotation), get_origin(annotation) in {dict, tuple}
    if isinstance(model, type) and issubclass(model, BaseModel):
        names = [field.alias or name for name, field in model.model_fields.items()]
        return [name for name in names if name != "definition"]
    return []


def _inner(annotation: Any) -> Any:
    """The model inside `X | None`, `tuple[X, ...]`, `dict[K, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part)) is not None), None)


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list, tuple, BaseModel)):
        return f"{len(value)} entries" if isinstance(value, (dict, list, tuple)) else "a mapping"
    text = repr(_CREDENTIALS.sub("//…@", value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path)
