from __future__ import annotations

from datetime import timedelta

import pytest

from abkit.evidence import Reason, Usage, Verdict
from abkit.report import overview, result_page
from abkit.report.pages import bar_limit
from abkit.spec import Direction, Kind
from tests.report import samples


def test_the_first_reason_is_the_headline() -> None:
    page = result_page(samples.experiment())
    assert page.banner.headline.startswith("conversion of treatment")
    assert page.banner.reasons == ("error-rate of treatment is at most 6.2% worse, within the margin of 10%.",)
    assert page.banner.days_left == "4 days left"


def test_rows_carry_text_and_raw_numbers() -> None:
    row = result_page(samples.experiment()).metrics[0]
    assert (row.baseline, row.value, row.lift.text) == ("3.21 %", "3.47 %", "+8.1 %")
    assert row.lift.estimate == pytest.approx(0.081)
    assert row.lift.deciding == row.lift.sequence
    assert row.lift.deciding_text == "[+4.7 %, +11.5 %]"
    assert row.effect.text == "+0.260 pp"


def test_fixed_looks_decide_by_the_fixed_interval() -> None:
    page = result_page(samples.experiment(looks="fixed"))
    assert not page.sequence_decides
    assert page.metrics[0].lift.deciding == page.metrics[0].lift.fixed


def test_rows_are_sorted_by_role() -> None:
    shuffled = tuple(reversed(samples.metrics()))
    roles = [row.role_word for row in result_page(samples.experiment(results=shuffled)).metrics]
    assert roles == ["Primary", "Guardrail", "Guardrail", "Guardrail", "Secondary", "Secondary", "Secondary"]


def test_a_missing_number_is_a_dash_with_its_reason() -> None:
    row = next(row for row in result_page(samples.experiment()).metrics if row.metric == "latency-p99")
    assert {row.baseline, row.value, row.lift.text, row.lift.fixed_text, row.p} == {"—"}
    assert row.lift.estimate is None
    assert row.status.startswith("no data: no series of istio")


def test_a_guardrail_margin_points_the_harmful_way() -> None:
    lower_is_better = result_page(samples.experiment()).metrics[1]
    assert lower_is_better.margin == pytest.approx(0.10)
    up = samples.metric("orders", Kind.RATIO, Usage.GUARDRAIL, Direction.INCREASE, 1.0, 0.01, 0.01, margin=0.05)
    assert result_page(samples.experiment(results=[up])).metrics[0].margin == pytest.approx(-0.05)


def test_treatments_of_three_arms_keep_their_own_rows() -> None:
    page = result_page(samples.three_arms())
    assert page.treatments == ("green", "large")
    assert {row.variant for row in page.rows_of("large")} == {"large"}
    assert len(page.rows_of("large")) == 7


def test_invalid_and_no_data_are_not_trusted_or_empty() -> None:
    assert not result_page(samples.invalid()).banner.trusted
    page = result_page(samples.no_data())
    assert (page.metrics, page.as_of, page.window, page.treatments) == ((), "—", "—", ("treatment",))


def test_health_names_the_mismatch_with_its_p() -> None:
    row = result_page(samples.invalid()).health[0]
    assert row.outcome.word == "mismatch"
    assert row.message.endswith("can't be compared (p < 0.001).")


def test_the_gravest_limit_stands_first() -> None:
    rows = result_page(samples.canary()).limits
    assert [(row.level, row.outcome.word) for row in rows][:2] == [("pause", "beyond"), ("rollback", "within")]
    assert (rows[0].value, rows[0].limit) == ("1.14 %", "1.00 %")


def test_the_stage_marks_passed_present_and_coming_steps() -> None:
    stage = result_page(samples.canary()).stage
    assert stage is not None
    assert [state for _, state in stage.steps] == ["done", "now", "ahead", "ahead", "ahead"]
    assert (stage.place, stage.share) == ("stage 2 of 5", "10 %")


def test_trend_series_are_per_metric_and_in_order_of_time() -> None:
    page = result_page(samples.experiment())
    assert [series.metric for series in page.trend][:2] == ["conversion", "error-rate"]
    assert all(len(series.points) == 30 for series in page.trend)
    times = [point.at for point in page.trend[0].points]
    assert times == sorted(times)


def test_provenance_is_enough_to_find_the_inputs() -> None:
    page = result_page(samples.experiment())
    named = {row.name: row.value for row in page.provenance}
    assert named["Inputs"] == "9b1c2d3e4f5a6b7c"
    assert {row.replication for row in page.metrics} >= {"32 hash replicates"}
    assert page.queries[0][0] == "conversion.denominator"


def test_the_triage_list_puts_attention_first() -> None:
    evaluations = [
        samples.experiment(Verdict.KEEP_RUNNING, "a-running"),
        samples.experiment(Verdict.SHIP, "b-ship"),
        samples.no_data(),
        samples.canary(Verdict.ROLLBACK),
        samples.invalid(),
    ]
    rows = overview(evaluations)
    assert [row.name for row in rows] == [
        "payment-api-v7",
        "free-shipping-bar",
        "search-ranking",
        "b-ship",
        "a-running",
    ]
    assert [row.needs_attention for row in rows] == [True, True, True, False, False]


def test_the_triage_list_shows_no_lift_that_must_not_be_believed() -> None:
    shipped, broken = overview([samples.invalid(), samples.experiment()])[::-1]
    assert shipped.lift is not None
    assert (shipped.metric, shipped.lift.text) == ("conversion", "+8.1 %")
    assert broken.lift is None


def test_a_running_experiment_without_new_data_needs_attention() -> None:
    running = samples.experiment(Verdict.KEEP_RUNNING)
    assert running.as_of is not None
    (fresh,) = overview([running], now=running.as_of + timedelta(hours=20))
    (stale,) = overview([running], now=running.as_of + timedelta(hours=30))
    assert (fresh.stale, fresh.needs_attention, fresh.age) == (False, False, "20 hours ago")
    assert (stale.stale, stale.needs_attention) == (True, True)
    (canary,) = overview([samples.canary(Verdict.CONTINUE)], now=running.as_of + timedelta(hours=2))
    assert canary.stale


def test_what_is_over_or_decided_is_never_stale() -> None:
    over = samples.experiment(Verdict.KEEP_RUNNING)
    over = over.model_copy(update={"planned_end": over.as_of})
    assert over.as_of is not None
    later = over.as_of + timedelta(days=90)
    assert not any(row.stale for row in overview([over, samples.experiment(Verdict.SHIP, "other")], now=later))


def test_text_of_the_file_loses_its_control_characters() -> None:
    hostile = samples.experiment(
        hypothesis="a\x1b[2Jb", owner="x\u202ey", reasons=(Reason(code="c", message="m\x07n"),)
    )
    page = result_page(hostile)
    assert (page.hypothesis, page.owner, page.banner.headline) == ("a[2Jb", "xy", "mn")


def test_the_bars_scale_survives_rows_without_intervals() -> None:
    assert bar_limit([None, (None, None), (0.0, 0.0)]) == 0.1
    assert bar_limit([(None, 0.03), None]) == 0.03
