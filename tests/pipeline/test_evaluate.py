"""From a world with a known truth to a verdict: what is claimed must be true."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from abkit import simulate
from abkit.evidence import Evaluation, MetricResult, StatusCode, Verdict
from abkit.pipeline.evaluate import evaluate
from abkit.simulate import HOUR, MINUTE, Arm, Effects, Epoch, Mesh, SampleColumns, Shop, Simulation, Users, World, run
from tests.worlds import Pulled, pulled, stored

AB = """\
metadata: {name: buy-now}
service: {name: my-service, namespace: shop}
variants:
  control: {version: v1}
  treatment: {version: v2}
metrics:
  primary: [conversion]
  guardrails: [{metric: error-rate, margin: 0.5}]
  secondary: [click-rate, page-load-time]
analysis: {mde: 0.2}
"""
START = World(experiment="x").start_ms
BIG = World(
    experiment="buy-now",
    seed=11,
    users=Users(count=6_000, views=20.0),
    start_ms=START,
    end_ms=START + 6 * HOUR,
    scrape_interval_ms=MINUTE,
    arms=(Arm("control", "v1", 5_000), Arm("treatment", "v2", 5_000, Effects(conversion=0.35))),
    shop=Shop(conversion=0.1, conversion_users=60.0),
    mesh=Mesh(error_rate=0.02),
)


def metric(evaluation: Evaluation, name: str, variant: str = "treatment") -> MetricResult:
    return next(result for result in evaluation.metrics if (result.metric, result.variant) == (name, variant))


@pytest.fixture(scope="module")
def winner(tmp_path_factory: pytest.TempPathFactory) -> Pulled:
    return pulled(tmp_path_factory.mktemp("winner"), simulate.with_troubles(BIG), AB)


def test_a_true_winner_ships_and_its_interval_covers_the_truth(winner: Pulled) -> None:
    evaluation = winner.evaluate()
    assert evaluation.verdict is Verdict.SHIP
    for name in ("conversion", "click-rate", "page-load-time"):
        result, truth = metric(evaluation, name), winner.simulation.truth.lift(name, "treatment")
        assert result.sequential is not None
        for interval in (result.lift_ci, result.sequential.lift_ci):
            assert interval is not None
            low, high = interval
            assert low is not None
            assert high is not None
            assert low <= truth.lift <= high, name
        assert result.replication == "32 hash replicates"


def test_totals_are_the_truths_to_the_last_event(winner: Pulled) -> None:
    evaluation = winner.evaluate()
    truth = winner.simulation.truth
    for variant, value in (("control", "baseline"), ("treatment", "value")):
        views = truth.total("ab_page_views_total", variant=variant, assignment="hash")
        bought = truth.total("ab_purchases_total", variant=variant, assignment="hash")
        assert getattr(metric(evaluation, "conversion"), value) == bought.visible / views.visible
        users = truth.total("ab_exposed_users_total", variant=variant, assignment="hash")
        assert evaluation.health.srm.observed[variant] == users.visible
    assert truth.total("ab_page_views_total", assignment="hash").lost > 0, "the world should lose something"


def test_the_same_store_gives_the_same_bytes(winner: Pulled) -> None:
    assert winner.evaluate().to_json() == winner.evaluate().to_json()
    assert Evaluation.from_json(winner.evaluate().to_json()) == winner.evaluate()


def test_an_earlier_moment_sees_less_and_nothing_of_the_future(winner: Pulled) -> None:
    whole = winner.evaluate()
    assert whole.as_of is not None
    early = evaluate(winner.experiment, winner.store, whole.as_of - timedelta(hours=4))
    assert early.as_of == whole.as_of - timedelta(hours=4)
    assert 0 < sum(early.health.srm.observed.values()) < sum(whole.health.srm.observed.values())
    assert all(point.at <= early.as_of for point in early.trend)


def test_the_trend_ends_with_the_result(winner: Pulled) -> None:
    evaluation = winner.evaluate()
    last = [point for point in evaluation.trend if point.metric == "conversion"][-1]
    result = metric(evaluation, "conversion")
    assert result.sequential is not None
    assert (last.at, last.lift, last.sequence) == (evaluation.as_of, result.lift, result.sequential.lift_ci)


def test_vips_who_are_routed_by_rule_do_not_move_the_verdict(tmp_path: Path) -> None:
    text = AB.replace(
        "metrics:", "assignment: {rules: [{when: {header: {x-vip: {exact: 'yes'}}}, to: treatment}]}\nmetrics:"
    )
    world = replace(
        BIG,
        arms=(Arm("control", "v1", 5_000), Arm("treatment", "v2", 5_000)),
        users=replace(BIG.users, vip_share=0.2, vip_factor=3.0),
    )
    vips = pulled(tmp_path, world, text)
    evaluation, truth = vips.evaluate(), vips.simulation.truth
    result = metric(evaluation, "conversion")
    assert evaluation.verdict in {Verdict.KEEP_RUNNING, Verdict.INCONCLUSIVE}
    assert result.p_adjusted is not None
    assert result.p_adjusted > 0.05

    def conversion(variant: str) -> float:
        bought, views = (truth.total(f"ab_{name}_total", variant=variant) for name in ("purchases", "page_views"))
        return bought.visible / views.visible

    # The world bites: whoever mixes the VIPs in sees a huge lift.
    assert conversion("treatment") / conversion("control") - 1 > 0.25
    assert result.lift is not None
    assert abs(result.lift) < 0.1


def test_only_a_rule_is_not_randomised_and_descriptive(tmp_path: Path) -> None:
    def by_rule(labels: dict[str, str]) -> dict[str, str] | None:
        if labels.get("ab_variant") == "treatment":
            labels["ab_assignment"] = "rule"
        return labels

    evaluation = pulled(tmp_path, BIG, AB, by_rule).evaluate()
    assert evaluation.verdict is Verdict.DESCRIPTIVE
    result = metric(evaluation, "conversion")
    assert result.status.code is StatusCode.NOT_RANDOMISED
    assert result.value is not None
    assert (result.p_value, result.sequential, result.lift_ci) == (None, None, None)


def test_counters_without_replicates_are_not_user_level_and_never_ship(tmp_path: Path) -> None:
    world = replace(BIG, replicates=8, end_ms=START + 2 * HOUR)

    def without(labels: dict[str, str]) -> dict[str, str] | None:
        # One replicate's counters under the name of all: what a service without replicates exposes.
        return labels if labels.pop("ab_replicate", "0") == "0" else None

    evaluation = pulled(
        tmp_path, world, AB.replace("metrics:", "assignment: {replicates: 8}\nmetrics:"), without
    ).evaluate()
    assert evaluation.verdict is Verdict.DESCRIPTIVE
    assert "not user-level" in evaluation.reasons[0].message
    result = metric(evaluation, "conversion")
    assert (result.status.code, result.p_value, result.lift_ci) == (StatusCode.NOT_USER_LEVEL, None, None)
    assert result.value is not None


def test_replicates_that_the_experiment_does_not_know_are_invalid(tmp_path: Path) -> None:
    world = replace(BIG, end_ms=START + 2 * HOUR)
    evaluation = pulled(tmp_path, world, AB.replace("metrics:", "assignment: {replicates: 16}\nmetrics:")).evaluate()
    assert evaluation.verdict is Verdict.INVALID
    assert evaluation.reasons[0].code == "bad-replicates"


def test_lost_users_on_one_side_are_a_sample_ratio_mismatch(tmp_path: Path) -> None:
    def lose(labels: dict[str, str]) -> dict[str, str] | None:
        lost = labels.get("ab_variant") == "treatment" and int(labels.get("ab_replicate", "9")) < 5
        return None if lost and labels["__name__"] == "ab_exposed_users_total" else labels

    evaluation = pulled(tmp_path, BIG, AB, lose).evaluate()
    assert evaluation.health.srm.status == "mismatch"
    assert evaluation.verdict is Verdict.INVALID


def test_without_exposures_the_split_is_unchecked_and_said(tmp_path: Path) -> None:
    def drop(labels: dict[str, str]) -> dict[str, str] | None:
        return None if labels["__name__"] == "ab_exposed_users_total" else labels

    evaluation = pulled(tmp_path, BIG, AB, drop).evaluate()
    assert evaluation.health.srm.status == "unavailable"
    assert evaluation.verdict is Verdict.SHIP
    assert {share.basis for share in evaluation.split} == {"requests"}


def test_a_missing_variant_is_no_data(tmp_path: Path) -> None:
    def only_control(labels: dict[str, str]) -> dict[str, str] | None:
        version = labels.get("destination_version", labels.get("version", "v1"))
        return labels if version == "v1" else None

    evaluation = pulled(tmp_path, replace(BIG, end_ms=START + HOUR), AB, only_control).evaluate()
    assert evaluation.verdict is Verdict.NO_DATA
    assert "treatment (version v2)" in evaluation.reasons[0].message


def test_nothing_at_all_is_no_data(tmp_path: Path) -> None:
    other = AB.replace("my-service", "other").replace("buy-now", "another")
    evaluation = pulled(tmp_path, replace(BIG, end_ms=START + HOUR), other).evaluate()
    assert (evaluation.verdict, evaluation.as_of, evaluation.window.start) == (Verdict.NO_DATA, None, None)


def test_under_a_ramp_with_a_swinging_base_rate_the_lift_is_within_epochs(tmp_path: Path) -> None:
    splits = ({"control": 9_500, "treatment": 500}, {"control": 5_000, "treatment": 5_000})
    moments = (START, START + 12 * HOUR)
    world = World(
        experiment="buy-now",
        seed=5,
        users=Users(count=12_000, views=24.0, day_swing=0.0),
        shop=Shop(conversion_swing=0.7, conversion=0.1),
        start_ms=START,
        end_ms=START + 24 * HOUR,
        scrape_interval_ms=2 * MINUTE,
        arms=(Arm("control", "v1", 5_000), Arm("treatment", "v2", 5_000)),
        epochs=tuple(Epoch(at, split) for at, split in zip(moments, splits, strict=True)),
    )
    ramp = "ramp:\n  - {from: 2026-11-01T00:00:00Z, split: {control: 9500, treatment: 500}}\n"
    ramp += "  - {from: 2026-11-01T12:00:00Z, split: {control: 5000, treatment: 5000}}\n"
    assert START == 1_793_491_200_000, "the ramp's dates are the world's"
    ramped = pulled(tmp_path, world, AB + ramp)
    evaluation, truth = ramped.evaluate(), ramped.simulation.truth
    result = metric(evaluation, "conversion")
    assert [moment.hour for moment in evaluation.epochs] == [12]
    assert result.lift is not None
    assert result.p_value is not None
    assert abs(result.lift) < 0.06
    assert result.p_value > 0.01

    def pooled(variant: str) -> float:
        bought, views = (
            truth.total(f"ab_{name}_total", variant=variant, assignment="hash") for name in ("purchases", "page_views")
        )
        return bought.visible / views.visible

    assert abs(pooled("treatment") / pooled("control") - 1) > 0.1, "the world should mislead who pools"
    assert evaluation.health.srm.status == "ok"


def test_three_variants_are_corrected_for_their_number(tmp_path: Path) -> None:
    world = replace(
        BIG,
        arms=(Arm("control", "v1", 3_334), Arm("b", "v2", 3_333), Arm("c", "v3", 3_333, Effects(conversion=0.4))),
        pods=(),
    )
    text = AB.replace("treatment: {version: v2}", "b: {version: v2}\n  c: {version: v3}")
    evaluation = pulled(tmp_path, world, text).evaluate()
    assert evaluation.verdict is Verdict.SHIP
    assert evaluation.reasons[0].message.startswith("c gains most")
    for name in ("b", "c"):
        result = metric(evaluation, "conversion", name)
        assert result.sequential is not None
        assert result.p_adjusted is not None
        assert result.p_adjusted >= result.sequential.p_value


CANARY = """\
metadata: {name: buy-now}
service: {name: my-service, namespace: shop}
strategy: canary
variants: {control: {version: v1, weight: 9000}, treatment: {version: v2, weight: 1000}}
canary: {steps: [10, 50, 100], limits: {success-rate: {pause: 0.97, rollback: 0.9}}}
"""


def canary_world(**effects: float) -> World:
    return World(
        experiment="buy-now",
        seed=3,
        users=Users(count=8_000, views=20.0),
        start_ms=START,
        end_ms=START + 3 * HOUR,
        scrape_interval_ms=MINUTE // 2,
        arms=(Arm("control", "v1", 9_000), Arm("treatment", "v2", 1_000, Effects(**effects))),
        mesh=Mesh(error_rate=0.008),
    )


def codes(evaluation: Evaluation) -> list[str]:
    return [reason.code for reason in evaluation.reasons]


def test_a_healthy_canary_continues(tmp_path: Path) -> None:
    evaluation = pulled(tmp_path, canary_world(), CANARY).evaluate()
    assert evaluation.verdict is Verdict.CONTINUE, evaluation.reasons
    assert evaluation.stage is not None
    assert (evaluation.stage.step, evaluation.stage.share) == (1, 0.1)
    assert {limit.metric for limit in evaluation.limits} == {"error-rate", "latency-p99", "success-rate"}
    assert all(limit.value is not None for limit in evaluation.limits)


def test_a_canary_with_many_errors_is_rolled_back(tmp_path: Path) -> None:
    evaluation = pulled(tmp_path, canary_world(error_rate=9.0), CANARY).evaluate()
    assert evaluation.verdict is Verdict.ROLLBACK
    assert "error-rate of treatment" in evaluation.reasons[0].message


def test_a_canary_with_some_errors_is_paused(tmp_path: Path) -> None:
    evaluation = pulled(tmp_path, canary_world(error_rate=2.0), CANARY).evaluate()
    assert (evaluation.verdict, codes(evaluation)) == (Verdict.PAUSE, ["beyond-pause"])


def test_a_slow_canary_is_rolled_back_by_its_p99(tmp_path: Path) -> None:
    evaluation = pulled(tmp_path, canary_world(latency=4.0), CANARY).evaluate()
    assert evaluation.verdict is Verdict.ROLLBACK
    assert "latency-p99 of treatment" in evaluation.reasons[0].message


def test_both_versions_beyond_is_an_incident(tmp_path: Path) -> None:
    world = replace(canary_world(), mesh=Mesh(error_rate=0.08))
    evaluation = pulled(tmp_path, world, CANARY).evaluate()
    assert evaluation.verdict is Verdict.PAUSE
    assert codes(evaluation)[0] == "incident"


def test_worse_than_the_control_within_the_limits_pauses(tmp_path: Path) -> None:
    text = (
        CANARY.replace("limits: {success", "limits: {error-rate: {pause: 0.2}, success")
        .replace("0.97", "0.5")
        .replace("0.9}", "0.4}")
    )
    evaluation = pulled(tmp_path, canary_world(error_rate=8.0), text).evaluate()
    assert (evaluation.verdict, codes(evaluation)[0]) == (Verdict.PAUSE, "worse-than-control")


def test_a_canary_whose_traffic_stops_has_no_data(tmp_path: Path) -> None:
    whole = run(canary_world())
    samples = whole.samples
    canary = np.array([labels.get("destination_version", labels.get("version")) == "v2" for labels in samples.labels])
    kept = ~canary[samples.series] | (samples.timestamps < START + 2 * HOUR)
    columns = SampleColumns(samples.labels, samples.series[kept], samples.timestamps[kept], samples.values[kept])
    evaluation = stored(tmp_path, Simulation(whole.world, columns, whole.truth), CANARY).evaluate()
    assert (evaluation.verdict, codes(evaluation)) == (Verdict.NO_DATA, ["traffic-stopped"])


def test_a_canary_without_any_data_has_no_data(tmp_path: Path) -> None:
    text = CANARY.replace("my-service", "other")
    evaluation = pulled(tmp_path, replace(canary_world(), end_ms=START + HOUR), text).evaluate()
    assert evaluation.verdict is Verdict.NO_DATA


def test_counters_of_which_some_carry_no_replicate_are_not_user_level(tmp_path: Path) -> None:
    def forget(labels: dict[str, str]) -> dict[str, str] | None:
        if labels.get("ab_replicate") == "3" and labels["__name__"] == "ab_purchases_total":
            del labels["ab_replicate"]
        return labels

    evaluation = pulled(tmp_path, replace(BIG, end_ms=START + 2 * HOUR), AB, forget).evaluate()
    assert evaluation.verdict is Verdict.DESCRIPTIVE
    assert "some of the counters carry no replicate" in evaluation.reasons[0].message


def test_mesh_metrics_decide_nothing_where_rules_mix_other_requests_in(tmp_path: Path) -> None:
    text = AB.replace("primary: [conversion]", "primary: [success-rate]")
    rules = "assignment: {rules: [{when: {header: {x-vip: {exact: 'yes'}}}, to: treatment}]}\nmetrics:"
    world = replace(BIG, end_ms=START + 2 * HOUR)
    plain = pulled(tmp_path, world, text).evaluate()
    assert metric(plain, "success-rate").status.code is StatusCode.OK
    (tmp_path / "world.duckdb").unlink()
    mixed = pulled(tmp_path, world, text.replace("metrics:", rules)).evaluate()
    assert mixed.verdict is Verdict.DESCRIPTIVE
    assert metric(mixed, "success-rate").status.code is StatusCode.NOT_RANDOMISED
    assert metric(mixed, "error-rate").status.code is StatusCode.OK, "a guardrail still warns"


def test_visitors_without_an_id_are_neither_compared_nor_a_defect(tmp_path: Path) -> None:
    world = replace(BIG, end_ms=START + 2 * HOUR, users=replace(BIG.users, without_id=0.3))
    without_id = pulled(tmp_path, world, AB)
    evaluation, truth = without_id.evaluate(), without_id.simulation.truth
    assert {finding.code for finding in evaluation.health.data_quality.findings} <= {"unseen-births", "births", "gaps"}
    views = truth.total("ab_page_views_total", variant="control", assignment="hash")
    bought = truth.total("ab_purchases_total", variant="control", assignment="hash")
    assert metric(evaluation, "conversion").baseline == bought.visible / views.visible
    assert truth.total("ab_page_views_total", assignment="none").visible > 0
