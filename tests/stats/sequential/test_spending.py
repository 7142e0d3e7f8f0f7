from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from abkit.stats import sequential
from tests.stats.worlds import assert_clean, monte_carlo

FIFTHS = (0.2, 0.4, 0.6, 0.8, 1.0)


def test_published_boundaries() -> None:
    # Reboussin, DeMets, Kim & Lan (2000), five equal looks, two-sided 5 %.
    assert sequential.boundaries(FIFTHS, 0.05) == pytest.approx((4.8769, 3.3569, 2.6803, 2.2898, 2.0310), abs=2e-4)
    assert sequential.boundaries(FIFTHS, 0.05, "pocock") == pytest.approx(
        (2.4380, 2.4268, 2.4101, 2.3966, 2.3859), abs=2e-4
    )


@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize("two_sided", [True, False])
def test_two_looks_against_the_bivariate_normal(spending: str, two_sided: bool) -> None:
    for fractions in ((0.3, 1.0), (0.5, 1.0), (0.9, 1.3)):
        bounds = sequential.boundaries(fractions, 0.05, spending, two_sided=two_sided)
        correlation = math.sqrt(fractions[0] / fractions[1])
        normal = oracle.multivariate_normal(cov=[[1, correlation], [correlation, 1]])
        low = [-b for b in bounds] if two_sided else [-12.0, -12.0]
        inside = normal.cdf(np.array(bounds), lower_limit=np.array(low))
        # One side's spending is exact; paths that cross on both sides are counted twice, and are some 10⁻⁹ of all.
        assert inside == pytest.approx(0.95, abs=1e-7)
        first = oracle.norm.sf(bounds[0]) * (2 if two_sided else 1)
        side = 0.025 if two_sided else 0.05
        assert first == pytest.approx(float(sequential.spent(fractions[0], side, spending)) * (2 if two_sided else 1))


def test_spending_functions_are_the_stated_ones() -> None:
    t = np.array([0.0, 0.1, 0.5, 1.0, 2.0])
    z = oracle.norm.isf(0.0125)
    with np.errstate(divide="ignore"):
        expected = 2 * oracle.norm.sf(z / np.sqrt(np.minimum(t, 1)))
    assert sequential.spent(t, 0.025) == pytest.approx(expected, abs=1e-15)
    assert sequential.spent(t, 0.025, "pocock") == pytest.approx(0.025 * np.log(1 + (math.e - 1) * np.minimum(t, 1)))


@given(
    steps=st.lists(st.floats(0.02, 1.0), min_size=1, max_size=6),
    spending=st.sampled_from(["obrien-fleming", "pocock"]),
    alpha=st.sampled_from([0.001, 0.05, 0.2]),
)
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_looks_at_any_information_spend_alpha_and_no_more(steps: list[float], spending: str, alpha: float) -> None:
    information = np.cumsum(steps)
    fractions = tuple(float(x) for x in information / information[-1])
    bounds = sequential.boundaries(fractions, alpha, spending)
    rng = np.random.default_rng(3)
    walks = 20_000
    paths = np.cumsum(rng.standard_normal((walks, len(steps))) * np.sqrt(np.diff(fractions, prepend=0.0)), 1)
    crossed = (np.abs(paths / np.sqrt(fractions)) >= bounds).any(1).mean()
    assert crossed <= monte_carlo(alpha, walks)
    assert crossed >= alpha - 3 * math.sqrt(alpha / walks)


def _looks(fractions: list[float], z: list[float], **options: object) -> sequential.GroupSequential:
    se = 1 / np.sqrt(np.array(fractions) * 100.0)
    return sequential.group_sequential(np.array(z) * se, se, planned_information=100.0, **options)  # type: ignore[arg-type]


def test_looks_one_by_one() -> None:
    found = _looks([0.2, 0.4, 0.6, 0.8, 1.0], [1.0, 2.0, 2.5, 2.3, 2.5])
    assert found.boundary.tolist() == pytest.approx(list(sequential.boundaries(FIFTHS, 0.05)))
    assert found.decision.tolist() == ["continue", "continue", "continue", "reject", "reject"]
    assert found.stopped == 4.0
    assert found.crossed.tolist() == [False, False, False, True, True]
    assert found.nominal_p.tolist() == pytest.approx([2 * oracle.norm.sf(b) for b in found.boundary])
    low, high = found.ci
    radius = found.boundary / np.sqrt(found.information)
    assert (high - low).tolist() == pytest.approx((2 * radius).tolist())
    assert ((low > 0) | (high < 0)).tolist() == found.crossed.tolist()
    assert found.alpha_spent.tolist()[-1] == pytest.approx(0.05)
    assert_clean(found)
    # Looks to come change nothing about those that were.
    early = _looks([0.2, 0.4], [1.0, 2.0])
    assert early.boundary.tolist() == pytest.approx(found.boundary.tolist()[:2], rel=1e-12)
    assert early.decision.tolist() == ["continue", "continue"]
    assert _looks([0.2, 0.4, 0.6, 0.8, 1.0], [0.0] * 5).decision.tolist()[-1] == "do not reject"


def test_over_run_spends_what_is_left_at_the_real_information() -> None:
    over = _looks([0.5, 1.4, 2.0], [0.0, 0.0, 9.0])
    assert over.boundary.tolist()[:2] == pytest.approx(list(sequential.boundaries((0.5, 1.4), 0.05)))
    assert over.status.tolist() == ["ok", "ok", "after the end: all of α is spent"]
    assert over.decision.tolist() == ["continue", "do not reject", "do not reject"]
    assert over.alpha_spent.tolist() == pytest.approx([float(2 * sequential.spent(0.5, 0.025)), 0.05, None])


