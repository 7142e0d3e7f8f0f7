"""Now and earlier: the same hours, the same people, and the window is the window."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from abkit import spec
from abkit.evidence import Evaluation, PeriodChange, StatusCode
from abkit.pipeline.collect import collect
from abkit.pipeline.evaluate import evaluate
from abkit.pipeline.periods import period_changes, periods_of
from abkit.queries import resolve
from abkit.simulate import HOUR, MINUTE, Arm, Effects, Gap, Pod, Shop, Users, World, run
from abkit.simulate.recording import write_recording
from abkit.sources.recording import RecordingSource
from abkit.spec import Role
from abkit.store import Store
from abkit.window import Window
from tests.worlds import Pulled, pulled

DAY = 24 * HOUR
START = World(experiment="x").start_ms
SPEC = """\
metadata: {name: buy-now}
service: {name: my-service, namespace: shop}
variants: {control: {version: v1}, treatment: {version: v2}}
metrics: {primary: [conversion], guardrails: [error-rate, latency-p99]}
assignment: {replicates: 16}
analysis: {start: 2026-11-01, history: 8d, mde: 0.2}
"""
WORLD = World(
    experiment="buy-now",
    seed=2,
    replicates=16,
    users=Users(count=3_000, views=100.0, residents=1.0),
    start_ms=START,
    end_ms=START + 5 * DAY,
    lead_ms=8 * DAY + HOUR,
    pre_ms=8 * DAY,
    scrape_interval_ms=HOUR,
    arms=(Arm("control", "v1", 5_000), Arm("treatment", "v2", 5_000, Effects(conversion=0.3))),
    shop=Shop(conversion=0.1),
    pods=(Pod("a", "v1", "10.0.0.1:80"), Pod("b", "v2", "10.0.0.2:80")),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Pulled:
    return pulled(tmp_path_factory.mktemp("history"), WORLD, SPEC)


def change(evaluation: Evaluation, variant: str, against: str, metric: str = "conversion") -> PeriodChange:
    (found,) = [
        row for row in evaluation.periods if (row.metric, row.variant, row.against) == (metric, variant, against)
    ]
    return found


def rate(world: Pulled, variant: str, window: Window) -> float:
    """Conversion of a time by another way: the store's plain totals."""
    inputs = resolve(world.experiment)[0].inputs
    table = world.store.totals("buy-now", window, inputs={data.id for data in inputs.values()}).to_pylist()
    sums = {
        role: sum(row["total"] for row in table if (row["input"], row["variant"]) == (data.id, variant))
        for role, data in inputs.items()
    }
    return float(sums[Role.NUMERATOR] / sums[Role.DENOMINATOR])


class TestFromTheStore:
    def test_the_same_hours_a_week_before(self, world: Pulled) -> None:
        evaluation = world.evaluate()
        for variant, effect in (("control", 0.0), ("treatment", 0.3)):
            row = change(evaluation, variant, "last-week")
            assert (row.start, row.end) == (moment(START), moment(START + 5 * DAY))
            assert row.now == pytest.approx(rate(world, variant, Window(START, START + 5 * DAY)))
            assert row.before == pytest.approx(rate(world, variant, Window(START - 7 * DAY, START - 2 * DAY)))
            assert row.change_ci is not None
            low, high = row.change_ci
            assert (low or 0) <= effect <= (high or 0)
            assert row.p_value is not None
            assert (row.p_value < 0.001) == (effect > 0)

    def test_the_time_just_before(self, world: Pulled) -> None:
        row = change(world.evaluate(), "treatment", "last-period")
        assert row.before == pytest.approx(rate(world, "treatment", Window(START - 5 * DAY, START)))

    def test_technical_metrics_by_instance_and_a_version_that_is_new_has_no_past(self, world: Pulled) -> None:
        evaluation = world.evaluate()
        old, new = (change(evaluation, name, "last-week", "error-rate") for name in ("control", "treatment"))
        assert old.before is not None
        assert old.now is not None
        assert new.status.code is StatusCode.NO_DATA
        assert "earlier time" in new.status.reason
        assert "latency-p99" not in {row.metric for row in evaluation.periods}, "no ratio of sums"

    def test_nothing_of_the_history_is_analysed(self, world: Pulled) -> None:
        evaluation, truth = world.evaluate(), world.simulation.truth
        assert evaluation.window.start == moment(START)
        for variant in ("control", "treatment"):
            users = truth.total("ab_exposed_users_total", variant=variant, assignment="hash")
            assert evaluation.health.srm.observed[variant] == users.visible
        assert min(point.at for point in evaluation.trend) > moment(START)
        assert evaluation.epochs == ()
        assert Evaluation.from_json(evaluation.to_json()) == evaluation

    def test_without_a_history_it_is_asked_for_and_not_shown_unasked(self, world: Pulled) -> None:
        given = replace(world, experiment=spec.loads(SPEC.replace("history: 8d, ", "")))
        assert given.evaluate().periods == ()
        asked = evaluate(given.experiment, given.store, against=("last-week",))
        assert {row.against for row in asked.periods} == {"last-week"}
        assert change(asked, "control", "last-week") == change(world.evaluate(), "control", "last-week")

    def test_the_novelty_of_a_constant_lift(self, world: Pulled) -> None:
        (found,) = world.evaluate().novelty
        assert found.status.code is StatusCode.OK
        assert found.slope_ci is not None
        assert found.early is not None
        assert found.late is not None
        assert 0.1 < found.early < 0.5


