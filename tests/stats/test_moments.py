from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle
from scipy.optimize import brentq

from abkit import stats
from abkit.stats import Moments
from tests.stats.worlds import assert_clean, monte_carlo, rejected

MEAN, SPREAD, SIZE = st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(2, 10_000)


@given(m0=MEAN, m1=MEAN, s0=SPREAD, s1=SPREAD, n0=SIZE, n1=SIZE, alt=st.sampled_from(["two-sided", "greater", "less"]))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_against_scipy(m0: float, m1: float, s0: float, s1: float, n0: int, n1: int, alt: Any) -> None:
    found = stats.means(Moments(n0, m0, s0**2), Moments(n1, m1, s1**2), 0.9, alt)
    expected = oracle.ttest_ind_from_stats(m1, s1, n1, m0, s0, n0, equal_var=False, alternative=alt)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-8, abs=1e-14)
    assert_clean(found)
    swapped = stats.means(Moments(n1, m1, s1**2), Moments(n0, m0, s0**2), 0.9)
    assert swapped.effect == -found.effect
    assert swapped.df == pytest.approx(found.df, rel=1e-9)


def test_interval_and_moments_of_raw_values_against_scipy() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.gamma(2, 3, 40), rng.gamma(2, 3.5, 55)
    expected = oracle.ttest_ind(y, x, equal_var=False)
    ci = expected.confidence_interval(0.95)
    for arms in (
        tuple((a.size, a.sum(), (a * a).sum()) for a in (x, y)),
        tuple(Moments(a.size, a.mean(), a.var(ddof=1)) for a in (x, y)),
        tuple(
            Moments(7, a[:7].mean(), a[:7].var(ddof=1)) + Moments(a.size - 7, a[7:].mean(), a[7:].var(ddof=1))
            for a in (x, y)
        ),
    ):
        found = stats.means(*arms)
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.df == pytest.approx(expected.df, rel=1e-9)
        assert found.effect_ci == pytest.approx((ci.low, ci.high), rel=1e-9)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_fieller_holds_the_ratios_that_the_t_test_does_not_reject(alternative: str) -> None:
    m0, v0, n0, m1, v1, n1 = 10.0, 9.0, 40, 11.5, 16.0, 50
    found = stats.means(Moments(n0, m0, v0), Moments(n1, m1, v1), 0.9, alternative, lift="fieller")
    tail = 0.05 if alternative == "two-sided" else 0.1
    t = oracle.t.isf(tail, found.df)

    def gap(ratio: float) -> float:
        return (m1 - ratio * m0) / math.sqrt(v1 / n1 + ratio**2 * v0 / n0)

    low, high = (float(brentq(lambda r, s=side: gap(r) - s * t, 0.5, 2.0, xtol=1e-14)) for side in (1, -1))
    expected = (low - 1 if alternative != "less" else -math.inf, high - 1 if alternative != "greater" else math.inf)
    assert found.lift_ci == pytest.approx(expected, rel=1e-9)
    assert found.lift_p_value == pytest.approx(found.p_value, rel=1e-12)
    # The delta method on the log comes close where both means are certain.
    delta = stats.means(Moments(n0, m0, v0), Moments(n1, m1, v1), 0.9, alternative)
    if alternative == "two-sided":
        assert delta.lift_ci == pytest.approx(found.lift_ci, abs=0.005)


def test_gaps_have_reasons() -> None:
    found = stats.means(([0, 1, 5, 3, 9], [0, 2, 5, 6, 9], [0, 4, 5, 14, 30]), ([5] * 5, [5] * 5, [5, 5, 5, 9, 30]))
    assert found.status.tolist() == [
        "no data in control",
        "one unit in an arm: nothing shows how much it varies",
        "no variation between units: nothing to estimate a variance from",
        "ok",
        "ok",
    ]
    assert_clean(found)
    unsure = stats.means(Moments(5, 1.0, 9.0), Moments(5, 2.0, 9.0), lift="fieller")
    assert (unsure.lift_ci, unsure.lift_status) == (None, "the control is not clearly above 0: its lift has no bounds")
    assert_clean(unsure)
    negative = stats.means(Moments(9, -1.0, 1.0), Moments(9, 2.0, 1.0), lift="fieller")
    assert (negative.status, negative.lift_status) == ("ok", "a lift needs both arms above 0")


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="squares is below"):
        stats.means((2, 10, 1), (2, 3, 5))
    with pytest.raises(ValueError, match="valid: log, fieller"):
        stats.means((2, 3, 5), (2, 3, 5), lift="delta")
    with pytest.raises(ValueError, match="NaN"):
        Moments(1, math.nan, 0)


@pytest.mark.parametrize("lift", ["log", "fieller"])
def test_coverage_of_the_lift(lift: str) -> None:
    worlds = 4_000
    rng = np.random.default_rng(6)
    arms = []
    for size, mean in ((30, 10.0), (60, 12.0)):
        x = rng.normal(mean, 4.0, (worlds, size))
        arms.append(Moments(size, x.mean(1), x.var(1, ddof=1)))
    low, high = stats.means(arms[0], arms[1], lift=lift).lift_ci
    assert ((low > 0.2) | (high < 0.2)).mean() <= monte_carlo(0.05, worlds)
    assert rejected(stats.means(arms[0], arms[1], lift=lift).lift_p_value) > 0.4
