"""A Prometheus as a source: raw samples, by the best way that the server offers.

The ways, the best first: remote_read with chunks as the server stores them, remote_read with samples, range-vector
queries. A server says what it has when it is first asked: one that does not know remote_read (Thanos Query, some
managed services) is read by queries. One that refuses the reader, fails or is slow is not taken for one without.
All ways return the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from abkit.errors import SourceAnswer
from abkit.queries.selectors import parse_selector
from abkit.sources.answers import Unclear
from abkit.sources.base import Samples
from abkit.sources.cutting import Cutting
from abkit.sources.range_vector import RangeVectors
from abkit.sources.reading import NotOffered, Way
from abkit.sources.remote_read.messages import SAMPLES, STREAMED_XOR_CHUNKS
from abkit.sources.remote_read.way import RemoteRead
from abkit.sources.transport import Connection, TooMuch
from abkit.spec import Source as SourceSettings
from abkit.window import Window

__all__ = ["WAYS", "PrometheusSource"]

WAYS: Final = ("remote-read-chunks", "remote-read-samples", "range-vector")
"""How samples may be read, the best first."""

_BATCH: Final = 500_000


class PrometheusSource:
    """Samples of a live server, or of anything that speaks its API (Thanos, Mimir, VictoriaMetrics).

    Args:
        settings: The experiment's source; `prometheus` must be set.
        folder: What relative paths of certificates and token files start from.
        backoff: Seconds before the first retry; doubled for each further one.
        batch: Samples that one batch should have; windows are cut accordingly.
        ways: Those of `WAYS` to try.

    Raises:
        InputError: A secret's variable or a file is missing.
    """

    def __init__(
        self,
        settings: SourceSettings,
        folder: Path | str = ".",
        *,
        backoff: float = 0.5,
        batch: int = _BATCH,
        ways: Sequence[str] = WAYS,
    ) -> None:
        self._connection = Connection(settings, Path(folder), backoff=backoff)
        self._warnings: dict[str, None] = {}
        self._used: dict[str, None] = {}
        self._ways: list[Way] = []
        kinds = [kind for way, kind in zip(WAYS, (STREAMED_XOR_CHUNKS, SAMPLES), strict=False) if way in ways]
        if kinds:
            self._ways.append(RemoteRead(self._connection, batch, self._warn, kinds))
        if WAYS[-1] in ways:
            self._ways.append(RangeVectors(self._connection, batch, self._warn))

    @property
    def name(self) -> str:
        """`prometheus` and the address."""
        return f"prometheus {self._connection.place}"

    @property
    def way(self) -> str:
        """How samples were read so far: of `WAYS`; more than one where a later question needed another."""
        return ", ".join(self._used) or "not read yet"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server said beside its answers, each once."""
        return tuple(self._warnings)

    def span(self) -> None:
        """None: a live server does not say what it covers."""
        return

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        """Raw samples of a selector in a window: see `abkit.sources.base.Source.fetch`.

        The window is cut so that an answer has a bounded number of samples; where the server still finds one too large,
        it is halved. A batch is handed over when its answer has come whole. Where an answer leaves a doubt, its window
        is read by queries.
        """
        parse_selector(selector)
        instead: Way | None = None
        cutting = Cutting(window, self._ways[0].first_ms)
        while (part := cutting.part) is not None:
            way = instead or self._ways[0]
            try:
                reading = way.read(selector, part)
            except (NotOffered, Unclear) as why:
                if way is self._ways[-1]:
                    msg = f"{self._connection.place}: {why}"
                    raise SourceAnswer(msg) from None
                if isinstance(why, NotOffered):
                    self._ways.remove(way)
                else:
                    instead = self._ways[-1]
                cutting.at_most((instead or self._ways[0]).first_ms)
                continue
            except TooMuch as error:
                cutting.halve(error)
                continue
            instead = None
            self._used[way.name] = None
            cutting.go_on(reading.samples, way.aim)
            yield from (batch for batch in reading.batches if len(batch.timestamps))

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()

    def _warn(self, said: Iterable[str]) -> None:
        self._warnings.update(dict.fromkeys(said))
