"""Fills `$experiment` and its like into a selector, so that no value can break out of its quotes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import re2

from abkit.errors import QueryError, did_you_mean

__all__ = ["alternatives", "any_of", "render"]

# A double-quoted string with the operator before it; or a string of another kind; or a bare placeholder.
_PIECE = re.compile(
    r"""(?P<operator>=~|!~|!=|=)?(?P<space>\s*)"(?P<text>(?:\\.|[^"\\])*)"|(?P<raw>'(?:\\.|[^'\\])*'|`[^`]*`)|(?P<bare>\$)""",
    re.DOTALL,
)
_PLACEHOLDER = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<bad>))"
)


def render(template: str, values: Mapping[str, str], place: str) -> str:
    r"""Fill a selector's placeholders.

    A placeholder is `$name` or `${name}` and stands inside a double-quoted label value; `$$` is a dollar sign. Where
    the matcher is a regular expression, the value is taken literally in it.

    Args:
        template: The selector.
        values: Placeholder → value.
        place: What errors call the selector: a file or a metric.

    Returns:
        The selector with every value escaped for PromQL.

    Raises:
        QueryError: A placeholder is unknown or stands outside double quotes.

    >>> print(render('a_total{x="$experiment"}', {"experiment": 'say "hi"'}, "metric 'a'"))
    a_total{x="say \"hi\""}
    >>> print(render('a_total{x=~"$experiment-.*$$"}', {"experiment": "v1.0"}, "metric 'a'"))
    a_total{x=~"v1\\.0-.*$"}
    """

    def piece(match: re.Match[str]) -> str:
        if match["bare"] is not None or (match["raw"] is not None and "$" in match["raw"]):
            msg = f'{place}: a placeholder stands outside double quotes: write it as a label value, label="$experiment"'
            raise QueryError(msg)
        if match["raw"] is not None:
            return match["raw"]
        literal = (match["operator"] or "") in {"=~", "!~"}
        text = _PLACEHOLDER.sub(lambda found: _value(found, values, place, literal=literal), match["text"])
        return f'{match["operator"] or ""}{match["space"]}"{text}"'

    return _PIECE.sub(piece, template)


def _value(found: re.Match[str], values: Mapping[str, str], place: str, *, literal: bool) -> str:
    if found["escaped"]:
        return "$"
    name = found["name"] or found["braced"]
    if name is None:
        msg = f"{place}: a lone '$': write '$$' for a dollar sign, or name a placeholder: {', '.join(sorted(values))}"
        raise QueryError(msg)
    if name not in values:
        msg = f"{place}: unknown placeholder '${name}'; {did_you_mean(name, values)}"
        raise QueryError(msg)
    value = values[name]
    if isinstance(value, _Pattern):
        if not literal:
            msg = f"{place}: '${name}' stands for several values: compare with =~ or !~"
            raise QueryError(msg)
    elif literal:
        value = str(re2.escape(value))
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class _Pattern(str):
    """A value that is already a regular expression, made of escaped parts."""

    __slots__ = ()


def alternatives(values: Iterable[str]) -> str:
    r"""A regular expression that matches exactly these values.

    >>> print(alternatives(["a.b", "c"]))
    a\.b|c
    """
    return any_of(str(re2.escape(value)) for value in values)


def any_of(patterns: Iterable[str]) -> str:
    """A regular expression that matches what one of these does; a placeholder's value that is taken as it is."""
    return _Pattern("|".join(patterns))
