"""The labels that queries show, for the labels that remote_read answers.

A Prometheus adds its external labels (cluster, replica …) to what it answers to remote_read, and to nothing else; a
matcher that equals one of them it turns into one for series without it. Read that way, series would have other names
than read by queries, and others would be selected. So labels that were never seen before are looked up:
`/api/v1/series` lists them as they are. Where there is any doubt, queries are asked instead.
"""

from __future__ import annotations

import json
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

    def look_up(self, selector: str, window: Window, answered: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
        """The labels that queries show.

        Args:
            selector: What was asked for.
            window: Over which.
            answered: What remote_read answered: one mapping a series.

        Returns:
            One mapping a series.

        Raises:
            Unclear: They can't be told from each other, or the server took a matcher for met that is not.
            SourceError: The server fails.
        """
        pairs = [frozenset(labels.items()) for labels in answered]
        if not answered or any(each not in self._known for each in pairs):
            # A server that drops all that has its own external label answers nothing, where queries show something.
            own = own_labels(answered, self._listed(selector, window))
            self._known.update(zip(pairs, own, strict=True))
        found = [self._known[each] for each in pairs]
        parsed = parse_selector(selector)
        if any(len(own) < len(labels) and not parsed.matches(own) for own, labels in zip(found, answered, strict=True)):
            raise Unclear("answers series that the selector does not select")
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
    listings = {frozenset(labels.items()): labels for labels in listed}
    pairs = [frozenset(labels.items()) for labels in answered]
    external = _external([each for each in pairs if each not in listings][:_ENOUGH], listings)
    merged = {frozenset({**external, **labels}.items()): each for each, labels in listings.items()}
    if any(each not in merged for each in pairs):
        raise Unclear("answers series to remote_read that it does not list")
    used = {merged[each] for each in pairs}
    if len(used) < len(pairs) or len(merged) < len(listings) or _hidden(listings.keys() - used, pairs):
        raise Unclear("answers series whose labels may differ by external ones alone")
    return [listings[merged[each]] for each in pairs]


def _external(answered: Sequence[Pairs], listings: Iterable[Pairs]) -> Mapping[str, str]:
    """The labels that those have beside the ones of the series that they seem to be, at most."""
    most: Pairs = frozenset()
    for pairs in answered:
        fitting = [own for own in listings if own < pairs]
        if fitting and len(rest := pairs - max(fitting, key=len)) > len(most):
            most = rest
    return dict(most)


def _hidden(unanswered: Iterable[Pairs], answered: Sequence[Pairs]) -> bool:
    """Whether a series that is listed may be one with another one's labels: but for what all that was answered has."""
    if not answered:
        return any(True for _ in unanswered)
    common = frozenset.intersection(*(frozenset(dict(pairs)) for pairs in answered))
    cores: dict[Pairs, list[Pairs]] = {}
    for pairs in answered:
        cores.setdefault(_core(pairs, common), []).append(pairs)
    return any(own < pairs for own in unanswered for pairs in cores.get(_core(own, common), ()))


def _core(pairs: Pairs, common: frozenset[str]) -> Pairs:
    return frozenset(pair for pair in pairs if pair[0] not in common)


def _seconds(moment_ms: int) -> str:
    return f"{moment_ms // 1000}.{moment_ms % 1000:03d}"
