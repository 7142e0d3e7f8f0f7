"""The ways from a server to a table in DuckDB, each run in a process of its own.

`python -m tests.benchmarks.collecting.ways WAY URL DATABASE START_MS END_MS [SELECTOR…]` prints what it took.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np

from abkit.window import Window

__all__ = ["WAYS", "Taken", "peak_megabytes"]

SCRAPE = "15s"
_MOST_POINTS = 10_000
_TABLE = "CREATE TABLE samples (series BIGINT NOT NULL, ts BIGINT NOT NULL, value DOUBLE NOT NULL)"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a way took.

    Attributes:
        samples: Rows that were written; of the floor, bytes.
        seconds: From the first question to the closed file.
        busy: Seconds of processor time that the process took, on all cores; the server's are not among them.
        megabytes: The most memory that the process held.
        start_megabytes: What it held before it began, with all it imports.
        way: How it read.
    """

    samples: int
    seconds: float
    busy: float
    megabytes: float
    start_megabytes: float
    way: str = ""


def peak_megabytes() -> float:
    """The most memory that this process has held (VmHWM: unlike ru_maxrss, nothing of the process that began it)."""
    text = Path("/proc/self/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def naive(url: str, database: Path, window: Window, selectors: Sequence[str]) -> tuple[int, str]:
    """What everybody writes: range queries to data frames, data frames to DuckDB."""
    from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect

    client = PrometheusConnect(url=url)
    step = int(SCRAPE[:-1]) * 1000
    with duckdb.connect(database) as connection:
        connection.execute(_TABLE)
        rows = 0
        for selector in selectors:
            start = window.start_ms
            while start < window.end_ms:
                end = min(start + _MOST_POINTS * step, window.end_ms)
                first, last = (datetime.fromtimestamp(moment / 1000, UTC) for moment in (start, end - step))
                found = client.custom_query_range(selector, first, last, SCRAPE)
                start = end
                if not found:
                    continue
                frame = MetricRangeDataFrame(found).reset_index()
                names = ", ".join(f'"{name}"' for name in frame.columns if name not in {"timestamp", "value"})
                connection.execute(
                    f"INSERT INTO samples SELECT (hash({names}) // 2)::BIGINT, epoch_ms(timestamp), value FROM frame"
                )
                rows += len(frame)
    return rows, "range queries"


def abkits(url: str, database: Path, window: Window, selectors: Sequence[str]) -> tuple[int, str]:
    """The source, Arrow, and the same table."""
    import pyarrow as pa

    from abkit.pipeline.attribution import canonical, series_id
    from abkit.sources.prometheus import PrometheusSource
    from abkit.spec import Source

    source = PrometheusSource(Source.model_validate({"prometheus": url}))
    with duckdb.connect(database) as connection:
        connection.execute(_TABLE)
        rows = 0
        for selector in selectors:
            for batch in source.fetch(selector, window):
                ids = np.array([series_id("x", selector, canonical(labels)) for labels in batch.labels], np.int64)
                table = pa.table({"series": ids[batch.series], "ts": batch.timestamps, "value": batch.values})
                connection.register("batch", table)
                connection.execute("INSERT INTO samples SELECT series, ts, value FROM batch")
                rows += len(batch.timestamps)
    return rows, source.way


def floor(url: str, database: Path, window: Window, selectors: Sequence[str]) -> tuple[int, str]:
    """The server alone: the bytes of its chunks, read and thrown away."""
    import cramjam
    import requests

    from abkit.queries.selectors import parse_selector
    from abkit.sources.remote_read.messages import STREAMED_XOR_CHUNKS, read_request

    size = 0
    for selector in selectors:
        request = read_request(parse_selector(selector).matchers, window, [STREAMED_XOR_CHUNKS])
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        body = bytes(cramjam.snappy.compress_raw(request))
        with requests.post(f"{url}/api/v1/read", body, headers=headers, stream=True, timeout=60) as answer:
            size += sum(len(piece) for piece in answer.iter_content(1 << 18))
    return size, "chunks, not decoded"


def pull(url: str, database: Path, window: Window, selectors: Sequence[str]) -> tuple[int, str]:
    """The whole command: samples, increments, facts, quality. The one selector is the experiment's file."""
    from abkit.pipeline.collect import collect
    from abkit.sources.prometheus import PrometheusSource
    from abkit.spec import Source, load
    from abkit.store import Store

    source = PrometheusSource(Source.model_validate({"prometheus": url}))
    report = collect(
        load(selectors[0]),
        source,
        Store(database),
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        now_ms=window.end_ms,
    )
    return report.samples, report.way


def _by_numpy(url: str, database: Path, window: Window, selectors: Sequence[str]) -> tuple[int, str]:
    from abkit.sources.remote_read import way

    vars(way)["worth_compiling"] = lambda samples: False
    return abkits(url, database, window, selectors)


WAYS: dict[str, Callable[[str, Path, Window, Sequence[str]], tuple[int, str]]] = {
    "naive": naive,
    "numpy": _by_numpy,
    "numba": abkits,
    "floor": floor,
    "pull": pull,
}


def _loaded(way: str) -> None:
    """What a program has loaded before it starts to work is no part of any way."""
    import pandas  # type: ignore[import-untyped]  # noqa: F401
    import prometheus_api_client  # noqa: F401
    import pyarrow  # noqa: F401

    import abkit.pipeline.collect
    import abkit.store  # noqa: F401

    if way in {"numba", "pull"}:
        from abkit.sources.remote_read.xor import decode_xor

        none = np.zeros(11, np.uint8)
        decode_xor(none, np.array([0]), np.array([11]), compiled=True)


def main(way: str, url: str, database: str, start_ms: str, end_ms: str, *selectors: str) -> None:
    """Run one way and print what it took."""
    _loaded(way)
    before = peak_megabytes()
    begin, busy = time.perf_counter(), time.process_time()
    samples, how = WAYS[way](url, Path(database), Window(int(start_ms), int(end_ms)), selectors)
    seconds, busy = time.perf_counter() - begin, time.process_time() - busy
    print(json.dumps(asdict(Taken(samples, seconds, busy, peak_megabytes(), before, how))))


if __name__ == "__main__":
    main(*sys.argv[1:])
