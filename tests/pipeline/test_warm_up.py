"""The warm-up counts neither for nor against."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from abkit import spec
from abkit.evidence import Verdict
from abkit.pipeline.evaluate import evaluate
from abkit.simulate import HOUR, MINUTE
from tests.pipeline.test_evaluate import AB, BIG, CANARY, START, canary_world
from tests.worlds import Pulled, pulled

BEGIN = datetime.fromtimestamp(START / 1000, UTC)
WARM = "analysis: {start: 2026-11-01, mde: 0.2, warm-up: 30m}"


@pytest.fixture(scope="module")
def ab(tmp_path_factory: pytest.TempPathFactory) -> Pulled:
    world = replace(BIG, end_ms=START + 2 * HOUR)
    return pulled(tmp_path_factory.mktemp("warm"), world, AB.replace("analysis: {mde: 0.2}", WARM))


def test_the_time_after_the_start_is_left_out_and_said(ab: Pulled) -> None:
    evaluation = ab.evaluate()
    assert evaluation.window.start == BEGIN + timedelta(minutes=30)
    notes = [finding for finding in evaluation.health.data_quality.findings if finding.code == "warm-up"]
    assert [str(note.severity) for note in notes] == ["note"]
    assert "2026-11-01 00:00 to 2026-11-01 00:30 UTC is left out" in notes[0].message
    whole = evaluate(spec.loads(AB), ab.store)
    users = [sum(found.health.srm.observed.values()) for found in (evaluation, whole)]
    assert 0 < users[0] < users[1]


def test_until_it_is_over_there_is_nothing_to_judge(ab: Pulled) -> None:
    early = evaluate(ab.experiment, ab.store, BEGIN + timedelta(minutes=20))
    assert (early.verdict, [reason.code for reason in early.reasons]) == (Verdict.KEEP_RUNNING, ["warm-up"])
    assert "until 2026-11-01 00:30 UTC" in early.reasons[0].message


def test_a_canary_warms_up_in_each_stage(tmp_path: Path) -> None:
    text = CANARY + "analysis: {start: 2026-11-01, warm-up: 20m}\n"
    world = replace(canary_world(error_rate=9.0), end_ms=START + 40 * MINUTE)
    canary = pulled(tmp_path, world, text)
    early = evaluate(canary.experiment, canary.store, BEGIN + timedelta(minutes=15))
    assert (early.verdict, early.reasons[0].code) == (Verdict.PAUSE, "warm-up")
    late = canary.evaluate()
    assert late.verdict is Verdict.ROLLBACK
    assert late.stage is not None
    assert late.stage.since == late.window.start
    assert late.window.start is not None
    assert late.window.start >= BEGIN + timedelta(minutes=20)
