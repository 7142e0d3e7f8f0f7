"""The rules of a canary's verdict, each with a case that it decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from abkit.canary.judge import StageData, judge
from abkit.evidence import LimitResult, MetricResult, Reason, Stage, Status, StatusCode, Usage, Verdict
from abkit.spec import Direction
from tests.factories import CANARY, experiment, limit, result

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def data(
    *,
    share: float = 0.05,
    step: int | None = 1,
    age: timedelta = timedelta(minutes=30),
    seen: dict[str, datetime] | None = None,
    requests: float = 10_000,
    first: datetime | None = None,
    begun: bool = True,
    present: datetime | None = None,
) -> StageData:
    return StageData(
        stage=Stage(share=share, step=step, steps=(5, 10, 25, 50, 100), since=NOW - age if begun else None),
        first_seen=dict.fromkeys(("control", "treatment"), NOW - age) if first is None else {"treatment": first},
        last_seen={"control": NOW, "treatment": NOW} if seen is None else seen,
        requests={"control": requests * 19, "treatment": requests},
        pulled=True,
        stale_after=timedelta(minutes=5),
        as_of=NOW,
        present=NOW if present is None else present,
    )


def decide(
    *limits: LimitResult,
    metrics: tuple[MetricResult, ...] = (),
    stage: StageData | None = None,
    text: str = CANARY,
    invalid: tuple[Reason, ...] = (),
) -> tuple[Verdict, list[str]]:
    verdict, reasons = judge(experiment(text), limits or (limit(),), metrics, stage or data(), invalid)
    return verdict, [reason.code for reason in reasons]


def latency(*, lift: float, p: float, harm_bound: float | None = None) -> MetricResult:
    return result(
        "latency-mean",
        role=Usage.GUARDRAIL,
        lift=lift,
        p=p,
        direction=Direction.DECREASE,
        margin=0.1,
        harm_bound=harm_bound,
    )


def test_a_baked_stage_without_harm_continues_and_the_last_is_promoted() -> None:
    assert decide() == (Verdict.CONTINUE, ["healthy"])
    alone = data(share=1.0, step=5, seen={"treatment": NOW})
    assert decide(stage=alone) == (Verdict.PROMOTE, ["healthy"])


def test_a_stage_that_has_not_baked_is_held() -> None:
    assert decide(stage=data(age=timedelta(minutes=3))) == (Verdict.PAUSE, ["baking"])


def test_shown_to_be_no_worse_it_need_not_bake() -> None:
    fresh = data(age=timedelta(minutes=3))
    verdict, codes = decide(metrics=(latency(lift=0.0, p=0.9, harm_bound=0.03),), stage=fresh)
    assert (verdict, codes) == (Verdict.CONTINUE, ["healthy", "guardrail-within"])
    verdict, codes = decide(metrics=(latency(lift=0.0, p=0.9, harm_bound=0.3),), stage=fresh)
    assert (verdict, codes) == (Verdict.PAUSE, ["baking"])


def test_a_handful_of_requests_is_not_enough() -> None:
    assert decide(stage=data(requests=20)) == (Verdict.PAUSE, ["too-few"])


@pytest.mark.parametrize(("level", "verdict"), [("pause", Verdict.PAUSE), ("rollback", Verdict.ROLLBACK)])
def test_certainly_beyond_a_limit(level: str, verdict: Verdict) -> None:
    assert decide(limit(level=level, beyond=True, value=0.08)) == (verdict, [f"beyond-{level}"])


def test_rollback_goes_before_pause() -> None:
    assert decide(limit(beyond=True), limit(level="rollback", beyond=True))[0] is Verdict.ROLLBACK


def test_both_versions_beyond_is_an_incident() -> None:
    both = [limit(level="rollback", beyond=True, variant=name) for name in ("control", "treatment")]
    assert decide(*both) == (Verdict.PAUSE, ["incident", "beyond-rollback"])


def test_a_control_beyond_the_pause_limit_does_not_excuse_a_canary_beyond_the_rollback_limit() -> None:
    limits = [
        limit(beyond=True, variant="control"),
        limit(beyond=True),
        limit(level="rollback", beyond=True),
    ]
    assert decide(*limits)[0] is Verdict.ROLLBACK


def test_a_control_beyond_a_limit_alone_is_not_the_canarys_doing() -> None:
    assert decide(limit(beyond=True, variant="control"), limit())[0] is Verdict.CONTINUE


def test_certainly_worse_than_the_control_pauses_or_rolls_back_as_set() -> None:
    worse = (latency(lift=0.4, p=0.001, harm_bound=0.6),)
    assert decide(metrics=worse) == (Verdict.PAUSE, ["worse-than-control"])
    strict = CANARY + "canary: {on-harm: rollback}\n"
    assert decide(metrics=worse, text=strict) == (Verdict.ROLLBACK, ["worse-than-control"])


def test_harm_that_is_shown_to_be_within_the_margin_is_tolerated() -> None:
    assert decide(metrics=(latency(lift=0.04, p=0.001, harm_bound=0.08),))[0] is Verdict.CONTINUE


@pytest.mark.parametrize("missing", ["control", "treatment"])
def test_a_version_without_data_is_neither_pass_nor_failure(missing: str) -> None:
    seen = {name: NOW for name in ("control", "treatment") if name != missing}
    assert decide(stage=data(seen=seen)) == (Verdict.NO_DATA, ["variant-missing"])


def test_a_failing_canary_beside_an_empty_control_still_rolls_back() -> None:
    verdict, codes = decide(limit(level="rollback", beyond=True), stage=data(seen={"treatment": NOW}))
    assert verdict is Verdict.ROLLBACK
    assert codes == ["beyond-rollback", "variant-missing"]


def test_traffic_that_stops_midway_is_no_data() -> None:
    stopped = data(seen={"control": NOW, "treatment": NOW - timedelta(minutes=20)})
    assert decide(stage=stopped) == (Verdict.NO_DATA, ["traffic-stopped"])


def test_a_limit_without_data_is_never_a_pass() -> None:
    unknown = limit("latency-p99", status=Status(code=StatusCode.NO_DATA, reason="nothing counted"))
    assert decide(limit(), unknown) == (Verdict.NO_DATA, ["limit-unjudged"])


def test_untrusted_data_is_invalid() -> None:
    assert decide(invalid=(Reason(code="labels", message="Half of it is mislabelled."),))[0] is Verdict.INVALID


def test_a_split_that_is_new_in_the_file_has_seen_nothing_and_moves_nothing_on() -> None:
    assert decide(stage=data(share=0.25, step=3, begun=False)) == (Verdict.PAUSE, ["new-split"])
    assert decide(stage=data(share=1.0, step=5, begun=False)) == (Verdict.PAUSE, ["new-split"])


def test_a_stage_bakes_from_the_canarys_first_request_on() -> None:
    late = data(age=timedelta(hours=24), first=NOW - timedelta(minutes=2))
    assert decide(stage=late) == (Verdict.PAUSE, ["baking"])


def test_a_guardrail_without_data_is_never_a_pass() -> None:
    unknown = result(
        "conversion", role=Usage.GUARDRAIL, lift=None, p=None, status=Status(code=StatusCode.NO_DATA, reason="nothing")
    )
    assert decide(metrics=(unknown,)) == (Verdict.NO_DATA, ["guardrail-unjudged"])
    alone = data(share=1.0, step=5, seen={"treatment": NOW})
    lone = result(
        "conversion", role=Usage.GUARDRAIL, lift=0.5, p=None, status=Status(code=StatusCode.TOO_FEW, reason="1")
    )
    assert decide(metrics=(lone,)) == (Verdict.PAUSE, ["guardrail-unjudged"])
    quiet = result("errors", role=Usage.GUARDRAIL, lift=0, p=None, status=Status(code=StatusCode.UNDEFINED, reason="0"))
    assert decide(metrics=(quiet,))[0] is Verdict.CONTINUE, "no errors in either version are no defect"
    assert decide(metrics=(unknown,), stage=alone)[0] is Verdict.PROMOTE, "at 100 % there is no control to compare with"


def test_secondary_metrics_and_mixed_traffic_stop_no_canary() -> None:
    secondary = result("clicks", role=Usage.SECONDARY, lift=-0.4, p=0.0001)
    mixed = latency(lift=0.4, p=0.0001, harm_bound=0.6).model_copy(update={"randomised": False})
    assert decide(metrics=(secondary, mixed))[0] is Verdict.CONTINUE


def test_the_error_rate_is_split_over_stages() -> None:
    assert decide(metrics=(latency(lift=0.4, p=0.004, harm_bound=0.6),))[0] is Verdict.PAUSE
    assert decide(metrics=(latency(lift=0.4, p=0.006, harm_bound=0.6),))[0] is Verdict.CONTINUE


def test_an_estimate_past_a_limit_that_may_be_chance_holds_the_stage() -> None:
    assert decide(limit(value=0.083)) == (Verdict.PAUSE, ["limit-unclear"])
    certain = limit(value=0.002).model_copy(update={"within": True})
    assert decide(certain)[0] is Verdict.CONTINUE


def test_a_source_that_went_empty_leaves_no_old_verdict_in_force() -> None:
    gone = data(present=NOW + timedelta(days=30))
    assert decide(stage=gone) == (Verdict.NO_DATA, ["traffic-stopped", "traffic-stopped"])


def test_what_could_not_be_compared_is_not_called_no_worse() -> None:
    _, reasons = judge(experiment(CANARY), [limit()], [], data(), [])
    assert "could not be compared" in reasons[0].message
