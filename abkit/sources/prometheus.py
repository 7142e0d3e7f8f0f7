"""A Prometheus as a source: raw samples by range-vector queries.

`selector[N]` at a moment returns what was scraped, where a range query would return values moved to a step, with gaps
filled. Prometheus 2 includes the left edge of a range vector and 3 does not; asking for a millisecond more and trimming
by time makes half-open windows on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from abkit.errors import SourceAnswer
from abkit.sources.base import Samples
from abkit.sources.matrix import Matrix, decode_matrix
from abkit.sources.selectors import parse_selector
from abkit.sources.transport import Connection, TooMuch
from abkit.spec import Source as SourceSettings
from abkit.window import Window

__all__ = ["PrometheusSource"]

_FIRST_MS: Final = 15 * 60_000
_SHORTEST_MS: Final = 1_000
_BATCH: Final = 1_000_000


class PrometheusSource:
    """Samples of a live server, or of anything that speaks its query API (Thanos, Mimir, VictoriaMetrics).

    Args:
        settings: The experiment's source; `prometheus` must be set.
        folder: What relative paths of certificates and token files start from.
        backoff: Seconds before the first retry; doubled for each further one.
        batch: Samples that one answer should have; windows are cut accordingly.

    Raises:
        InputError: A secret's variable or a file is missing.
    """

    way: Final = "range-vector"

    def __init__(
        self, settings: SourceSettings, folder: Path | str = ".", *, backoff: float = 0.5, batch: int = _BATCH
    ) -> None:
        self._connection = Connection(settings, Path(folder), backoff=backoff)
        self._batch = batch
        self._warnings: dict[str, None] = {}

    @property
    def name(self) -> str:
        """`prometheus` and the address."""
        return f"prometheus {self._connection.place}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server said beside its answers, each once."""
        return tuple(self._warnings)

    def span(self) -> None:
        """None: a live server does not say what it covers."""
        return

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        """Raw samples of a selector in a window: see `abkit.sources.base.Source.fetch`.

        The window is cut so that an answer has about `batch` samples; where the server still finds one too large, it is
        halved.
        """
        parse_selector(selector)
        start, length = window.start_ms, _FIRST_MS
        while start < window.end_ms:
            end = min(start + length, window.end_ms)
            try:
                matrix = self._query(selector, Window(start, end))
            except TooMuch:
                if end - start <= _SHORTEST_MS:
                    raise
                length = max((end - start) // 2, _SHORTEST_MS)
                continue
            samples = _trimmed(matrix, Window(start, end))
            # The next answer's size is guessed from this one's, carefully upwards.
            growth = self._batch / max(len(samples.timestamps), 1)
            length = max(int((end - start) * min(growth, 8.0)), _SHORTEST_MS)
            start = end
            if len(samples.timestamps):
                yield samples

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()

    def _query(self, selector: str, window: Window) -> Matrix:
        # The last moment is included, the first is not (Prometheus 3) or is (2): one millisecond before the window.
        last = window.end_ms - 1
        form = {"query": f"{selector}[{window.length_ms}ms]", "time": f"{last // 1000}.{last % 1000:03d}"}
        body = self._connection.post("/api/v1/query", form)
        try:
            matrix = decode_matrix(body)
        except SourceAnswer as error:
            msg = f"{self._connection.place}: {error}"
            raise SourceAnswer(msg) from None
        self._warnings.update(dict.fromkeys(matrix.warnings))
        return matrix


def _trimmed(matrix: Matrix, window: Window) -> Samples:
    series = np.repeat(np.arange(len(matrix.labels), dtype=np.int32), matrix.lengths)
    inside = (matrix.timestamps >= window.start_ms) & (matrix.timestamps < window.end_ms)
    series, timestamps, values = series[inside], matrix.timestamps[inside], matrix.values[inside]
    rising = (np.diff(series) > 0) | (np.diff(timestamps) > 0)
    if not rising.all():
        # Some servers hold a sample twice, from two replicas of Prometheus: the last one counts.
        order = np.lexsort((timestamps, series))
        series, timestamps, values = series[order], timestamps[order], values[order]
        last = np.append((np.diff(series) > 0) | (np.diff(timestamps) > 0), True)
        series, timestamps, values = series[last], timestamps[last], values[last]
    return Samples(matrix.labels, series, timestamps, values)
