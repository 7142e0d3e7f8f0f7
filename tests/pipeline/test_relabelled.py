"""Series that go on under other labels: nothing is counted twice, and what really begins counts from 0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from abkit.pipeline.collect import PullReport, collect
from abkit.store import Flag, Store
from abkit.window import Window
from tests.sources.data import MemorySource, Series
from tests.store.rows import START, counter, differences, experiment, living, process, rows

END = 1_800
CHANGE = 900


def pull(folder: Path, series: Sequence[Series], *ends: int) -> tuple[Store, PullReport]:
    """Pull up to each of these moments, then up to the end; in seconds after START."""
    store = Store(folder / f"{len(ends)}.duckdb")
    for end in (*ends, END):
        report = collect(
            experiment(analysis={"start": "2026-11-01"}),
            MemorySource([_until(each, end) for each in series]),
            store,
            now_ms=START + end * 1_000,
        )
    return store, report


def _until(series: Series, end: float) -> Series:
    return Series(series.labels, [point for point in series.points if point[0] < START + end * 1_000])


def parted(before: dict[str, str], after: dict[str, str], step: float = 3.0, **labels: str) -> list[Series]:
    """A counter with a long history whose labels change at CHANGE; it gains `step` from scrape to scrape."""
    points = [(second, 50_000 + second // 15 * step) for second in range(-300, END, 15)]
    return [
        counter([point for point in points if point[0] < CHANGE], **(labels | before)),
        counter([point for point in points if point[0] >= CHANGE], **(labels | after)),
    ]


def total(store: Store) -> float:
    table = store.totals("x", Window(START, START + END * 1_000))
    return float(sum(table["total"].to_pylist()))


SCRAPES = END // 15


class TestGoesOn:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({}, {"team": "shop"}),
            ({"team": "shop"}, {}),
            ({"zone": "a"}, {"zone": "b"}),
            ({}, {"pod": "shop-1", "version": "v1"}),
        ],
    )
    @pytest.mark.parametrize("ends", [(), (600, 890, 905, 1_300)])
    def test_however_the_labels_change(
        self, tmp_path: Path, before: dict[str, str], after: dict[str, str], ends: tuple[int, ...]
    ) -> None:
        series = [living(-300, END)]
        for replicate in range(3):
            series += parted(before, after, replicate + 1, ab_replicate=str(replicate))
        store, report = pull(tmp_path, series, *ends)
        assert total(store) == (1 + 2 + 3) * SCRAPES
        assert (report.quality.relabelled, report.quality.births, report.quality.unseen_births) == (3, 0, 0)
        found = rows(store, f"SELECT ts - previous_ts, flags FROM increments WHERE ts = {START + CHANGE * 1_000}")
        assert found == [(15_000, Flag.RELABELLED)] * 3

    def test_the_most_alike_where_several_could_be_it(self, tmp_path: Path) -> None:
        # Two clients, told apart by a label that says nothing to abkit; both get another zone.
        series = [living(-300, END)]
        for client, step in (("app", 3.0), ("web", 500.0)):
            series += parted({"zone": "a"}, {"zone": "b"}, step, client=client)
        store, report = pull(tmp_path, series)
        assert total(store) == 503 * SCRAPES
        assert report.quality.relabelled == 2

    def test_another_cluster_is_another_process_whose_past_nobody_knows(self, tmp_path: Path) -> None:
        # Two clusters may use the same addresses: what looks like one counter that goes on need not be one.
        store, report = pull(tmp_path, parted({"cluster": "a"}, {"cluster": "b"}))
        assert total(store) == 3 * (SCRAPES - 1)
        assert (report.quality.relabelled, report.quality.births, report.quality.unseen_births) == (0, 0, 1)

    def test_a_bound_that_is_written_in_another_way_is_the_same_series(self, tmp_path: Path) -> None:
        store, report = pull(tmp_path, [living(-300, END), *parted({"le": "1000"}, {"le": "1000.0"})])
        assert total(store) == 3 * SCRAPES
        assert (report.quality.relabelled, report.quality.births, report.series) == (0, 0, 2)

    def test_both_ways_of_writing_a_bound_at_once_count_once(self, tmp_path: Path) -> None:
        one, other = (counter([(s, float(s)) for s in range(0, 600, 15)], le=le) for le in ("1", "1.0"))
        store, _ = pull(tmp_path, [one, _until(other, 300), living(-300, END)])
        assert total(store) == 585.0
        assert rows(store, "SELECT count(*), count(DISTINCT ts) FROM samples WHERE value < 1e6") == [(40, 40)]


class TestBegins:
    def totals(self, folder: Path, series: Sequence[Series]) -> tuple[float, int, int]:
        store, report = pull(folder, series)
        quality = report.quality
        return total(store), quality.births, quality.relabelled

    def test_a_child_that_appears_beside_the_others(self, tmp_path: Path) -> None:
        ok = counter([(s, 50_000.0 + s) for s in range(-300, END, 15)], response_code="200")
        new = counter([(s, 7.0) for s in range(CHANGE, END, 15)], response_code="503")
        assert self.totals(tmp_path, [ok, new, living(-300, END)]) == (END + 7.0, 1, 0)

    def test_another_response_code_is_another_counter(self, tmp_path: Path) -> None:
        series = parted({"response_code": "500"}, {"response_code": "503"})
        births = [series[0], counter([(s, 50_100.0) for s in range(CHANGE, END, 15)], response_code="503")]
        other, births_counted, relabelled = self.totals(tmp_path, [*births, living(-300, END)])
        assert (births_counted, relabelled) == (0, 0)  # more than it can have counted: its past is not known
        assert other == 3 * CHANGE / 15

    def test_a_process_that_began_anew_has_new_counters(self, tmp_path: Path) -> None:
        old, _ = parted({}, {"team": "shop"})
        new = counter([(s, 60_000.0) for s in range(CHANGE, END, 15)], team="shop")
        alive = process([(s, -9_999.0 if s < CHANGE else CHANGE - 5) for s in range(-300, END, 15)])
        assert self.totals(tmp_path, [old, new, alive]) == (3 * CHANGE / 15 + 60_000, 1, 0)

    def test_a_series_that_still_goes_on_has_no_heir(self, tmp_path: Path) -> None:
        old = counter([(s, 2.0) for s in range(-300, END, 15) if s != CHANGE])
        new = counter([(s, 7.0) for s in range(CHANGE, END, 15)], team="shop")
        assert self.totals(tmp_path, [old, new, living(-300, END)]) == (7.0, 1, 0)


class TestNotKnown:
    def ambiguous(self, step: float, history: float = 50_000) -> list[Series]:
        """Three counters that nothing told apart but a label that all of them changed."""
        points = [(second, history + second // 15 * step) for second in range(-300, END, 15)]
        old = [counter([p for p in points if p[0] < CHANGE], client=name) for name in "abc"]
        new = [counter([p for p in points if p[0] >= CHANGE], client=name) for name in "def"]
        return [*old, *new]

    @pytest.mark.parametrize("ends", [(), (600, 905, 1_300)])
    def test_a_history_is_no_increment(self, tmp_path: Path, ends: tuple[int, ...]) -> None:
        store, report = pull(tmp_path, [*self.ambiguous(3.0), living(-300, END)], *ends)
        assert total(store) == 3 * 3 * (SCRAPES - 1)
        assert (report.quality.relabelled, report.quality.unseen_births) == (0, 3)

    def test_what_can_be_new_is_counted(self, tmp_path: Path) -> None:
        # A first value like the steps that follow it.
        old, new = self.ambiguous(3.0)[:3], counter([(s, 150.0 * (s - 885) / 15) for s in range(CHANGE, END, 15)])
        store, report = pull(tmp_path, [*old, new, living(-300, END)])
        assert total(store) == 3 * 3 * 60 + 150 * 60
        assert report.quality.births == 1

    def test_where_nobody_knows_how_old_the_process_is(self, tmp_path: Path) -> None:
        _, report = pull(tmp_path, [*self.ambiguous(3.0, 1_000.0)])
        assert (report.quality.relabelled, report.quality.births) == (0, 3)

    def test_the_rows_do_not_depend_on_the_pulls(self, tmp_path: Path) -> None:
        series = [*self.ambiguous(3.0), *parted({}, {"team": "x"}, ab_replicate="1"), living(-300, END)]
        once, _ = pull(tmp_path, series)
        often, _ = pull(tmp_path, series, 300, 899, 901, 916, 1_190, 1_210)
        assert differences(once.path, often.path).keys() <= {"watermarks"}
