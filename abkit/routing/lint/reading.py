"""YAML text → documents whose values know their lines; what is no YAML becomes a finding.

The tree is built from the parser's events, on a stack of its own: no depth of nesting exhausts the interpreter's, and
an alias costs as much as what it stands for, so a small file can't grow into a large one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.objects import is_manifest
from abkit.routing.lint.value import Node, Value, merge

__all__ = ["MAX_BYTES", "read"]

MAX_BYTES: Final = 10_000_000
"""Size of the largest file that is read."""

_MAX_DEPTH: Final = 150
_MAX_NODES: Final = 300_000
_MAX_PROBLEMS: Final = 20
# libyaml is many times as fast; both raise the same errors.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_START: Final = re.compile(r"^---(?=[ \t\r\n]|$)", re.MULTILINE)
_TEMPLATE: Final = re.compile(r"\{\{[-\s]*[\w.\"$(/]")


class _Refused(Exception):
    """A document that is well-formed YAML and no manifest."""

    def __init__(self, line: int, check: str, why: str, correct: str) -> None:
        super().__init__(why)
        self.line, self.check, self.why, self.correct = line, check, why, correct


class _Template(_Refused):
    """A document that a template engine has yet to fill in."""

    def __init__(self, line: int) -> None:
        why = "is a template, not a manifest: it was not checked"
        super().__init__(line, "template", why, "render it first (helm template …) and check the result")


@dataclass(slots=True)
class _Open:
    """A mapping or list that isn't complete yet, and the key that waits for its value."""

    node: Node
    anchor: str | None
    key: Node | None = None
    merges: list[Node] = field(default_factory=list)


def read(file: str, content: str | bytes) -> tuple[list[Value], list[Finding]]:
    """The documents of a file.

    Args:
        file: The file's name, for findings.
        content: Its text; bytes are taken as UTF-8, or as UTF-16 where they begin with its mark.

    Returns:
        The roots of the documents that could be read, and what is wrong with the others.
    """
    if len(content) > MAX_BYTES:
        return [], [_finding(file, 1, "too-large", "is larger than 10 MB", "split the file: one object a file")]
    try:
        text = content if isinstance(content, str) else _decode(content)
    except UnicodeDecodeError as error:
        why = f"is not UTF-8 text (byte {error.start})"
        return [], [_finding(file, 1, "not-yaml", why, "save the file as UTF-8")]
    text = text.removeprefix("\ufeff")
    roots: list[Value] = []
    findings: list[Finding] = []
    offset, before, budget = 0, 0, _MAX_NODES
    template = _TEMPLATE.search(text) is not None
    while True:
        # After a document that can't be parsed, go on with the next.
        builder = _Builder(file, before, budget, template)
        try:
            for root in builder.documents(text[offset:]):
                roots.append(Value(root, file, root.line))
        except _Refused as error:
            findings.append(_told(file, error))
            position = error.line - 1 - before
        except (yaml.YAMLError, ValueError) as error:
            position = _position(error)
            findings.append(_syntax(file, before + position + 1, error, text))
        else:
            findings += builder.findings
            return roots, findings
        findings += builder.findings
        budget = builder.budget
        following = _after(text, offset, position)
        if following is None or len(findings) >= _MAX_PROBLEMS or budget <= 0:
            return roots, findings
        before += text.count("\n", offset, following)
        offset = following


def _decode(content: bytes) -> str:
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return content.decode("utf-16" if wide else "utf-8-sig")


def _after(text: str, offset: int, line: int) -> int | None:
    """Where the document after the one with this line (0-based, from the offset on) begins."""
    start = offset
    for _ in range(max(line, 1)):
        start = text.find("\n", start) + 1
        if start == 0:
            return None
    found = _START.search(text, start)
    return None if found is None else found.start()


def _position(error: Exception) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return 0 if mark is None else int(mark.line)


def _syntax(file: str, line: int, error: Exception, text: str) -> Finding:
    if _TEMPLATE.search(text):
        return _told(file, _Template(line))
    words = [str(part) for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part]
    said = " ".join(words) or str(error).splitlines()[0]
    lines = text.splitlines()
    tab = line <= len(lines) and "\t" in lines[line - 1]
    correct = "indent with spaces: YAML forbids tabs there" if tab else "mend the YAML at this line or just above it"
    return _finding(file, line, "not-yaml", f"is not YAML: {said}", correct)


def _told(file: str, refused: _Refused) -> Finding:
    severity = Severity.WARNING if isinstance(refused, _Template) else Severity.ERROR
    return _finding(file, refused.line, refused.check, refused.why, refused.correct, severity)


