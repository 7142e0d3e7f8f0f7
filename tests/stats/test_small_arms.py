from __future__ import annotations

import numpy as np
import pytest

from abkit import stats
from abkit.stats import ClusterSums
from abkit.stats.clusters import divide
from abkit.stats.ratio import linearised, log_variance, variance_of_mean, without_one
from abkit.stats.small_arms import guarded, inflated, lent, steadied
from tests.stats.worlds import assert_clean, monte_carlo, rejected, sticky


def _one(x: float) -> np.ndarray:
    return np.asarray(x, dtype=float)


def test_the_rule_takes_the_larger_of_both_estimates_from_the_original_values() -> None:
    no = (np.asarray(False), np.asarray(False))
    effective = (_one(31.0), _one(25.0))
    # The treatment has a tenth of the traffic, so ten times the control's variance.
    v0, v1 = guarded((_one(1.0), _one(4.0)), _one(10.0), effective, no)
    assert (float(v0), float(v1)) == (1.0, 10.0)
    v0, v1 = guarded((_one(1.0), _one(40.0)), _one(10.0), effective, no)
    assert (float(v0), float(v1)) == (1.0, 40.0)
    # Both small: each against what the other was, so that swapping the arms swaps the answer.
    v0, v1 = guarded((_one(1.0), _one(40.0)), _one(10.0), (_one(5), _one(5)), no)
    assert (float(v0), float(v1)) == (4.0, 40.0)
    # Large arms are left alone, unless one shows no events at all.
    v0, v1 = guarded((_one(0.0), _one(40.0)), _one(10.0), (_one(31), _one(31)), (np.asarray(True), np.asarray(False)))
    assert (float(v0), float(v1)) == (4.0, 40.0)


def test_the_arm_with_fewer_clusters_borrows_by_number_or_traffic() -> None:
    two, ten = _one(2.0), _one(10.0)
    v0, v1 = lent((_one(1.0), _one(0.1)), _one(1.0), (ten, two), (10, 2))
    assert (float(v0), float(v1)) == (1.0, 5.0)
    v0, v1 = lent((_one(0.1), _one(1.0)), _one(0.25), (two, ten), (2, 10))
    assert (float(v0), float(v1)) == (5.0, 1.0)
    assert lent((two, ten), _one(7.0), (ten, ten), (3, 3)) == (two, ten)


def test_the_jackknife_is_raised_but_not_twice() -> None:
    before, after = (_one(1.0), _one(1.0)), (_one(1.0), _one(3.0))
    assert float(inflated(_one(2.0), before, after)) == 4.0
    assert float(inflated(_one(1.0), before, after)) == 2.0
    assert float(inflated(_one(3.0), before, after)) == 4.0
    assert float(inflated(_one(5.0), before, after)) == 5.0


@pytest.mark.parametrize("users", [200, 2_000])
def test_an_arm_of_five_percent_keeps_its_promise(users: int) -> None:
    worlds = 600
    control, treatment, _ = sticky(np.random.default_rng(users), worlds, users, 0.05)
    for paired in (False, True):
        result = stats.ratios(control, treatment, paired=paired)
        assert rejected(result.p_value) <= monte_carlo(0.05, worlds)
        assert rejected(result.lift_p_value) <= monte_carlo(0.05, worlds)
        assert_clean(result)
        assert "small-arm rule" in result.method
    # Without the rule these worlds are what it is for.
    if users == 200:
        plain = stats.ratios(control, treatment, small_arm_rule=False)
        assert rejected(plain.p_value) > monte_carlo(0.05, worlds)


def test_too_few_effective_clusters_have_no_result_but_estimates() -> None:
    control = ClusterSums(np.full(32, 10.0) + np.arange(32) % 3, np.full(32, 100.0))
    den = np.zeros(32)
    den[:2] = [95, 5]
    lopsided = ClusterSums(den / 5, den)
    for paired in (False, True):
        result = stats.ratios(control, lopsided, paired=paired, cluster="hash replicate")
        assert result.p_value is None
        assert result.treatment == pytest.approx(0.2)
        assert result.lift is not None
        assert result.status == "too few hash replicates with data in treatment: under 1.5 effective ones"
    few = np.zeros(32)
    few[:5] = 10
    tiny = ClusterSums(few / 10 + (few > 0) * np.arange(32), few)
    result = stats.ratios(tiny, tiny)
    assert result.status == "too few clusters with data in both arms: under 8 effective ones"
    # Two instances are two: there are no more.
    assert stats.ratios(ClusterSums([10, 11], [100, 101]), ClusterSums([9, 11], [99, 100])).status == "ok"


