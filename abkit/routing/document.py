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

import yaml

from abkit.routing.base import Manifest

__all__ = ["CONTENT_HASH", "EXPERIMENT", "MANAGED_BY", "content_hash", "join", "labelled", "stamp", "to_yaml"]

MANAGED_BY = "app.kubernetes.io/managed-by"
"""The label that says that an object is abkit's."""

EXPERIMENT = "abkit.dev/experiment"
"""The label that names the experiment that an object was written for; several stand in the annotation `experiments`."""

CONTENT_HASH = "abkit.dev/content-hash"
"""The label that carries an object's hash: a changed object no longer agrees with it."""

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]*([-._/][A-Za-z0-9]+)*")
# What YAML 1.1 takes for booleans and null, in lower case.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  anchors would be noise for the people who read it
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _represent_mapping(dumper: _Dumper, data: dict[str, Any]) -> yaml.Node:
    pairs = [(_key(key), dumper.represent_data(value)) for key, value in data.items()]
    return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=not data)


def _key(key: str) -> yaml.ScalarNode:
    bare = _PLAIN_KEY.fullmatch(key) is not None and key.lower() not in _WORDS
    return yaml.ScalarNode("tag:yaml.org,2002:str", key, style=None if bare else '"')


def _represent_text(dumper: _Dumper, data: str) -> yaml.Node:
    # Programs are read by people: as a block, where all of it is plain text.
    block = "\n" in data and all(
        line.isascii() and line.isprintable() and line == line.rstrip() for line in data.split("\n")
    )
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if block else '"')


_Dumper.add_representer(dict, _represent_mapping)
_Dumper.add_representer(str, _represent_text)


def to_yaml(document: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """An object as YAML, keys in their order.

    Args:
        document: Mappings, lists, strings, integers and booleans.
        comments: Lines to stand above it.

    >>> print(to_yaml({"on": "on", "name": "1e3", "port": 80}, ["why"]), end="")
    # why
    "on": "on"
    name: "1e3"
    port: 80
    """
    for line in comments:
        if not line.isascii() or not line.isprintable():
            msg = f"a comment must be one line of ASCII: {line!r}"
            raise ValueError(msg)
    head = "".join(f"# {line}\n" for line in comments)
    return head + yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, width=10**9, default_flow_style=False)


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
