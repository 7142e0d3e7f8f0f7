"""The rules of an A/B test's verdict, each with a case that it decides."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from abkit.evidence import (
    Finding,
    LookPlan,
    MetricResult,
    Quality,
    Sequential,
    Severity,
    Status,
    StatusCode,
    Usage,
    Verdict,
)
from abkit.verdict import Decision, decide_ab
from tests.factories import AB, experiment, guardrail, health, result

DURING = datetime(2026, 11, 5, tzinfo=UTC)
AFTER = datetime(2026, 11, 15, tzinfo=UTC)


def decide(*metrics: MetricResult, text: str = AB, at: datetime | None = DURING, **kwargs: object) -> Decision:
    return decide_ab(
        experiment(text),
        metrics,
        kwargs.get("health", health()),  # type: ignore[arg-type]
        kwargs.get("without_data", ()),  # type: ignore[arg-type]
        at,
    )


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_better_within_every_guardrail_ships() -> None:
    decision = decide(result(lift=0.08, p=0.001), guardrail())
    assert decision.verdict is Verdict.SHIP
    assert codes(decision) == ["primary-better", "guardrail-within"]
    assert "conversion of treatment +8.0 % [+6.0 %, +10.0 %] (higher is better)" in decision.reasons[0].message


def test_a_metric_that_should_fall_ships_when_it_falls() -> None:
    from abkit.spec import Direction

    assert decide(result(lift=-0.08, p=0.001, direction=Direction.DECREASE), guardrail()).verdict is Verdict.SHIP
    risen = decide(result(lift=0.08, p=0.001, direction=Direction.DECREASE), guardrail())
    assert risen.verdict is Verdict.DO_NOT_SHIP


def test_a_guardrail_that_is_not_shown_to_hold_keeps_it_from_shipping() -> None:
    decision = decide(result(lift=0.08, p=0.001), guardrail(harm_bound=0.2))
    assert decision.verdict is Verdict.KEEP_RUNNING
    assert codes(decision) == ["guardrail-open"]
    unjudged = decide(result(lift=0.08, p=0.001), guardrail(harm_bound=None))
    assert unjudged.verdict is Verdict.KEEP_RUNNING
    assert "can't be judged" in unjudged.reasons[0].message


def test_a_harmed_guardrail_stops_even_a_winner_unless_within_its_margin() -> None:
    harmed = decide(result(lift=0.08, p=0.001), guardrail(harm_bound=0.3, lift=0.2, p=0.001))
    assert harmed.verdict is Verdict.DO_NOT_SHIP
    assert codes(harmed) == ["guardrail-harmed"]
    tolerated = decide(result(lift=0.08, p=0.001), guardrail(harm_bound=0.08, lift=0.05, p=0.001))
    assert tolerated.verdict is Verdict.SHIP


def test_worse_does_not_ship() -> None:
    decision = decide(result(lift=-0.08, p=0.001), guardrail())
    assert decision.verdict is Verdict.DO_NOT_SHIP
    assert codes(decision) == ["primary-worse"]


@pytest.mark.parametrize(("at", "verdict"), [(DURING, Verdict.KEEP_RUNNING), (AFTER, Verdict.INCONCLUSIVE)])
def test_undecided_waits_and_after_the_planned_end_is_inconclusive(at: datetime, verdict: Verdict) -> None:
    assert decide(result(lift=0.01, p=0.4), guardrail(), at=at).verdict is verdict


def test_secondary_metrics_decide_nothing() -> None:
    secondary = result("click-rate", role=Usage.SECONDARY, lift=-0.5, p=0.0001)
    assert decide(result(lift=0.08, p=0.001), guardrail(), secondary).verdict is Verdict.SHIP


def test_a_fixed_horizon_is_read_at_its_end_only() -> None:
    fixed = AB.replace("end: 2026-11-15", "end: 2026-11-15, looks: fixed")
    early = decide(result(lift=0.08, p=0.001), guardrail(), text=fixed)
    assert early.verdict is Verdict.KEEP_RUNNING
    assert codes(early) == ["planned-end"]
    assert decide(result(lift=0.08, p=0.001), guardrail(), text=fixed, at=AFTER).verdict is Verdict.SHIP


@pytest.mark.parametrize("code", [StatusCode.NOT_RANDOMISED, StatusCode.NOT_USER_LEVEL])
def test_what_is_not_randomised_or_not_user_level_is_descriptive_and_never_ships(code: StatusCode) -> None:
    status = Status(code=code, reason="because")
    decision = decide(result(lift=0.5, p=None, status=status), guardrail())
    assert decision.verdict is Verdict.DESCRIPTIVE
    assert str(code) in decision.reasons[0].message


def test_too_few_users_keep_running() -> None:
    few = result(lift=0.5, p=None, status=Status(code=StatusCode.TOO_FEW, reason="fewer than 5 effective replicates"))
    decision = decide(few, guardrail())
    assert decision.verdict is Verdict.KEEP_RUNNING
    assert "too few" in decision.reasons[0].message


def test_a_sample_ratio_mismatch_replaces_the_verdict() -> None:
    decision = decide(result(lift=0.08, p=0.001), guardrail(), health=health("mismatch"))
    assert decision.verdict is Verdict.INVALID
    assert codes(decision) == ["sample-ratio-mismatch"]


def test_data_that_can_not_be_trusted_is_invalid_and_warnings_are_not() -> None:
    def with_finding(severity: Severity) -> Verdict:
        finding = Finding(code="labels", severity=severity, message="Half of the series have an unknown version.")
        status = "invalid" if severity is Severity.INVALID else "warning"
        quality = Quality.model_validate({"status": status, "findings": (finding,)})
        return decide(result(lift=0.08, p=0.001), guardrail(), health=health(quality=quality)).verdict

    assert with_finding(Severity.INVALID) is Verdict.INVALID
    assert with_finding(Severity.WARNING) is Verdict.SHIP


def test_no_data_and_a_missing_variant_are_their_own_answer() -> None:
    assert decide(at=None).verdict is Verdict.NO_DATA
    decision = decide(result(lift=None, p=None), without_data=["treatment"])
    assert decision.verdict is Verdict.NO_DATA
    assert "treatment (version v2)" in decision.reasons[0].message
    nothing = result(lift=None, p=None, status=Status(code=StatusCode.NO_DATA, reason="nothing counted"))
    assert decide(nothing, guardrail()).verdict is Verdict.NO_DATA


THREE = AB.replace("treatment: v2", "b: v2, c: v3")


def test_of_several_winners_the_one_that_gains_most_is_named() -> None:
    decision = decide(
        result(variant="b", lift=0.08, p=0.001),
        result(variant="c", lift=0.12, p=0.001),
        guardrail(variant="b"),
        guardrail(variant="c"),
        text=THREE,
    )
    assert decision.verdict is Verdict.SHIP
    assert decision.reasons[0].message == "c gains most. b would also be better than the control."


def test_one_bad_variant_of_two_does_not_end_the_experiment() -> None:
    metrics = (
        result(variant="b", lift=-0.08, p=0.001),
        result(variant="c", lift=0.01, p=0.5),
        guardrail(variant="b"),
        guardrail(variant="c"),
    )
    assert decide(*metrics, text=THREE).verdict is Verdict.KEEP_RUNNING
    both = (*metrics[:1], result(variant="c", lift=-0.09, p=0.001), *metrics[2:])
    assert decide(*both, text=THREE).verdict is Verdict.DO_NOT_SHIP


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.SHIP, 0), (Verdict.CONTINUE, 0), (Verdict.PROMOTE, 0),
        (Verdict.DO_NOT_SHIP, 10), (Verdict.ROLLBACK, 10),
        (Verdict.KEEP_RUNNING, 20), (Verdict.INCONCLUSIVE, 20), (Verdict.DESCRIPTIVE, 20), (Verdict.PAUSE, 20),
        (Verdict.INVALID, 30), (Verdict.NO_DATA, 30),
    ],
)  # fmt: skip
def test_exit_codes_are_the_contract(verdict: Verdict, code: int) -> None:
    assert verdict.exit_code == code


def test_harm_among_requests_that_rules_mixed_in_is_open_and_not_held_against_the_treatment() -> None:
    mixed = guardrail(harm_bound=0.3, lift=0.2, p=0.001).model_copy(update={"randomised": False})
    decision = decide(result(lift=0.08, p=0.001), mixed)
    assert decision.verdict is Verdict.KEEP_RUNNING
    assert "rules route" in decision.reasons[0].message


GROUPED = AB.replace("end: 2026-11-15", "end: 2026-11-15, looks: obrien-fleming")


def plan(taken: int) -> LookPlan:
    moments = [datetime(2026, 11, day, tzinfo=UTC) for day in (4, 7, 9, 12, 15)]
    return LookPlan(
        spending="obrien-fleming",
        planned=5,
        taken=taken,
        last=moments[taken - 1] if taken else None,
        next=moments[taken] if taken < 5 else None,
        fraction=taken / 5,
        spent=None,
    )


def test_planned_looks_decide_at_any_of_them_and_say_when_the_next_is() -> None:
    def grouped(*metrics: MetricResult, taken: int, at: datetime = DURING) -> Decision:
        return decide_ab(experiment(GROUPED), metrics, health(), (), at, plan(taken))

    early = grouped(result(lift=0.08, p=0.001), guardrail(), taken=0)
    assert (early.verdict, codes(early)) == (Verdict.KEEP_RUNNING, ["next-look"])
    assert "Look 1 of 5 is due at 2026-11-04 00:00 UTC: there is no result before." in early.reasons[0].message
    assert grouped(result(lift=0.08, p=0.001), guardrail(), taken=2).verdict is Verdict.SHIP
    assert grouped(result(lift=-0.08, p=0.001), guardrail(), taken=2).verdict is Verdict.DO_NOT_SHIP
    still = grouped(result(lift=0.01, p=0.4), guardrail(), taken=2)
    assert (still.verdict, codes(still)[-1]) == (Verdict.KEEP_RUNNING, "next-look")
    assert "until then that of 2026-11-07 00:00 UTC stands" in still.reasons[-1].message
    last = grouped(result(lift=0.01, p=0.4), guardrail(), taken=5, at=AFTER)
    assert last.verdict is Verdict.INCONCLUSIVE
    assert "next-look" not in codes(last)


def test_reasons_show_the_interval_that_decides() -> None:
    shown = Sequential(p_value=0.001, lift_ci=(0.01, 0.15), effect_ci=None)
    metric = result(lift=0.08, p=0.001).model_copy(update={"sequential": shown})
    assert "[+1.0 %, +15.0 %]" in decide(metric, guardrail()).reasons[0].message
    fixed = decide(metric, guardrail(), text=AB.replace("end: 2026-11-15", "end: 2026-11-15, looks: fixed"), at=AFTER)
    assert "[+6.0 %, +10.0 %]" in fixed.reasons[0].message
