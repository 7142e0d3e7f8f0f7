from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy import stats as oracle
from scipy.special import betaln

from abkit import stats
from abkit.stats import sequential
from tests.stats.worlds import assert_clean, monte_carlo, rejected

confidence_sequence = sequential.confidence_sequence


def test_the_boundary_is_the_one_stated() -> None:
    delta = 0.02
    planned = (oracle.norm.ppf(0.975) + oracle.norm.ppf(0.8)) ** 2 / delta**2
    assert float(sequential.planned_information(delta)) == pytest.approx(planned, rel=1e-12)
    assert planned * delta**2 == pytest.approx(7.849, abs=1e-3)
    for fraction in (0.1, 1.0, 1.7):
        se = 1 / math.sqrt(fraction * planned)
        look = confidence_sequence(0.01, se, planned_effect=delta)
        rho = 7.94 * fraction
        boundary = math.sqrt((1 + 1 / rho) * math.log((1 + rho) / 0.05**2))
        assert look.radius == pytest.approx(boundary * se, rel=1e-12)
        assert look.information_fraction == pytest.approx(fraction)
        assert look.information == pytest.approx(fraction * planned)
    same = confidence_sequence(0.01, 0.004, planned_information=planned)
    assert same.radius == confidence_sequence(0.01, 0.004, planned_effect=delta).radius
    assert same.radius == confidence_sequence(0.01, 0.004, planned_effect=-delta).radius


def test_the_tuning_is_where_the_boundary_is_tightest() -> None:
    def width(rho: float) -> float:
        return math.sqrt((1 + 1 / rho) * math.log((1 + rho) / 0.05**2))

    assert width(sequential.TUNING) == pytest.approx(min(width(rho) for rho in np.linspace(5, 12, 7001)), rel=1e-4)


def test_one_sided_e_value_is_the_half_normal_mixture() -> None:
    for z in (-2.0, 0.0, 1.5, 4.0):
        for fraction in (0.05, 1.0):
            rho = sequential.TUNING * fraction
            tau = math.sqrt(rho)  # In units of the standard error.

            def integrand(theta: float, z: float = z, tau: float = tau) -> float:
                return 2 / tau * oracle.norm.pdf(theta / tau) * math.exp(theta * z - theta * theta / 2)

            e = integrate.quad(integrand, 0, 12 * tau + 12, limit=400)[0]
            look = confidence_sequence(z, 1.0, planned_information=1 / fraction, alternative="greater")
            assert look.p_value == pytest.approx(min(1.0, 1 / e), rel=1e-6)
            mirrored = confidence_sequence(-z, 1.0, planned_information=1 / fraction, alternative="less")
            assert mirrored.p_value == pytest.approx(look.p_value, rel=1e-12)


@given(
    estimate=st.floats(-10, 10),
    se=st.floats(1e-3, 10),
    df=st.sampled_from([1.0, 3.0, 31.0, 62.0, math.inf]),
    alternative=st.sampled_from(["two-sided", "greater", "less"]),
    alpha=st.sampled_from([0.01, 0.05, 0.3]),
    null=st.sampled_from([0.0, 0.5]),
)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_interval_and_p_value_agree(
    estimate: float, se: float, df: float, alternative: str, alpha: float, null: float
) -> None:
    look = confidence_sequence(
        estimate, se, df, planned_effect=0.3, confidence=1 - alpha, alternative=alternative, null=null
    )
    assert_clean(look)
    low, high = look.ci
    outside = not low <= null <= high
    if not math.isclose(look.p_value, alpha, rel_tol=1e-6):
        assert outside == (look.p_value < alpha)
    # Never tighter than the interval that may be read once.
    fixed = oracle.t.ppf(1 - alpha / 2 if alternative == "two-sided" else 1 - alpha, df) * se
    assert look.radius > fixed


def test_t_becomes_z_by_its_p() -> None:
    # At 31 degrees of freedom the radius has the tail that the normal boundary has.
    normal = confidence_sequence(0.0, 0.01, planned_effect=0.02)
    student = confidence_sequence(0.0, 0.01, 31, planned_effect=0.02)
    tail = oracle.norm.sf(normal.radius / 0.01)
    assert oracle.t.sf(student.radius / 0.01, 31) == pytest.approx(tail, rel=1e-8)


def test_one_sided_is_tighter_than_two_sided_and_nearly_that_at_twice_alpha() -> None:
    one = confidence_sequence(0.0, 0.01, planned_effect=0.03, alternative="greater").radius
    assert one < confidence_sequence(0.0, 0.01, planned_effect=0.03).radius
    assert one == pytest.approx(confidence_sequence(0.0, 0.01, planned_effect=0.03, confidence=0.9).radius, rel=0.01)


def test_gaps_have_reasons() -> None:
    looks = confidence_sequence([None, 0.1, 0.1, 0.1], [0.1, None, 0.0, 0.1], planned_effect=0.1)
    assert looks.status.tolist() == [
        "no estimate",
        "no standard error",
        "the standard error is 0: nothing to estimate a variance from",
        "ok",
    ]
    assert looks.p_value.tolist()[:3] == [None] * 3
    assert_clean(looks)
    assert confidence_sequence(None, None, planned_effect=0.1).ci is None
    for se in (1e-200, 1e200, 1e-20, 1e20):
        for df in (1.0, 31.0, math.inf):
            for alternative in ("two-sided", "greater"):
                assert_clean(confidence_sequence(0.3, se, df, planned_effect=0.1, alternative=alternative))