def _finding(file: str, line: int, check: str, why: str, correct: str, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(file, line, "file", "", check, severity, why, correct)


class _Builder:
    """Builds the documents of a stream out of its events."""

    def __init__(self, file: str, before: int, budget: int, template: bool) -> None:
        self.file, self.before, self.budget, self.template = file, before, budget, template
        self.findings: list[Finding] = []
        self.pending: list[Finding] = []
        self.resolver: Any = yaml.resolver.Resolver()
        self.constructor = yaml.constructor.SafeConstructor()
        self.stack: list[_Open] = []
        self.anchors: dict[str, Node | None] = {}
        self.root: Node | None = None

    def documents(self, text: str) -> Iterator[Node]:
        for event in yaml.parse(text, Loader=_LOADER):
            # By how often they come.
            if isinstance(event, yaml.ScalarEvent):
                self._put(self._scalar(event), event.anchor)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._open(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self._close()
            elif isinstance(event, yaml.AliasEvent):
                target = self._alias(event)
                self._put(target, None, target.size)
            elif isinstance(event, yaml.DocumentStartEvent):
                self.stack, self.anchors, self.root, self.pending = [], {}, None, []
            elif isinstance(event, yaml.DocumentEndEvent) and self.root is not None:
                if is_manifest(Value(self.root, self.file, self.root.line)):
                    self.findings += self.pending[: _MAX_PROBLEMS - len(self.findings)]
                yield self.root

    def _line(self, event: yaml.Event) -> int:
        mark: Any = event.start_mark
        return self.before + int(mark.line) + 1

    def _open(self, event: Any) -> None:
        line = self._line(event)
        if len(self.stack) >= _MAX_DEPTH:
            why = f"is nested deeper than {_MAX_DEPTH} levels"
            raise _Refused(line, "not-yaml", why, "no manifest is: look for a bracket that isn't closed")
        kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "list"
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(_Open(Node(line, kind), event.anchor))

    def _close(self) -> None:
        done = self.stack.pop()
        for source in done.merges:
            merge(done.node, source.fields, source.lines)
        self._put(done.node, done.anchor)

    def _alias(self, event: Any) -> Node:
        line = self._line(event)
        if event.anchor not in self.anchors:
            why = f"the alias *{event.anchor} has no anchor &{event.anchor} before it in this document"
            raise _Refused(line, "not-yaml", why, "write the value out")
        target = self.anchors[event.anchor]
        if target is None:
            raise _Refused(line, "not-yaml", f"the alias *{event.anchor} holds itself", "write the value out")
        return target

    def _scalar(self, event: Any) -> Node:
        line = self._line(event)
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        data: Any = event.value
        if tag in _TAGS:
            try:
                data = self.constructor.construct_object(yaml.ScalarNode(tag, event.value))
            except (yaml.YAMLError, ValueError, OverflowError):
                data = event.value
        return Node(line, "scalar", data=data, raw=event.value, plain=bool(event.implicit[0]))

    def _put(self, node: Node, anchor: str | None, cost: int = 1) -> None:
        self.budget -= cost
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if parent.node.kind == "list":
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = node
            return
        else:
            self._field(parent, parent.key, node)
            parent.key = None
        parent.node.size += node.size
        if parent.node.size > _MAX_NODES or self.budget <= 0:
            why = f"holds more than {_MAX_NODES:,} values, each alias counted as what it stands for"
            raise _Refused(node.line, "too-large", why, "write it without aliases of aliases, one object a file")

    def _field(self, parent: _Open, key: Node, node: Node) -> None:
        name = key.raw
        if key.kind != "scalar":
            if self.template:
                raise _Template(key.line)  # {{ … }} is a mapping in a mapping
            self._say(key.line, "key-not-text", "a key must be plain text", "write a name before the colon")
            return
        if name == "<<" and key.plain:
            parent.merges += [one for one in (node.items if node.kind == "list" else [node]) if one.kind == "mapping"]
            return
        if key.plain and (isinstance(key.data, bool) or key.data is None):
            why = f"the key {name} is read as {str(key.data).lower()}, not as text"
            self._say(key.line, "unquoted", why, f'"{name}":')
        if name in parent.node.fields:
            why = f"{name} is given twice, first in line {parent.node.lines[name]}: the last one wins without a word"
            self._say(key.line, "key-twice", why, "keep one of them")
        parent.node.fields[name] = node
        parent.node.lines[name] = key.line

    def _say(self, line: int, check: str, why: str, correct: str) -> None:
        if len(self.pending) < _MAX_PROBLEMS:
            self.pending.append(_finding(self.file, line, check, why, correct))


_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "timestamp"))