HARD = {
    "10 users in an arm": (200, 0.05, 0.1, 10.0),
    "100 users an arm, 2 of them make most events": (200, 0.5, 0.01, 2.0),
    "500 users an arm, 2 % of them make all events": (1_000, 0.5, 0.01, 2.0),
    "50 users in an arm, one of them makes all events": (1_000, 0.05, 0.01, 2.0),
}
"""Users, share of the treatment, mean and concentration of the users' conversions."""


@pytest.mark.parametrize("name", HARD)
def test_a_lift_of_few_users_keeps_its_promise(name: str) -> None:
    worlds = 3_000
    users, share, conversion, concentration = HARD[name]
    rng = np.random.default_rng(5)
    control, treatment, exposed = sticky(rng, worlds, users, share, conversion=conversion, concentration=concentration)
    per_user = ClusterSums(control.num, exposed[0]), ClusterSums(treatment.num, exposed[1])
    for arms in ((control, treatment), per_user):
        for paired in (False, True):
            result = stats.ratios(*arms, paired=paired)
            assert rejected(result.lift_p_value) <= monte_carlo(0.05, worlds)
            assert rejected(result.p_value) <= monte_carlo(0.05, worlds)
            assert np.ma.count(result.lift_p_value) > 0.4 * worlds


def test_the_linearised_variance_of_a_logarithm_is_what_is_too_small() -> None:
    worlds = 3_000
    control, treatment, exposed = sticky(np.random.default_rng(6), worlds, 200, 0.05)
    errors = []
    for num, den in ((control.num, exposed[0]), (treatment.num, exposed[1])):
        ratio = divide(num.sum(-1), den.sum(-1))
        relative = divide(linearised(num, den), ratio[:, None])
        plain, larger = variance_of_mean(relative), log_variance(relative, without_one(num, den))
        known = ~np.isnan(plain)
        assert (larger[known] >= plain[known]).all()
        errors.append((np.log(np.where(ratio > 0, ratio, np.nan)), plain, larger))
    moved = errors[1][0] - errors[0][0]
    beyond = [np.nanmean(np.abs(moved) > 1.9990 * np.sqrt(errors[0][k] + errors[1][k])) for k in (1, 2)]
    assert beyond[0] > 0.15
    assert beyond[1] < 0.7 * beyond[0]


def test_events_of_about_one_cluster_leave_no_lift_interval() -> None:
    rng = np.random.default_rng(3)
    control = ClusterSums(rng.poisson(40, 32), np.full(32, 400.0))
    one = np.zeros(32)
    one[[3, 9]] = [30, 2]
    for paired in (False, True):
        result = stats.ratios(control, ClusterSums(one, np.full(32, 400.0)), paired=paired, cluster="hash replicate")
        assert result.p_value is not None
        assert (result.lift_ci, result.lift_p_value) == (None, None)
        assert result.lift_status == "too few hash replicates with events in treatment: under 1.5 effective ones"
        assert result.status == "ok"


@pytest.mark.parametrize("events", [15, 30, 100])
@pytest.mark.parametrize("paired", [False, True])
def test_bursts_in_one_arm_fool_no_difference(events: int, paired: bool) -> None:
    worlds, phi = 4_000, 5.0
    rng = np.random.default_rng(events)
    calm = rng.poisson(events / 32, (worlds, 32))
    bursts = rng.negative_binomial(events / 32 / (phi - 1), 1 / phi, (worlds, 32))
    result = stats.ratios(ClusterSums(calm, 1e4), ClusterSums(bursts, 1e4), paired=paired)
    assert rejected(result.p_value) <= monte_carlo(0.05, worlds)
    assert rejected(result.lift_p_value) <= monte_carlo(0.05, worlds)
    # An effect is still found, though events are few.
    more = ClusterSums(rng.poisson(2.2 * events / 32, (worlds, 32)), 1e4)
    assert rejected(stats.ratios(ClusterSums(calm, 1e4), more, paired=paired).p_value) > 0.45


def test_few_events_are_held_to_the_rate_of_both_arms() -> None:
    # 4 events in a cluster each, of 100 in all clusters; 16 of the same relative error in the other arm.
    one, logs = (_one(4e-4), _one(16e-4)), (_one(0.25), _one(0.0625))
    rates, many = (_one(0.04), _one(0.16)), _one(1e9)
    v0, v1 = steadied(one, logs, rates, _one(1.0), (_one(4.0), _one(16.0)))
    assert [float(v0), float(v1)] == pytest.approx([0.25 * 0.1**2, 16e-4])
    # An arm with three times the denominator counts three times.
    assert float(steadied(one, logs, rates, _one(3.0), (_one(4.0), many))[0]) == pytest.approx(0.25 * 0.07**2)
    assert steadied(one, logs, rates, _one(1.0), (many, many)) == one
