from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle
from statsmodels.stats.rates import test_poisson_2indep as poisson_test

from abkit import stats
from abkit.stats import ClusterSums
from tests.stats.worlds import assert_clean, monte_carlo, rejected

COUNT = st.integers(0, 400)


def test_numbers_of_equal_exposure() -> None:
    assert stats.counts(control=(0, 50), treatment=(5, 50)).p_value == pytest.approx(0.0625, rel=1e-12)
    assert stats.counts(control=(0, 50), treatment=(3, 50)).p_value == pytest.approx(0.25, rel=1e-12)
    low, high = stats.counts(control=(5, 50), treatment=(12, 50)).ratio_ci
    assert (low, high) == (pytest.approx(0.787, abs=5e-4), pytest.approx(8.696, abs=5e-4))


@given(k0=COUNT, k1=COUNT, n0=st.floats(0.1, 1e4), n1=st.floats(0.1, 1e4))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_tails_are_the_binomial_ones(k0: int, k1: int, n0: float, n1: float) -> None:
    if k0 + k1 == 0:
        assert stats.counts((k0, n0), (k1, n1)).status.startswith("no events")
        return
    for alternative in ("greater", "less"):
        expected = oracle.binomtest(k1, k0 + k1, n1 / (n0 + n1), alternative=alternative).pvalue
        found = stats.counts((k0, n0), (k1, n1), alternative=alternative)
        assert found.p_value == pytest.approx(expected, rel=1e-8, abs=1e-300)
        assert_clean(found)


@pytest.mark.parametrize(("k0", "k1", "n0", "n1"), [(5, 12, 1.0, 1.0), (30, 11, 200.0, 90.0), (400, 300, 1.0, 1.0)])
def test_ratio_interval_is_that_of_clopper_and_pearson(k0: int, k1: int, n0: float, n1: float) -> None:
    share = oracle.binomtest(k1, k0 + k1).proportion_ci(0.9, method="exact")
    found = stats.counts((k0, n0), (k1, n1), confidence=0.9)
    expected = [end / (1 - end) * n0 / n1 for end in (share.low, share.high)]
    assert found.ratio_ci == pytest.approx(expected, rel=1e-8)
    assert [end + 1 for end in found.lift_ci] == pytest.approx(expected, rel=1e-8)


def test_equal_exposure_against_statsmodels() -> None:
    # The binomial is symmetric there: doubled tails and tails by likelihood are the same.
    for k0, k1 in [(1, 6), (3, 9), (20, 41), (8, 8)]:
        expected = poisson_test(k1, 7.0, k0, 7.0, method="exact-cond").pvalue
        assert stats.counts((k0, 7.0), (k1, 7.0)).p_value == pytest.approx(expected, rel=1e-8)


@given(
    k0=COUNT,
    k1=COUNT,
    n0=st.floats(0.1, 1e4),
    n1=st.floats(0.1, 1e4),
    alternative=st.sampled_from(["two-sided", "greater", "less"]),
    confidence=st.sampled_from([0.8, 0.95, 0.99]),
)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_interval_and_p_value_are_duals(
    k0: int, k1: int, n0: float, n1: float, alternative: str, confidence: float
) -> None:
    found = stats.counts((k0, n0), (k1, n1), confidence, alternative)
    assert_clean(found)
    if found.status != "ok":
        return
    low, high = found.ratio_ci
    assert low <= high
    if not math.isclose(found.p_value, 1 - confidence, rel_tol=1e-6):
        assert (low <= 1 <= high) == (found.p_value > 1 - confidence)
        if found.p_value > 1 - confidence:
            assert found.effect_ci[0] <= 0 <= found.effect_ci[1]


@given(k0=COUNT, k1=COUNT, n0=st.floats(0.1, 1e4), n1=st.floats(0.1, 1e4))
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_swapping_arms_turns_it_round(k0: int, k1: int, n0: float, n1: float) -> None:
    one, other = stats.counts((k0, n0), (k1, n1)), stats.counts((k1, n1), (k0, n0))
    if one.status != "ok":
        return
    assert one.p_value == pytest.approx(other.p_value, rel=1e-9)
    assert one.effect == -other.effect
    assert one.effect_ci == pytest.approx([-end for end in other.effect_ci[::-1]], rel=1e-9, abs=1e-12)
    if k0 and k1:
        assert one.ratio_ci == pytest.approx([1 / end for end in other.ratio_ci[::-1]], rel=1e-9)


