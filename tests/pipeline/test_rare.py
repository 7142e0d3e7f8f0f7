"""Few events: exact where they are independent, the lift alone where they are not, and always a defined result."""

from __future__ import annotations

import numpy as np
import pytest

from abkit import spec, stats
from abkit.evidence import MetricResult, StatusCode, Usage
from abkit.pipeline.compare import compare_all
from abkit.pipeline.looks import Looked
from abkit.pipeline.rare import rare_events
from abkit.queries import ResolvedMetric, resolve
from abkit.spec import Experiment
from tests.benchmarks.worlds import overdispersed
from tests.pipeline.arms import Floats, by_instance, by_replicate
from tests.stats.worlds import monte_carlo, rejected

ARMS = ("control", "treatment")
TEXT = """\
service: shop
variants: {control: v1, treatment: v2}
metrics: {primary: [conversion], guardrails: [{metric: error-rate, margin: 0.5}], secondary: [success-rate]}
analysis: {start: 2026-11-01, end: 2026-11-15, looks: LOOKS}
"""


def experiment(looks: str = "fixed") -> Experiment:
    return spec.loads(TEXT.replace("LOOKS", looks))


def metric(name: str) -> ResolvedMetric:
    return next(found for found in resolve(experiment()) if found.name == name)


def spread(events: tuple[int, int], clusters: int, *, together: bool = False) -> Floats:
    """(look, arm, cluster): single events in different clusters, or all of them in one."""
    num = np.zeros((1, 2, clusters))
    for arm, count in enumerate(events):
        for event in range(count):
            num[0, arm, 0 if together else event % clusters] += 1
    return num


def judged(name: str, num: Floats, den: Floats, looks: str = "fixed", usage: Usage = Usage.PRIMARY) -> MetricResult:
    made = by_instance if name in {"error-rate", "success-rate"} else by_replicate
    totals = made(metric(name), ARMS, num, den)
    ends = [86_400_000 * (look + 1) for look in range(num.shape[0])]
    (result,) = compare_all(experiment(looks), [(metric(name), usage)], Looked(totals, 0, ends)).metrics
    return result


VIEWS = np.full((1, 2, 32), 100.0)


def test_exact_counts_take_the_place_of_the_difference() -> None:
    result = judged("conversion", spread((5, 12), 32), VIEWS)
    assert result.p_value == pytest.approx(0.14346, abs=1e-5)
    assert result.lift_ci == pytest.approx((0.787 - 1, 8.696 - 1), abs=1e-3)
    assert result.p_adjusted == result.p_value
    assert (result.replication, result.status.code) == ("events", StatusCode.OK)
    assert "5 in an arm; dispersion 0." in result.method
    assert result.effect_ci is not None
    assert result.effect_ci[0] < 0 < result.effect_ci[1]  # type: ignore[operator]


def test_no_events_in_one_arm_are_a_defined_result() -> None:
    result = judged("conversion", spread((0, 5), 32), VIEWS)
    assert (result.lift, result.lift_ci, result.effect_ci) == (None, None, None)
    assert result.effect == pytest.approx(5 / 3200)
    assert result.status.reason == (
        "few events, and not known to be independent, which under 4 in an arm can't show: the difference has no "
        "interval; no lift: no events in control"
    )
    mirrored = judged("conversion", spread((5, 0), 32), VIEWS)
    assert mirrored.p_value is not None
    assert mirrored.p_value == pytest.approx(result.p_value)
    assert stats.counts((0, 3200), (5, 3200)).p_value < mirrored.p_value < 0.2


def test_at_any_time_no_events_in_one_arm_are_counted() -> None:
    result = judged("conversion", spread((0, 40), 32), VIEWS, "always-valid")
    assert result.sequential is not None
    assert result.sequential.p_value == stats.sequential.counts((0, 3200), (40, 3200)).p_value
    assert result.replication == "32 hash replicates"


@pytest.mark.parametrize(("phi", "events"), [(1.0, 8), (5.0, 5), (5.0, 8), (5.0, 15), (10.0, 12)])
def test_bursts_in_one_arm_call_few_false_winners(phi: float, events: int) -> None:
    worlds = 4_000
    rng = np.random.default_rng(events)
    mean, shape = events / 32, (worlds, 32)
    arms = [
        stats.ClusterSums(num, np.full(shape, 1e3))
        for num in (rng.poisson(mean, shape), overdispersed(rng, mean, phi, shape))
    ]
    rare = rare_events(metric("conversion").definition, [("hash replicate", (arms[0], arms[1]))], epochs=1)
    assert rare is not None
    p = stats.counts(rare.control, rare.treatment).p_value
    used = np.array([rare.used(world) and rare.shown(world) for world in range(worlds)])
    found = stats.ratios(arms[0], arms[1], paired=True)
    otherwise = np.where(np.ma.getmaskarray(found.lift_p_value), found.p_value.filled(1), found.lift_p_value.filled(1))
    assert rejected(np.where(used, p.filled(1), otherwise)) <= monte_carlo(0.05, worlds)
    assert used.any()


