"""From a real Prometheus to a table in DuckDB: what everybody writes, abkit, and the server's own floor.

`make benchmark-collection` prints tables in Markdown; nothing is asserted. The world is the example experiment's, with
restarts, births, deaths and gaps, backfilled by promtool. Each way runs in a process of its own, one after the other,
against the same server. Then the same source reads 1, 10 and 100 million samples that a server on loopback makes up.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from abkit import simulate
from abkit.resources import folder as shipped
from abkit.spec import load
from tests.benchmarks.collecting.frames import SCRAPE_MS, SERIES, START_MS, serving
from tests.benchmarks.collecting.ways import Taken
from tests.servers import backfill, prometheus

__all__ = ["main"]

HOURS = 14
RUNS = 3
"""Of the quick ways; the one in the middle counts."""
USERS = 2_000
GROWTH = (1_000_000, 10_000_000, 100_000_000)
_WORDS = {
    "floor": "the server alone: bytes of its chunks, thrown away",
    "naive": "`custom_query_range` → `MetricRangeDataFrame` → DuckDB",
    "numpy": "abkit, decoded by numpy",
    "numba": "abkit, decoded by numba",
    "pull": "`abkit pull`: with increments, facts, quality",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.collection", description=__doc__)
    parser.add_argument("--hours", type=float, default=HOURS, help="of the world; 14 are 7.6 million samples")
    parser.add_argument("--most", type=int, default=GROWTH[-1], help="samples of the largest run of growth")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="abkit-benchmark-") as folder:
        _real(Path(folder), chosen.hours)
        _growth(Path(folder), [samples for samples in GROWTH if samples <= chosen.most])


def _real(folder: Path, hours: float) -> None:
    spec = shipped("data") / "experiments" / "buy-now-button.yaml"
    world = simulate.world_from_spec(load(spec), users=USERS, hours=hours, scrape_interval_ms=SCRAPE_MS, troubles=True)
    samples = simulate.run(world).samples
    names = sorted({labels["__name__"] for labels in samples.labels})
    count, series = len(samples.timestamps), len(samples.labels)
    print(
        f"A world of {count:,} samples in {series:,} series over {hours:g} hours; promtool takes its time …", flush=True
    )
    tsdb = backfill(simulate.to_openmetrics(samples), folder / "tsdb", timeout=1_800)
    start, end = world.start_ms, world.end_ms
    taken: dict[str, Taken] = {}
    with prometheus(tsdb) as url:
        for way in _WORDS:
            selectors = [str(spec)] if way == "pull" else names
            runs = [
                _run(way, url, folder / f"{way}-{again}.duckdb", start, end, selectors)
                for again in range(1 if way in {"naive", "pull"} else RUNS)
            ]
            taken[way] = sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]
    first = taken["naive"]
    rate, work = first.samples / first.seconds, first.samples / first.busy
    print("\n| way | samples | seconds | samples/s | ratio | by processor time | peak memory | of the naive |")
    print("|---|---|---|---|---|---|---|---|")
    for way, words in _WORDS.items():
        it = taken[way]
        # The floor counts bytes.
        rows = count if way == "floor" else it.samples
        print(
            f"| {words} | {rows:,} | {it.seconds:.2f} | {rows / it.seconds / 1e6:.2f} M | "
            f"{rows / it.seconds / rate:.1f} | {rows / it.busy / work:.1f} | "
            f"{it.megabytes:,.0f} MB | {it.megabytes / first.megabytes:.0%} |"
        )
    floor, numba = taken["floor"], taken["numba"]
    print(
        f"\nThe streamed chunks are {floor.samples / 1e6:.1f} MB, {floor.samples / count:.2f} bytes a sample. Read by "
        f"{numba.way}. Memory is a whole process'; {numba.start_megabytes:,.0f} MB of it were held before the first "
        "question (libraries, numba's compiler).",
        flush=True,
    )


def _growth(folder: Path, sizes: Sequence[int]) -> None:
    print("\n| samples that a server on loopback makes up | seconds | samples/s | peak memory |\n|---|---|---|---|")
    with serving() as url:
        for size in sizes:
            end = START_MS + size // SERIES * SCRAPE_MS
            it = _run("numba", url, folder / f"{size}.duckdb", START_MS, end, ["a_total"])
            rate = it.samples / it.seconds / 1e6
            print(f"| {it.samples:,} | {it.seconds:.2f} | {rate:.2f} M | {it.megabytes:,.0f} MB |", flush=True)


def _run(way: str, url: str, database: Path, start_ms: int, end_ms: int, selectors: Sequence[str]) -> Taken:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.benchmarks.collecting.ways",
            way,
            url,
            str(database),
            str(start_ms),
            str(end_ms),
            *selectors,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{way} failed: {done.stderr[-2_000:]}")
    return Taken(**json.loads(done.stdout))


if __name__ == "__main__":
    main()
