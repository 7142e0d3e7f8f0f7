"""PromQL vector selectors: read strictly, and matched against labels as Prometheus does."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import re2

from abkit.errors import QueryError

__all__ = ["Matcher", "Selector", "parse_selector"]

_NAME = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*")
_LABEL = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*")
_STRING = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`""")
_GO_ESCAPE = re.compile(r"\\(?:[abfnrtv\\]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})")


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
    body = literal[1:-1]
    for escape in re.finditer(r"\\.", body, re.DOTALL):
        if escape[0] != "\\" + literal[0] and not _GO_ESCAPE.match(body, escape.start()):
            raise _wrong(text, f"no such escape '{escape[0]}' in {_short(literal)}: write a backslash as '\\\\'")
    # The escapes that passed mean the same in Python.
    return str(ast.literal_eval(literal))


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True  # Prometheus 3; a label value with a newline is rare enough to follow the newer
    return re2.compile(pattern, options)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def _wrong(text: str, why: str) -> QueryError:
    return QueryError(f"not a PromQL vector selector: {_short(text)}: {why}")
