"""Questions about what a server has: the files in `queries/promql/checks`, with a selector and labels filled in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from string import Template
from typing import Final, Literal

from abkit.errors import QueryError
from abkit.queries.selectors import parse_selector
from abkit.resources import folder

__all__ = ["question"]

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def question(name: Literal["series", "series-by", "values"], selector: str, labels: Sequence[str] = ()) -> str:
    """An expression that counts series.

    Args:
        name: The file's name.
        selector: Of which series.
        labels: By what they are told apart.

    Raises:
        QueryError: The selector is none, or a label's name is malformed.

    >>> question("series-by", 'up{job="shop"}', ["version"])
    'count by (version) (up{job="shop"})'
    """
    parse_selector(selector)
    for label in labels:
        if not _LABEL.fullmatch(label):
            msg = f"'{label}' is no label's name: letters, digits and '_'"
            raise QueryError(msg)
    return _template(name).substitute(selector=selector, labels=", ".join(labels))


@cache
def _template(name: str) -> Template:
    text = (folder("queries") / "promql" / "checks" / f"{name}.promql").read_text(encoding="utf-8")
    return Template("\n".join(line for line in text.splitlines() if line and not line.startswith("#")))
