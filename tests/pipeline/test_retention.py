"""Samples are dropped after a while; facts stay, and what comes later is counted as if nothing had been dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from abkit.errors import InputError
from abkit.pipeline.collect import collect
from abkit.spec import Experiment
from abkit.store import SHORTEST_KEPT_MS, Store, check
from tests.pipeline.pulls import moment, pull
from tests.sources.data import MemorySource, Series
from tests.store.rows import START, counter, experiment, process, rows, tables, ticking

DAY = 86_400
EVERY = 240
DAYS = 8
HELD = {"name": "held", "kind": "gauge", "direction": "none", "value": 'held{ab_experiment="$experiment"}'}


def spec(**more: Any) -> Experiment:
    return experiment(**({"analysis": {"start": "2026-11-01"}, "metrics": [_rate("c"), HELD]} | more))


def world() -> list[Series]:
    """Long silence across a restart, a birth, resets, and a process that is found anew."""
    end = DAYS * DAY
    starts = [(0.0, -9_999.0), (2 * DAY, 2.0 * DAY - 5), (6.5 * DAY, 6.5 * DAY - 5)]
    lives = [(second, max(value for at, value in starts if at <= second)) for second in range(0, end, EVERY)]
    silent = [(float(second), 100.0 + second) for second in (*range(0, DAY, EVERY), *range(6 * DAY, end, EVERY))]
    falling = [(float(second), float(second % (DAY // 2))) for second in range(0, end, EVERY)]
    held = counter([(float(second), float(second % 977) - 300) for second in range(0, end, EVERY)])
    return [
        process(lives),
        ticking(0, end, EVERY, ab_replicate="0"),
        counter(silent, ab_replicate="1"),
        ticking(5 * DAY, end, EVERY, ab_replicate="2"),
        counter(falling, instance="b", ab_variant="treatment"),
        process([(second, -9_999.0) for second in range(0, end, EVERY)], "b"),
        Series({**held.labels, "__name__": "held"}, held.points),
    ]


def pulled(path: Path, keep_ms: int | None, step: int = 16 * 3_600) -> Store:
    store = Store(path, keep_ms=keep_ms)
    for now in range(step, DAYS * DAY + 1, step):
        pull(store, world(), now, spec())
    return store


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    """A store that keeps three days, and one that keeps everything."""
    folder = tmp_path_factory.mktemp("retention")
    return pulled(folder / "short.duckdb", SHORTEST_KEPT_MS), pulled(folder / "long.duckdb", None)


@pytest.fixture
def short(both: tuple[Store, Store], tmp_path: Path) -> Store:
    (tmp_path / "x.duckdb").write_bytes(both[0].path.read_bytes())
    return Store(tmp_path / "x.duckdb", keep_ms=SHORTEST_KEPT_MS)


HORIZON = moment((DAYS - 3) * DAY)


class TestDropped:
    def test_facts_are_those_of_a_store_that_keeps_everything(self, both: tuple[Store, Store]) -> None:
        short, long = both
        assert tables(short.path)["facts"] == tables(long.path)["facts"]
        assert short.totals("x", _whole(short)).equals(long.totals("x", _whole(long)))

    def test_increments_from_the_horizon_on_are_too(self, both: tuple[Store, Store]) -> None:
        found, wanted = (
            rows(store, "SELECT series, previous_ts, ts, increment FROM increments ORDER BY ALL") for store in both
        )
        assert found == [row for row in wanted if row[2] >= HORIZON]
        assert 0 < len(found) < 0.6 * len(wanted)

    def test_samples_are_few_and_bounded(self, both: tuple[Store, Store]) -> None:
        short, long = (rows(store, "SELECT ts FROM samples") for store in both)
        old = [ts for (ts,) in short if ts < HORIZON - 3_600_000]
        # The last of each series, and both sides of a restart.
        assert 0 < len(old) <= 12
        assert len(short) < len(long) / 2

    def test_when_series_were_there_is_known_still(self, both: tuple[Store, Store]) -> None:
        short, long = (store.known("x").series for store in both)
        assert short == long

    def test_the_store_is_sound(self, both: tuple[Store, Store]) -> None:
        assert check(both[0].path, wait=1).faults == ()

    def test_one_large_pull_leaves_the_same_facts(self, both: tuple[Store, Store], tmp_path: Path) -> None:
        once = pulled(tmp_path / "once.duckdb", SHORTEST_KEPT_MS, DAYS * DAY)
        assert tables(once.path)["facts"] == tables(both[1].path)["facts"]


class TestLater:
    def test_the_same_pull_again_changes_nothing(self, short: Store) -> None:
        before = tables(short.path)
        pull(short, world(), DAYS * DAY, spec())
        assert tables(short.path) == before

    def test_a_metric_that_is_added_is_read_from_the_start(self, short: Store, tmp_path: Path) -> None:
        more = spec(metrics=[_rate("c"), HELD, _rate("d")])
        series = [*world(), *(_renamed(each) for each in world() if each.labels["__name__"] == "c_total")]
        collect(more, MemorySource(series), short, now_ms=moment(DAYS * DAY))
        wanted = Store(tmp_path / "new.duckdb")
        collect(more, MemorySource(series), wanted, now_ms=moment(DAYS * DAY))
        assert tables(short.path)["facts"] == tables(wanted.path)["facts"]
        assert check(short.path, wait=1).faults == ()

    def test_reading_again_what_was_dropped_is_refused(self, short: Store) -> None:
        before = tables(short.path)
        with pytest.raises(InputError, match=r"dropped .retention.* --start of 2026-11-06T00:05:00Z or later"):
            pull(short, world(), DAYS * DAY, spec(), start=DAY)
        assert tables(short.path) == before
        pull(short, world(), DAYS * DAY, spec(), start=(DAYS - 3) * DAY + 300)
        assert tables(short.path) == before

    def test_counting_what_was_dropped_otherwise_is_refused(self, short: Store) -> None:
        before = tables(short.path)
        swapped = spec(variants={"other": "v1", "treatment": "v2"})
        with pytest.raises(InputError, match=r"series are counted otherwise .* name of its own"):
            pull(short, world(), DAYS * DAY, swapped)
        assert tables(short.path) == before

    def test_a_pre_period_that_is_asked_for_too_late_changes_nothing(self, short: Store) -> None:
        before = tables(short.path)["facts"]
        late = spec(analysis={"start": "2026-11-01", "pre-period": "2d"})
        pull(short, world(), DAYS * DAY, late)
        assert tables(short.path)["facts"] == before

    def test_edges_of_the_analysis_that_move_after_the_horizon(self, short: Store, tmp_path: Path) -> None:
        moved = spec(analysis={"start": "2026-11-01", "end": "2026-11-07T12:30:30Z"})
        pull(short, world(), DAYS * DAY, moved)
        wanted = Store(tmp_path / "new.duckdb")
        pull(wanted, world(), DAYS * DAY, spec())
        pull(wanted, world(), DAYS * DAY, moved)
        assert tables(short.path)["facts"] == tables(wanted.path)["facts"]


def _rate(name: str) -> dict[str, str]:
    numerator = f'{name}_total{{ab_experiment="$experiment"}}'
    return {"name": name, "kind": "rate", "direction": "none", "numerator": numerator}


def _renamed(series: Series) -> Series:
    return Series({**series.labels, "__name__": "d_total"}, series.points)


def _whole(store: Store) -> Any:
    span = store.span("x")
    assert span is not None
    assert span.start_ms == START
    return span
