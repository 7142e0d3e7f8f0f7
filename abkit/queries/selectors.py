"""PromQL vector selectors: read strictly, and matched against labels as Prometheus does."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import re2

from abkit.errors import QueryError

__all__ = ["Matcher", "Selector", "parse_selector", "written"]

_NAME = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*")
_LABEL = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*")
_STRING = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`""")
_GO_ESCAPE = re.compile(r"\\(?:[abfnrtv\\]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})")
_ESCAPE = re.compile(_GO_ESCAPE.pattern + r"|\\.", re.DOTALL)
_LETTERS = dict(zip("abfnrtv\\", (b"\a", b"\b", b"\f", b"\n", b"\r", b"\t", b"\v", b"\\"), strict=True))


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label.

    Attributes:
        label: The label's name; `__name__` for the metric's.
        operator: `=`, `!=`, `=~` or `!~`.
        value: What it is compared with; for `=~` and `!~` a regular expression (RE2) for the whole value.
    """

    label: str
    operator: str
    value: str
    _pattern: Any = field(default=None, compare=False, repr=False)

    def matches(self, value: str) -> bool:
        """Whether a label with this value fits; a missing label has the value ''.

        >>> Matcher("code", "=~", "5..").matches("5000")
        False
        """
        if self.operator in {"=", "!="}:
            return (value == self.value) == (self.operator == "=")
        pattern = self._pattern if self._pattern is not None else _compiled(self.value)
        return (pattern.fullmatch(value) is not None) == (self.operator == "=~")


@dataclass(frozen=True, slots=True)
class Selector:
    """A vector selector: all matchers must hold."""

    matchers: tuple[Matcher, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels (`__name__` included) is selected.

        >>> parse_selector('up{job!="a"}').matches({"__name__": "up"})
        True
        """
        return all(matcher.matches(labels.get(matcher.label, "")) for matcher in self.matchers)


def parse_selector(text: str) -> Selector:
    """Read a plain vector selector.

    Args:
        text: Such as `ab_clicks_total{ab_experiment="x"}`: a metric's name, matchers in braces, or both.

    Raises:
        QueryError: It is something else: a function, a range, an offset, or not PromQL.

    >>> [matcher.value for matcher in parse_selector('a_total{code=~"5..",}').matchers]
    ['a_total', '5..']
    """
    matchers: list[Matcher] = []
    position = 0
    if name := _NAME.match(text):
        matchers.append(Matcher("__name__", "=", name[1]))
        position = name.end()
    rest = text[position:].strip()
    if rest.startswith("{"):
        position = text.index("{", position) + 1
        position = _braces(text, position, matchers)
        rest = text[position:].strip()
    if rest:
        raise _wrong(text, f"a plain selector ends before '{_short(rest)}': no functions, ranges, offsets or operators")
    # Prometheus' own rule: it would select every series there is.
    if not any(not matcher.matches("") for matcher in matchers):
        raise _wrong(text, "give a metric's name, or a matcher that an absent label does not meet")
    return Selector(tuple(matchers))


def written(matchers: Iterable[Matcher]) -> str:
    r"""Conditions as PromQL, values escaped; the metric's name in front of the braces where it is given by `=`.

    >>> print(written(parse_selector('up{job=~"a|b", x="say \\"hi\\""}').matchers))
    up{job=~"a|b",x="say \"hi\""}
    """
    name, conditions = "", []
    for matcher in matchers:
        if matcher.label == "__name__" and matcher.operator == "=" and _NAME.fullmatch(matcher.value):
            name = matcher.value
        else:
            value = matcher.value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
            conditions.append(f'{matcher.label}{matcher.operator}"{value}"')
    return f"{name}{{{','.join(conditions)}}}" if conditions or not name else name


def _braces(text: str, position: int, matchers: list[Matcher]) -> int:
    while True:
        if closing := re.compile(r"\s*\}").match(text, position):
            return closing.end()
        label = _LABEL.match(text, position)
        if label is None:
            raise _wrong(text, f"expected label=\"value\" or '}}' at '{_short(text[position:])}'")
        string = _STRING.match(text, label.end())
        if string is None:
            raise _wrong(text, f"expected a quoted value at '{_short(text[label.end() :])}'")
        value = _unquoted(string[0], text)
        pattern = None
        if label[2] in {"=~", "!~"}:
            try:
                pattern = _compiled(value)
            except re2.error as error:
                words = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
                raise _wrong(text, f"'{_short(value)}' is not a regular expression that RE2 takes: {words}") from None
        if label[1] == "__name__" and any(matcher.label == "__name__" for matcher in matchers):
            raise _wrong(text, "the metric's name is given twice")
        matchers.append(Matcher(label[1], label[2], value, pattern))
        position = string.end()
        separator = re.compile(r"\s*(,|(?=\}))").match(text, position)
        if separator is None:
            raise _wrong(text, f"expected ',' or '}}' at '{_short(text[position:])}'")
        position = separator.end()


def _unquoted(literal: str, text: str) -> str:
    if literal[0] == "`":
        return literal[1:-1]
    quote = literal[0]

    def plain(escape: re.Match[str]) -> bytes:
        code = escape[0][1:]
        if code == quote:
            return quote.encode()
        if not _GO_ESCAPE.fullmatch(escape[0]):
            raise _wrong(text, f"no such escape '{escape[0][:2]}' in {_short(literal)}: write a backslash as '\\\\'")
        if code in _LETTERS:
            return _LETTERS[code]
        if code[0] in "uU":
            point = int(code[1:], 16)
            if point > sys.maxunicode or 0xD800 <= point < 0xE000:
                raise _wrong(text, f"'{escape[0]}' is no character")
            return chr(point).encode()
        number = int(code[1:], 16) if code[0] == "x" else int(code, 8)
        if number > 0xFF:
            raise _wrong(text, f"'{escape[0]}' is no byte")
        return bytes([number])

    parts: list[bytes] = []
    position = 0
    body = literal[1:-1]
    for escape in _ESCAPE.finditer(body):
        parts += [body[position : escape.start()].encode(), plain(escape)]
        position = escape.end()
    parts.append(body[position:].encode())
    try:
        return b"".join(parts).decode()
    except UnicodeDecodeError:
        raise _wrong(text, f"{_short(literal)} is not UTF-8 text") from None


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True  # Prometheus 3; a label value with a newline is rare enough to follow the newer
    return re2.compile(pattern, options)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def _wrong(text: str, why: str) -> QueryError:
    return QueryError(f"not a PromQL vector selector: {_short(text)}: {why}")