def test_hours_that_one_side_misses_count_on_neither(tmp_path: Path) -> None:
    # Prometheus was away for a night, a week before: what came then is at its end.
    away = Gap(START - 6 * DAY + HOUR // 3, START - 6 * DAY + 7 * HOUR + HOUR // 3)
    world = pulled(tmp_path, replace(WORLD, gaps=(away,), end_ms=START + 2 * DAY), SPEC)
    row = change(world.evaluate(), "control", "last-week")
    inputs = resolve(world.experiment)[0].inputs
    ids = {data.id for data in inputs.values()}
    both = world.store.hourly("buy-now", Window(START - 8 * DAY, START + 2 * DAY), ids)
    views, bought = (
        {
            at: sum(
                hours.get(at, 0.0)
                for (data, name, _), hours in both.items()
                if (data, name) == (inputs[role].id, "control")
            )
            for at in range(START - 7 * DAY, START + 2 * DAY, HOUR)
        }
        for role in (Role.DENOMINATOR, Role.NUMERATOR)
    )
    common = [at for at in range(START, START + 2 * DAY, HOUR) if views[at] > 0 and views[at - 7 * DAY] > 0]
    assert len(common) < 48
    assert row.now == pytest.approx(sum(bought[at] for at in common) / sum(views[at] for at in common))
    assert row.now != pytest.approx(rate(world, "control", Window(START, START + 2 * DAY)))


def test_what_the_file_asks_for_later_is_read_later(tmp_path: Path) -> None:
    small = replace(
        WORLD,
        end_ms=START + 4 * HOUR,
        lead_ms=7 * HOUR,
        pre_ms=6 * HOUR,
        scrape_interval_ms=2 * MINUTE,
        users=Users(count=300),
    )
    path = tmp_path / "world.parquet"
    write_recording(run(small), path, "a test's world")
    without = spec.loads(SPEC.replace("history: 8d, ", ""))
    later = spec.loads(SPEC.replace("history: 8d", "history: 6h, pre-period: 2h"))
    stores = {name: Store(tmp_path / f"{name}.duckdb") for name in ("once", "twice", "never")}
    with closing(RecordingSource(path)) as source:
        collect(later, source, stores["once"], now_ms=small.end_ms)
        collect(without, source, stores["never"], now_ms=small.end_ms)
        collect(without, source, stores["twice"], now_ms=small.end_ms - HOUR)
        collect(later, source, stores["twice"], now_ms=small.end_ms)
        report = collect(later, source, stores["twice"], now_ms=small.end_ms)
    whole = Window(START - 6 * HOUR, START + 4 * HOUR)
    assert stores["once"].span("buy-now") == stores["twice"].span("buy-now") == whole
    assert stores["once"].totals("buy-now", whole, HOUR).equals(stores["twice"].totals("buy-now", whole, HOUR))
    # Once it is there it isn't read again.
    assert report.window.start_ms > START
    # And the window's totals are the same with it and without.
    window = Window(START, START + 4 * HOUR)
    first, second = (stores[name].totals("buy-now", window, HOUR).drop_columns("epoch") for name in ("once", "never"))
    assert first.equals(second)
    assert stores["never"].span("buy-now") == window


class TestPeriods:
    def test_a_long_window_has_its_newest_week_compared(self) -> None:
        now, before = periods_of(Window(0, 20 * DAY + 5 * MINUTE), "last-week")
        assert (now.end_ms, now.length_ms) == (20 * DAY + 5 * MINUTE, 7 * DAY)
        assert before == Window(now.start_ms - 7 * DAY, now.start_ms)

    def test_equal_length_in_whole_days(self) -> None:
        now, before = periods_of(Window(30 * DAY, 32 * DAY + 5 * HOUR), "last-period")
        assert now == Window(30 * DAY, 32 * DAY)
        assert before == Window(28 * DAY, 30 * DAY)
        now, before = periods_of(Window(30 * DAY, 30 * DAY + 5 * HOUR + MINUTE), "last-period")
        assert (now.length_ms, before.end_ms) == (5 * HOUR, 30 * DAY)

    def test_a_window_below_an_hour(self, world: Pulled) -> None:
        metrics = resolve(world.experiment)
        assert period_changes(world.experiment, metrics, world.store, Window(START, START + 59 * MINUTE)) == ()


def moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