def test_enormous_counts_and_none() -> None:
    huge = stats.counts((10**12, 1.0), (10**12 + 5 * 10**6, 1.0))
    assert huge.p_value == pytest.approx(2 * oracle.norm.sf(5e6 / math.sqrt(2e12)), rel=1e-3)
    many = stats.counts(([0, 0, 3], [0, 5, 5]), ([0, 2, 0], [4, 0.5, 5]))
    assert many.status.tolist() == ["no data in control", "ok", "ok"]
    assert many.lift.tolist()[:2] == [None, None]
    assert many.at(1).lift_status == "no events in control"
    assert many.at(1).ratio_ci[1] == math.inf
    assert many.at(2).ratio_ci[0] == 0.0
    assert_clean(many)


@pytest.mark.parametrize(
    ("control", "words"),
    [((-1, 5), "whole numbers"), ((1.5, 5), "whole numbers"), ((1, -5), "exposure"), ((1, 0), "without exposure")],
)
def test_nonsense_is_refused(control: tuple[float, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stats.counts(control, (1, 1))


def test_dispersion_decides_whether_it_may_be_used() -> None:
    assert stats.counts((5, 1), (9, 1), dispersion=None).status.startswith("the dispersion of the events is not known")
    refused = stats.counts((5, 1), (9, 1), dispersion=2.0)
    assert refused.status == (
        "events vary more than independent ones would: dispersion above 1.25, compare on clusters"
    )
    assert (refused.p_value, refused.ratio_ci, refused.effect) == (None, None, 4.0)
    assert stats.counts((5, 1), (9, 1), dispersion=2.0, maximum_dispersion=3.0).status == "ok"
    some = stats.counts((5, 1), (9, 1), dispersion=[1.0, None, 9.0])
    assert (some.status == "ok").tolist() == [True, False, False]


@pytest.mark.parametrize("phi", [1.0, 1.25, 2.0, 5.0])
def test_with_its_gate_the_exact_test_keeps_alpha_at_any_dispersion(phi: float) -> None:
    worlds, clusters, mean = 3_000, 32, 4.0
    rng = np.random.default_rng(5)
    shape = (2, worlds, clusters)
    events = rng.poisson(mean, shape) if phi == 1 else rng.poisson(rng.gamma(mean / (phi - 1), phi - 1, shape))
    arms = [ClusterSums(arm, np.ones(shape[1:])) for arm in events]
    gate = stats.count_dispersion(*arms)
    assert float(gate.dispersion.mean()) == pytest.approx(phi, rel=0.03)
    totals = [arm.num.sum(-1) for arm in arms]
    one = np.full(worlds, float(clusters))
    gated = stats.counts((totals[0], one), (totals[1], one), dispersion=gate.dispersion)
    assert rejected(gated.p_value) <= monte_carlo(0.05, worlds)
    ungated = stats.counts((totals[0], one), (totals[1], one))
    if phi == 1:
        assert rejected(gated.p_value) > 0.03
    if phi >= 2:
        assert rejected(ungated.p_value) > 0.12


def test_dispersion_of_counts_against_the_plain_formula() -> None:
    rng = np.random.default_rng(9)
    exposure = rng.uniform(50, 200, (2, 20))
    events = rng.poisson(exposure * 0.1)
    square = 0.0
    for k, n in zip(events, exposure, strict=True):
        expected = n * k.sum() / n.sum()
        square += float(oracle.chisquare(k, expected).statistic)
    found = stats.count_dispersion(ClusterSums(events[0], exposure[0]), ClusterSums(events[1], exposure[1]))
    assert found.dispersion == pytest.approx(square / 38, rel=1e-9)
    assert found.df == 38
    none = stats.count_dispersion(ClusterSums([0, 0], [5, 5]), ClusterSums([0, 0], [5, 5]))
    assert (none.dispersion, none.allowed, none.status) == (None, False, "no events")
    assert_clean(none)
