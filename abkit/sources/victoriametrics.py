"""A VictoriaMetrics as a source: raw samples by `/api/v1/export`.

It exports what it stored, but it does not store quite what was scraped: whole numbers up to 2^53 are exact, others to
about 12 digits (and less where one series holds huge and tiny numbers together); NaN is dropped; and where
`-dedup.minScrapeInterval` is set, replicas of a Prometheus are one already.

Reference: https://docs.victoriametrics.com/victoriametrics/#how-to-export-data-in-json-line-format
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from abkit.errors import SourceAnswer
from abkit.queries.selectors import parse_selector
from abkit.sources.base import Samples
from abkit.sources.cutting import in_parts
from abkit.sources.jsonlines import TooManySamples, decode_export
from abkit.sources.tidy import tidied
from abkit.sources.transport import Answer, Connection, TooMuch
from abkit.spec import Source as SourceSettings
from abkit.window import Window

__all__ = ["VictoriaMetricsSource"]

_BATCH: Final = 1_000_000
_MOST_BATCHES: Final = 4
_MOST_ROWS: Final = 100_000


class VictoriaMetricsSource:
    """Samples of a VictoriaMetrics, single or cluster.

    Args:
        settings: The experiment's source; `victoriametrics` must be set.
        folder: What relative paths of certificates and token files start from.
        backoff: Seconds before the first retry; doubled for each further one.
        batch: Samples that one answer should have; windows are cut accordingly.

    Raises:
        InputError: A secret's variable or a file is missing.
    """

    way: Final = "export"
    warnings: tuple[str, ...] = ()

    def __init__(
        self, settings: SourceSettings, folder: Path | str = ".", *, backoff: float = 0.5, batch: int = _BATCH
    ) -> None:
        self._connection = Connection(settings, Path(folder), backoff=backoff)
        self._batch = batch

    @property
    def name(self) -> str:
        """`victoriametrics` and the address."""
        return f"victoriametrics {self._connection.place}"

    def span(self) -> None:
        """None: a live server does not say what it covers."""
        return

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        """Raw samples of a selector in a window: see `abkit.sources.base.Source.fetch`."""
        parse_selector(selector)
        yield from in_parts(window, self._batch, lambda part: self._export(selector, part))

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()

    def _export(self, selector: str, window: Window) -> Samples:
        last = window.end_ms - 1
        form = {
            "match[]": selector,
            # Both ends are included.
            "start": f"{window.start_ms // 1000}.{window.start_ms % 1000:03d}",
            "end": f"{last // 1000}.{last % 1000:03d}",
            "max_rows_per_line": str(_MOST_ROWS),
            # A cluster that can't reach all of its storage refuses, rather than answer with a part.
            "deny_partial_response": "1",
        }

        def take(answer: Answer) -> Samples:
            export = decode_export(answer.pieces, self._batch * _MOST_BATCHES)
            return tidied(export.labels, export.series, export.timestamps, export.values, window)

        try:
            return self._connection.ask("/api/v1/export", form, take)
        except SourceAnswer as error:
            place = self._connection.place
            msg = str(error) if str(error).startswith(place) else f"{place}: {error}"
            raise SourceAnswer(msg) from None
        except TooManySamples:
            msg = f"{self._connection.place}: answers with more than {self._batch * _MOST_BATCHES:,} samples at once"
            raise TooMuch(msg, 200) from None
