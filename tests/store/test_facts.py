"""Facts: cells of time, what they are keyed by, and totals of windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from abkit.pipeline.collect import collect
from abkit.spec import Experiment
from abkit.store import Store
from abkit.window import Window
from tests.sources.data import MemorySource, Series
from tests.store.rows import MINUTE, START, counter, experiment, rows

HOUR = 60 * MINUTE


def pull(folder: Path, series: list[Series], end: float, spec: Experiment | None = None, start: float = 0) -> Store:
    """Pull [START + start, START + end), in seconds."""
    store = Store(folder / "x.duckdb")
    collect(
        spec or experiment(),
        MemorySource(series),
        store,
        start_ms=START + round(start * 1000),
        end_ms=START + round(end * 1000),
        now_ms=START + round(end * 1000),
    )
    return store


def ticking(end: float, every: float = 15, step: float = 1.0, **labels: str) -> Series:
    """A counter that gains `step` from scrape to scrape, since before START."""
    scrapes = range(-300, int(end), int(every))
    return counter([(second, step * index) for index, second in enumerate(scrapes)], **labels)


def as_dicts(table: pa.Table, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in table.to_pylist()]


class TestCells:
    def test_minutes_cut_at_the_edges_of_what_was_read(self, tmp_path: Path) -> None:
        store = pull(tmp_path, [ticking(200)], 150, start=30)
        found = rows(store, "SELECT start_ms, end_ms, CAST(total AS DOUBLE) FROM facts ORDER BY start_ms")
        assert [((a - START) / 1000, (b - START) / 1000, total) for a, b, total in found] == [
            (30, 60, 2.0),
            (60, 120, 4.0),
            (120, 150, 2.0),
        ]

    def test_no_cell_straddles_a_weight_epoch(self, tmp_path: Path) -> None:
        ramp = [
            {"from": "2026-11-01T00:00:00Z", "split": {"control": 9000, "treatment": 1000}},
            {"from": "2026-11-01T00:02:20Z", "split": {"control": 5000, "treatment": 5000}},
        ]
        store = pull(tmp_path, [ticking(300)], 300, experiment(ramp=ramp))
        edges = {edge for row in rows(store, "SELECT start_ms, end_ms FROM facts") for edge in row}
        assert START + 140_000 in edges
        table = store.totals("x", Window(START, START + 300_000))
        assert as_dicts(table, "epoch", "total") == [(START, 10.0), (START + 140_000, 10.0)]
        assert [(row.from_ms, row.to_ms, row.weight) for row in store.weights("x") if row.variant == "control"] == [
            (START, START + 140_000, 9000),
            (START + 140_000, None, 5000),
        ]

    def test_hours_before_the_newest_two_days(self, tmp_path: Path) -> None:
        days = 60 * 3_600
        store = pull(tmp_path, [ticking(days, every=600)], days)
        lengths = rows(
            store, "SELECT (end_ms - start_ms) // 60000 AS minutes, min(start_ms), max(end_ms) FROM facts GROUP BY 1"
        )
        assert sorted(lengths) == [
            (1, START + 12 * HOUR + 5 * MINUTE, START + 60 * HOUR - 4 * MINUTE),
            (60, START, START + 12 * HOUR),
        ]
        assert as_dicts(store.totals("x", Window(START, START + 60 * HOUR)), "total") == [(360.0,)]
        assert as_dicts(store.totals("x", Window(START + MINUTE, START + 3 * HOUR)), "total") == [(12.0,)]

    def test_nothing_counted_no_row(self, tmp_path: Path) -> None:
        store = pull(tmp_path, [ticking(120, step=0.0)], 120)
        assert rows(store, "SELECT * FROM facts") == []
        assert store.totals("x", Window(START, START + 120_000)).num_rows == 0


class TestKeys:
    def test_what_labels_say(self, tmp_path: Path) -> None:
        series = [
            ticking(120, ab_replicate="7", ab_assignment="hash", pod="p-1"),
            ticking(120, ab_variant="treatment", ab_assignment="rule", pod="p-2"),
            ticking(120, ab_variant="treatment", instance="z"),
        ]
        table = pull(tmp_path, series, 120).totals("x", Window(START, START + 120_000))
        assert as_dicts(table, "variant", "assignment", "replicate", "instance", "le", "look", "total") == [
            ("control", "hash", 7, "", None, 0, 8.0),
            ("treatment", "", -1, "z", None, 0, 8.0),
            ("treatment", "rule", -1, "p-2", None, 0, 8.0),
        ]
        assert [str(field.type) for field in table.schema] == [
            *(["string"] * 3),
            "int32",
            "string",
            "double",
            "int64",
            "int32",
            "double",
        ]

    def test_a_technical_metric_keeps_instances_beside_replicates(self, tmp_path: Path) -> None:
        metric = {"name": "c", "kind": "rate", "direction": "none", "scope": "technical"}
        spec = experiment(metrics=[metric | {"numerator": 'c_total{ab_experiment="$experiment"}'}])
        store = pull(tmp_path, [ticking(120, ab_replicate="7")], 120, spec)
        assert as_dicts(store.totals("x", Window(START, START + 120_000)), "replicate", "instance") == [(7, "a")]

    def test_bounds_are_numbers(self, tmp_path: Path) -> None:
        series = [ticking(120, le="1"), ticking(120, le="1.0"), ticking(120, le="+Inf")]
        table = pull(tmp_path, series, 120).totals("x", Window(START, START + 120_000))
        # "1" and "1.0" are one series, whose samples a source can show twice.
        assert as_dicts(table, "le", "total") == [(1.0, 8.0), (float("inf"), 8.0)]

    def test_versions_stand_for_variants_where_no_label_does(self, tmp_path: Path) -> None:
        labels = [{"destination_version": "v2", "version": "v1"}, {"version": "v1"}, {"version": "v3"}, {}]
        series = [
            Series({key: value for key, value in each.labels.items() if key != "ab_variant"} | more, each.points)
            for more in labels
            for each in [ticking(120)]
        ]
        found = pull(tmp_path, series, 120).totals("x", Window(START, START + 120_000))
        assert as_dicts(found, "variant", "total") == [("control", 8.0), ("treatment", 8.0)]

    def test_intention_to_treat(self, tmp_path: Path) -> None:
        series = [ticking(120, ab_variant="treatment", version="v1"), ticking(120, ab_variant="nobody", version="v1")]
        store = pull(tmp_path, series, 120)
        assert as_dicts(store.totals("x", Window(START, START + 120_000)), "variant", "total") == [("treatment", 8.0)]


class TestTotals:
    def test_looks(self, tmp_path: Path) -> None:
        store = pull(tmp_path, [ticking(600)], 600)
        table = store.totals("x", Window(START + 60_000, START + 600_000), 240_000)
        assert as_dicts(table, "look", "total") == [(0, 16.0), (1, 16.0), (2, 4.0)]

    def test_only_whole_cells(self, tmp_path: Path) -> None:
        store = pull(tmp_path, [ticking(600)], 600)
        assert as_dicts(store.totals("x", Window(START + 1, START + 179_999)), "total") == [(4.0,)]

    def test_the_same_bytes_each_time(self, tmp_path: Path) -> None:
        series = [
            ticking(300, step=0.1 * index, ab_replicate=str(index % 32), instance=str(index)) for index in range(99)
        ]
        store = pull(tmp_path, series, 300)
        first, again = (store.totals("x", Window(START, START + 300_000), MINUTE) for _ in range(2))
        assert first.equals(again)

    @pytest.mark.parametrize("name", ["nobody", "x' OR '1'='1"])
    def test_of_nobody(self, tmp_path: Path, name: str) -> None:
        store = pull(tmp_path, [ticking(120)], 120)
        assert store.totals(name, Window(START, START + 120_000)).num_rows == 0
        assert store.span(name) is None
        assert store.quality(name) is None
        assert store.source(name) is None
        assert store.weights(name) == ()
        assert store.verdicts(name) == []

    def test_two_experiments_side_by_side(self, tmp_path: Path) -> None:
        pull(tmp_path, [ticking(120)], 120)
        other = experiment(metadata={"name": "y"})
        store = pull(tmp_path, [ticking(120, ab_experiment="y", step=2.0), ticking(120)], 120, other)
        assert store.experiments() == ["x", "y"]
        assert as_dicts(store.totals("x", Window(START, START + 120_000)), "total") == [(8.0,)]
        assert as_dicts(store.totals("y", Window(START, START + 120_000)), "total") == [(16.0,)]
        assert store.span("x") == Window(START, START + 120_000)
