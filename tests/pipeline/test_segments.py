"""Segments: a difference that is there is found, one that isn't is not claimed, and no verdict rests on either."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from abkit import spec
from abkit.evidence import Evaluation, StatusCode
from abkit.pipeline.segments import Segmented, segmented
from abkit.queries import resolve, resolve_segments
from abkit.simulate import (
    HOUR,
    MINUTE,
    Arm,
    Effects,
    Pod,
    SampleColumns,
    Shop,
    Simulation,
    Users,
    World,
    labels_text,
    run,
)
from tests.pipeline.buckets import Row, totals
from tests.pipeline.people import Crowd
from tests.worlds import Pulled, stored

SPEC = """\
metadata: {name: buy-now}
service: {name: my-service, namespace: shop}
variants: {control: {version: v1}, treatment: {version: v2}}
metrics: {primary: [conversion], guardrails: [error-rate], secondary: [click-rate]}
analysis: {start: 2026-11-01, mde: 0.2}
"""
DEVICES = SPEC.replace("mde", "segments: [{label: device, values: [mobile, desktop, tablet]}], mde")
START = World(experiment="x").start_ms


def device(name: str, number: int, lift: float) -> Simulation:
    """A world of users of one device, on pods of their own."""
    pods = tuple(Pod(f"{name}-{version}", version, f"10.{number}.{version[1]}.1:80") for version in ("v1", "v2"))
    found = run(
        World(
            experiment="buy-now",
            seed=number,
            users=Users(count=4_000, views=25.0),
            start_ms=START,
            end_ms=START + 6 * HOUR,
            scrape_interval_ms=5 * MINUTE,
            arms=(Arm("control", "v1", 5_000), Arm("treatment", "v2", 5_000, Effects(conversion=lift))),
            shop=Shop(conversion=0.1, conversion_users=60.0),
            pods=pods,
        )
    )
    return replace(found, samples=replace(found.samples, labels=tuple(marked(x, name) for x in found.samples.labels)))


def marked(labels: Any, name: str) -> dict[str, str]:
    return {**labels, "device": name} if labels["__name__"].startswith("ab_") else dict(labels)


def together(*worlds: Simulation) -> Simulation:
    """The samples of several worlds, in one."""
    labels = [labels for world in worlds for labels in world.samples.labels]
    offsets = np.cumsum([0, *(len(world.samples.labels) for world in worlds)])
    series = np.concatenate([world.samples.series + offsets[n] for n, world in enumerate(worlds)])
    times, values = (
        np.concatenate([getattr(world.samples, name) for world in worlds]) for name in ("timestamps", "values")
    )
    rank = np.argsort(np.argsort([labels_text(each) for each in labels], kind="stable"), kind="stable")
    place = rank[series]
    order = np.lexsort((times, place))
    samples = SampleColumns(
        tuple(labels[index] for index in np.argsort(rank)), place[order].astype(np.int32), times[order], values[order]
    )
    return replace(worlds[0], samples=samples)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Pulled:
    both = together(device("mobile", 1, 0.5), device("desktop", 2, -0.3))
    return stored(tmp_path_factory.mktemp("devices"), both, DEVICES)


class TestFromTheStore:
    def test_each_segment_covers_its_own_truth(self, world: Pulled) -> None:
        evaluation = world.evaluate()
        found = {(row.metric, row.segment): row for row in evaluation.segments}
        for name, truth in (("mobile", 0.5), ("desktop", -0.3)):
            row = found["conversion", name]
            assert row.lift_ci is not None
            low, high = row.lift_ci
            assert (low or 0) <= truth <= (high or 0)
            assert row.p_adjusted is not None
            assert row.p_value is not None
            assert row.p_value <= row.p_adjusted <= 0.05
        assert {row.metric for row in evaluation.segments} == {"conversion", "click-rate"}

    def test_a_value_that_no_series_has_is_no_data_and_said(self, world: Pulled) -> None:
        evaluation = world.evaluate()
        (row,) = [row for row in evaluation.segments if (row.metric, row.segment) == ("conversion", "tablet")]
        assert row.status.code is StatusCode.NO_DATA
        assert 'device="tablet"' in row.status.reason
        assert (row.lift, row.p_value, row.p_adjusted) == (None, None, None)
        (finding,) = [each for each in evaluation.health.data_quality.findings if each.code == "empty-inputs"]
        assert 'conversion{device="tablet"}/numerator' in finding.message

    def test_the_difference_is_found_where_there_is_one(self, world: Pulled) -> None:
        found = {row.metric: row for row in world.evaluate().interactions}
        conversion, clicks = found["conversion"], found["click-rate"]
        assert conversion.p_adjusted is not None
        assert conversion.p_adjusted < 0.001
        assert "goes up where device is mobile" in conversion.reversal
        assert "down where it is desktop" in conversion.reversal
        assert clicks.p_adjusted is not None
        assert clicks.p_adjusted > 0.05
        assert clicks.reversal == ""
        assert "Hotelling" in conversion.method

    def test_nothing_but_the_segments_changes(self, world: Pulled) -> None:
        plain = replace(world, experiment=spec.loads(SPEC)).evaluate()
        evaluation = world.evaluate()
        assert (evaluation.verdict, evaluation.metrics, evaluation.trend) == (plain.verdict, plain.metrics, plain.trend)
        assert evaluation.split == plain.split
        assert evaluation.health.srm == plain.health.srm
        assert Evaluation.from_json(evaluation.to_json()) == evaluation

    def test_the_parts_add_up_to_the_whole(self, world: Pulled) -> None:
        segments, span = resolve_segments(world.experiment), world.store.span("buy-now")
        assert span is not None
        table = world.store.totals("buy-now", span)
        sums = dict(
            zip(
                *(
                    table.group_by("input").aggregate([("total", "sum")])[name].to_pylist()
                    for name in ("input", "total_sum")
                ),
                strict=True,
            )
        )
        whole = {row.metric: row for row in world.evaluate().metrics}["conversion"]
        assert whole.status.code is StatusCode.OK
        of = [segment for segment in segments if segment.of == "conversion"]
        for role in of[0].metric.inputs:
            own = next(m for m in resolve(world.experiment) if m.name == "conversion").inputs[role].id
            assert sum(sums.get(segment.metric.inputs[role].id, 0.0) for segment in of) == sums[own]


TWO = spec.loads(DEVICES.replace(", tablet", "").replace("guardrails: [error-rate], secondary: [click-rate]", ""))
CHOSEN = resolve_segments(TWO)


def split(seed: int, lifts: tuple[float, float], epochs: int = 1, users: int = 4_000) -> Segmented:
    """Users with two devices each, of which one is used more; the same users in both segments."""
    crowd = Crowd(seed, users)
    rows: list[Row] = []
    for segment, lift in zip(CHOSEN, lifts, strict=True):
        ids = {role: data.id for role, data in segment.metric.inputs.items()}
        for epoch in range(epochs):
            rows += crowd.rows(ids, 6.0 / epochs, lift, epoch=epoch)
    return segmented(TWO, CHOSEN, totals(rows))


class TestMonteCarlo:
    @pytest.mark.parametrize("epochs", [1, 2])
    def test_none_is_found_where_there_is_none(self, epochs: int) -> None:
        found = [split(seed, (0.2, 0.2), epochs) for seed in range(150)]
        p_values = np.array([each.interactions[0].p_value for each in found], dtype=float)
        assert (p_values <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p_values))
        assert not any(each.interactions[0].reversal for each in found)

    def test_one_is_found_where_there_is_one(self) -> None:
        p_values = np.array([split(seed, (0.5, -0.2)).interactions[0].p_value for seed in range(20)], dtype=float)
        assert (p_values <= 0.05).mean() >= 0.8

    def test_under_a_ramp_segments_are_stratified_like_the_whole(self) -> None:
        (interaction,) = split(1, (0.0, 0.0), epochs=2).interactions
        assert interaction.method.startswith("Cochran")

    def test_false_winners_among_segments(self) -> None:
        # At any time: fewer than a twentieth of the worlds without any effect have a segment that stands out.
        worlds = [split(seed, (0.0, 0.0)) for seed in range(100)]
        false = [any((row.p_adjusted or 1.0) <= 0.05 for row in world.results) for world in worlds]
        assert np.mean(false) <= 0.05


def test_one_segment_with_data_is_no_test() -> None:
    ids = {role: data.id for role, data in CHOSEN[0].metric.inputs.items()}
    found = segmented(TWO, CHOSEN, totals(Crowd(1).rows(ids, 6.0)))
    (interaction,) = found.interactions
    assert interaction.status.code is StatusCode.TOO_FEW
    assert (interaction.p_value, interaction.p_adjusted) == (None, None)
    assert [row.status.code for row in found.results] == [StatusCode.OK, StatusCode.NO_DATA]


def test_with_a_pre_period_segments_are_adjusted_like_the_whole() -> None:
    given = spec.loads(
        DEVICES.replace(", tablet", "")
        .replace("mde", "pre-period: 7d, mde")
        .replace("guardrails: [error-rate], secondary: [click-rate]", "")
    )
    crowd = Crowd(1, 4_000)
    rows, before = [], []
    for segment in CHOSEN:
        ids = {role: data.id for role, data in segment.metric.inputs.items()}
        rows += crowd.rows(ids, 40.0)
        before += crowd.rows(ids, 40.0)
    plain, found = segmented(given, CHOSEN, totals(rows)), segmented(given, CHOSEN, totals(rows), totals(before))
    for one, other in zip(plain.results, found.results, strict=True):
        assert one.lift_ci is not None
        assert other.lift_ci is not None
        assert (other.lift_ci[1] or 0) - (other.lift_ci[0] or 0) < 0.8 * ((one.lift_ci[1] or 0) - (one.lift_ci[0] or 0))
    assert found.interactions[0].method.startswith("Cochran")
