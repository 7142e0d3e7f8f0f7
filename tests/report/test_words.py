from __future__ import annotations

from itertools import pairwise

import pytest
from rich.cells import cell_len

from abkit.evidence import MetricResult, Status, StatusCode, Usage, Verdict
from abkit.report.words import Tone, limit_outcome, metric_outcome, verdict_words
from abkit.spec import Direction, Kind
from tests.report import samples


def test_every_verdict_has_its_own_symbol_word_and_place() -> None:
    words = [verdict_words(verdict) for verdict in Verdict]
    assert len({found.outcome.symbol for found in words}) == len(words)
    assert len({found.outcome.word for found in words}) == len(words)
    assert sorted(found.rank for found in words) == list(range(len(words)))
    assert all(cell_len(found.outcome.symbol) == 1 for found in words)


def test_what_stops_is_triaged_before_what_waits() -> None:
    order = [Verdict.ROLLBACK, Verdict.DO_NOT_SHIP, Verdict.SHIP, Verdict.KEEP_RUNNING]
    assert all(verdict_words(a).rank < verdict_words(b).rank for a, b in pairwise(order))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_tone_follows_the_exit_code(verdict: Verdict) -> None:
    tone = verdict_words(verdict).outcome.tone
    expected = {0: {Tone.GOOD}, 10: {Tone.BAD}, 20: {Tone.WAIT, Tone.BAD}, 30: {Tone.BROKEN}}
    assert tone in expected[verdict.exit_code]


def result(direction: Direction, lift: float | None, error: float, margin: float | None = None) -> MetricResult:
    role = Usage.PRIMARY if margin is None else Usage.GUARDRAIL
    return samples.metric("conversion", Kind.RATIO, role, direction, 2.0, lift, error, margin=margin)


@pytest.mark.parametrize(
    ("metric", "word"),
    [
        (result(Direction.INCREASE, 0.08, 0.01), "better"),
        (result(Direction.DECREASE, 0.08, 0.01), "worse"),
        (result(Direction.DECREASE, -0.08, 0.01), "better"),
        (result(Direction.NONE, 0.08, 0.01), "changed"),
        (result(Direction.INCREASE, 0.08, 0.05), "no clear change"),
        (result(Direction.DECREASE, 0.01, 0.01, margin=0.1), "within margin"),
        (result(Direction.DECREASE, 0.05, 0.05, margin=0.1), "not yet shown safe"),
        (result(Direction.DECREASE, 0.3, 0.05, margin=0.1), "worse"),
    ],
)
def test_outcomes_follow_direction_and_certainty(metric: MetricResult, word: str) -> None:
    assert metric_outcome(metric, 0.95, "always-valid").word == word


def test_a_corrected_p_overrules_an_interval() -> None:
    clear = result(Direction.INCREASE, 0.08, 0.01)
    assert metric_outcome(clear.model_copy(update={"p_adjusted": 0.2}), 0.95, "always-valid").word == "no clear change"


def test_what_is_not_ok_says_why_instead_of_a_conclusion() -> None:
    status = Status(code=StatusCode.NOT_RANDOMISED, reason="all traffic is routed by rule")
    metric = result(Direction.INCREASE, 0.08, 0.01).model_copy(update={"status": status})
    assert metric_outcome(metric, 0.95, "always-valid").word == "not randomised"


def test_limits_are_beyond_within_or_unknown() -> None:
    words = [limit_outcome(limit).word for limit in samples.canary().limits]
    assert words == ["beyond", "within", "within", "no data"]
    unclear = samples.canary().limits[1].model_copy(update={"within": False})
    assert limit_outcome(unclear).word == "not beyond", "what isn't certain is called neither"
