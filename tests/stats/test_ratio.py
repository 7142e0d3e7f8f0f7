from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as oracle

from abkit import stats
from abkit.stats import ClusterSums
from tests.stats.worlds import assert_clean, monte_carlo, rejected, sticky

Floats = NDArray[np.float64]


def _arms(seed: int, clusters: int = 40, effect: float = 0.0) -> tuple[ClusterSums, ClusterSums]:
    rng = np.random.default_rng(seed)
    den = rng.integers(400, 600, (2, clusters)).astype(float)
    num = rng.binomial(den.astype(int), [[0.1], [0.1 + effect]]).astype(float)
    return ClusterSums(num[0], den[0]), ClusterSums(num[1], den[1])


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_with_equal_denominators_it_is_the_t_test(alternative: Any) -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(10, 2, 40), rng.normal(11, 3, 40)
    control, treatment = ClusterSums(x, np.ones(40)), ClusterSums(y, np.ones(40))
    apart = stats.ratios(control, treatment, confidence=0.9, alternative=alternative)
    reference = oracle.ttest_ind(y, x, alternative=alternative)
    assert apart.p_value == pytest.approx(reference.pvalue, rel=1e-8)
    assert apart.effect_ci == pytest.approx(tuple(reference.confidence_interval(0.9)), rel=1e-8)
    assert apart.df == 78
    paired = stats.ratios(control, treatment, confidence=0.9, alternative=alternative, paired=True)
    reference = oracle.ttest_rel(y, x, alternative=alternative)
    assert paired.p_value == pytest.approx(reference.pvalue, rel=1e-8)
    assert paired.effect_ci == pytest.approx(tuple(reference.confidence_interval(0.9)), rel=1e-8)
    assert paired.df == 39


def test_apart_is_weighted_least_squares_with_a_sandwich() -> None:
    control, treatment = _arms(2, effect=0.01)
    y = np.concatenate([control.num / control.den, treatment.num / treatment.den])
    weights = np.concatenate([control.den, treatment.den])
    x = sm.add_constant(np.repeat([0.0, 1.0], 40))
    fit = sm.WLS(y, x, weights=weights).fit(cov_type="HC1", use_t=True)
    result = stats.ratios(control, treatment)
    assert result.effect == pytest.approx(fit.params[1], rel=1e-10)
    assert result.effect_se == pytest.approx(fit.bse[1], rel=1e-8)
    assert result.p_value == pytest.approx(fit.pvalues[1], rel=1e-8)


def test_paired_is_the_jackknife_by_hand() -> None:
    control, treatment = _arms(3, effect=0.02)
    result = stats.ratios(control, treatment, paired=True)
    differences, logs = [], []
    for b in range(40):
        keep = np.arange(40) != b
        r0 = control.num[keep].sum() / control.den[keep].sum()
        r1 = treatment.num[keep].sum() / treatment.den[keep].sum()
        differences.append(r1 - r0)
        logs.append(np.log(r1 / r0))
    factor = 39 / 40 * 40
    assert result.effect_se == pytest.approx(np.sqrt(factor * np.var(differences)), rel=1e-9)
    assert result.lift_se == pytest.approx(np.sqrt(factor * np.var(logs)), rel=1e-9)
    low, high = result.lift_ci
    radius = oracle.t.ppf(0.975, 39) * result.lift_se
    assert (np.log1p(low), np.log1p(high)) == pytest.approx(
        (np.log1p(result.lift) - radius, np.log1p(result.lift) + radius), rel=1e-9
    )
    assert result.lift_p_value == pytest.approx(2 * oracle.t.sf(np.log1p(result.lift) / result.lift_se, 39), rel=1e-8)


@pytest.mark.parametrize("paired", [False, True])
def test_p_values_and_intervals_are_duals(paired: bool) -> None:
    for seed in range(10):
        control, treatment = _arms(seed, effect=0.004)
        for alternative in ("two-sided", "greater", "less"):
            first = stats.ratios(control, treatment, alternative=alternative, paired=paired)
            at_p = stats.ratios(control, treatment, 1 - first.p_value, alternative, paired)
            assert min(abs(end) for end in at_p.effect_ci) == pytest.approx(0, abs=1e-9)
            at_p = stats.ratios(control, treatment, 1 - first.lift_p_value, alternative, paired)
            assert min(abs(end) for end in at_p.lift_ci) == pytest.approx(0, abs=1e-9)