def test_no_events_at_all_are_undefined() -> None:
    result = judged("conversion", spread((0, 0), 32), VIEWS)
    assert (result.p_value, result.p_adjusted, result.status.code) == (None, None, StatusCode.UNDEFINED)


def test_events_that_hang_together_leave_the_lift_alone() -> None:
    num = spread((6, 8), 32)
    num[0, 0, 0], num[0, 1, 9] = 7, 9
    result = judged("conversion", num, VIEWS)
    assert (result.effect_ci, result.status.code) == (None, StatusCode.OK)
    assert result.status.reason.startswith("few events, and not known to be independent")
    assert result.lift_ci is not None
    assert result.replication == "32 hash replicates"
    assert result.p_value is not None
    assert result.p_value > stats.counts((12, 3200), (17, 3200)).p_value


def test_at_any_time_few_events_are_sequential_counts() -> None:
    result = judged("conversion", spread((3, 25), 32), VIEWS, "always-valid")
    expected = stats.sequential.counts((3, 3200), (25, 3200))
    assert result.sequential is not None
    assert result.sequential.p_value == expected.p_value == result.p_adjusted
    assert result.sequential.lift_ci == pytest.approx(expected.lift_ci)
    assert result.p_value is not None
    assert result.p_value < expected.p_value


def test_many_events_are_judged_by_replicates() -> None:
    rng = np.random.default_rng(3)
    result = judged("conversion", rng.poisson(3, (1, 2, 32)).astype(float), VIEWS)
    assert "jackknife across arms" in result.method
    assert result.replication == "32 hash replicates"


def test_a_few_errors_of_each_pod_are_counted_exactly() -> None:
    requests = np.full((1, 2, 3), 1000.0)
    result = judged("error-rate", spread((4, 7), 3), requests, usage=Usage.GUARDRAIL)
    assert result.p_value == pytest.approx(stats.counts((4, 1), (7, 1)).p_value)
    assert result.lift == pytest.approx(0.75)
    burst = judged("error-rate", spread((0, 9), 3, together=True), requests, usage=Usage.GUARDRAIL)
    assert burst.replication != "events"
    assert burst.effect_ci is None


def test_an_exact_upper_bound_of_the_harm_needs_few_errors_in_the_treatment() -> None:
    requests = np.full((1, 2, 3), 1000.0)
    result = judged("error-rate", spread((20, 4), 3), requests, usage=Usage.GUARDRAIL)
    upper = stats.counts((20, 3000), (4, 3000), 0.95, "less").lift_ci[1]
    assert result.harm_bound == pytest.approx(upper)
    assert result.within_margin
    either = judged("error-rate", spread((20, 4), 3), requests, "always-valid", Usage.GUARDRAIL)
    assert either.harm_bound is not None
    assert either.harm_bound > upper
    none = judged("error-rate", spread((20, 0), 3), requests, "always-valid", Usage.GUARDRAIL)
    assert none.within_margin
    assert judged("error-rate", spread((20, 0), 3), requests, usage=Usage.GUARDRAIL).harm_bound is None


def test_misses_of_a_success_rate_are_the_errors_mirrored() -> None:
    requests = np.full((1, 2, 3), 1000.0)
    errors = spread((4, 12), 3)
    good, bad = judged("success-rate", requests - errors, requests), judged("error-rate", errors, requests)
    assert good.p_value == bad.p_value
    assert good.effect_ci is not None
    assert bad.effect_ci is not None
    assert good.effect_ci == pytest.approx((-bad.effect_ci[1], -bad.effect_ci[0]))  # type: ignore[operator]
    assert "events that did not happen" in good.method
    assert good.lift_ci is not None
    assert good.lift_ci == pytest.approx([end / good.baseline for end in good.effect_ci])  # type: ignore[operator]


def test_sums_of_money_and_changing_splits_are_not_counted() -> None:
    arms = (
        stats.ClusterSums(np.full((1, 8), 0.5), np.ones((1, 8))),
        stats.ClusterSums(np.ones((1, 8)), np.ones((1, 8))),
    )
    assert rare_events(metric("conversion").definition, [("hash replicate", arms)], epochs=1) is None
    whole = (arms[1], arms[1])
    one, two = (
        rare_events(metric("conversion").definition, [("hash replicate", whole)], epochs=epochs) for epochs in (1, 2)
    )
    assert one is not None
    assert two is not None
    assert (one.used(0), two.used(0), two.few[0]) == (True, False, True)
