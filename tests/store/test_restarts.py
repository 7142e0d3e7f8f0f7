"""Restarts and silences that lie behind a pull's range."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from abkit.pipeline.collect import collect
from abkit.store import Flag, Store
from tests.pipeline.pulls import pull
from tests.sources.data import MemorySource, Series
from tests.store.rows import START, counter, differences, experiment, living, process, rows, ticking


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


def _silences(end: int) -> list[Series]:
    """What was silent for far longer than a pull looks back at first, in each way that decides about an increment."""
    nan = float("nan")
    gone, back = range(-300, 300, 15), range(3_000, end, 15)

    def grown(moments: Iterable[int]) -> list[tuple[float, float]]:
        return [(second, 10_000.0 + second) for second in moments]

    return [
        # A series alone, another one of which only NaN came meanwhile, and targets as a whole.
        living(-300, end, instance="one"),
        counter(grown([*gone, *back]), "one"),
        counter([*grown(gone), *((second, nan) for second in range(300, 3_000, 15)), *grown(back)], "one", le="1"),
        process([(second, -9_999.0) for second in [*gone, *back]], "whole"),
        counter(grown([*gone, *back]), "whole"),
        process([*((second, -9_999.0) for second in gone), *((second, 2_000.0) for second in back)], "anew"),
        counter(grown([*gone, *back]), "anew"),
        # Under other labels when it comes back; and a target whose process' start is no longer told.
        process([(second, -9_999.0) for second in [*gone, *back]], "other"),
        counter(grown(gone), "other"),
        counter(grown(back), "other", team="shop"),
        process([(second, -9_999.0) for second in gone], "untold"),
        ticking(-300, end, instance="untold"),
        counter(grown(back), "untold", le="2"),
        counter(grown(gone), "plain"),
        counter(grown(back), "plain", team="shop"),
    ]


def test_what_was_silent_for_long_goes_on_the_same_in_however_many_pulls(tmp_path: Path) -> None:
    end = 3_600
    stores = [Store(tmp_path / f"{name}.duckdb") for name in ("once", "often")]
    series = _silences(end)
    pull(stores[0], series, end)
    for now in (*range(290, 3_300, 430), 3_005, 3_020, end):
        pull(stores[1], series, now)
    assert differences(stores[0].path, stores[1].path) == {}
    found = rows(stores[0], "SELECT count(*) FROM increments WHERE ts - previous_ts > 2000000")
    assert found[0][0] >= 4
