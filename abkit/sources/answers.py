"""What all ways of reading say about answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abkit.errors import SourceAnswer

__all__ = ["Unclear", "native_histograms", "plain"]


class Unclear(SourceAnswer):
    """An answer that can't be told from another one: another way of asking may be clear."""


def plain(text: Any) -> str:
    r"""One line without control characters, of bounded length.

    >>> plain("a\nb")
    'a b'
    """
    line = "".join(char if char.isprintable() else " " for char in str(text))
    return line if len(line) <= 300 else line[:299] + "…"


def native_histograms(labels: Mapping[str, str]) -> SourceAnswer:
    """The error for a series that abkit can't read.

    >>> str(native_histograms({"__name__": "wait_seconds"}))[:60]
    "{'__name__': 'wait_seconds'} has native histograms, which ab"
    """
    return SourceAnswer(
        f"{plain(dict(labels))} has native histograms, which abkit does not read: expose classic buckets beside them"
    )
