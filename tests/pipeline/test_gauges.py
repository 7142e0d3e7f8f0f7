"""Gauges from samples to results: by instances where there are enough, else described."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from abkit import stats
from abkit.evidence import MetricResult, StatusCode, Verdict
from abkit.pipeline.evaluate import evaluate
from abkit.pipeline.gauges import FEWEST_BLOCKS, joined
from abkit.report.scorecard import print_scorecard
from abkit.spec import Experiment
from abkit.store import Store
from tests.pipeline.pulls import HOUR, moment, pull
from tests.sources.data import Series

Floats = NDArray[np.float64]
HELD = {"name": "held", "kind": "gauge", "direction": "decrease", "unit": "bytes", "value": 'held_bytes{job="shop"}'}
EVERY = 15


def spec(**more: Any) -> Experiment:
    fields = {
        "metadata": {"name": "x"},
        "service": "shop",
        "variants": {"control": "v1", "treatment": "v2"},
        "metrics": {"primary": ["conversion"], "guardrails": [{**HELD, "margin": 0.1}]},
        "analysis": {"start": "2026-11-01"},
    }
    return Experiment.model_validate(fields | more)


def pods(version: str, levels: list[float], seed: int = 1, noise: float = 1.0) -> list[Series]:
    random = np.random.default_rng(seed)
    seconds = range(0, 2 * HOUR // 1000, EVERY)
    return [
        Series(
            {"__name__": "held_bytes", "job": "shop", "instance": f"{version}-{n}:80", "version": version},
            [(moment(second), level + noise * float(random.normal())) for second in seconds],
        )
        for n, level in enumerate(levels)
    ]


def result(tmp_path: Path, series: list[Series]) -> MetricResult:
    store = Store(tmp_path / "x.duckdb")
    pull(store, series, 2 * HOUR / 1000, spec())
    (found,) = (metric for metric in evaluate(spec(), store).metrics if metric.metric == "held")
    return found


class TestResults:
    def test_instances_are_the_units(self, tmp_path: Path) -> None:
        series = [*pods("v1", [100, 102, 98, 100]), *pods("v2", [120, 121, 118, 121], seed=2)]
        found = result(tmp_path, series)
        assert found.status.code is StatusCode.OK
        means = [np.mean([value for one in series[at : at + 4] for _, value in one.points]) for at in (0, 4)]
        assert found.baseline == pytest.approx(means[0], rel=1e-12)
        assert found.value == pytest.approx(means[1], rel=1e-12)
        assert found.lift == pytest.approx(means[1] / means[0] - 1, rel=1e-9)
        assert found.p_value is not None
        assert found.p_value < 0.001
        assert found.n_replicates == 8
        assert "instance" in found.replication
        assert found.better is False
        assert found.harm_bound is not None
        assert found.harm_bound > 0.15, "20 % more memory is beyond the margin"

    def test_pods_that_differ_hide_what_intervals_would_call_certain(self, tmp_path: Path) -> None:
        found = result(tmp_path, [*pods("v1", [90, 110]), *pods("v2", [95, 120], seed=2)])
        assert found.status.code is StatusCode.OK
        assert found.p_value is not None
        assert found.p_value > 0.3

    def test_one_pod_a_version_is_described(self, tmp_path: Path) -> None:
        found = result(tmp_path, [*pods("v1", [100]), *pods("v2", [103], seed=2)])
        assert found.status.code is StatusCode.DESCRIPTIVE
        assert "versions" in found.status.reason
        assert found.effect == pytest.approx(3, abs=0.5)
        low, high = found.effect_ci or (None, None)
        assert low is not None
        assert high is not None
        assert low < 3 < high
        assert found.p_value is None
        assert found.lift is None
        assert found.certain(0.05) is None
        assert "Mann-Whitney" in found.method
        assert "interval of 2 min" in found.replication
        assert "independent" in found.assumption
        console = Console(file=StringIO(), width=200)
        print_scorecard(evaluate(spec(), Store(tmp_path / "x.duckdb")), console)
        assert "descriptive" in console.file.getvalue()  # type: ignore[attr-defined]

    def test_memory_is_no_traffic(self, tmp_path: Path) -> None:
        views = Series(
            {"__name__": "ab_page_views_total", "ab_experiment": "x", "ab_variant": "control", "version": "v1"},
            [(moment(second), second * 1.0) for second in range(0, 7_200, EVERY)],
        )
        store = Store(tmp_path / "x.duckdb")
        report = pull(store, [views, *pods("v1", [100]), *pods("v2", [100])], 7_200, spec())
        assert report.quality.missing_variants == ("treatment",)
        found = evaluate(spec(), store)
        assert found.verdict is Verdict.NO_DATA
        assert [reason.code for reason in found.reasons] == ["variant-missing"]

    def test_an_experiment_that_reads_gauges_alone_has_data(self, tmp_path: Path) -> None:
        alone = spec(metrics={"primary": [HELD]})
        store = Store(tmp_path / "x.duckdb")
        pull(store, [*pods("v1", [100, 101, 99, 100]), *pods("v2", [50, 51, 49, 50])], 7_200, alone)
        found = evaluate(alone, store)
        assert found.verdict is Verdict.SHIP, found.reasons
        assert "held of treatment" in found.reasons[0].message

    def test_a_canary_whose_traffic_stopped_is_not_alive_by_its_memory(self, tmp_path: Path) -> None:
        def requests(version: str, until: int) -> Series:
            labels = {"__name__": "istio_requests_total", "destination_version": version, "response_code": "200"}
            labels |= {"destination_service_name": "shop", "destination_service_namespace": "default"}
            labels |= {"reporter": "destination", "instance": f"{version}:1", "job": "shop"}
            return Series(labels, [(moment(second), second * 4.0) for second in range(0, until, EVERY)])

        canary = spec(strategy="canary", metrics={"guardrails": [HELD]})
        series = [requests("v1", 7_200), requests("v2", 3_600), *pods("v1", [9]), *pods("v2", [9])]
        store = Store(tmp_path / "x.duckdb")
        pull(store, series, 7_200, canary)
        assert evaluate(canary, store).verdict is Verdict.NO_DATA


class TestJoined:
    def test_what_varies_freely_stays_as_it_is(self) -> None:
        random = np.random.default_rng(3)
        found = joined(random.normal(size=60), random.normal(size=60))
        assert found is not None
        assert found[2] == 1
        assert found[0].shape == (60,)

    def test_a_trend_leaves_nothing(self) -> None:
        assert joined(np.arange(60.0), np.arange(60.0) ** 2) is None

    def test_a_constant_is_not_correlated_with_itself(self) -> None:
        assert joined(np.ones(8), np.zeros(8)) is not None

    def test_only_intervals_that_both_have(self) -> None:
        first = np.array([1.0, np.nan, 3.0, 4.0, 2.0, 1.0])
        assert joined(first, first[::-1]) is not None
        assert joined(first[:4], first[:4]) is None
        assert FEWEST_BLOCKS == 4


# What the choice of instances over intervals rests on: 300 A/A worlds each, 60 intervals, 3 pods a side.
WORLDS, INTERVALS, PODS = 300, 60, 3


def world(autocorrelation: float, differ: float) -> Floats:
    """Values, (world, arm, pod, interval)."""
    random = np.random.default_rng(7)
    shocks = random.normal(size=(WORLDS, 2, PODS, INTERVALS))
    values = shocks.copy()
    for at in range(1, INTERVALS):
        fresh = np.sqrt(1 - autocorrelation**2) * shocks[..., at]
        values[..., at] = autocorrelation * values[..., at - 1] + fresh
    return 100 + values + differ * random.normal(size=(WORLDS, 2, PODS, 1))


@pytest.mark.parametrize(
    ("autocorrelation", "differ", "by_intervals"), [(0.0, 0.0, 0.0), (0.5, 0.0, 0.15), (0.8, 0.0, 0.4), (0.0, 1.0, 0.6)]
)
def test_instances_keep_the_error_rate_where_intervals_do_not(
    autocorrelation: float, differ: float, by_intervals: float
) -> None:
    values = world(autocorrelation, differ)
    arms = values.mean(2)
    naive = np.mean(stats.shift(arms[:, 0], arms[:, 1], 0.95).p_value < 0.05)
    assert naive >= by_intervals
    sums = [stats.ClusterSums(values[:, arm].sum(-1), np.full((WORLDS, PODS), float(INTERVALS))) for arm in (0, 1)]
    compared = stats.ratios(sums[0], sums[1], 0.95, cluster="instance", instances=True)
    # Three standard errors of 300 worlds.
    assert np.mean(compared.p_value < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / WORLDS)


@pytest.mark.parametrize(("autocorrelation", "differ"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_instances_may_be_looked_at_again_and_again(autocorrelation: float, differ: float) -> None:
    looks = np.arange(4, INTERVALS + 1, 4)
    # (world, look, arm, pod)
    sums = np.moveaxis(world(autocorrelation, differ).cumsum(-1)[..., looks - 1], -1, 1)
    counts = np.broadcast_to(looks[:, np.newaxis].astype(np.float64), (WORLDS, looks.size, PODS))
    arms = [stats.ClusterSums(sums[:, :, arm], counts) for arm in (0, 1)]
    compared = stats.ratios(arms[0], arms[1], 0.95, cluster="instance", instances=True)
    sequence = stats.sequential.confidence_sequence(
        np.ma.log(1 + compared.lift), compared.lift_se, compared.df, planned_effect=0.05
    )
    assert np.mean(np.ma.filled(sequence.p_value < 0.05, False).any(-1)) <= 0.05
