from __future__ import annotations

import numpy as np
import pytest

from abkit import stats
from abkit.stats import ClusterSums
from tests.stats.worlds import assert_clean, monte_carlo, rejected

Floats = np.ndarray
Arms = tuple[ClusterSums, ClusterSums, ClusterSums, ClusterSums]


def _worlds(rng: np.random.Generator, worlds: int, users: int, lift: float = 0.0, replicates: int = 32) -> Arms:
    """Sticky users before and after the start: [control, treatment, pre_control, pre_treatment]."""
    num, den = np.zeros((4, worlds, replicates)), np.zeros((4, worlds, replicates))
    arm, replicate = rng.integers(0, 2, (worlds, users)), rng.integers(0, replicates, (worlds, users))
    activity, share = rng.gamma(0.5, 20, (worlds, users)), rng.beta(1, 9, (worlds, users))
    row = np.broadcast_to(np.arange(worlds)[:, None], arm.shape)
    for after in (True, False):
        p = np.minimum(share * (1 + lift * arm), 1.0) if after else share
        visits = rng.poisson(activity)
        bought = rng.binomial(visits, p)
        place = (arm + (0 if after else 2), row, replicate)
        np.add.at(num, place, bought)
        np.add.at(den, place, visits)
    first, second, third, fourth = (ClusterSums(n, d) for n, d in zip(num, den, strict=True))
    return first, second, third, fourth


def test_it_is_the_jackknife_of_the_whole_statistic() -> None:
    rng = np.random.default_rng(3)
    views = rng.integers(4_800, 5_200, (4, 32))
    base = rng.normal(0, 0.01, (2, 32))
    rates = 0.1 + np.concatenate([base, base]) + rng.normal(0, 0.005, (4, 32))
    arms = [ClusterSums(n, d) for n, d in zip(rng.binomial(views, rates), views, strict=True)]
    found = stats.cuped(arms[0], arms[1], arms[2], arms[3])
    assert not found.small_arm

    def statistic(keep: Floats) -> tuple[float, float]:
        data = [(arm.num[keep], arm.den[keep]) for arm in arms]
        ratio = [n.sum() / d.sum() for n, d in data]
        u = [(n - r * d) / d.sum() for (n, d), r in zip(data, ratio, strict=True)]
        theta = (u[0] @ u[2] + u[1] @ u[3]) / (u[2] @ u[2] + u[3] @ u[3])
        pooled = (data[2][0].sum() + data[3][0].sum()) / (data[2][1].sum() + data[3][1].sum())
        adjusted = [ratio[a] - theta * (ratio[2 + a] - pooled) for a in (0, 1)]
        return adjusted[1] - adjusted[0], np.log(adjusted[1] / adjusted[0])

    everything = np.arange(32)
    left = np.array([statistic(np.delete(everything, b)) for b in range(32)])
    se = np.sqrt(31 / 32 * ((left - left.mean(0)) ** 2).sum(0))
    assert (found.effect, np.log1p(found.lift)) == pytest.approx(statistic(everything), rel=1e-10)
    assert (found.effect_se, found.lift_se) == pytest.approx(se, rel=1e-9)
    plain = stats.ratios(arms[0], arms[1], paired=True)
    assert (found.plain_effect, found.plain_se) == pytest.approx((plain.effect, plain.effect_se), rel=1e-12)
    assert found.variance_reduction == pytest.approx(1 - found.effect_se**2 / plain.effect_se**2)
    assert 0.5 < found.correlation < 1
    swapped = stats.cuped(arms[1], arms[0], arms[3], arms[2])
    assert (swapped.effect, swapped.theta) == pytest.approx((-found.effect, found.theta))
    assert swapped.p_value == pytest.approx(found.p_value)
    assert_clean(found)


def test_sticky_users_a_a_and_what_is_removed() -> None:
    worlds = 600
    arms = _worlds(np.random.default_rng(8), worlds, 2_000)
    found = stats.cuped(arms[0], arms[1], arms[2], arms[3])
    assert rejected(found.p_value) <= monte_carlo(0.05, worlds)
    assert rejected(found.lift_p_value) <= monte_carlo(0.05, worlds)
    removed = 1 - found.effect.var() / found.plain_effect.var()
    assert removed > 0.35
    assert float(np.median(found.variance_reduction.compressed())) == pytest.approx(removed, abs=0.12)
    assert_clean(found)
    assert_clean(found.at(3))


