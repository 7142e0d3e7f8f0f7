"""The labels that queries show, for the labels that remote_read answers.

A Prometheus adds its external labels (cluster, replica …) to what it answers to remote_read, and to nothing else; a
matcher that fits one of them it takes as met. Read that way, series would have other names than read by queries. So
labels that were never seen before are looked up: `/api/v1/series` lists them as they are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from abkit.errors import SourceAnswer, SourceRefused
from abkit.queries.selectors import parse_selector
from abkit.sources.answers import Unclear, plain
from abkit.sources.transport import Connection
from abkit.window import Window

__all__ = ["Labels", "own_labels"]

_NOT_OFFERED: Final = {404, 405, 501}
_ENOUGH: Final = 20  # series that tell which labels are external

Pairs = frozenset[tuple[str, str]]


class Labels:
    """Looks labels up, each once.

    Args:
        connection: To the server.
        warn: Told what the server says beside its answers.
    """

    def __init__(self, connection: Connection, warn: Callable[[Iterable[str]], None]) -> None:
        self._connection = connection
        self._warn = warn
        self._known: dict[Pairs, Mapping[str, str]] = {}

    def look_up(
        self, selector: str, window: Window, answered: Sequence[Mapping[str, str]]
    ) -> list[Mapping[str, str] | None]:
        """The labels that queries show.

        Args:
            selector: What was asked for.
            window: Over which.
            answered: What remote_read answered: one mapping a series.

        Returns:
            One mapping a series; None where the series is none that the selector selects.

        Raises:
            Unclear: They can't be told from each other.
            SourceError: The server fails.
        """
        pairs = [frozenset(labels.items()) for labels in answered]
        if any(each not in self._known for each in pairs):
            new = [labels for labels, each in zip(answered, pairs, strict=True) if each not in self._known]
            listed = self._listed(selector, window)
            for labels, own in zip(new, own_labels(new, listed), strict=True):
                self._known[frozenset(labels.items())] = own
        parsed = parse_selector(selector)
        found: list[Mapping[str, str] | None] = []
        for labels, each in zip(answered, pairs, strict=True):
            own = self._known[each]
            found.append(own if len(own) == len(labels) or parsed.matches(own) else None)
        return found

    def _listed(self, selector: str, window: Window) -> list[Mapping[str, str]]:
        form = {"match[]": selector, "start": _seconds(window.start_ms), "end": _seconds(window.end_ms)}
        try:
            body = self._connection.post("/api/v1/series", form)
        except SourceRefused as error:
            if error.http_status in _NOT_OFFERED:
                raise Unclear(str(error)) from None
            raise
        try:
            answer = json.loads(body)
            listed: list[Mapping[str, str]] = [dict(series) for series in answer["data"]]
            self._warn([plain(text) for text in answer.get("warnings") or ()])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            msg = f"{self._connection.place}: answers to /api/v1/series with something that is no list of series"
            raise SourceAnswer(msg) from None
        return listed


def own_labels(
    answered: Sequence[Mapping[str, str]], listed: Sequence[Mapping[str, str]]
) -> Sequence[Mapping[str, str]]:
    """Take external labels off.

    Args:
        answered: As remote_read has them.
        listed: As queries have them; more series, perhaps.

    Returns:
        The one of `listed` that each of `answered` is.

    Raises:
        Unclear: Some may be two, or none.

    >>> own_labels([{"a": "1", "replica": "x"}, {"a": "2", "replica": "x"}], [{"a": "1"}, {"a": "2"}])
    [{'a': '1'}, {'a': '2'}]
    """
    known = {frozenset(labels.items()) for labels in listed}
    changed = [labels for labels in answered if frozenset(labels.items()) not in known]
    if not changed:
        return answered
    external = _external([frozenset(labels.items()) for labels in changed[:_ENOUGH]], known)
    merged = {frozenset({**external, **labels}.items()): labels for labels in listed}
    if len(merged) < len(known):
        raise Unclear("answers two series whose labels differ by external ones alone")
    try:
        return [merged[frozenset(labels.items())] for labels in answered]
    except KeyError:
        raise Unclear("answers series to remote_read that it does not list") from None


def _external(answered: Sequence[Pairs], known: Iterable[Pairs]) -> Mapping[str, str]:
    """The labels that most of them have, beside those of the series that they seem to be."""
    rests: Counter[Pairs] = Counter()
    for pairs in answered:
        own = max((each for each in known if each < pairs), key=len, default=None)
        if own is not None:
            rests[pairs - own] += 1
    if not rests:
        raise Unclear("answers series to remote_read that it does not list")
    return dict(rests.most_common(1)[0][0])


def _seconds(moment_ms: int) -> str:
    return f"{moment_ms // 1000}.{moment_ms % 1000:03d}"
