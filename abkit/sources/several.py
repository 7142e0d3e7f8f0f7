"""Several sources as one: clusters or servers that feed one experiment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abkit.sources.base import Samples, Source
from abkit.window import Window

__all__ = ["SeveralSources"]


class SeveralSources:
    """What all of some sources hold; where one of them fails, all do: a part of the clusters is no answer.

    Series are told apart by their labels, so no two sources may hold the same ones: see
    `abkit.sources.labelled.LabelledSource`.

    Args:
        sources: At least one.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = tuple(sources)

    @property
    def name(self) -> str:
        """All names."""
        return " and ".join(dict.fromkeys(source.name for source in self._sources))

    @property
    def way(self) -> str:
        """All ways that were used."""
        return " and ".join(dict.fromkeys(source.way for source in self._sources))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What each said beside its answers; by name where there is more than one."""
        return tuple(f"{source.name}: {warning}" for source in self._sources for warning in source.warnings)

    def span(self) -> Window | None:
        """From the first moment that any covers to the last; None where one can't say."""
        spans = [source.span() for source in self._sources]
        known = [span for span in spans if span is not None]
        if len(known) < len(spans):
            return None
        return Window(min(span.start_ms for span in known), max(span.end_ms for span in known))

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        """Raw samples of a selector in a window: see `abkit.sources.base.Source.fetch`."""
        for source in self._sources:
            yield from source.fetch(selector, window)

    def close(self) -> None:
        """Close all."""
        for source in self._sources:
            source.close()