def test_under_run_spends_what_is_left_at_the_end() -> None:
    running, ended = _looks([0.3, 0.7], [0.0, 2.1]), _looks([0.3, 0.7], [0.0, 2.1], final=True)
    assert running.decision.tolist() == ["continue", "continue"]
    assert ended.decision.tolist() == ["continue", "reject"]
    assert ended.boundary[0] == running.boundary[0]
    assert ended.boundary[1] < running.boundary[1]
    assert ended.alpha_spent[1] == pytest.approx(0.05)
    correlation = math.sqrt(0.3 / 0.7)
    normal = oracle.multivariate_normal(cov=[[1, correlation], [correlation, 1]])
    bounds = np.array(ended.boundary.tolist())
    assert normal.cdf(bounds, lower_limit=-bounds) == pytest.approx(0.95, abs=1e-7)


def test_looks_without_news_decide_nothing() -> None:
    found = _looks([0.3, 0.3001, 0.25, 0.6], [1.0, 9.0, 9.0, 1.0])
    assert found.status.tolist() == [
        "ok",
        "too little new information since the last look",
        "too little new information since the last look",
        "ok",
    ]
    assert found.boundary.tolist()[3] == pytest.approx(sequential.boundaries((0.3, 0.6), 0.05)[1])
    early = _looks([1e-4, 0.01], [3.0, 3.0])
    assert early.status.tolist() == [
        "too little new information since the last look",
        "so early that no α is spent yet",
    ]
    assert_clean(early)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
def test_repeated_p_value_is_the_dual_of_the_interval(alternative: str, spending: str) -> None:
    sign = -1 if alternative == "less" else 1
    z = [0.4, 1.1, sign * 1.7]
    found = _looks([0.3, 0.5, 0.8], z, alternative=alternative, spending=spending)
    touching = _looks([0.3, 0.5, 0.8], z, alternative=alternative, spending=spending, confidence=1 - found.p_value)
    low, high = (end.tolist()[-1] for end in touching.ci)
    assert min(abs(low), abs(high)) == pytest.approx(0.0, abs=1e-9)
    assert found.p_value > oracle.norm.sf(1.7) * (2 if alternative == "two-sided" else 1)


def test_rows_gaps_and_t() -> None:
    est = np.array([[0.1, None, 0.3], [0.1, 0.2, 0.3]], dtype=object)
    found = sequential.group_sequential(est, [0.2, 0.15, 0.1], planned_information=100.0)
    assert found.status[0].tolist() == ["ok", "no estimate", "ok"]
    assert found.p_value.shape == (2,)
    assert_clean(found)
    student = sequential.group_sequential([0.3], [0.1], 8, planned_information=100.0)
    assert student.z[0] == pytest.approx(oracle.norm.isf(oracle.t.sf(3.0, 8)), rel=1e-9)
    low, _ = student.ci
    assert (0.3 - low[0]) / 0.1 == pytest.approx(oracle.t.isf(oracle.norm.sf(student.boundary[0]), 8), rel=1e-8)
    alone = sequential.group_sequential(0.3, 0.1, planned_information=100.0)
    assert (alone.decision, alone.status) == ("reject", "ok")
    assert alone.p_value == pytest.approx(2 * oracle.norm.sf(3.0), rel=1e-6)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="valid: obrien-fleming, pocock"):
        sequential.group_sequential([0.1], [0.1], planned_effect=0.1, spending="haybittle")
    with pytest.raises(ValueError, match="must rise"):
        sequential.boundaries((0.5, 0.5), 0.05)
    with pytest.raises(ValueError, match="either planned_effect"):
        sequential.group_sequential([0.1], [0.1])


@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
def test_a_a_walks_with_daily_looks_and_information_that_saturates(spending: str) -> None:
    walks, looks = 3_000, 14
    rng = np.random.default_rng(4)
    days = np.arange(1, looks + 1)
    information = 1.05 * days / (days + 1.07) * 100
    steps = rng.standard_normal((walks, looks)) * np.sqrt(np.diff(information, prepend=0.0))
    estimate, se = np.cumsum(steps, 1) / information, 1 / np.sqrt(information)
    bounds = sequential.group_sequential(estimate[0], se, planned_information=100.0, spending=spending).boundary
    crossed = (np.abs(estimate / se) >= bounds.filled(np.inf)).any(1).mean()
    assert 0.02 < crossed <= monte_carlo(0.05, walks)


def test_fractions_that_are_known_beforehand_spend_alike_in_every_world() -> None:
    noisy = np.array([[0.021, 0.014, 0.0125, 0.0101], [0.018, 0.016, 0.011, 0.0099]])
    found = sequential.group_sequential(np.zeros((2, 4)), noisy, fraction=[0.25, 0.5, 0.75, 1.0], final=True)
    assert (found.boundary[0] == found.boundary[1]).all()
    known = sequential.boundaries((0.25, 0.5, 0.75, 1.0), 0.05)
    assert found.boundary[0].tolist() == pytest.approx(list(known))
    assert found.decision[:, -1].tolist() == ["do not reject"] * 2
    with pytest.raises(ValueError, match="one of the three"):
        sequential.group_sequential([0.0], [1.0], fraction=[0.5], planned_effect=0.1)
