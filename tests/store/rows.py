"""Hand-made worlds in a store, and what lies in its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from abkit.spec import Experiment
from abkit.store import Store
from tests.sources.data import Series

__all__ = [
    "MINUTE",
    "START",
    "TABLES",
    "counter",
    "differences",
    "experiment",
    "living",
    "process",
    "rows",
    "tables",
    "ticking",
]

START = 1_793_491_200_000
"""2026-11-01T00:00Z."""
MINUTE = 60_000

TABLES = ("series", "samples", "increments", "facts", "weights", "cuts", "watermarks", "inputs")
"""What a pull leaves, but for its own row."""

Points = Sequence[tuple[float, float]]


def experiment(**more: Any) -> Experiment:
    """An experiment that reads `c_total`."""
    metric = {"name": "c", "kind": "rate", "direction": "none", "numerator": 'c_total{ab_experiment="$experiment"}'}
    fields: dict[str, Any] = {
        "metadata": {"name": "x"},
        "service": "shop",
        "variants": {"control": "v1", "treatment": "v2"},
        "metrics": [metric],
    }
    return Experiment.model_validate(fields | more)


def counter(points: Points, instance: str = "a", **labels: str) -> Series:
    """A series of `c_total`; times in seconds after `START`."""
    given = {"__name__": "c_total", "ab_experiment": "x", "ab_variant": "control", "job": "shop", "instance": instance}
    return Series(given | labels, [(START + round(second * 1000), value) for second, value in points])


def process(points: Points, instance: str = "a") -> Series:
    """When a target's process started; times in seconds after `START`, values too."""
    labels = {"__name__": "process_start_time_seconds", "job": "shop", "instance": instance}
    return Series(labels, [(START + round(second * 1000), START / 1000 + value) for second, value in points])


def ticking(start: float, end: float, every: int = 15, instance: str = "a", **labels: str) -> Series:
    """A counter that gains 3 from scrape to scrape."""
    seconds = range(round(start), round(end), every)
    return counter([(second, float(10_000 + second // every * 3)) for second in seconds], instance, **labels)


def living(start: float, end: float, every: int = 15, instance: str = "a") -> Series:
    """A process that started long before, and goes on."""
    return process([(second, -9_999.0) for second in range(round(start), round(end), every)], instance)


def rows(store: Store, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the store's file."""
    with duckdb.connect(store.path, read_only=True) as connection:
        return connection.execute(query).fetchall()


def tables(path: Path) -> Mapping[str, list[tuple[Any, ...]]]:
    """All rows of all tables, sorted; NaN as text, so that it equals itself."""
    with duckdb.connect(path, read_only=True) as connection:
        return {
            table: sorted(
                (tuple("NaN" if value != value else value for value in row) for row in _all(connection, table)),
                key=str,
            )
            for table in TABLES
        }


def differences(one: Path, other: Path) -> Mapping[str, int]:
    """Table → number of rows that only one of two stores has; only tables that differ."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{one}' AS one (READ_ONLY); ATTACH '{other}' AS other (READ_ONLY)")
        found = {}
        for table in TABLES:
            a, b = f"SELECT * FROM one.{table}", f"SELECT * FROM other.{table}"
            query = f"SELECT count(*) FROM (({a} EXCEPT ALL {b}) UNION ALL ({b} EXCEPT ALL {a}))"
            found[table] = int(connection.execute(query).fetchall()[0][0])
        return {table: count for table, count in found.items() if count}


def _all(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT * FROM {table}").fetchall()
