from __future__ import annotations

import numpy as np
import pytest

from abkit import stats
from abkit.stats import ClusterSums
from abkit.stats.small_arms import guarded, inflated, lent
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