def test_one_sided_intervals_have_an_open_end() -> None:
    control, treatment = _arms(1)
    greater = stats.ratios(control, treatment, alternative="greater")
    assert greater.effect_ci[1] == np.inf
    assert greater.lift_ci[1] == np.inf
    less = stats.ratios(control, treatment, alternative="less")
    assert less.effect_ci[0] == -np.inf
    assert less.lift_ci[0] == -1.0
    assert greater.p_value + less.p_value == pytest.approx(1)


def test_a_single_cluster_borrows() -> None:
    control = ClusterSums([50, 60, 40, 55], [500] * 4)
    alone = stats.ratios(control, ClusterSums([30], [500]))
    assert alone.status == "ok"
    assert alone.df == 3
    # By number: one instance varies as one of the control's four does, however much traffic it takes.
    between = np.var([50 / 500, 60 / 500, 40 / 500, 55 / 500], ddof=1)
    assert alone.effect_se == pytest.approx(np.sqrt(between / 4 + between), rel=1e-9)
    assert "treatment has one cluster and borrows" in alone.method
    assert "vary alike" in alone.assumption
    mirrored = stats.ratios(ClusterSums([30], [500]), control)
    assert mirrored.effect_se == pytest.approx(alone.effect_se, rel=1e-12)
    assert "control has one cluster" in mirrored.method


def test_instances_are_left_out_one_at_a_time() -> None:
    control, treatment = ClusterSums([50, 66, 12], [500, 520, 90]), ClusterSums([40, 52], [480, 400])
    result = stats.ratios(control, treatment, instances=True, cluster="pod")
    variances = []
    for arm in (control, treatment):
        n, d = arm.num, arm.den
        left = (n.sum() - n) / (d.sum() - d)
        B = n.size
        variances.append((B - 1) / B * float(((left - n.sum() / d.sum()) ** 2).sum()))
    # Two pods can't be more certain than three of the same kind, by number or by traffic.
    floor = variances[0] * max(result.effective_control / result.effective_treatment, 1110 / 880)
    assert result.effect_se == pytest.approx(np.sqrt(variances[0] + max(variances[1], floor)), rel=1e-9)
    assert result.df == pytest.approx(result.effective_control + result.effective_treatment - 2)
    assert result.replication == "3 pods in control, 2 in treatment"
    equal = stats.ratios(ClusterSums([5, 6, 9], [50] * 3), ClusterSums([8, 6, 9], [50] * 3), instances=True)
    assert equal.df == pytest.approx(4)
    padded = stats.ratios(
        ClusterSums([50, 66, 12, 0], [500, 520, 90, 0]), ClusterSums([40, 52, 0, 0], [480, 400, 0, 0]), instances=True
    )
    assert padded.p_value == pytest.approx(result.p_value, rel=1e-12)
    with pytest.raises(ValueError, match="exclude one another"):
        stats.ratios(control, control, paired=True, instances=True)


@pytest.mark.parametrize("traffic", [(1, 1), (1, 0.5), (1, 1, 0.08), (1, 1, 1, 0.06, 0.06, 0.06), (1, 0.3, 0.3, 0.3)])
def test_unequal_pods_fool_the_plain_count_and_not_the_effective_one(traffic: tuple[float, ...]) -> None:
    worlds = 1_500
    rng = np.random.default_rng(23)
    share = np.array(traffic) / sum(traffic)
    arms = []
    for _ in range(2):
        den = rng.poisson(20_000 * share, (worlds, share.size))
        pod = np.clip(0.1 * (1 + 0.1 * rng.standard_normal(den.shape)), 0, 1)
        arms.append(ClusterSums(rng.binomial(den, pod), den))
    result = stats.ratios(arms[0], arms[1], instances=True)
    assert rejected(result.p_value) <= monte_carlo(0.05, worlds)
    assert_clean(result)
    if len(traffic) > 3:
        variance = 0.0
        for arm in arms:
            u = (arm.num - (arm.num.sum(-1) / arm.den.sum(-1))[:, None] * arm.den) / arm.den.sum(-1)[:, None]
            variance = variance + (u * u).sum(-1) * len(traffic) / (len(traffic) - 1)
        t = result.effect.data / np.sqrt(variance)
        assert rejected(2 * oracle.t.sf(np.abs(t), 2 * len(traffic) - 2)) > monte_carlo(0.05, worlds)


def test_two_single_clusters_have_estimates_and_a_reason() -> None:
    for paired in (False, True):
        result = stats.ratios(ClusterSums([5], [100]), ClusterSums([8], [100]), paired=paired)
        assert (result.control, result.treatment) == (0.05, 0.08)
        assert result.effect == pytest.approx(0.03)
        assert result.lift == pytest.approx(0.6)
        assert result.p_value is result.effect_ci is result.lift_ci is result.effect_se is None
        assert result.status.startswith("one cluster in each arm")
        assert_clean(result)


