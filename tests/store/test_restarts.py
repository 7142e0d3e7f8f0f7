"""A restart that lies behind a pull's range."""

from __future__ import annotations

from pathlib import Path

from abkit.pipeline.collect import collect
from abkit.store import Flag, Store
from tests.sources.data import MemorySource
from tests.store.rows import START, counter, experiment, process, rows


def test_a_counter_that_was_silent_over_a_restart_begins_at_zero_in_however_many_pulls(tmp_path: Path) -> None:
    # Errors of one kind: five before the restart at 1,000 s, none for an hour, then seven. The value never falls.
    silent = counter([(-15.0, 0.0), (0.0, 5.0), (600.0, 5.0), (5_010.0, 7.0)])
    alive = process([(second, -9_999.0 if second < 1_000 else 1_000.0) for second in range(-300, 7_200, 15)])
    totals = {}
    for ends in ((7_200,), (3_600, 7_200), (900, 3_600, 5_000, 7_200)):
        store = Store(tmp_path / f"{len(ends)}.duckdb")
        for end in ends:
            moment = START + end * 1_000
            first = START if end == ends[0] else None
            collect(experiment(), MemorySource([silent, alive]), store, start_ms=first, end_ms=moment, now_ms=moment)
        found = rows(
            store,
            "SELECT i.increment, i.flags FROM increments AS i JOIN series AS s USING (series) "
            "WHERE s.input <> 'process-start' ORDER BY i.ts",
        )
        totals[ends] = [(increment, bool(flags & Flag.RESET)) for increment, flags in found]
    assert set(map(tuple, totals.values())) == {((5.0, False), (7.0, True))}
