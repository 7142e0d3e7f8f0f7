from __future__ import annotations

import numpy as np
import pytest

from abkit import stats
from abkit.stats import ClusterSums
from tests.stats.worlds import assert_clean, monte_carlo, rejected


def test_the_same_hours_are_a_paired_comparison() -> None:
    rng = np.random.default_rng(1)
    views = rng.integers(50, 150, (2, 24, 32))
    before, now = (ClusterSums(rng.binomial(v, 0.1), v) for v in views)
    found = stats.compare_periods(before, now)
    plain = stats.ratios(
        ClusterSums(before.num.sum(0), before.den.sum(0)), ClusterSums(now.num.sum(0), now.den.sum(0)), paired=True
    )
    assert (found.effect, found.p_value, found.lift_ci) == (plain.effect, plain.p_value, plain.lift_ci)
    assert found.replication == "32 hash replicates, 24 of 24 hours"
    assert_clean(found)


def test_hours_that_one_side_lacks_do_not_shift_the_other() -> None:
    # Nights convert at 2 %, days at 10 %; of the earlier week two nights are missing.
    rng = np.random.default_rng(2)
    rate = np.where(np.arange(24) < 8, 0.02, 0.1)[:, None]
    views = np.full((200, 24, 32), 40)
    old = views.copy()
    old[:, :6] = 0
    before, now = ClusterSums(rng.binomial(old, rate), old), ClusterSums(rng.binomial(views, rate), views)
    found = stats.compare_periods(before, now)
    assert rejected(found.p_value) <= monte_carlo(0.05, 200)
    assert found.replication == "32 hash replicates, 18 of 24 hours"
    everything = stats.ratios(
        ClusterSums(before.num.sum(1), before.den.sum(1)), ClusterSums(now.num.sum(1), now.den.sum(1)), paired=True
    )
    assert rejected(everything.p_value) > 0.9


def test_periods_without_a_common_hour() -> None:
    views = np.array([[[5, 5], [0, 0]], [[5, 5], [5, 5]]])
    later = np.array([[[0, 0], [5, 5]], [[5, 5], [5, 5]]])
    found = stats.compare_periods(ClusterSums(views // 2, views), ClusterSums(later // 2, later))
    assert found.status[0] == "no hour has data in both periods"
    assert found.replication == "2 hash replicates, 0 to 2 of 2 hours"
    assert_clean(found)
    alone = stats.compare_periods(ClusterSums(views[0], views[0]), ClusterSums(later[0], later[0]))
    assert alone.status == "no hour has data in both periods"
    with pytest.raises(ValueError, match="same hours"):
        stats.compare_periods(ClusterSums([1], [2]), ClusterSums([1], [2]))


def _days(
    rng: np.random.Generator, worlds: int, lift: np.ndarray, users: int = 30, days: int = 10
) -> tuple[ClusterSums, ClusterSums]:
    """Sticky users over days: the same ones each day."""
    arms = []
    for factor in (np.ones(days), 1 + lift):
        activity, share = rng.gamma(0.5, 6, (worlds, 1, 32, users)), rng.beta(2, 18, (worlds, 1, 32, users))
        visits = rng.poisson(np.broadcast_to(activity, (worlds, days, 32, users)))
        buys = rng.binomial(visits, np.minimum(share * factor[:, None, None], 1.0))
        arms.append(ClusterSums(buys.sum(-1), visits.sum(-1)))
    return arms[0], arms[1]


def test_no_trend_is_called_a_trend_as_often_as_it_says() -> None:
    worlds = 250
    rng = np.random.default_rng(3)
    steady = stats.novelty(*_days(rng, worlds, np.full(10, 0.2)))
    assert rejected(steady.p_value) <= monte_carlo(0.05, worlds)
    assert_clean(steady)
    fading = stats.novelty(*_days(rng, 60, np.linspace(0.8, 0.0, 10)))
    assert rejected(fading.p_value) > 0.8
    low, high = fading.slope_ci
    assert ((low < -0.05) & (high > -0.08)).mean() > 0.9
    assert (fading.first_lift > fading.last_lift).all()


def test_slope_is_weighted_least_squares_with_a_jackknife() -> None:
    control, treatment = _days(np.random.default_rng(4), 1, np.linspace(0.5, 0, 10))
    control, treatment = ClusterSums(control.num[0], control.den[0]), ClusterSums(treatment.num[0], treatment.den[0])
    time = np.array([0, 1, 2, 3, 4, 7, 8, 9, 10, 11.0])
    found = stats.novelty(control, treatment, time=time)
    k0, k1 = control.num.sum(-1), treatment.num.sum(-1)
    weight = k0 * k1 / (k0 + k1)

    def slope(keep: np.ndarray) -> float:
        rates = [arm.num[:, keep].sum(-1) / arm.den[:, keep].sum(-1) for arm in (control, treatment)]
        return float(np.polyfit(time, np.log(rates[1] / rates[0]), 1, w=np.sqrt(weight))[0])

    left = np.array([slope(np.delete(np.arange(32), b)) for b in range(32)])
    assert found.slope == pytest.approx(slope(np.arange(32)), rel=1e-9)
    assert found.slope_se == pytest.approx(np.sqrt(31 / 32 * ((left - left.mean()) ** 2).sum()), rel=1e-8)
    swapped = stats.novelty(treatment, control, time=time)
    assert swapped.slope == pytest.approx(-found.slope)
    hours = stats.novelty(control, treatment, time=time * 24)
    assert hours.slope * 24 == pytest.approx(found.slope)
    assert hours.p_value == pytest.approx(found.p_value)


def test_days_without_events_drop_out() -> None:
    control, treatment = _days(np.random.default_rng(5), 2, np.zeros(10))
    top = control.num.copy()
    top[0, 3] = 0
    top[1, 2:] = 0
    found = stats.novelty(ClusterSums(top, control.den), treatment)
    assert found.days.tolist() == [9, 2]
    assert found.status.tolist() == ["ok", "fewer than three days with a lift"]
    assert found.lifts.tolist()[0][3] is None
    assert_clean(found)
    assert_clean(found.at(1))
    with pytest.raises(ValueError, match="one a day"):
        stats.novelty(control, treatment, time=[1, 2])