def test_zero_events_in_an_arm_are_an_answer() -> None:
    rng = np.random.default_rng(8)
    control = ClusterSums(rng.binomial(500, 0.1, 40), np.full(40, 500.0))
    empty = ClusterSums(np.zeros(40), np.full(40, 500.0))
    for paired in (False, True):
        result = stats.ratios(control, empty, paired=paired)
        assert result.status == "ok"
        assert result.effect == -result.control
        assert result.p_value < 1e-6
        assert (result.lift, result.lift_ci, result.lift_status) == (None, None, "no events in treatment")
        # The arm without events is as uncertain as the other, not certain.
        once = stats.ratios(control, control).effect_se
        assert result.effect_se == pytest.approx(once, rel=1e-9)


def test_few_events_against_none_are_no_proof() -> None:
    # Equal exposure, 0 against 5: the exact p value is .0625.
    five = np.zeros(32)
    five[[1, 5, 8, 20, 30]] = 1
    result = stats.ratios(ClusterSums(np.zeros(32), np.full(32, 100.0)), ClusterSums(five, np.full(32, 100.0)))
    assert result.p_value > 0.05


def test_nothing_happened() -> None:
    nothing = ClusterSums(np.zeros(32), np.full(32, 100.0))
    result = stats.ratios(nothing, nothing, paired=True)
    assert (result.effect, result.p_value) == (0.0, None)
    assert result.status.startswith("no events in either arm")
    silent = ClusterSums(np.zeros(32), np.zeros(32))
    assert stats.ratios(silent, nothing).status == "no data in control"
    assert stats.ratios(nothing, silent).status == "no data in treatment"
    assert stats.ratios(silent, silent).status == "no data in either arm"
    assert stats.ratios(silent, nothing).control is None
    # The same share everywhere is no proof of precision either.
    same = ClusterSums(np.full(32, 7.0), np.full(32, 100.0))
    assert stats.ratios(same, same).status.startswith("no variation")
    thirds = ClusterSums(np.arange(1, 33) * 0.1, np.arange(1, 33) * 0.3)
    assert stats.ratios(thirds, same).p_value is None


def test_equal_arms_differ_by_nothing() -> None:
    control, _ = _arms(4)
    result = stats.ratios(control, control)
    assert (result.effect, result.lift, result.p_value, result.lift_p_value) == (0.0, 0.0, 1.0, 1.0)
    assert stats.ratios(control, control, paired=True).status.startswith("no variation")


def test_refunds_may_make_a_ratio_negative() -> None:
    control, treatment = ClusterSums(np.full(40, -1.0) + np.arange(40) / 100, np.ones(40)), _arms(1)[1]
    result = stats.ratios(control, treatment)
    assert result.p_value is not None
    assert (result.lift, result.lift_status) == (None, "a lift needs both arms above 0")


def test_all_events_of_an_arm_in_one_cluster_leave_no_lift_interval() -> None:
    one = np.zeros(32)
    one[3] = 4
    result = stats.ratios(_arms(1, 32)[0], ClusterSums(one, np.full(32, 500.0)), paired=True)
    assert result.p_value is not None
    assert result.lift is not None
    assert (result.lift_ci, result.lift_status) == (None, "all events of an arm lie in one cluster")


def test_refusals_name_the_valid() -> None:
    control, treatment = _arms(1)
    with pytest.raises(ValueError, match=r"'bigger'; valid: two-sided, greater, less"):
        stats.ratios(control, treatment, alternative="bigger")
    for confidence in (0, 1, 95):
        with pytest.raises(ValueError, match="between 0 and 1"):
            stats.ratios(control, treatment, confidence)
    with pytest.raises(ValueError, match="same clusters"):
        stats.ratios(control, ClusterSums([1, 2], [3, 4]), paired=True)
    with pytest.raises(ValueError, match="leading axes"):
        stats.ratios(control, ClusterSums(np.ones((2, 40)), np.ones((2, 40))))


def test_users_who_come_back_fool_events_and_not_replicates() -> None:
    worlds = 400
    control, treatment, _ = sticky(np.random.default_rng(11), worlds, 2_000, 0.5)
    for paired in (False, True):
        result = stats.ratios(control, treatment, paired=paired)
        assert 0.005 <= rejected(result.p_value) <= monte_carlo(0.05, worlds)
        assert rejected(result.lift_p_value) <= monte_carlo(0.05, worlds)
    (k0, n0), (k1, n1) = control.total, treatment.total
    events = stats.proportions(control=(k0, n0), treatment=(k1, n1))
    assert rejected(events.p_value) > 0.4


