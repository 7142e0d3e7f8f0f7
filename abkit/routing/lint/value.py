"""A value of a manifest, and where it stands: file, line and path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Node", "Value", "merge"]


@dataclass(slots=True, eq=False)
class Node:
    """One node of a YAML document; aliases share it, so it doesn't know its path.

    Attributes:
        line: 1-based line where it begins.
        kind: `mapping`, `list` or `scalar`.
        data: A scalar's value as YAML 1.1 reads it.
        raw: A scalar's text as it is written.
        plain: A scalar that stands without quotes.
        fields: A mapping's values by key; of keys that come twice the last.
        lines: Line of each key.
        items: A list's values.
        size: Number of nodes in it, each alias counted as what it stands for.
    """

    line: int
    kind: str
    data: Any = None
    raw: str = ""
    plain: bool = False
    fields: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    size: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A node at its place in a file.

    Attributes:
        node: The node.
        file: The file's name.
        line: 1-based line: the key's where it is a field.
        path: Path from the document's root, such as `spec.http[0].route`.
    """

    node: Node
    file: str
    line: int
    path: str = ""

    @property
    def is_mapping(self) -> bool:
        """Whether it has fields."""
        return self.node.kind == "mapping"

    @property
    def is_list(self) -> bool:
        """Whether it has items."""
        return self.node.kind == "list"

    @property
    def is_null(self) -> bool:
        """Whether nothing is written: Kubernetes takes that for a missing field."""
        return self.node.kind == "scalar" and self.node.data is None

    @property
    def text(self) -> str | None:
        """The text of a scalar that is one; None for numbers, booleans and all else."""
        return self.node.data if isinstance(self.node.data, str) else None

    @property
    def number(self) -> float | None:
        """The number of a scalar that is one; None for all else."""
        data = self.node.data
        return data if isinstance(data, (int, float)) and not isinstance(data, bool) else None

    def get(self, *names: str) -> Value | None:
        """The value under these keys, one below the other; None where one is missing or holds nothing."""
        found = self
        for name in names:
            node = found.node.fields.get(name)
            if node is None or (node.kind == "scalar" and node.data is None):
                return None
            path = f"{found.path}.{name}" if found.path else name
            found = Value(node, found.file, found.node.lines[name], path)
        return found

    def fields(self) -> Iterator[tuple[str, Value]]:
        """Keys and values of a mapping; nothing for all else."""
        for name, node in self.node.fields.items():
            path = f"{self.path}.{name}" if self.path else name
            yield name, Value(node, self.file, self.node.lines[name], path)

    def items(self, *names: str) -> list[Value]:
        """The items of a list, or of the list under these keys; nothing where there is none."""
        found = self.get(*names)
        if found is None:
            return []
        return [
            Value(node, found.file, node.line, f"{found.path}[{index}]") for index, node in enumerate(found.node.items)
        ]

    def texts(self, *names: str) -> list[str]:
        """The texts of a list under these keys."""
        return [item.text for item in self.items(*names) if item.text is not None]

    def word(self, *names: str) -> str:
        """The text under these keys; empty where there is none."""
        found = self.get(*names)
        return "" if found is None or found.text is None else found.text

    def walk(self) -> Iterator[tuple[str, Value]]:
        """Every value in it with its own key (an item has its list's), outermost first."""
        pending: list[tuple[str, Value]] = [("", self)]
        while pending:
            name, value = pending.pop()
            yield name, value
            below = [(name, item) for item in value.items()] if value.is_list else list(value.fields())
            pending.extend(reversed(below))

    def unwrap(self) -> Any:
        """The value as Python's own mappings, lists and scalars."""
        return _unwrap(self.node)

    def same(self) -> object:
        """Something that is equal for equal values, whatever the order of their keys."""
        return _frozen(self.node)


def _unwrap(node: Node) -> Any:
    if node.kind == "mapping":
        return {name: _unwrap(child) for name, child in node.fields.items()}
    return [_unwrap(child) for child in node.items] if node.kind == "list" else node.data


def _frozen(node: Node) -> object:
    if node.kind == "mapping":
        return frozenset((name, _frozen(child)) for name, child in node.fields.items())
    return tuple(map(_frozen, node.items)) if node.kind == "list" else (type(node.data), node.data)


def merge(into: Node, fields: Mapping[str, Node], lines: Mapping[str, int]) -> None:
    """Add what a YAML merge key brings: fields that are given beside it win."""
    for name, node in fields.items():
        if name not in into.fields:
            into.fields[name] = node
            into.lines[name] = lines[name]
