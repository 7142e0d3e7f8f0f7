"""An hour that is out of line is found, and an ordinary one is not."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from abkit import spec
from abkit.evidence import Evaluation, StatusCode
from abkit.simulate import HOUR, Simulation, run
from tests.pipeline.test_periods import DAY, SPEC, START, WORLD
from tests.worlds import Pulled, stored

BAD = START + 3 * DAY + 5 * HOUR
"""Start of the hour in which the control sold three times as much."""


def burst(simulation: Simulation) -> Simulation:
    samples = simulation.samples
    values = samples.values.copy()
    for index, labels in enumerate(samples.labels):
        if labels["__name__"] == "ab_purchases_total" and (labels["ab_variant"], labels["version"]) == (
            "control",
            "v1",
        ):
            values[(samples.series == index) & (samples.timestamps >= BAD)] += 8
    return replace(simulation, samples=replace(samples, values=values))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Pulled:
    return stored(tmp_path_factory.mktemp("anomaly"), burst(run(WORLD)), SPEC)


@pytest.fixture(scope="module")
def evaluation(world: Pulled) -> Evaluation:
    return world.evaluate()


def test_the_hour_is_found_in_its_variant_and_no_other(evaluation: Evaluation) -> None:
    found = [(row.metric, row.variant, row.at) for row in evaluation.anomalies]
    assert found == [("conversion", "control", datetime.fromtimestamp(BAD / 1000, UTC))]
    (row,) = evaluation.anomalies
    assert row.low < row.expected < row.high < row.value


def test_every_series_says_whether_it_was_judged(evaluation: Evaluation) -> None:
    checks = {(check.metric, check.variant): check for check in evaluation.anomaly_checks}
    assert {key: check.hours for key, check in checks.items() if key[0] == "conversion"} == {
        ("conversion", "control"): 120,
        ("conversion", "treatment"): 120,
    }
    few = checks["error-rate", "treatment"]
    assert few.status.code is StatusCode.TOO_FEW
    assert "events in the median hour" in few.status.reason
    assert few.hours == 0


def test_ordinary_weeks_have_no_bad_hours(tmp_path: Path) -> None:
    found = []
    for seed in range(20, 22):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found.append(len(stored(folder, run(replace(WORLD, seed=seed)), SPEC).evaluate().anomalies))
    # Three series each, at a chance of 1 % of any false hour.
    assert found == [0, 0]


def test_without_statsmodels_the_verdict_stands_and_the_remedy_is_said(
    world: Pulled, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.tsa.seasonal", None)
    without = world.evaluate()
    assert (without.verdict, without.metrics) == (evaluation.verdict, evaluation.metrics)
    assert without.anomalies == ()
    conversion = [check for check in without.anomaly_checks if check.metric == "conversion"]
    assert {check.status.code for check in conversion} == {StatusCode.UNAVAILABLE}
    assert "pip install" in conversion[0].status.reason


def test_too_short_a_past(world: Pulled) -> None:
    text = SPEC.replace("history: 8d", "history: 1h").replace("mde", "end: 2026-11-02, mde")
    evaluation = replace(world, experiment=spec.loads(text)).evaluate()
    conversion = [check for check in evaluation.anomaly_checks if check.metric == "conversion"]
    assert {check.status.code for check in conversion} == {StatusCode.TOO_FEW}
    assert "analysis.history" in conversion[0].status.reason


def test_series_are_not_nan(evaluation: Evaluation) -> None:
    numbers = [value for row in evaluation.anomalies for value in (row.value, row.expected, row.low, row.high)]
    assert np.isfinite(numbers).all()
