"""Pulls of hand-made series, at moments in seconds after the start of their world."""

from __future__ import annotations

from abkit.pipeline.collect import PullReport, collect
from abkit.spec import Experiment
from abkit.store import Store
from tests.sources.data import MemorySource, Series
from tests.store.rows import START, experiment

__all__ = ["FROM", "HOUR", "SECOND", "moment", "pull"]

SECOND = 1_000
HOUR = 3_600 * SECOND


def pull(
    store: Store,
    series: list[Series],
    now: float,
    spec: Experiment | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
) -> PullReport:
    """Pull until now; times in seconds after START."""
    return collect(
        spec or experiment(analysis=FROM),
        MemorySource(series),
        store,
        now_ms=moment(now),
        start_ms=None if start is None else moment(start),
        end_ms=None if end is None else moment(end),
    )


def moment(second: float) -> int:
    """Milliseconds of a second after START."""
    return START + round(second * SECOND)


FROM = {"start": "2026-11-01"}