def test_power_and_no_bias() -> None:
    worlds = 250
    arms = _worlds(np.random.default_rng(9), worlds, 2_000, lift=0.15)
    found, plain = stats.cuped(*arms), stats.ratios(arms[0], arms[1], paired=True)
    assert rejected(found.p_value) > rejected(plain.p_value) + 0.1
    low, high = found.lift_ci
    assert ((low > 0.15) | (high < 0.15)).mean() <= monte_carlo(0.05, worlds)


def test_a_covariate_that_explains_nothing_costs_next_to_nothing() -> None:
    worlds = 400
    rng = np.random.default_rng(10)
    views = np.full((4, worlds, 32), 300)
    arms = [ClusterSums(rng.binomial(v, 0.1), v) for v in views]
    found = stats.cuped(arms[0], arms[1], arms[2], arms[3])
    assert rejected(found.p_value) <= monte_carlo(0.05, worlds)
    assert -0.1 < float(np.median(found.variance_reduction.compressed())) < 0.1


def test_without_a_labelled_pre_period_it_is_unavailable() -> None:
    rng = np.random.default_rng(11)
    views = np.full((2, 32), 100)
    control, treatment, pre = (ClusterSums(rng.binomial(views, 0.2), views) for _ in range(3))
    none = stats.cuped(control, treatment, None, None)
    assert none.status.tolist() == ["unavailable: no pre-period is labelled by future variant"] * 2
    assert none.effect.tolist() == [None, None]
    assert none.plain_effect.tolist() == stats.ratios(control, treatment, paired=True).effect.tolist()
    same = stats.cuped(control, treatment, pre, pre)
    assert same.at(0).status.startswith("unavailable: the pre-period is the same in both arms")
    assert (same.at(0).theta, same.at(0).variance_reduction, same.at(0).p_value) == (None, None, None)
    empty = ClusterSums(np.zeros((2, 32)), np.zeros((2, 32)))
    assert stats.cuped(control, treatment, empty, pre).at(0).status == "unavailable: no data before the start in an arm"
    flat = [ClusterSums(np.full((2, 32), k), np.full((2, 32), 50)) for k in (5, 6)]
    assert stats.cuped(control, treatment, flat[0], flat[1]).at(1).status == "unavailable: the covariate does not vary"
    assert stats.cuped(empty, treatment, pre, control).at(0).status == "no data in control"
    for result in (none, same):
        assert_clean(result)
    with pytest.raises(ValueError, match="same hash replicates"):
        stats.cuped(control, treatment, ClusterSums([1], [5]), pre)


def test_a_covariate_whose_variation_lies_in_one_cluster_is_refused_in_any_order() -> None:
    # Without the first cluster nothing of it is left but rounding errors, which differ with the order.
    post = stats.ClusterSums([4.0, 5.0, *[6.0] * 6], [6.0, 8.0, *[9.0] * 6])
    even = stats.ClusterSums([0.0] * 8, [3.0] * 8)
    lone = stats.ClusterSums([4.0, *[6.0] * 7], [9.0] * 8)
    for order in (slice(None), slice(None, None, -1)):
        arms = [stats.ClusterSums(arm.num[order], arm.den[order]) for arm in (post, post, even, lone)]
        found = stats.cuped(arms[0], arms[1], arms[2], arms[3])
        assert found.p_value is None
        assert found.status == "unavailable: all of the covariate's variation lies in one hash replicate"
        assert found.theta is None


def test_the_lift_of_a_small_arm_is_no_less_sure_than_the_difference() -> None:
    found = stats.cuped(*_worlds(np.random.default_rng(12), 300, 150))
    relative = found.lift_se * found.control / found.effect_se
    assert np.all(found.small_arm)
    assert 0.9 < np.median(np.ma.filled(relative, np.inf)) < 1.15
    assert np.median(np.ma.filled(found.variance_reduction, 0.0)) > 0.3
