"""What is asked of a source, and in what portions; what is brought up to date where nothing is to be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abkit.errors import SourceUnreachable
from abkit.pipeline import collect as collecting
from abkit.pipeline.collect import PullReport, collect
from abkit.sources.base import Samples
from abkit.sources.recording import RecordingSource
from abkit.spec import Experiment
from abkit.store import Store
from abkit.window import Window
from tests.sources.data import MemorySource, Series, write_recording
from tests.store.rows import START, counter, differences, experiment, living, process, rows, tables, ticking

FROM = {"start": "2026-11-01"}
HOUR = 3_600


def pull(store: Store, series: list[Series], now: float, spec: Experiment | None = None) -> PullReport:
    return collect(spec or experiment(analysis=FROM), MemorySource(series), store, now_ms=START + round(now * 1_000))


def until(series: Series, now: float) -> Series:
    return Series(series.labels, [point for point in series.points if point[0] < START + now * 1_000])


def exposed(start: float, end: float) -> Series:
    each = ticking(start, end)
    return Series(dict(each.labels) | {"__name__": "ab_exposed_users_total"}, each.points)


class TestProcessStarts:
    def test_of_no_other_target(self, tmp_path: Path) -> None:
        # A job can be a whole cluster; and job and instance can be paired in other ways.
        foreign = [living(-300, 900, instance=f"other-{k}") for k in range(5)]
        foreign.append(Series(dict(living(-300, 900).labels) | {"job": "b"}, living(-300, 900).points))
        ours = [ticking(-300, 900), living(-300, 900), ticking(-300, 900, job="b", instance="z")]
        source = MemorySource(ours + foreign)
        store = Store(tmp_path / "x.duckdb")
        report = collect(experiment(analysis=FROM), source, store, now_ms=START + 900_000)
        assert source.asked[-1][0] == 'process_start_time_seconds{job=~"b|shop",instance=~"a|z"}'
        assert (report.series, report.quality.targets) == (3, 2)
        assert rows(store, "SELECT target FROM series WHERE input = 'process-start'") == [("shop|a",)]

    def test_in_requests_of_bounded_size(self, tmp_path: Path) -> None:
        series = [
            each for k in range(230) for each in (ticking(0, 60, instance=f"i{k}"), living(0, 60, instance=f"i{k}"))
        ]
        source = MemorySource(series)
        report = collect(experiment(analysis=FROM), source, Store(tmp_path / "x.duckdb"), now_ms=START + 60_000)
        asked = [selector for selector, _ in source.asked if selector.startswith("process_start")]
        assert len(asked) == 3
        assert report.quality.targets_without_start == 0

    def test_a_restart_while_a_target_shows_no_counter(self, tmp_path: Path) -> None:
        # It restarts at 1,000 s and shows nothing until 5,000 s; another target moves the watermark meanwhile.
        silent = counter([(-15.0, 0.0), (0.0, 5.0), (600.0, 5.0), (5_010.0, 7.0)])
        alive = process([(second, -9_999.0 if second < 1_000 else 1_000.0) for second in range(-300, 2 * HOUR, 15)])
        series = [silent, alive, ticking(-300, 2 * HOUR, instance="b"), living(-300, 2 * HOUR, instance="b")]
        once, often = Store(tmp_path / "once.duckdb"), Store(tmp_path / "often.duckdb")
        pull(once, series, 2 * HOUR)
        for now in (900, 2_000, 4_000, 2 * HOUR):
            pull(often, [until(each, now) for each in series], now)
        assert differences(once.path, often.path).keys() <= {"watermarks"}
        assert sum(row[0] for row in rows(once, "SELECT flags & 1 FROM increments")) == 1

    def test_of_a_target_that_shows_its_first_counter_late(self, tmp_path: Path) -> None:
        series = [ticking(-300, 2 * HOUR), living(-300, 2 * HOUR), living(-300, 2 * HOUR, instance="b")]
        series.append(ticking(5_000, 2 * HOUR, instance="b"))
        once, often = Store(tmp_path / "once.duckdb"), Store(tmp_path / "often.duckdb")
        pull(once, series, 2 * HOUR)
        for now in (900, 4_000, 5_500, 2 * HOUR):
            pull(often, [until(each, now) for each in series], now)
        assert differences(once.path, often.path).keys() <= {"watermarks"}


class TestNothingToRead:
    LONG = FROM | {"end": "2026-11-02T00:00:00Z"}
    SHORT = FROM | {"end": "2026-11-01T00:30:30Z"}

    def test_an_end_that_moves_back(self, tmp_path: Path) -> None:
        series = [ticking(-300, 2 * HOUR), living(-300, 2 * HOUR), exposed(-300, 2 * HOUR)]
        store, whole = Store(tmp_path / "x.duckdb"), Store(tmp_path / "whole.duckdb")
        before = pull(store, series, 2 * HOUR, experiment(analysis=self.LONG))
        spec = experiment(analysis=self.SHORT, variants={"control": "v1", "treatment": "v3"})
        report = pull(store, series, 2 * HOUR + 60, spec)
        end = START + 2 * HOUR * 1_000
        assert (report.samples, report.window) == (0, Window(end, end))
        assert report.quality.targets == before.quality.targets == 1
        # The new end cuts a cell in two.
        pull(whole, series, 2 * HOUR, experiment(analysis=FROM | {"end": "2026-11-01T00:30:30Z"}))
        cut = Window(START, START + 1_830_000)
        assert store.totals("x", cut).equals(whole.totals("x", cut))
        assert store.totals("x", cut)["total"].to_pylist() == [3.0 * 1_830 / 15] * 2
        assert (START + 1_830_000,) in rows(store, "SELECT at_ms FROM cuts")

    def test_of_a_recording_too(self, tmp_path: Path) -> None:
        path = write_recording([ticking(0, HOUR)], tmp_path / "x.parquet", Window(START, START + HOUR * 1_000))
        store = Store(tmp_path / "x.duckdb")
        for analysis in (self.LONG, self.SHORT):
            source = RecordingSource(path)
            collect(experiment(analysis=analysis), source, store, now_ms=START + 2 * HOUR * 1_000)
        assert (START + 1_830_000,) in rows(store, "SELECT at_ms FROM cuts")

    def test_a_metric_that_is_added_then_is_read_alone(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "x.duckdb")
        pull(store, [ticking(-300, 2 * HOUR)], 2 * HOUR, experiment(analysis=self.LONG))
        source = MemorySource([ticking(-300, 2 * HOUR), exposed(0, 15)])
        report = collect(experiment(analysis=self.SHORT), source, store, now_ms=START + 2 * HOUR * 1_000)
        assert next(selector.split("{")[0] for selector, _ in source.asked) == "ab_exposed_users_total"
        assert all(window.length_ms > 0 for _, window in source.asked)
        assert report.window == Window(START, START + 1_830_000)


class TestSlices:
    def series(self) -> list[Series]:
        found = []
        for k in range(4):
            found += [ticking(-300, 4 * HOUR, instance=f"i{k}"), living(-300, 4 * HOUR, instance=f"i{k}")]
        return [
            *found,
            ticking(2 * HOUR, 4 * HOUR, instance="late"),
            counter([(3 * HOUR, 7.0)], "i0", ab_replicate="1"),
        ]

    @pytest.mark.parametrize("most", [700, 3_000, 6_000])
    def test_the_same_rows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        whole, sliced = Store(tmp_path / "whole.duckdb"), Store(tmp_path / "sliced.duckdb")
        once = pull(whole, self.series(), 4 * HOUR)
        monkeypatch.setattr(collecting, "_MOST_SAMPLES", most)
        often = pull(sliced, self.series(), 4 * HOUR)
        assert len(rows(sliced, "SELECT * FROM pulls")) > 1
        assert differences(whole.path, sliced.path).keys() <= {"watermarks"}
        assert (often.window, often.new_samples, often.series) == (once.window, once.new_samples, once.series)
        assert often.quality == once.quality

    def test_no_more_is_held(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(collecting, "_MOST_SAMPLES", 3_000)
        store = Store(tmp_path / "x.duckdb")
        pull(store, self.series(), 4 * HOUR)
        assert max(row[0] for row in rows(store, "SELECT samples FROM pulls")) <= 3_000

    def test_again_over_what_is_stored(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = Store(tmp_path / "x.duckdb")
        pull(store, self.series(), 4 * HOUR)
        before = tables(store.path)
        monkeypatch.setattr(collecting, "_MOST_SAMPLES", 3_000)
        source = MemorySource(self.series())
        end = START + 4 * HOUR * 1_000
        report = collect(experiment(analysis=FROM), source, store, start_ms=START, end_ms=end, now_ms=end)
        assert (report.window, report.new_samples) == (Window(START, end), 0)
        assert tables(store.path) == before

    def test_a_split_that_changed_before(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shares = {"control": {"version": "v1", "weight": 9_000}, "treatment": {"version": "v2", "weight": 1_000}}
        weights = []
        for most in (10**9, 3_000):
            store = Store(tmp_path / f"{most}.duckdb")
            pull(store, [until(each, 600) for each in self.series()], 600)
            monkeypatch.setattr(collecting, "_MOST_SAMPLES", most)
            pull(store, self.series(), 4 * HOUR, experiment(analysis=FROM, variants=shares))
            weights.append(store.weights("x"))
        assert weights[0] == weights[1]

    def test_what_was_written_before_a_failure_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Breaking(MemorySource):
            def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
                if window.start_ms > START + 2 * HOUR * 1_000:
                    msg = "gone"
                    raise SourceUnreachable(msg)
                yield from super().fetch(selector, window)

        monkeypatch.setattr(collecting, "_MOST_SAMPLES", 3_000)
        store, whole = Store(tmp_path / "x.duckdb"), Store(tmp_path / "whole.duckdb")
        with pytest.raises(SourceUnreachable):
            collect(experiment(analysis=FROM), Breaking(self.series()), store, now_ms=START + 4 * HOUR * 1_000)
        assert rows(store, "SELECT count(*) FROM increments") != [(0,)]
        pull(store, self.series(), 4 * HOUR)
        pull(whole, self.series(), 4 * HOUR)
        assert differences(store.path, whole.path).keys() <= {"watermarks"}
