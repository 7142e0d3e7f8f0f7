from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit import stats
from tests.stats.worlds import assert_clean, monte_carlo, rejected

INF = float("inf")
EDGES = np.array([0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, INF])


def test_prometheus_interpolation() -> None:
    # histogram_quantile(0.9, …) on le 0.1: 50, 0.5: 90, 1: 100, +Inf: 100.
    edges, counts = [0.1, 0.5, 1.0, INF], [50, 40, 10, 0]
    found = stats.bucket_quantile(edges, counts, 0.9)
    assert (found.value, found.low, found.high) == (0.5, 0.1, 0.5)
    assert stats.bucket_quantile(edges, counts, 0.25).value == pytest.approx(0.05)
    assert stats.bucket_quantile(edges, counts, 0.95).value == pytest.approx(0.75)
    assert stats.bucket_quantile(edges, [50, 90, 100, 100], 0.95, cumulative=True).value == pytest.approx(0.75)


def test_saturation_and_emptiness_are_said() -> None:
    found = stats.bucket_quantile([0.1, 0.5, INF], [[90, 5, 5], [90, 0, 10], [0, 0, 0]], 0.95)
    assert found.value.tolist() == [0.5, None, None]
    assert found.saturated.tolist() == [False, True, False]
    assert found.low.tolist() == [0.1, 0.5, None]
    assert found.high.tolist() == [0.5, INF, None]
    assert found.status.tolist() == ["ok", "the quantile lies above the last finite edge, 0.5", "no events"]
    assert_clean(found)
    assert_clean(found.at(2))


def test_first_buckets_below_zero_have_no_lower_edge() -> None:
    found = stats.bucket_quantile([-1.0, 1.0, INF], [10, 10, 0], 0.2)
    assert (found.value, found.low, found.high) == (-1.0, -INF, -1.0)


@given(
    counts=st.lists(st.integers(0, 1000), min_size=9, max_size=9), q=st.floats(0.01, 0.99), axis=st.sampled_from([0, 1])
)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_the_bucket_brackets_the_quantile(counts: list[int], q: float, axis: int) -> None:
    array = np.array([counts, counts[::-1]])
    found = stats.bucket_quantile(EDGES, array if axis else array.T, q, axis=axis).at(0)
    assert_clean(found)
    total, cumulative = sum(counts), np.cumsum(counts)
    if not total:
        assert found.status == "no events"
        return
    values = np.repeat(np.arange(9), counts)
    index = int(values[max(int(np.ceil(q * total - 1e-9)) - 1, 0)])
    if not np.isclose(cumulative / total, q).any():
        assert found.high == EDGES[index]
    if found.saturated:
        assert found.value is None
    else:
        assert found.low <= found.value <= found.high


@pytest.mark.parametrize(
    ("edges", "counts", "q", "words"),
    [
        ([0.1, 0.5], [1, 1], 0.5, "last one \\+Inf"),
        ([0.5, 0.1, INF], [1, 1, 1], 0.5, "rise"),
        ([0.1, INF], [1, 1, 1], 0.5, "2 edges"),
        ([0.1, INF], [1, -1], 0.5, "not below 0"),
        ([0.1, INF], [1, 1], 1.0, "between 0 and 1"),
    ],
)
def test_nonsense_is_refused(edges: list[float], counts: list[float], q: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stats.bucket_quantile(edges, counts, q)


def _latencies(rng: np.random.Generator, worlds: int, pods: int, spread: float, slower: float = 1.0) -> np.ndarray:
    """Events a bucket, (world, pod, bucket): log-normal latencies, pods differ."""
    scale = 0.15 * slower * np.exp(spread * rng.standard_normal((worlds, pods, 1)))
    from scipy.stats import lognorm

    cdf = lognorm.cdf(EDGES, 0.6, scale=scale)
    return np.asarray(rng.multinomial(2_000, np.diff(cdf, prepend=0.0, axis=-1)))


@pytest.mark.parametrize("pods", [(3, 3), (8, 8), (6, 1)])
def test_quantiles_of_pods_that_differ_keep_their_promise(pods: tuple[int, int]) -> None:
    worlds = 400
    rng = np.random.default_rng(17)
    control, treatment = (_latencies(rng, worlds, count, 0.1) for count in pods)
    result = stats.quantiles(EDGES, control, treatment, 0.95)
    assert rejected(result.p_value) <= monte_carlo(0.05, worlds)
    assert rejected(result.lift_p_value) <= monte_carlo(0.05, worlds)
    assert_clean(result)
    if pods == (8, 8):
        slow = stats.quantiles(EDGES, control, _latencies(rng, worlds, 8, 0.1, 1.5), 0.95)
        assert rejected(slow.p_value) > 0.9


def test_quantiles_is_the_jackknife_in_each_arm() -> None:
    rng = np.random.default_rng(2)
    control, treatment = _latencies(rng, 1, 5, 0.2)[0], _latencies(rng, 1, 4, 0.2)[0]
    result = stats.quantiles(EDGES, control, treatment, 0.95)
    arms = [
        stats.jackknife(lambda t: stats.bucket_quantile(EDGES, t, 0.95, axis=0).value, arm.T)
        for arm in (control, treatment)
    ]
    assert (result.control, result.treatment) == (arms[0].estimate, arms[1].estimate)
    assert result.df == pytest.approx(7, abs=0.01)
    # 2,000 events a pod: equal traffic. Four pods can't be more certain than five of the same kind.
    variances = [arms[0].standard_error ** 2, max(arms[1].standard_error ** 2, arms[0].standard_error ** 2 * 5 / 4)]
    assert result.effect_se == pytest.approx(np.sqrt(sum(variances)), rel=1e-6)
    swapped = stats.quantiles(EDGES, treatment, control, 0.95)
    assert swapped.effect == -result.effect
    assert swapped.p_value == pytest.approx(result.p_value, rel=1e-9)


def test_quantiles_that_are_not_there() -> None:
    fine, slow = np.tile([90, 10, 0], (3, 1)) + np.arange(3)[:, None], np.tile([10, 10, 80], (3, 1))
    edges = [0.1, 0.5, INF]
    result = stats.quantiles(edges, np.where([[True, True, False]], fine, 0), slow, 0.9)
    assert (result.treatment, result.effect, result.p_value) == (None, None, None)
    assert result.status == "the quantile lies above the last finite edge, 0.5, in treatment"
    assert stats.quantiles(edges, np.zeros((3, 3)), slow, 0.05).status == "no data in control"
    alone = stats.quantiles(edges, fine[:1], fine[1:2], 0.5)
    assert alone.status.startswith("one instance in each arm")
    # A pod that alone keeps the quantile finite.
    mixed = np.array([[100, 0, 0], [40, 0, 60], [40, 0, 60]])
    assert "with one instance left out" in stats.quantiles(edges, mixed, mixed, 0.55).status
    for r in (result, alone):
        assert_clean(r)


def test_buckets_of_one_cluster_have_quantiles_but_no_interval() -> None:
    found = stats.quantiles([0.1, 0.5, 1.0, INF], [50, 40, 10, 0], [10, 50, 40, 0], 0.5)
    assert (found.control, found.treatment) == (0.1, pytest.approx(0.42))
    assert (found.p_value, found.effect_ci) == (None, None)
    assert found.status.startswith("one instance in each arm")
    assert_clean(found)