counts = st.lists(
    st.tuples(*(st.integers(0, 10**6) for _ in range(4))).map(lambda r: (min(r[0], r[1]), r[1], min(r[2], r[3]), r[3])),
    min_size=1,
    max_size=40,
)
settled = settings(max_examples=80, deadline=None, derandomize=True, database=None)


def _from(rows: list[tuple[int, int, int, int]]) -> tuple[ClusterSums, ClusterSums]:
    table = np.array(rows, dtype=float).T
    return ClusterSums(table[0], table[1]), ClusterSums(table[2], table[3])


def _near(x: float | None, y: float | None, rel: float = 1e-6) -> bool:
    return (x is None and y is None) or (x is not None and y is not None and x == pytest.approx(y, rel=rel, abs=1e-9))


@given(rows=counts, paired=st.booleans())
@settled
def test_no_nan_leaves_and_p_values_are_p_values(rows: list[tuple[int, int, int, int]], paired: bool) -> None:
    result = stats.ratios(*_from(rows), paired=paired)
    assert_clean(result)
    for p in (result.p_value, result.lift_p_value):
        assert p is None or 0 <= p <= 1
    assert (result.p_value is None) == (result.status != "ok")
    assert (result.lift_ci is None) == (result.lift_status != "ok")
    if result.effect_ci is not None:
        assert result.effect_ci[0] < result.effect < result.effect_ci[1]


@given(rows=counts, paired=st.booleans())
@settled
def test_swapping_arms_flips_the_sign(rows: list[tuple[int, int, int, int]], paired: bool) -> None:
    control, treatment = _from(rows)
    there, back = (stats.ratios(*arms, paired=paired) for arms in ((control, treatment), (treatment, control)))
    assert _near(there.p_value, back.p_value)
    assert _near(there.lift_p_value, back.lift_p_value)
    assert (there.effect is None) == (back.effect is None)
    if there.effect is not None:
        assert there.effect == -back.effect
    if there.effect_ci is not None:
        assert there.effect_ci == pytest.approx((-back.effect_ci[1], -back.effect_ci[0]), rel=1e-6)
    if there.lift_ci is not None:
        assert 1 + there.lift == pytest.approx(1 / (1 + back.lift))
        assert np.log1p(there.lift_ci[0]) == pytest.approx(-np.log1p(back.lift_ci[1]), rel=1e-6, abs=1e-9)


@given(rows=counts, paired=st.booleans(), power=st.integers(-12, 12), seed=st.integers(0, 99))
@settled
def test_scale_and_order_do_not_matter(
    rows: list[tuple[int, int, int, int]], paired: bool, power: int, seed: int
) -> None:
    control, treatment = _from(rows)
    plain = stats.ratios(control, treatment, paired=paired)
    factor = 2.0**power
    scaled = stats.ratios(
        ClusterSums(control.num * factor, control.den),
        ClusterSums(treatment.num * factor, treatment.den),
        paired=paired,
    )
    assert (plain.status, plain.lift_status) == (scaled.status, scaled.lift_status)
    assert _near(plain.p_value, scaled.p_value, 1e-9)
    assert _near(plain.lift, scaled.lift, 1e-9)
    if plain.effect is not None:
        assert scaled.effect == pytest.approx(plain.effect * factor, rel=1e-12)
    order = np.random.default_rng(seed).permutation(len(rows))
    moved = stats.ratios(
        ClusterSums(control.num[order], control.den[order]),
        ClusterSums(treatment.num[order], treatment.den[order]),
        paired=paired,
    )
    assert plain.status == moved.status
    assert _near(plain.p_value, moved.p_value)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e15, 1e150, 1e300])
def test_enormous_and_tiny_sums(size: float) -> None:
    control, treatment = _arms(6, effect=0.02)
    plain = stats.ratios(control, treatment, paired=True)
    for num, den in ((size, size), (size, 1.0), (1.0, size)):
        scaled = stats.ratios(
            ClusterSums(control.num * num, control.den * den),
            ClusterSums(treatment.num * num, treatment.den * den),
            paired=True,
        )
        assert_clean(scaled)
        if num == den:
            assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-6)
        else:
            assert scaled.p_value is None or scaled.p_value == pytest.approx(plain.p_value, rel=1e-6)
