from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import StratifiedTable

from abkit import stats
from abkit.stats import ClusterSums
from tests.stats.worlds import assert_clean, monte_carlo, rejected


def _ramp(seed: int, worlds: tuple[int, ...] = (), effect: float = 0.0) -> tuple[ClusterSums, ClusterSums]:
    """A split that moves 5 → 10 → 25 → 50 % while the base rate swings."""
    rng = np.random.default_rng(seed)
    share = np.array([0.05, 0.1, 0.25, 0.5])
    base = np.array([0.05, 0.2, 0.1, 0.3])
    d1 = rng.poisson(400 * share[:, None], (*worlds, 4, 32))
    d0 = rng.poisson(400 * (1 - share[:, None]), (*worlds, 4, 32))
    n0, n1 = rng.binomial(d0, base[:, None]), rng.binomial(d1, base[:, None] + effect)
    return ClusterSums(n0, d0), ClusterSums(n1, d1)


def test_mantel_haenszel_against_statsmodels() -> None:
    control, treatment = _ramp(1, effect=0.02)
    result = stats.stratified(control, treatment)
    n0, d0, n1, d1 = (x.sum(-1) for x in (control.num, control.den, treatment.num, treatment.den))
    tables = [np.array([[n1[s], d1[s] - n1[s]], [n0[s], d0[s] - n0[s]]]) for s in range(4)]
    assert 1 + result.lift == pytest.approx(StratifiedTable(tables).riskratio_pooled, rel=1e-10)
    w = d0 * d1 / (d0 + d1)
    assert result.effect == pytest.approx((w * (n1 / d1 - n0 / d0)).sum() / w.sum(), rel=1e-10)
    # What is shown fits together.
    assert result.treatment - result.control == pytest.approx(result.effect, rel=1e-12)
    assert result.treatment / result.control == pytest.approx(1 + result.lift, rel=1e-12)
    assert "4 of 4 weight epochs" in result.method


def test_the_standard_error_is_the_jackknife_by_hand() -> None:
    control, treatment = _ramp(2, effect=0.02)
    result = stats.stratified(control, treatment)
    effects, logs = [], []
    for b in range(32):
        keep = np.arange(32) != b
        n0, d0, n1, d1 = (x[:, keep].sum(-1) for x in (control.num, control.den, treatment.num, treatment.den))
        t = d0 + d1
        w = d0 * d1 / t
        effects.append((w * (n1 / d1 - n0 / d0)).sum() / w.sum())
        logs.append(np.log((n1 * d0 / t).sum() / (n0 * d1 / t).sum()))
    assert min(result.effective_control, result.effective_treatment) > 30
    assert result.effect_se == pytest.approx(np.sqrt(31 * np.var(effects)), rel=1e-9)
    assert result.lift_se == pytest.approx(np.sqrt(31 * np.var(logs)), rel=1e-9)
    assert result.df == 31


def test_a_ramp_under_a_swinging_base_rate() -> None:
    worlds = 500
    control, treatment = _ramp(3, (worlds,))
    result = stats.stratified(control, treatment)
    assert 0.01 <= rejected(result.p_value) <= monte_carlo(0.05, worlds)
    assert rejected(result.lift_p_value) <= monte_carlo(0.05, worlds)
    pooled = stats.ratios(
        ClusterSums(control.num.sum(-2), control.den.sum(-2)),
        ClusterSums(treatment.num.sum(-2), treatment.den.sum(-2)),
        paired=True,
    )
    # Simpson: pooled, the same worlds are wrong.
    assert rejected(pooled.p_value) > 0.9


def test_strata_with_an_empty_arm_drop_out() -> None:
    control, treatment = _ramp(4, effect=0.02)
    before = stats.stratified(control, treatment)
    zeros = np.zeros((1, 32))
    more = stats.stratified(
        ClusterSums(np.vstack([control.num, zeros + 5]), np.vstack([control.den, zeros + 50])),
        ClusterSums(np.vstack([treatment.num, zeros]), np.vstack([treatment.den, zeros])),
    )
    assert more.effect == pytest.approx(before.effect, rel=1e-12)
    assert more.p_value == pytest.approx(before.p_value, rel=1e-9)
    assert "4 of 5 weight epochs" in more.method
    assert "drop out" in more.method


def test_no_stratum_in_common() -> None:
    some, none = np.full(32, 10.0), np.zeros(32)
    control = ClusterSums(np.array([some / 10, none]), np.array([some, none]))
    treatment = ClusterSums(np.array([none, some / 10]), np.array([none, some]))
    result = stats.stratified(control, treatment)
    assert (result.effect, result.p_value, result.status) == (None, None, "no weight epoch has data in both arms")
    empty = ClusterSums(np.zeros((2, 32)), np.zeros((2, 32)))
    assert stats.stratified(control, empty).status == "no data in treatment"
    assert stats.stratified(empty, treatment).status == "no data in control"
    assert_clean(stats.stratified(empty, empty))


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="stratum, cluster"):
        stats.stratified(ClusterSums([1, 2], [3, 4]), ClusterSums([1, 2], [3, 4]))


cells = st.lists(st.integers(0, 50), min_size=16, max_size=16)


@given(n0=cells, d0=cells, n1=cells, d1=cells)
@settings(max_examples=80, deadline=None, derandomize=True, database=None)
def test_one_stratum_is_the_paired_comparison(n0: list[int], d0: list[int], n1: list[int], d1: list[int]) -> None:
    control = ClusterSums(np.minimum(n0, d0), d0)
    treatment = ClusterSums(np.minimum(n1, d1), d1)
    plain = stats.ratios(control, treatment, paired=True, cluster="hash replicate")
    one = [ClusterSums(arm.num[None], arm.den[None]) for arm in (control, treatment)]
    single = stats.stratified(one[0], one[1])
    assert_clean(single)
    if sum(d0) and sum(d1):
        assert single.status == plain.status
        assert single.lift_status == plain.lift_status
        for name in ("control", "treatment", "effect", "lift", "effect_se", "lift_se", "p_value", "lift_p_value"):
            here, there = getattr(single, name), getattr(plain, name)
            assert (here is None) == (there is None), name
            assert here is None or here == pytest.approx(there, rel=1e-8, abs=1e-12), name
        assert single.effective_treatment == pytest.approx(plain.effective_treatment)


@given(data=st.lists(st.integers(0, 30), min_size=4 * 3 * 9, max_size=4 * 3 * 9))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_no_nan_and_symmetric(data: list[int]) -> None:
    table = np.array(data, dtype=float).reshape(4, 3, 9)
    control = ClusterSums(np.minimum(table[0], table[1]), table[1])
    treatment = ClusterSums(np.minimum(table[2], table[3]), table[3])
    there, back = stats.stratified(control, treatment), stats.stratified(treatment, control)
    assert_clean(there)
    if there.p_value is not None:
        assert there.effect == pytest.approx(-back.effect, abs=1e-15)
        assert there.p_value == pytest.approx(back.p_value, rel=1e-6)
