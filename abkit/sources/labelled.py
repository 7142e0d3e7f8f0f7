"""A source whose series get labels that say which server they came from: cluster, region, replica."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from abkit.queries.selectors import parse_selector, written
from abkit.sources.base import Samples, Source
from abkit.window import Window

__all__ = ["LabelledSource"]


class LabelledSource:
    """Adds labels to all series, as Prometheus' `external_labels` does when it writes elsewhere.

    A series that has such a label itself keeps its own as `exported_` + name, as Prometheus does with a target's
    labels: so series of two servers whose added labels differ are never taken for one. Selectors see the added labels:
    what asks for another cluster gets nothing, and the server is not asked for labels that it doesn't know.

    Args:
        source: Where samples come from.
        labels: Name → value.
    """

    def __init__(self, source: Source, labels: Mapping[str, str]) -> None:
        self._source = source
        self._labels = dict(labels)

    @property
    def name(self) -> str:
        """The source's own."""
        return self._source.name

    @property
    def way(self) -> str:
        """The source's own."""
        return self._source.way

    @property
    def warnings(self) -> tuple[str, ...]:
        """The source's own."""
        return self._source.warnings

    def span(self) -> Window | None:
        """The source's own."""
        return self._source.span()

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        """Raw samples of a selector in a window: see `abkit.sources.base.Source.fetch`."""
        parsed = parse_selector(selector)
        ours = [matcher for matcher in parsed.matchers if matcher.label in self._labels]
        if not all(matcher.matches(self._labels[matcher.label]) for matcher in ours):
            return
        theirs = [matcher for matcher in parsed.matchers if matcher.label not in self._labels]
        asked = written(theirs) if ours else selector
        for batch in self._source.fetch(asked, window):
            labels = tuple(self._with(each) for each in batch.labels)
            yield Samples(labels, batch.series, batch.timestamps, batch.values)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _with(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        kept = {(f"exported_{name}" if name in self._labels else name): value for name, value in labels.items()}
        return kept | self._labels
