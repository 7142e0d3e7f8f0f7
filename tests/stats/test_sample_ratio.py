from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from abkit import stats
from abkit.stats.sequential import multinomial
from tests.stats.worlds import monte_carlo


@given(n=st.integers(1, 3_000), weight=st.integers(1, 9_999), tilt=st.floats(-4, 4))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_two_arms_against_the_exact_binomial_of_scipy(n: int, weight: int, tilt: float) -> None:
    p = weight / 10_000
    k = int(np.clip(round(n * p + tilt * math.sqrt(n * p * (1 - p))), 0, n))
    result = stats.srm([n - k, k], [10_000 - weight, weight])
    assert result.p_value == pytest.approx(oracle.binomtest(k, n, p).pvalue, rel=1e-7)
    assert result.method.startswith("exact binomial")
    assert result.expected == pytest.approx((n * (1 - p), n * p))


@pytest.mark.parametrize("n", [10**6, 10**9, 10**12])
def test_enormous_counts(n: int) -> None:
    sd = math.sqrt(n * 0.05 * 0.95)
    off = round(n * 0.05 + 2 * sd)
    result = stats.srm([n - off, off], [9_500, 500])
    assert result.p_value == pytest.approx(2 * oracle.norm.sf(2), rel=0.01)
    assert result.sequential_p_value is not None
    assert result.p_value is not None
    assert result.sequential_p_value > result.p_value
    assert not result.alarm
    off = round(n * 0.05 + 12 * sd)
    assert stats.srm([n - off, off], [9_500, 500]).alarm
    broken = stats.srm([n, 0], [9_500, 500])
    assert broken.e_value is not None
    assert math.isfinite(broken.e_value)
    assert (broken.p_value, broken.alarm) == (0.0, True)


def test_three_arms_exactly() -> None:
    observed, shares = [12, 5, 3], [0.4, 0.4, 0.2]
    law = oracle.multinomial(20, shares)
    outcomes = [(a, b, 20 - a - b) for a in range(21) for b in range(21 - a)]
    probability = law.pmf(outcomes)
    expected = probability[probability <= law.pmf(observed) * (1 + 1e-7)].sum()
    result = stats.srm(observed, [4_000, 4_000, 2_000])
    assert result.p_value == pytest.approx(expected, rel=1e-9)
    assert result.method.startswith("exact multinomial")


def test_three_arms_at_large() -> None:
    observed = [40_100, 39_700, 20_200]
    result = stats.srm(observed, [4_000, 4_000, 2_000])
    assert result.p_value == pytest.approx(oracle.chisquare(observed, [40_000, 40_000, 20_000]).pvalue, rel=1e-10)
    assert result.method.startswith("χ²")
    rare = stats.srm([500_000, 499_990, 10], [500_000, 499_999, 1])
    assert rare.method.startswith("exact binomial for each arm")
    assert rare.p_value == pytest.approx(3 * oracle.binomtest(10, 10**6, 1e-6).pvalue, rel=1e-6)


def test_traffic_to_an_arm_of_weight_zero_alarms() -> None:
    result = stats.srm([500, 500, 3], [5_000, 5_000, 0])
    assert (result.stray, result.alarm) == (3.0, True)
    assert result.reason == "3 users in an arm of weight 0"
    assert result.p_value == 1.0
    assert result.expected[2] == 0.0
    assert not stats.srm([500, 500, 0], [5_000, 5_000, 0]).alarm
    alone = stats.srm([500, 3], [10_000, 0])
    assert (alone.alarm, alone.p_value) == (True, None)
    assert alone.status.startswith("one arm has all the weight")


def test_nobody_yet() -> None:
    result = stats.srm([0, 0], [1, 1])
    assert (result.p_value, result.e_value, result.sequential_p_value, result.alarm) == (None, None, None, False)
    assert result.status == "no users yet"


def test_epochs_multiply_and_pool() -> None:
    observed, weights = [[950, 50], [910, 90], [480, 520]], [[9_500, 500], [9_000, 1_000], [5_000, 5_000]]
    result = stats.srm(observed, weights)
    each = [stats.srm(o, w).log_e_value for o, w in zip(observed, weights, strict=True)]
    assert result.log_e_value == pytest.approx(sum(e for e in each if e is not None), abs=1e-9)
    n, p = np.sum(observed, 1), np.array([0.05, 0.1, 0.5])
    z = (660 - (n * p).sum()) / math.sqrt((n * p * (1 - p)).sum())
    assert result.p_value == pytest.approx(2 * oracle.norm.sf(abs(z)), rel=1e-9)
    assert result.observed == (2340.0, 660.0)
    # A ramp pooled against its last weights would alarm.
    assert not result.alarm
    assert stats.srm([2_340, 660], [5_000, 5_000]).alarm
    # The same weights in all epochs are one epoch for the fixed test.
    same = stats.srm([[50, 60], [40, 45]], [1, 1])
    assert same.p_value == pytest.approx(oracle.binomtest(105, 195, 0.5).pvalue, rel=1e-9)
    small = stats.srm([[5, 0], [1, 1]], [[9_500, 500], [5_000, 5_000]])
    assert "Bonferroni" in small.method
    assert small.p_value == 1.0


def test_right_splits_rarely_alarm_however_often_one_looks_and_wrong_ones_do() -> None:
    rng = np.random.default_rng(9)
    totals = 200 * np.arange(1, 21)

    def ever(share: float, worlds: int) -> float:
        arrivals = np.cumsum(rng.binomial(200, share, (worlds, totals.size)), 1)
        pairs = [[(n - k, k) for n, k in zip(totals, row, strict=True)] for row in arrivals]
        return float(np.mean([any(multinomial(pair, (1, 1)).p_value <= 0.05 for pair in row) for row in pairs]))

    assert ever(0.5, 500) <= monte_carlo(0.05, 500)
    assert ever(0.45, 50) > 0.95
    # The test that may be read once, read each time.
    rows = np.cumsum(rng.binomial(200, 0.5, (500, totals.size)), 1)
    fixed = 2 * oracle.norm.sf(np.abs(rows - totals / 2) / np.sqrt(totals / 4))
    assert (fixed < 0.05).any(1).mean() > 0.15


def test_the_alarm_is_the_sequential_test() -> None:
    for k in range(450, 700, 10):
        result = stats.srm([1_000 - k, k], [1, 1], alpha=0.01)
        sequence = multinomial([1_000 - k, k], [1, 1])
        assert result.sequential_p_value == sequence.p_value
        assert result.log_e_value == sequence.log_e_value
        assert result.alarm == (sequence.log_e_value is not None and sequence.log_e_value >= math.log(100))


@pytest.mark.parametrize(
    ("observed", "weights", "words"),
    [
        ([1], [1], "two arms or more"),
        ([1, 2], [1, 2, 3], "same shape"),
        ([1, -2], [1, 2], "observed must be finite"),
        ([1, math.nan], [1, 2], "observed must be finite"),
        ([1, 2], [1, -2], "weights must be finite"),
        ([1, 2], [0, 0], "all 0"),
    ],
)
def test_nonsense_is_refused(observed: list[float], weights: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stats.srm(observed, weights)
