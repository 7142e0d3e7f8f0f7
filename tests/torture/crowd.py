"""A writer that pulls every second, and readers that judge and load pages all the time, each in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from abkit.pipeline.collect import collect
from abkit.pipeline.evaluate import evaluate
from abkit.report.load import load
from abkit.store import Store
from abkit.store import store as face
from abkit.store.connection import connected
from tests.sources.data import MemorySource
from tests.store.rows import START, experiment, living, ticking

__all__ = ["Waits", "crowd"]

_FIRST = 3_600
_SERIES = 12


@dataclass(frozen=True, slots=True)
class Waits:
    """What one process met.

    Attributes:
        turns: How often it pulled, or judged and loaded.
        opened: How often it opened the store.
        longest_wait: Seconds until the store was open, at worst.
        longest_turn: Seconds of a turn, at worst.
        error: What reached the user; '' for nothing.
    """

    turns: int
    opened: int
    longest_wait: float
    longest_turn: float
    error: str


def crowd(path: Path, seconds: float, readers: int = 4) -> tuple[Waits, ...]:
    """Let a writer and readers work on one store.

    Args:
        path: Where to make the store.
        seconds: For how long.
        readers: How many.

    Returns:
        The writer's, then the readers'.
    """
    spec, source = _world(_FIRST)
    collect(spec, source, Store(path), now_ms=START + 1_000 * _FIRST)
    command = [sys.executable, "-m", "tests.torture.crowd", str(path), str(seconds)]
    kinds = ["write", *["read"] * readers]
    running = [subprocess.Popen([*command, kind], stdout=subprocess.PIPE, text=True) for kind in kinds]
    return tuple(Waits(**json.loads(process.communicate()[0])) for process in running)


def _world(seconds: int) -> tuple[Any, MemorySource]:
    series = [
        ticking(-300, seconds, 1, instance=str(i), ab_variant=variant, ab_replicate=str(i))
        for i in range(_SERIES)
        for variant in ("control", "treatment")
    ]
    return experiment(analysis={"start": "2026-11-01"}), MemorySource([*series, *(_lives(seconds))])


def _lives(seconds: int) -> Iterator[Any]:
    return (living(-300, seconds, 1, instance=str(i)) for i in range(_SERIES))


def main(arguments: Sequence[str]) -> None:
    """One process of the crowd: store, seconds, and write or read."""
    path, seconds, kind = Path(arguments[0]), float(arguments[1]), arguments[2]
    spec, source = _world(_FIRST + round(seconds) + 60)
    waits: list[float] = []

    @contextmanager
    def timed(*args: Any, **options: Any) -> Iterator[duckdb.DuckDBPyConnection]:
        begun = time.monotonic()
        with connected(*args, **options) as connection:
            waits.append(time.monotonic() - begun)
            yield connection

    vars(face)["connected"] = timed
    store = Store(path)
    start = time.monotonic()
    turns: list[float] = []
    error = ""
    while not error and (passed := time.monotonic() - start) < seconds:
        begun = time.monotonic()
        try:
            if kind == "write":
                collect(spec, source, store, now_ms=START + 1_000 * (_FIRST + round(passed)))
            else:
                store.append_verdict(evaluate(spec, store, None))
                load(path)
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"
        turns.append(time.monotonic() - begun)
        if kind == "write":
            time.sleep(max(0.0, 1 - turns[-1]))
    print(json.dumps(asdict(Waits(len(turns), len(waits), max(waits), max(turns), error))))


if __name__ == "__main__":
    main(sys.argv[1:])
