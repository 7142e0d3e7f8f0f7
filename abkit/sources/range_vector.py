"""Raw samples by range-vector queries, which every server with Prometheus' query API has.

`selector[N]` at a moment returns what was scraped, where a range query would return values moved to a step, with gaps
filled. Prometheus 2 includes the left edge of a range vector and 3 does not; asking for a millisecond more and trimming
by time makes half-open windows on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from abkit.errors import SourceAnswer
from abkit.sources.matrix import decode_matrix
from abkit.sources.reading import Reading
from abkit.sources.tidy import tidied
from abkit.sources.transport import Connection
from abkit.window import Window

__all__ = ["RangeVectors"]


class RangeVectors:
    """Reads by range-vector queries.

    Args:
        connection: To the server.
        batch: Samples that an answer should have.
        warn: Told what the server says beside its answers.
    """

    name: Final = "range-vector"
    first_ms: Final = 15 * 60_000

    def __init__(self, connection: Connection, batch: int, warn: Callable[[Iterable[str]], None]) -> None:
        self._connection = connection
        self._warn = warn
        self.aim = batch

    def read(self, selector: str, window: Window) -> Reading:
        """See `abkit.sources.reading.Way.read`."""
        # The last moment is included, the first is not (Prometheus 3) or is (2): one millisecond before the window.
        last = window.end_ms - 1
        form = {"query": f"{selector}[{window.length_ms}ms]", "time": f"{last // 1000}.{last % 1000:03d}"}
        body = self._connection.post("/api/v1/query", form)
        try:
            matrix = decode_matrix(body)
        except SourceAnswer as error:
            msg = f"{self._connection.place}: {error}"
            raise SourceAnswer(msg) from None
        self._warn(matrix.warnings)
        series = np.repeat(np.arange(len(matrix.labels), dtype=np.int32), matrix.lengths)
        samples = tidied(matrix.labels, series, matrix.timestamps, matrix.values, window)
        return Reading(len(samples.timestamps), iter((samples,)))