def test_results_of_many_comparisons_go_in_as_they_are() -> None:
    sums = stats.ClusterSums(np.zeros((2, 32)), np.full((2, 32), 10.0))
    some = stats.ClusterSums([np.zeros(32), np.arange(32) % 5], np.full((2, 32), 10.0))
    fixed = stats.ratios(sums, some, paired=True)
    looks = confidence_sequence(fixed.effect, fixed.effect_se, fixed.df, planned_effect=0.01)
    assert looks.status.tolist() == ["no standard error", "ok"]


def test_plans_must_be_plans() -> None:
    with pytest.raises(ValueError, match="either planned_effect"):
        confidence_sequence(0.1, 0.1)
    with pytest.raises(ValueError, match="either planned_effect"):
        confidence_sequence(0.1, 0.1, planned_effect=0.1, planned_information=5.0)
    for effect in (0.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="finite and above 0"):
            confidence_sequence(0.1, 0.1, planned_effect=effect)
    with pytest.raises(ValueError, match="valid: two-sided"):
        confidence_sequence(0.1, 0.1, planned_effect=0.1, alternative="both")


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_looking_all_the_time_keeps_alpha(alternative: str) -> None:
    walks, looks = 3_000, 300
    rng = np.random.default_rng(12)
    information = np.linspace(0.02, 6.0, looks)
    steps = rng.standard_normal((walks, looks)) * np.sqrt(np.diff(information, prepend=0.0))
    estimate, se = np.cumsum(steps, 1) / information, 1 / np.sqrt(information)
    found = confidence_sequence(estimate, se, planned_information=1.0, alternative=alternative)
    ever = (found.p_value.filled(1.0) < 0.05).any(1).mean()
    low, high = found.ci
    assert (((low > 0) | (high < 0)).any(1).mean()) == ever
    assert 0.005 < ever <= monte_carlo(0.05, walks)
    # The test that may be read once, read all the time.
    assert (2 * oracle.norm.sf(np.abs(estimate / se)) < 0.05).any(1).mean() > 0.3


def test_daily_looks_on_replicates_of_users_who_come_back() -> None:
    worlds, days = 300, 14
    rng = np.random.default_rng(21)
    arms = []
    for _ in range(2):
        users = 20
        daily = rng.gamma(0.5, 6.0, (worlds, 1, 32, users))
        visits = rng.poisson(np.broadcast_to(daily, (worlds, days, 32, users)))
        buys = rng.binomial(visits, rng.beta(1, 9, (worlds, 1, 32, users)))
        arms.append(stats.ClusterSums(buys.sum(-1).cumsum(1), visits.sum(-1).cumsum(1)))
    fixed = stats.ratios(arms[0], arms[1], paired=True)
    looks = confidence_sequence(np.log1p(fixed.lift), fixed.lift_se, fixed.df, planned_effect=np.log(1.3))
    assert (looks.p_value.filled(1.0) < 0.05).any(1).mean() <= 0.03
    read_daily = (fixed.p_value.filled(1.0) < 0.05).any(1).mean()
    assert read_daily > rejected(fixed.p_value[:, -1])
    assert read_daily > 0.08


def test_multinomial_numbers_of_lindon_and_malek() -> None:
    assert sequential.multinomial([30, 70], [0.5, 0.5]).p_value == pytest.approx(0.0247295, abs=5e-8)
    assert sequential.multinomial([480, 560], [5_000, 5_000]).p_value == pytest.approx(0.2033740, abs=5e-8)


def test_multinomial_against_the_plain_formula() -> None:
    rng = np.random.default_rng(3)
    for shares in ([0.5, 0.5], [0.05, 0.95], [0.2, 0.3, 0.5], [0.1, 0.2, 0.3, 0.4]):
        rho = np.array(shares)
        counts = rng.multinomial(500, rho)
        after, before = 100 * rho + counts, 100 * rho

        def log_beta(a: np.ndarray) -> float:
            return sum(float(betaln(a[i], a[i + 1 :].sum())) for i in range(len(a) - 1))

        expected = log_beta(after) - log_beta(before) - (counts * np.log(rho)).sum()
        result = sequential.multinomial(counts, rho)
        assert result.log_e_value == pytest.approx(expected, abs=1e-9)
        # The order of the arms is nothing.
        assert sequential.multinomial(counts[::-1], rho[::-1]).log_e_value == pytest.approx(expected, abs=1e-9)


def test_multinomial_refuses_and_waits() -> None:
    assert sequential.multinomial([0, 0], [1, 1]).status == "no units yet"
    for observed, weights in [([1], [1]), ([1, 2], [1, 0]), ([1, -2], [1, 1]), ([1, 2], [1, 1, 1])]:
        with pytest.raises(ValueError, match=r"must|give"):
            sequential.multinomial(observed, weights)
