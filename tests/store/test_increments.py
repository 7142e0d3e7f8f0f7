"""Exact increments: hand-made cases, and against a plain reference on worlds that nobody would think of."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings

from abkit.pipeline.collect import LOOK_BACK_MS, collect
from abkit.store import Flag, Store
from tests.sources.data import MemorySource, Series
from tests.store.rows import START, counter, experiment, process, rows
from tests.store.strategies import worlds

Row = tuple[float | None, float, float, int]


def increments(
    folder: Path, series: Sequence[Series], end: float, start: float = 0, metric: str = "c_total"
) -> list[Row]:
    """(from, to, increment, flags) of `c_total`; times in seconds after START."""
    store = Store(folder / "x.duckdb")
    collect(
        experiment(),
        MemorySource(series),
        store,
        start_ms=START,
        end_ms=START + round(end * 1000),
        now_ms=START + round(end * 1000),
    )
    found = rows(
        store,
        "SELECT i.previous_ts, i.ts, i.increment, i.flags FROM increments AS i JOIN series AS s USING (series) "
        "WHERE s.input <> 'process-start' ORDER BY s.labels, i.ts",
    )
    return [
        (None if before is None else (before - START) / 1000, (ts - START) / 1000, increment, flags)
        for before, ts, increment, flags in found
    ]


def steady(end: float, instance: str = "a") -> Series:
    """A target that is scraped every 15 s from long before."""
    return process([(second, -9_999) for second in range(-300, int(end), 15)], instance)


class TestOrdinary:
    def test_differences_of_consecutive_samples(self, tmp_path: Path) -> None:
        points = [(-15, 100.0), (0, 103.0), (15, 103.0), (30, 104.5)]
        assert increments(tmp_path, [counter(points)], 45) == [(-15, 0, 3.0, 0), (15, 30, 1.5, 0)]

    def test_the_window_is_half_open(self, tmp_path: Path) -> None:
        points = [(-15, 1.0), (-0.001, 2.0), (0, 4.0), (29.999, 8.0), (30, 16.0)]
        assert increments(tmp_path, [counter(points)], 30) == [(-0.001, 0, 2.0, 0), (0, 29.999, 4.0, 0)]

    def test_a_gap_is_flagged_and_keeps_its_events(self, tmp_path: Path) -> None:
        points = [(second, 1_000.0 + second) for second in range(-60, 300, 15) if not 60 < second < 200]
        found = increments(tmp_path, [counter(points)], 300)
        assert (60, 210, 150.0, Flag.GAP) in found
        assert sum(flags != 0 for *_, flags in found) == 1

    def test_one_missed_scrape_is_no_gap(self, tmp_path: Path) -> None:
        points = [(second, float(second)) for second in range(0, 300, 15) if second != 60]
        assert all(flags == 0 for *_, flags in increments(tmp_path, [counter(points), steady(300)], 300)[1:])


class TestResets:
    def test_a_value_that_falls(self, tmp_path: Path) -> None:
        points = [(-15, 50.0), (0, 60.0), (15, 4.0), (30, 5.0)]
        assert increments(tmp_path, [counter(points)], 45) == [
            (-15, 0, 10.0, 0),
            (0, 15, 4.0, Flag.RESET),
            (15, 30, 1.0, 0),
        ]

    def test_a_restart_that_hides_in_a_value_that_rises(self, tmp_path: Path) -> None:
        points = [(-15, 3.0), (0, 3.0), (15, 7.0), (30, 8.0)]
        starts = [(-15, -500.0), (0, -500.0), (15, 4.0), (30, 4.0)]
        assert increments(tmp_path, [counter(points), process(starts)], 45) == [
            (4, 15, 7.0, Flag.RESET),
            (15, 30, 1.0, 0),
        ]

    def test_a_start_that_wavers_is_no_restart(self, tmp_path: Path) -> None:
        points = [(-15, 3.0), (0, 3.0), (15, 7.0)]
        starts = [(-15, -500.0), (0, -499.5), (15, -500.0)]
        assert increments(tmp_path, [counter(points), process(starts)], 45) == [(0, 15, 4.0, 0)]

    def test_a_restart_of_another_target_does_not_count(self, tmp_path: Path) -> None:
        points = [(-15, 3.0), (0, 3.0), (15, 7.0)]
        starts = [(-15, -500.0), (0, -500.0), (15, 4.0)]
        series = [counter(points), steady(45), process(starts, "b")]
        assert increments(tmp_path, series, 45) == [(0, 15, 4.0, 0)]


class TestBirths:
    def test_seen_to_begin_since_its_target_was_scraped_before(self, tmp_path: Path) -> None:
        found = increments(tmp_path, [counter([(30, 5.0), (45, 6.0)]), steady(60)], 60)
        assert found == [(15, 30, 5.0, Flag.BIRTH), (30, 45, 1.0, 0)]

    def test_seen_to_begin_since_its_process_did(self, tmp_path: Path) -> None:
        starts = [(30, 20.0), (45, 20.0)]
        found = increments(tmp_path, [counter([(30, 5.0), (45, 6.0)]), process(starts)], 60)
        assert found == [(20, 30, 5.0, Flag.BIRTH), (30, 45, 1.0, 0)]

    def test_not_seen_to_begin_is_left_out_and_said(self, tmp_path: Path) -> None:
        found = increments(tmp_path, [counter([(30, 500.0), (45, 501.0)])], 60)
        assert found == [(None, 30, 0.0, Flag.UNSEEN_BIRTH), (30, 45, 1.0, 0)]

    def test_an_old_process_scraped_for_the_first_time_is_left_out(self, tmp_path: Path) -> None:
        starts = [(30, -9_999.0), (45, -9_999.0)]
        found = increments(tmp_path, [counter([(30, 500.0), (45, 501.0)]), process(starts)], 60)
        assert found[0] == (None, 30, 0.0, Flag.UNSEEN_BIRTH)

    def test_in_the_look_back_it_is_only_a_baseline(self, tmp_path: Path) -> None:
        assert increments(tmp_path, [counter([(-15, 500.0), (0, 501.0)])], 60) == [(-15, 0, 1.0, 0)]

    def test_reborn_after_an_absence(self, tmp_path: Path) -> None:
        points = [(-15, 9.0), (0, 9.0), (120, 2.0)]
        found = increments(tmp_path, [counter(points), steady(135)], 135)
        assert found == [(105, 120, 2.0, Flag.RESET)]  # it was not there at 105: since then, and no gap


class TestNumbers:
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0, 1e18, 1.7e308])
    def test_what_no_counter_shows_is_dropped_and_counted(self, tmp_path: Path, bad: float) -> None:
        points = [(-15, 1.0), (0, 2.0), (15, bad), (30, 4.0)]
        store = Store(tmp_path / "x.duckdb")
        report = collect(
            experiment(),
            MemorySource([counter(points), steady(45)]),
            store,
            start_ms=START,
            end_ms=START + 45_000,
            now_ms=START + 45_000,
        )
        found = rows(store, "SELECT increment, flags FROM increments WHERE increment <> 0 ORDER BY ts")
        assert found == [(1.0, 0), (2.0, 0)]
        assert report.quality.non_finite == 1
        assert report.samples == 4 + 23

    def test_sums_do_not_depend_on_the_order(self, tmp_path: Path) -> None:
        many = [counter([(-15, 0.0), (0, 0.1 * index)], instance=str(index)) for index in range(100)]
        increments(tmp_path, many, 15)
        total = rows(Store(tmp_path / "x.duckdb"), "SELECT CAST(sum(total) AS VARCHAR) FROM facts")
        assert total == [("495.000000000000",)]


# ---- against a plain reference --------------------------------------------------------------------------------------


def reference(series: Sequence[Series], start: int, end: int) -> list[Row]:
    """Increments by the rules, one series and one sample at a time."""
    first = start - LOOK_BACK_MS
    inside = {id(each): [(t, v) for t, v in each.points if first <= t < end] for each in series}
    found: list[tuple[str, Row]] = []
    for each in series:
        if each.labels["__name__"] != "c_total":
            continue
        mates = [other for other in series if other.labels["instance"] == each.labels["instance"]]
        scrapes = sorted({t for other in mates for t, _ in inside[id(other)]})
        starts = sorted(
            point for other in mates if other.labels["__name__"] != "c_total" for point in inside[id(other)]
        )
        # Told for most of a target's time, its process' start tells of every scrape.
        told = starts and 2 * (starts[-1][0] - starts[0][0]) >= scrapes[-1] - scrapes[0]
        spacings = [later - earlier for earlier, later in pairwise([t for t, _ in starts] if told else scrapes)]
        interval = statistics.median(spacings) if spacings else None

        def started(t: int, starts: list[tuple[int, float]] = starts) -> float | None:
            return max(((at, value) for at, value in starts if at <= t), default=(0, None))[1]

        good = [(t, v) for t, v in inside[id(each)] if v >= 0 and v < 1e18]
        for index, (t, value) in enumerate(good):
            if t < start:
                continue
            seen = max((s for s in scrapes if s < t), default=None)
            begun = started(t)
            begun_ms = None if begun is None else round(begun * 1000)
            flags = 0
            if index == 0:
                known = seen is not None or (begun_ms is not None and begun_ms >= first)
                increment, flags = (value, Flag.BIRTH) if known else (0.0, Flag.UNSEEN_BIRTH)
                candidates = [seen, begun_ms if begun_ms is not None and begun_ms < t else None] if known else []
            else:
                before, previous = good[index - 1]
                between = [s for s in scrapes if before < s <= t]
                restarted = any(
                    (now := started(s)) is not None
                    and (then := started(max((e for e in scrapes if e < s), default=0))) is not None
                    and abs(now - then) > 1
                    for s in between
                )
                if value < previous or restarted:
                    increment, flags = value, Flag.RESET
                    candidates = [before, seen, begun_ms if begun_ms is not None and begun_ms < t else None]
                else:
                    increment, candidates = value - previous, [before]
            origin = max((c for c in candidates if c is not None), default=None)
            if increment or flags:
                if origin is not None and interval is not None and t - origin > 2.5 * interval:
                    flags |= Flag.GAP
                row = (None if origin is None else (origin - START) / 1000, (t - START) / 1000, increment, int(flags))
                found.append((str(sorted(each.labels.items())), row))
    return [row for _, row in sorted(found, key=lambda pair: (pair[0], pair[1][1]))]


@settings(max_examples=35, deadline=None)
@given(worlds())
def test_like_the_reference(series: list[Series]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if any(each.labels["__name__"] == "c_total" for each in series):
            found = increments(Path(folder), series, 500)
            assert found == reference(series, START, START + 500_000)
