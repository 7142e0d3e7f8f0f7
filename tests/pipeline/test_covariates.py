"""CUPED from the store to the result: it removes noise, keeps its error rate, and never leaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abkit import spec
from abkit.evidence import Covariate, Evaluation, MetricResult, StatusCode, Usage, Verdict
from abkit.pipeline.covariates import adjusted, pre_period_findings
from abkit.pipeline.estimate import estimate
from abkit.queries import ResolvedMetric, resolve
from abkit.simulate import HOUR, MINUTE, Arm, Effects, Epoch, Shop, Users, World
from tests.pipeline.buckets import Row, totals
from tests.pipeline.people import Crowd
from tests.worlds import Pulled, pulled

SPEC = """\
metadata: {name: buy-now}
service: {name: my-service, namespace: shop}
variants: {control: {version: v1}, treatment: {version: v2}}
metrics: {primary: [conversion], guardrails: [page-load-time], secondary: [click-rate, revenue-per-user]}
analysis: {start: 2026-11-01, pre-period: 24h, mde: 0.2}
"""
WITHOUT = SPEC.replace("pre-period: 24h, ", "")
START = World(experiment="x").start_ms
PERSISTENT = World(
    experiment="buy-now",
    seed=3,
    users=Users(count=3_000, views=40.0, residents=1.0),
    start_ms=START,
    end_ms=START + 24 * HOUR,
    lead_ms=25 * HOUR,
    pre_ms=24 * HOUR,
    scrape_interval_ms=15 * MINUTE,
    arms=(Arm("control", "v1", 5_000), Arm("treatment", "v2", 5_000, Effects(conversion=0.1))),
    shop=Shop(conversion=0.1),
)


def metric(evaluation: Evaluation, name: str = "conversion") -> MetricResult:
    return next(result for result in evaluation.metrics if result.metric == name)


def covariate(evaluation: Evaluation, name: str = "conversion") -> Covariate:
    found = metric(evaluation, name).covariate
    assert found is not None
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Pulled:
    return pulled(tmp_path_factory.mktemp("pre"), PERSISTENT, SPEC)


class TestFromTheStore:
    def test_what_users_keep_is_removed_from_the_noise(self, world: Pulled) -> None:
        evaluation = world.evaluate()
        result, found = metric(evaluation), covariate(evaluation)
        assert found.status.code is StatusCode.OK
        assert found.variance_removed is not None
        assert found.variance_removed > 0.5
        assert result.method.startswith("CUPED")
        truth = world.simulation.truth.lift("conversion", "treatment").lift
        assert result.lift_ci is not None
        assert found.lift_ci is not None
        low, high = result.lift_ci
        wide_low, wide_high = found.lift_ci
        assert None not in (low, high, wide_low, wide_high)
        assert (low or 0) <= truth <= (high or 0)
        assert (high or 0) - (low or 0) < 0.7 * ((wide_high or 0) - (wide_low or 0))
        assert found.pre_p_value is not None
        assert found.pre_p_value > 0.001

    def test_the_time_before_is_in_no_total_split_or_exposure(self, world: Pulled) -> None:
        evaluation, truth = world.evaluate(), world.simulation.truth

        def seen(name: str, variant: str) -> float:
            return truth.total(f"ab_{name}_total", variant=variant, assignment="hash").visible

        rates = [seen("purchases", name) / seen("page_views", name) for name in ("control", "treatment")]
        # The unadjusted lift is that of the window alone, to the last event.
        assert covariate(evaluation).lift == pytest.approx(rates[1] / rates[0] - 1, rel=1e-12)
        assert evaluation.window.start is not None
        assert evaluation.window.start.timestamp() * 1000 == START
        for name in ("control", "treatment"):
            assert evaluation.health.srm.observed[name] == seen("exposed_users", name)
        assert all(point.at.timestamp() * 1000 > START for point in evaluation.trend)

    def test_the_same_without_the_pre_period_but_for_the_noise(self, world: Pulled) -> None:
        evaluation = replace(world, experiment=spec.loads(WITHOUT)).evaluate()
        result = metric(evaluation)
        assert result.covariate is None
        assert (result.lift, result.lift_ci) == (covariate(world.evaluate()).lift, covariate(world.evaluate()).lift_ci)

    def test_which_metrics(self, world: Pulled) -> None:
        evaluation = world.evaluate()
        assert covariate(evaluation, "click-rate").status.code is StatusCode.OK
        assert metric(evaluation, "page-load-time").covariate is None, "a guardrail"
        # Exposures are counted from the start on: there is no revenue per exposed user before.
        missing = covariate(evaluation, "revenue-per-user")
        assert missing.status.code is StatusCode.UNAVAILABLE
        assert "before the start nothing is labelled" in missing.status.reason

    def test_every_look_is_adjusted(self, world: Pulled) -> None:
        evaluation = world.evaluate()
        trend = [point for point in evaluation.trend if point.metric == "conversion"]
        assert len(trend) > 20
        assert trend[-1].lift == metric(evaluation).lift
        assert Evaluation.from_json(evaluation.to_json()) == evaluation

    def test_the_fingerprint_covers_the_time_before(self, world: Pulled) -> None:
        other = replace(world, experiment=spec.loads(SPEC.replace("24h", "12h"))).evaluate()
        assert other.provenance.inputs != world.evaluate().provenance.inputs


class TestUnavailable:
    def test_nothing_labelled_before_the_start(self, tmp_path: Path) -> None:
        # Not labelled by future variant: all of the control's version counts for the control.
        def drop(labels: dict[str, str]) -> dict[str, str] | None:
            return None if (labels.get("ab_variant"), labels.get("version")) == ("treatment", "v1") else labels

        evaluation = pulled(tmp_path, PERSISTENT, SPEC, drop).evaluate()
        found = covariate(evaluation)
        assert found.status.code is StatusCode.UNAVAILABLE
        assert "nothing is labelled as treatment" in found.status.reason
        result = metric(evaluation)
        assert (result.lift, result.lift_ci) == (found.lift, found.lift_ci)
        assert "CUPED" not in result.method

    def test_the_split_changed(self, tmp_path: Path) -> None:
        ramp = "ramp: [{from: 2026-11-01, split: {control: 9000, treatment: 1000}}, "
        ramp += "{from: 2026-11-01T12:00:00Z, split: {control: 5000, treatment: 5000}}]\n"
        splits = ({"control": 9_000, "treatment": 1_000}, {"control": 5_000, "treatment": 5_000})
        moments = (START - 25 * HOUR, START + 12 * HOUR)
        changing = replace(
            PERSISTENT, epochs=tuple(Epoch(at, split) for at, split in zip(moments, splits, strict=True))
        )
        evaluation = pulled(tmp_path, changing, SPEC + ramp).evaluate()
        found = covariate(evaluation)
        assert found.status.code is StatusCode.UNAVAILABLE
        assert "split changed" in found.status.reason
        assert "Mantel-Haenszel" in metric(evaluation).method


class TestMonteCarlo:
    SPEC = spec.loads(
        WITHOUT.replace("mde", "pre-period: 7d, mde").replace(", secondary: [click-rate, revenue-per-user]", "")
    )

    @property
    def conversion(self) -> ResolvedMetric:
        return resolve(self.SPEC)[0]

    def one(self, seed: int) -> tuple[float, float, float, float]:
        """P and lift of the adjusted result, and of the plain one, in a world without effect."""
        crowd = Crowd(seed)
        ids = {role: data.id for role, data in self.conversion.inputs.items()}
        before = totals(crowd.rows(ids, 7.0))
        now = totals([row for look in range(3) for row in crowd.rows(ids, 5.0, look=look)], looks=3)
        plain = estimate(self.SPEC, self.conversion, now, "treatment")
        found, removed = adjusted(self.SPEC, self.conversion, Usage.PRIMARY, now, before, "treatment", plain)
        assert removed is not None
        assert removed.status.code is StatusCode.OK
        assert found.comparison is not None
        assert plain.comparison is not None
        last, without = found.comparison.at(-1), plain.comparison.at(-1)
        return last.lift_p_value, last.lift, without.lift_p_value, without.lift

    def test_it_keeps_the_a_a_rate_and_halves_the_variance(self) -> None:
        runs = np.array([self.one(seed) for seed in range(160)])
        rate = (runs[:, 0] <= 0.05).mean()
        assert rate <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(runs))
        assert runs[:, 1].var() < 0.5 * runs[:, 3].var()

    def test_an_a_a_test_that_fails_before_the_start_is_said(self) -> None:
        found = [self.findings(seed, 0.0) for seed in range(10)]
        assert not any(found)
        (finding,) = self.findings(3, 1.5)
        assert finding.code == "pre-period-differs"
        assert "conversion of treatment differed" in finding.message

    def test_and_then_it_is_no_covariate(self) -> None:
        crowd = Crowd(3)
        ids = {role: data.id for role, data in self.conversion.inputs.items()}
        before, now = totals(crowd.rows(ids, 7.0, 1.5)), totals(crowd.rows(ids, 7.0, 1.5))
        plain = estimate(self.SPEC, self.conversion, now, "treatment")
        found, removed = adjusted(self.SPEC, self.conversion, Usage.PRIMARY, now, before, "treatment", plain)
        # An effect that was there before would be taken for people's habits, and removed.
        assert found is plain
        assert removed is not None
        assert removed.status.code is StatusCode.UNAVAILABLE
        assert "differed before the start" in removed.status.reason
        assert removed.pre_p_value is not None
        assert removed.pre_p_value < 0.001

    def findings(self, seed: int, lift: float) -> tuple:  # type: ignore[type-arg]
        ids = {role: data.id for role, data in self.conversion.inputs.items()}
        before = totals(Crowd(seed).rows(ids, 7.0, lift))
        return pre_period_findings(self.SPEC, [(self.conversion, Usage.PRIMARY)], before)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"assignment": ""}, "ab_assignment"),
            ({"replicate": -1}, "ab_replicate"),
            ({"replicate": 40}, "ab_replicate"),
            ({"assignment": "rule"}, "nothing is labelled"),
            ({"variant": "control"}, "nothing is labelled as treatment"),
        ],
    )
    def test_labels_that_are_missing_before(self, change: dict[str, object], why: str) -> None:
        crowd = Crowd(1)
        ids = {role: data.id for role, data in self.conversion.inputs.items()}
        rows = [Row(**{**row.__dict__, **change}) for row in crowd.rows(ids, 7.0)]
        now = totals(crowd.rows(ids, 5.0))
        plain = estimate(self.SPEC, self.conversion, now, "treatment")
        found, removed = adjusted(self.SPEC, self.conversion, Usage.PRIMARY, now, totals(rows), "treatment", plain)
        assert found is plain
        assert removed is not None
        assert why in removed.status.reason


def test_an_a_a_world_is_not_decided(tmp_path: Path) -> None:
    world = replace(PERSISTENT, arms=(Arm("control", "v1", 5_000), Arm("treatment", "v2", 5_000)))
    evaluation = pulled(tmp_path, world, SPEC).evaluate()
    assert evaluation.verdict in {Verdict.KEEP_RUNNING, Verdict.INCONCLUSIVE}
    assert not [finding for finding in evaluation.health.data_quality.findings if finding.code == "pre-period-differs"]
