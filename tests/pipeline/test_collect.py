"""Collecting: the same rows however the window is cut, whatever comes late."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit.errors import InputError, QueryError
from abkit.evidence import Quality as QualityModel
from abkit.pipeline.collect import LOOK_BACK_MS, OVERLAP_MS, collect
from abkit.pipeline.health import quality_of
from abkit.sources.recording import RecordingSource
from abkit.spec import Experiment
from abkit.store import Store, Weight
from abkit.window import Window
from tests.pipeline.pulls import FROM, HOUR, SECOND, moment, pull
from tests.sources.data import MemorySource, Series
from tests.sources.data import write_recording as write_samples
from tests.store.rows import MINUTE, START, differences, experiment, living, rows, tables, ticking
from tests.store.strategies import worlds


class TestIdempotence:
    def test_the_same_window_again_changes_no_row(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "x.duckdb")
        series = [ticking(-300, 900), ticking(120, 900, instance="b"), living(-300, 900), living(0, 900, instance="b")]
        first = pull(store, series, 900, start=0, end=900)
        before, pulls = tables(store.path), rows(store, "SELECT * FROM pulls")
        again = pull(store, series, 900, start=0, end=900)
        assert tables(store.path) == before
        assert rows(store, "SELECT * FROM pulls") == pulls
        assert (first.new_samples, again.new_samples) == (first.samples, 0)
        assert again.quality == first.quality

    @settings(max_examples=12, deadline=None)
    @given(worlds(), st.lists(st.integers(1, 900), max_size=4))
    def test_many_pulls_are_one(self, series: list[Series], moments: list[int]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            at_once, bit_by_bit = Store(Path(folder) / "a.duckdb"), Store(Path(folder) / "b.duckdb")
            pull(at_once, series, 901)
            for now in (*sorted(moments), 901):
                pull(bit_by_bit, [_until(each, now) for each in series], now)
            assert not differences(at_once.path, bit_by_bit.path).keys() - {"watermarks"}

    def test_what_lies_ahead_is_not_taken_for_read(self, tmp_path: Path) -> None:
        series = [ticking(-300, 1_800), living(-300, 1_800)]
        at_once, ahead = Store(tmp_path / "a.duckdb"), Store(tmp_path / "b.duckdb")
        pull(at_once, series, 1_800)
        first = pull(ahead, [_until(each, 600) for each in series], 600, end=7_200)
        assert first.window.end_ms == moment(600)
        assert ahead.pulled_until("x") == moment(600)
        pull(ahead, series, 1_800)
        assert not differences(at_once.path, ahead.path)

    def test_nothing_is_there_of_what_lies_ahead(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "x.duckdb")
        pull(store, [], 600, end=7_200)
        assert (store.span("x"), store.pulled_until("x")) == (None, moment(600))

    def test_over_days_minutes_become_hours(self, tmp_path: Path) -> None:
        end = 75 * 3_600
        series = [ticking(-600, end, 300, ab_replicate=str(k), instance=f"i{k}") for k in range(3)]
        series += [living(-600, end, 300, instance=f"i{k}") for k in range(3)]
        at_once, bit_by_bit = Store(tmp_path / "a.duckdb"), Store(tmp_path / "b.duckdb")
        spec = experiment(
            ramp=[
                {"from": "2026-11-01", "split": {"control": 9000, "treatment": 1000}},
                {"from": "2026-11-01T20:20:20Z", "split": {"control": 5000, "treatment": 5000}},
            ],
            analysis=FROM,
        )
        pull(at_once, series, end, spec)
        for now in (1_000, 40 * 3_600, 50 * 3_600 + 7, 50 * 3_600 + 900, 70 * 3_600, end):
            pull(bit_by_bit, [_until(each, now) for each in series], now, spec)
        assert tables(bit_by_bit.path)["facts"] == tables(at_once.path)["facts"]
        assert {row[0] for row in rows(at_once, "SELECT end_ms - start_ms FROM facts")} >= {HOUR, MINUTE}


def _until(series: Series, now: float) -> Series:
    return Series(series.labels, [(t, v) for t, v in series.points if t < START + now * SECOND])


def _without(series: Series, start: float, end: float) -> Series:
    return Series(series.labels, [(t, v) for t, v in series.points if not start <= (t - START) / SECOND < end])


class TestLateAndLost:
    def test_late_samples_land_where_they_belong(self, tmp_path: Path) -> None:
        store, whole = Store(tmp_path / "x.duckdb"), Store(tmp_path / "whole.duckdb")
        series = [ticking(-300, 900), living(-300, 900)]
        late = [
            Series(each.labels, [p for p in each.points if not 420 <= (p[0] - START) / SECOND < 540]) for each in series
        ]
        pull(store, late, 600)
        pull(store, series, 900)
        pull(whole, series, 900)
        assert tables(store.path) == tables(whole.path)

    def test_later_than_the_overlap_a_window_of_its_own_finds_them(self, tmp_path: Path) -> None:
        store, whole = Store(tmp_path / "x.duckdb"), Store(tmp_path / "whole.duckdb")
        series = [ticking(-300, 3_000), living(-300, 3_000)]
        late = [
            Series(each.labels, [p for p in each.points if not 420 <= (p[0] - START) / SECOND < 540]) for each in series
        ]
        pull(store, late, 3_000)
        pull(store, series, 3_000, start=400, end=560)
        pull(whole, series, 3_000)
        assert tables(store.path)["increments"] == tables(whole.path)["increments"]
        assert tables(store.path)["facts"] == tables(whole.path)["facts"]

    def test_what_the_source_forgot_stays(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "x.duckdb")
        series = [ticking(-300, 3_000), living(-300, 3_000)]
        pull(store, series, 3_000)
        before = tables(store.path)
        forgetful = [Series(each.labels, [p for p in each.points if p[0] >= START + 2_000 * SECOND]) for each in series]
        pull(store, forgetful, 3_000, start=0)
        assert tables(store.path) == before
        pull(store, [], 3_000, start=0)
        assert tables(store.path) == before

    def test_a_cell_that_the_watermark_cut_is_made_whole(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "x.duckdb")
        series = [ticking(-300, 620), living(-300, 620)]
        pull(store, series, 620)
        assert max(row[0] for row in rows(store, "SELECT end_ms FROM facts")) == moment(620)
        # Nothing for hours, and by then the source has forgotten the rest.
        pull(store, [ticking(7_200, 7_500), living(7_200, 7_500)], 7_500)
        ends = [row[0] for row in rows(store, "SELECT DISTINCT end_ms FROM facts ORDER BY end_ms")]
        assert moment(620) not in ends
        assert moment(660) in ends

    def test_there_are_no_holes(self, tmp_path: Path) -> None:
        store, whole = Store(tmp_path / "x.duckdb"), Store(tmp_path / "whole.duckdb")
        series = [ticking(-300, 9_000), living(-300, 9_000)]
        pull(store, series, 9_000, start=3_000, end=3_600)
        pull(store, series, 9_000, start=6_000, end=9_000)
        pull(store, series, 9_000, start=0, end=600)
        pull(whole, series, 9_000, start=0)
        assert tables(store.path)["facts"] == tables(whole.path)["facts"]
        assert store.span("x") == Window(START, START + 9_000 * SECOND)

    def test_nothing_found_moves_no_watermark(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "x.duckdb")
        report = pull(store, [], 600)
        assert report.samples == 0
        assert store.span("x") is None
        pull(store, [ticking(-300, 600)], 900)
        assert store.span("x") == Window(START, START + 900 * SECOND)


class TestWhatIsRead:
    def asked(self, store: Store, spec: Experiment, now: float) -> dict[str, Window]:
        source = MemorySource([ticking(-9_000, 9_000), living(-9_000, 9_000)])
        collect(spec, source, store, now_ms=moment(now))
        return {selector.split("{")[0]: window for selector, window in source.asked}

    def window(self, start: float, end: float) -> Window:
        return Window(moment(start) - LOOK_BACK_MS, moment(end))

    def test_the_analysis_window(self, tmp_path: Path) -> None:
        spec = experiment(analysis={"start": "2026-11-01T00:10:00Z", "end": "2026-11-01T01:00:00Z"})
        store = Store(tmp_path / "x.duckdb")
        assert self.asked(store, spec, 1_200)["c_total"] == self.window(600, 1_200)
        again = self.window(1_200 - OVERLAP_MS / SECOND, 3_600)
        assert self.asked(store, spec, 9_000)["c_total"] == again
        # Nothing came of this one: it is asked for from the start.
        assert self.asked(store, spec, 9_000)["ab_exposed_users_total"] == self.window(600, 3_600)

    def test_a_day_where_nothing_is_said(self, tmp_path: Path) -> None:
        asked = self.asked(Store(tmp_path / "x.duckdb"), experiment(), 600)
        assert asked["c_total"] == self.window(600 - 86_400, 600)

    def test_process_starts_of_the_targets_that_were_seen(self, tmp_path: Path) -> None:
        source = MemorySource([ticking(0, 60), living(0, 60)])
        collect(experiment(analysis=FROM), source, Store(tmp_path / "x"), now_ms=START + 60_000)
        assert source.asked[-1][0] == 'process_start_time_seconds{job=~"shop",instance=~"a"}'
        assert len(source.asked) == 3

    def test_an_input_that_never_answers_does_not_hold_the_others_back(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "x.duckdb")
        series = [ticking(-300, 9_000), living(-300, 9_000)]
        pull(store, series, 8_000)
        source = MemorySource(series)
        report = collect(experiment(analysis=FROM), source, store, now_ms=moment(9_000))
        assert report.window == Window(moment(8_000) - OVERLAP_MS, moment(9_000))
        assert source.asked[-1][1] == self.window(8_000 - OVERLAP_MS / SECOND, 9_000)

    def test_not_begun_yet(self, tmp_path: Path) -> None:
        report = pull(Store(tmp_path / "x.duckdb"), [], -60)
        assert (report.samples, report.window.length_ms) == (0, -60_000)
        assert not (tmp_path / "x.duckdb").exists()

    def test_an_empty_window_that_was_asked_for(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="window is empty"):
            pull(Store(tmp_path / "x.duckdb"), [], 900, start=600, end=600)

    def test_outside_a_recording(self, tmp_path: Path) -> None:
        path = write_samples([], tmp_path / "x.parquet", Window(START - 9_000, START))
        with pytest.raises(InputError, match=r"holds 2026-10-31T23:59:51Z to 2026-11-01T00:00:00Z, nothing of"):
            collect(
                experiment(analysis=FROM), RecordingSource(path), Store(tmp_path / "x.duckdb"), now_ms=START + 9_000
            )

    def test_an_unknown_metric_before_anything_is_read(self, tmp_path: Path) -> None:
        with pytest.raises(QueryError, match="convertion"):
            pull(Store(tmp_path / "x.duckdb"), [], 900, experiment(metrics=["convertion"]))

    def test_a_metric_that_is_added_later_is_read_from_the_start(self, tmp_path: Path) -> None:
        both = [ticking(-300, 1_800), living(-300, 1_800), _renamed(ticking(-300, 1_800), "ab_exposed_users_total")]
        store, whole = Store(tmp_path / "x.duckdb"), Store(tmp_path / "whole.duckdb")
        pull(store, both[:2], 900)
        pull(store, both, 1_800)
        pull(whole, both, 1_800)
        assert tables(store.path)["facts"] == tables(whole.path)["facts"]
        assert tables(store.path)["increments"] == tables(whole.path)["increments"]

    def test_progress_is_told(self, tmp_path: Path) -> None:
        told: list[tuple[str, int, int]] = []
        source = MemorySource([ticking(0, 60)])
        collect(
            experiment(analysis=FROM),
            source,
            Store(tmp_path / "x.duckdb"),
            now_ms=START + 60_000,
            progress=lambda *step: told.append(step),
        )
        assert [step[1:] for step in told] == [(0, 2), (1, 2), (2, 2)]
        assert told[0][0] == 'c_total{ab_experiment="x"}'


def _renamed(series: Series, name: str) -> Series:
    return Series(dict(series.labels) | {"__name__": name}, series.points)


class TestChangesOfTheFile:
    def test_versions_that_change_sides(self, tmp_path: Path) -> None:
        series = [
            Series(
                {k: v for k, v in ticking(-300, 9_000).labels.items() if k != "ab_variant"} | {"version": "v1"},
                each.points,
            )
            for each in [ticking(-300, 9_000)]
        ]
        store, whole = Store(tmp_path / "x.duckdb"), Store(tmp_path / "whole.duckdb")
        swapped = experiment(variants={"control": "v2", "treatment": "v1"}, analysis=FROM)
        pull(store, [_until(each, 8_000) for each in series], 8_000)
        pull(store, series, 9_000, swapped)
        pull(whole, series, 9_000, swapped)
        assert tables(store.path)["facts"] == tables(whole.path)["facts"]
        assert {row[0] for row in rows(store, "SELECT variant FROM facts")} == {"treatment"}

    def test_a_ramp_that_is_written_down_afterwards(self, tmp_path: Path) -> None:
        series = [ticking(-300, 9_000)]
        ramp = [
            {"from": "2026-11-01", "split": {"control": 9000, "treatment": 1000}},
            {"from": "2026-11-01T00:05:10Z", "split": {"control": 5000, "treatment": 5000}},
        ]
        store, whole = Store(tmp_path / "x.duckdb"), Store(tmp_path / "whole.duckdb")
        pull(store, [_until(each, 8_000) for each in series], 8_000)
        pull(store, series, 9_000, experiment(ramp=ramp, analysis=FROM))
        pull(whole, series, 9_000, experiment(ramp=ramp, analysis=FROM))
        assert tables(store.path)["facts"] == tables(whole.path)["facts"]
        assert tables(store.path)["weights"] == tables(whole.path)["weights"]

    def test_a_split_that_changes_between_pulls(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "x.duckdb")
        series = [ticking(-300, 1_800)]
        pull(store, series, 600)
        other = experiment(
            variants={"control": {"version": "v1", "weight": 9_000}, "treatment": {"version": "v2", "weight": 1_000}},
            analysis=FROM,
        )
        pull(store, series, 905, other)
        before, changed = START + 600 * SECOND, START + 905 * SECOND
        expected = (
            Weight(START, before, "control", 5_000),
            Weight(START, before, "treatment", 5_000),
            Weight(before, changed, "control", 9_000, "unknown"),
            Weight(before, changed, "treatment", 1_000, "unknown"),
            Weight(changed, None, "control", 9_000),
            Weight(changed, None, "treatment", 1_000),
        )
        assert store.weights("x") == expected
        pull(store, series, 1_800, other)
        assert store.weights("x") == expected
        edges = {edge for row in rows(store, "SELECT start_ms, end_ms FROM facts") for edge in row}
        assert changed in edges

    def test_a_technical_metric_that_joins(self, tmp_path: Path) -> None:
        series = [ticking(-300, 9_000, ab_replicate="3")]
        store = Store(tmp_path / "x.duckdb")
        pull(store, series, 8_000)
        assert rows(store, "SELECT DISTINCT instance FROM facts") == [("",)]
        more = {"name": "d", "kind": "rate", "direction": "none", "scope": "technical"}
        more["numerator"] = 'c_total{ab_experiment="$experiment"}'
        own = {"name": "c", "kind": "rate", "direction": "none", "numerator": more["numerator"]}
        pull(store, series, 9_000, experiment(metrics=[own, more], analysis=FROM))
        assert rows(store, "SELECT DISTINCT instance FROM facts") == [("a",)]


class TestQuality:
    def test_everything_that_can_be_wrong(self, tmp_path: Path) -> None:
        points = [(t, v) for t, v in ticking(-300, 900).points if not 100 < (t - START) / SECOND < 200]
        gappy = Series(ticking(-300, 900).labels, points)
        series = [
            gappy,
            living(-300, 900),
            ticking(-300, 900, ab_variant="nobody"),
            ticking(-300, 900, ab_replicate="32"),
            ticking(-300, 900, ab_replicate="x"),
            ticking(450, 900, instance="new"),
        ]
        report = pull(Store(tmp_path / "x.duckdb"), series, 900)
        quality = report.quality
        assert quality.scrape_interval_ms == 15_000
        assert quality.targets == 2
        assert quality.gaps == 1
        assert quality.resets == 0
        assert quality.unseen_births == 1
        assert quality.targets_without_start == 1
        assert quality.unmatched_series == {"nobody": 1}
        assert quality.bad_replicates == {"32": 1, "x": 1}
        assert quality.missing_variants == ("treatment",)
        assert quality.empty_inputs == ("exposed-users/numerator",)
        assert Store(tmp_path / "x.duckdb").quality("x") == quality
        found = quality_of(quality, experiment())
        assert found.status == "invalid"
        assert len(found.findings) == 7
        assert "treatment" in found.findings[0].message

    def test_all_is_well(self, tmp_path: Path) -> None:
        good = [ticking(-300, 900), ticking(-300, 900, ab_variant="treatment"), living(-300, 900)]
        good += [_renamed(each, "ab_exposed_users_total") for each in good[:2]]
        report = pull(Store(tmp_path / "x.duckdb"), good, 900)
        assert quality_of(report.quality, experiment()) == QualityModel(status="ok", scrape_interval_ms=15_000)

    def test_what_the_server_said(self, tmp_path: Path) -> None:
        source = MemorySource([ticking(0, 60)], warnings=("partial answer",))
        report = collect(experiment(analysis=FROM), source, Store(tmp_path / "x.duckdb"), now_ms=START + 60_000)
        assert report.quality.warnings == ("partial answer",)
