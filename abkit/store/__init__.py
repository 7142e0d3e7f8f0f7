"""The store: one DuckDB file. Nothing else in abkit imports `duckdb`."""

from __future__ import annotations

from abkit.store.records import (
    Flag,
    InputRow,
    Known,
    KnownSeries,
    Pull,
    Quality,
    Read,
    SeriesRow,
    VerdictRow,
    Weight,
    Written,
)
from abkit.store.store import Store
from abkit.store.upkeep import Compacted, Condition, backup, check, compact
from abkit.store.writing import SHORTEST_KEPT_MS, shown

__all__ = [
    "SHORTEST_KEPT_MS",
    "Compacted",
    "Condition",
    "Flag",
    "InputRow",
    "Known",
    "KnownSeries",
    "Pull",
    "Quality",
    "Read",
    "SeriesRow",
    "Store",
    "VerdictRow",
    "Weight",
    "Written",
    "backup",
    "check",
    "compact",
    "shown",
]
