"""Gauges in the store: sums and numbers of their values, as sampled, whatever the pulls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from abkit.spec import Experiment
from abkit.store import Store
from tests.pipeline.pulls import FROM, moment, pull
from tests.sources.data import Series
from tests.store.rows import counter, differences, experiment, rows

HELD = {"name": "held", "kind": "gauge", "direction": "decrease", "value": 'held_bytes{job="shop"}'}
COUNTED = {"name": "c", "kind": "rate", "direction": "none", "numerator": 'c_total{ab_experiment="x"}'}


def spec() -> Experiment:
    return experiment(metrics=[HELD, COUNTED], analysis=FROM)


def held(points: Sequence[tuple[float, float]], instance: str = "a", version: str = "v1") -> Series:
    labels = {"__name__": "held_bytes", "job": "shop", "instance": instance, "version": version}
    return Series(labels, [(moment(second), value) for second, value in points])


def cells(store: Store) -> list[tuple[str, int, float, float]]:
    """Variant, minute after the start, sum, number."""
    query = f"""
        SELECT
          v.variant,
          (v.start_ms - {moment(0)}) // 60000,
          CAST(sum(v.total) AS DOUBLE),
          CAST(any_value(n.total) AS DOUBLE)
        FROM facts AS n LEFT JOIN facts AS v ON v.input || '#' = n.input AND v.start_ms = n.start_ms
          AND v.instance = n.instance
        WHERE n.input LIKE '%#' GROUP BY ALL ORDER BY ALL
    """
    return [(*row,) for row in rows(store, query)]


def test_sums_and_numbers_of_each_minute(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb")
    pull(store, [held([(0, 5.0), (15, 7.0), (60, 3.0), (75, -1.5)]), held([(20, 8.0)], "b", "v2")], 600, spec())
    assert cells(store) == [("control", 0, 12.0, 2.0), ("control", 1, 1.5, 2.0), ("treatment", 0, 8.0, 1.0)]


def test_a_value_that_falls_is_no_restart_and_zero_is_a_value(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb")
    report = pull(store, [held([(0, 5.0), (15, 0.0), (30, 0.0), (45, -0.0)])], 600, spec())
    assert report.quality.resets == 0
    assert rows(store, "SELECT CAST(total AS DOUBLE) FROM facts ORDER BY 1") == [(4.0,), (5.0,)]


def test_what_is_no_number_is_left_out_and_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb")
    points = [(0, 2.0), (15, math.nan), (30, math.inf), (45, -math.inf), (50, 1e300), (55, -4.0)]
    report = pull(store, [held(points)], 600, spec())
    assert cells(store) == [("control", 0, -2.0, 2.0)]
    assert report.quality.non_finite == 4, "a gauge may be negative"


def test_a_counter_of_the_same_selector_is_another_input(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb")
    twin = {"name": "grown", "kind": "rate", "direction": "none", "numerator": HELD["value"]}
    both = experiment(metrics=[HELD, twin], analysis=FROM)
    pull(store, [held([(0, 5.0), (15, 7.0)])], 600, both)
    assert sorted(rows(store, "SELECT CAST(total AS DOUBLE) FROM facts")) == [(2.0,), (2.0,), (12.0,)]


def test_many_small_pulls_leave_the_same_rows_as_one(tmp_path: Path) -> None:
    series = [
        held([(second, 100.0 + second % 7 - (second % 60 == 45) * 0.125) for second in range(0, 7_200, 15)]),
        held([(second, float(second)) for second in range(7, 7_200, 30)], "b", "v2"),
        counter([(second, second * 2.0) for second in range(0, 7_200, 15)]),
    ]
    once, often = Store(tmp_path / "once.duckdb"), Store(tmp_path / "often.duckdb")
    pull(once, series, 7_200, spec())
    for now in (700, 701, 1_500, 3_333, 7_200, 7_200):
        pull(often, series, now, spec())
    assert differences(once.path, often.path) == {}
    pull(often, series, 7_200, spec(), start=600, end=900)
    assert differences(once.path, often.path) == {}


def test_values_that_arrive_late_land_where_they_belong(tmp_path: Path) -> None:
    points = [(second, float(second % 11)) for second in range(0, 1_800, 15)]
    once, late = Store(tmp_path / "once.duckdb"), Store(tmp_path / "late.duckdb")
    pull(once, [held(points)], 1_800, spec())
    pull(late, [held([point for point in points if not 1_000 < point[0] < 1_100])], 1_200, spec())
    pull(late, [held(points)], 1_800, spec())
    assert differences(once.path, late.path) == {}
