"""Kubernetes objects as YAML text that every parser reads the same way, and the hash of their content.

Each string value stands in double quotes: bare, `on` is a boolean to one parser and `1e3` a number to another. So do
keys that could be taken for anything else. Characters outside ASCII are escaped.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from abkit.routing.base import Manifest

__all__ = ["CONTENT_HASH", "EXPERIMENT", "MANAGED_BY", "content_hash", "join", "labelled", "stamp", "to_yaml"]

MANAGED_BY = "app.kubernetes.io/managed-by"
"""The label that says that an object is abkit's."""

EXPERIMENT = "abkit.dev/experiment"
"""The label that names the experiment that an object was written for; several stand in the annotation `experiments`."""

CONTENT_HASH = "abkit.dev/content-hash"
"""The label that carries an object's hash: a changed object no longer agrees with it."""

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]*([-._/][A-Za-z0-9]+)*")
# YAML 1.2, 7.4: a simple key has 1,024 characters at most.
_LONGEST_KEY = 1_000
# What YAML 1.1 takes for booleans and null, in lower case.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def to_yaml(document: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """An object as YAML, keys in their order.

    Written here and not by PyYAML: it takes ten times as long, and has no way to quote each string value.

    Args:
        document: Mappings, lists, strings, finite numbers and booleans.
        comments: Lines to stand above it.

    >>> print(to_yaml({"on": "on", "name": "1e3", "ports": [80]}, ["why"]), end="")
    # why
    "on": "on"
    name: "1e3"
    ports:
      - 80
    """
    lines: list[str] = []
    for line in comments:
        if not line.isascii() or not line.isprintable():
            msg = f"a comment must be one line of ASCII: {line!r}"
            raise ValueError(msg)
        lines.append(f"# {line}")
    _write_mapping(document, "", lines) if document else lines.append("{}")
    return "\n".join(lines) + "\n"


def _write_mapping(value: Mapping[str, Any], margin: str, lines: list[str], first: str | None = None) -> None:
    """The lines of a mapping; `first` is what stands before its first key, in place of the margin."""
    for key, inner in value.items():
        head = f"{margin if first is None else first}{_key(key)}:"
        first = None
        if isinstance(inner, Mapping) and inner:
            lines.append(head)
            _write_mapping(inner, margin + "  ", lines)
        elif isinstance(inner, (list, tuple)) and inner:
            lines.append(head)
            _write_list(inner, margin + "  ", lines)
        else:
            _write_scalar(inner, f"{head} ", margin + "  ", lines)


def _write_list(value: Sequence[Any], margin: str, lines: list[str], first: str | None = None) -> None:
    for inner in value:
        head = f"{margin if first is None else first}- "
        first = None
        if isinstance(inner, Mapping) and inner:
            _write_mapping(inner, margin + "  ", lines, head)
        elif isinstance(inner, (list, tuple)) and inner:
            _write_list(inner, margin + "  ", lines, head)
        else:
            _write_scalar(inner, head, margin + "  ", lines)


def _write_scalar(value: Any, head: str, margin: str, lines: list[str]) -> None:
    if isinstance(value, str):
        # Programs are read by people: as a block, where all of it is plain text.
        rows = value.split("\n")
        if len(rows) > 1 and _is_block(rows):
            lines.append(f"{head}|")
            lines.extend(margin + row if row else "" for row in rows[:-1])
        else:
            lines.append(head + _quoted(value))
    elif isinstance(value, (Mapping, list, tuple)):
        lines.append(f"{head}{{}}" if isinstance(value, Mapping) else f"{head}[]")
    elif isinstance(value, (bool, int)) or (isinstance(value, float) and 1e-4 <= abs(value) < 1e15) or value == 0:
        lines.append(f"{head}{str(value).lower()}")
    else:
        msg = f"can't be written as YAML: {value!r}"
        raise TypeError(msg)


def _is_block(rows: Sequence[str]) -> bool:
    plain = all(row.isascii() and row.isprintable() and row == row.rstrip() for row in rows)
    return plain and bool(rows[0]) and rows[0] == rows[0].lstrip() and not rows[-1] and bool(rows[-2])


def _key(key: str) -> str:
    bare = _PLAIN_KEY.fullmatch(key) is not None and key.lower() not in _WORDS
    written = key if bare else _quoted(key)
    if len(written) > _LONGEST_KEY:
        msg = f"a key of {len(key)} characters is too long for YAML: {key[:40]!r}"
        raise TypeError(msg)
    return written


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isascii() and character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def content_hash(document: Mapping[str, Any]) -> str:
    """Hash of an object (16 hex digits), whatever the order of its keys and without the label that carries the hash.

    >>> content_hash({"kind": "Service"}) == content_hash(stamp({"kind": "Service"}))
    True
    """
    metadata = dict(document.get("metadata", {}))
    labels = {key: value for key, value in metadata.get("labels", {}).items() if key != CONTENT_HASH}
    bare = {**document, "metadata": {**metadata, "labels": labels}}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stamp(document: Mapping[str, Any]) -> dict[str, Any]:
    """The object with the label that carries its hash."""
    metadata = dict(document.get("metadata", {}))
    metadata["labels"] = {**metadata.get("labels", {}), CONTENT_HASH: content_hash(document)}
    return {**document, "metadata": metadata}


def labelled(experiments: Sequence[str], document: Mapping[str, Any]) -> dict[str, Any]:
    """The object with the labels that say whose it is, and its hash.

    Args:
        experiments: Who it was written for.
        document: The object; has metadata.

    >>> labelled(["a"], {"kind": "Service", "metadata": {"name": "shop"}})["metadata"]["labels"]["abkit.dev/experiment"]
    'a'
    """
    given = dict(document["metadata"])
    ours = {MANAGED_BY: "abkit", EXPERIMENT: experiments[0]}
    metadata: dict[str, Any] = {
        "name": given.pop("name"),
        **({"namespace": given.pop("namespace")} if "namespace" in given else {}),
        "labels": {**given.pop("labels", {}), **ours},
    }
    if len(experiments) > 1:
        given["annotations"] = {"abkit.dev/experiments": ",".join(experiments), **given.get("annotations", {})}
    return stamp({**document, "metadata": {**metadata, **given}})


def join(manifests: Iterable[Manifest]) -> str:
    """Manifests as one stream of YAML documents, as `kubectl apply -f -` reads it."""
    return "---\n".join(manifest.text for manifest in manifests)
