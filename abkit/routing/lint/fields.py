"""Fields that don't exist, are missing, or hold something of another sort than they should; API versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from abkit.errors import did_you_mean
from abkit.routing.lint.durations import DIALECTS
from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.known import KINDS, METADATA, Kind
from abkit.routing.lint.objects import Manifests, Object, report
from abkit.routing.lint.shape import Choice, Fields, Items, Length, Named, Scalar, Shape
from abkit.routing.lint.value import Value

__all__ = ["check"]

# Texts to PyYAML that Go's parser, and with it Kubernetes, reads as numbers.
_GO_NUMBER: Final = re.compile(r"[-+]?(?:0o[0-7]+|(?:[0-9]+|[0-9]*\.[0-9]+|[0-9]+\.[0-9]*)[eE][-+]?[0-9]+)")


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about fields and API versions."""
    for one in manifests.objects:
        kind = KINDS.get((one.group, one.kind))
        if kind is None:
            continue
        yield from _version(one, kind)
        metadata = one.root.get("metadata")
        if metadata is None or not one.name:
            yield report(one, one.root, "missing-field", "metadata.name is missing", "metadata: {name: …}")
        else:
            yield from _walk(one, metadata, METADATA)
        spec = one.root.get("spec")
        if spec is None:
            yield report(one, one.root, "missing-field", "spec is missing", "spec: {…}")
        else:
            yield from _walk(one, spec, kind.spec)


def _version(one: Object, kind: Kind) -> Iterator[Finding]:
    at = one.root.get("apiVersion")
    if at is None or one.version in kind.current:
        return
    prefix = f"{one.group}/" if one.group else ""
    correct = f"apiVersion: {prefix}{kind.versions[0]}"
    if one.version in kind.versions:
        why = f"{one.version} is an older name of what is {kind.versions[0]} today; later releases stop serving it"
        yield report(one, at, "old-api-version", why, correct, Severity.NOTE)
    else:
        served = ", ".join(kind.versions)
        why = f"there is no {one.kind} of version {one.version} (served: {served}): the API server refuses it"
        yield report(one, at, "unknown-api-version", why, correct)


def _walk(one: Object, value: Value, shape: Shape) -> Iterator[Finding]:
    if value.is_null or shape is Scalar.ANY:
        return
    match shape:
        case Fields() | Named():
            if not value.is_mapping:
                yield _sort(one, value, "a mapping")
            elif isinstance(shape, Named):
                for _, item in value.fields():
                    yield from _walk(one, item, shape.of)
            else:
                yield from _fields(one, value, shape)
        case Items():
            if not value.is_list:
                yield _sort(one, value, "a list")
            for item in value.items():
                yield from _walk(one, item, shape.of)
        case _:
            yield from _scalar(one, value, shape)


def _fields(one: Object, value: Value, shape: Fields) -> Iterator[Finding]:
    given = set()
    for name, item in value.fields():
        if name in shape.known:
            given |= set() if item.is_null else {name}
            yield from _walk(one, item, shape.known[name])
        elif not shape.open:
            why = f"there is no field {name}: it is refused, or dropped without a word"
            yield report(one, item, "unknown-field", why, did_you_mean(name, shape.known))
    for name in sorted(shape.required - given):
        yield report(one, value, "missing-field", f"{name} is missing", f"{name}: …")
    if len(both := sorted(shape.one_of & given)) > 1:
        why = f"{' and '.join(both)} are given together: only one may be"
        yield report(one, value, "one-of", why, f"keep {' or '.join(both)}")


def _scalar(one: Object, value: Value, shape: Scalar | Length | Choice) -> Iterator[Finding]:
    if value.is_mapping or value.is_list:
        yield _sort(one, value, "a single value")
        return
    data: Any = value.node.data
    match shape:
        case Length():
            yield from _length(one, value, shape)
        case Choice():
            if data not in shape.words:
                why = f"'{value.node.raw[:100]}' is not one of its values"
                yield report(one, value, "wrong-value", why, did_you_mean(value.node.raw[:100], shape.words))
        case Scalar.TEXT:
            yield from _text(one, value)
        case Scalar.BOOLEAN:
            if not isinstance(data, bool):
                yield _sort(one, value, "true or false")
        case Scalar.NUMBER:
            if value.number is None:
                yield _sort(one, value, "a number")
        case _:
            whole = isinstance(data, int) and not isinstance(data, bool)
            if not whole and not (shape is Scalar.INTEGER_OR_TEXT and isinstance(data, str)):
                yield _sort(one, value, str(shape.value).replace("whole", "a whole", 1))


def _length(one: Object, value: Value, shape: Length) -> Iterator[Finding]:
    dialect = DIALECTS[shape.dialect]
    if value.text is None:
        if value.number is not None and shape.numbers:
            return
        why = f"{value.node.raw[:100]} has no unit"
        yield report(one, value, "duration", why, f"a text such as {dialect.example}")
    elif defect := dialect.defect(value.text):
        yield report(one, value, "duration", defect, f"such as {dialect.example}")


def _text(one: Object, value: Value) -> Iterator[Finding]:
    data, raw = value.node.data, value.node.raw[:100]
    if isinstance(data, (bool, int, float)):
        read = f"the boolean {str(data).lower()}" if isinstance(data, bool) else f"the number {data}"
    elif value.node.plain and _GO_NUMBER.fullmatch(raw):
        read = "a number by Kubernetes"
    else:
        return
    why = f"{raw} is read as {read}, where text must stand: the API server refuses it, or takes another value"
    yield report(one, value, "unquoted", why, f'"{raw}"')


def _sort(one: Object, value: Value, wanted: str) -> Finding:
    given = "a mapping" if value.is_mapping else "a list" if value.is_list else f"'{value.node.raw[:100]}'"
    return report(one, value, "wrong-sort", f"should be {wanted}, not {given}", f"write {wanted}")
