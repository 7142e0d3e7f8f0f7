from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.sandwich_covariance import cov_cluster

from abkit import stats
from abkit.stats import ClusterSums
from tests.stats.worlds import assert_clean, monte_carlo, rejected


def _world(
    seed: int, pods: tuple[int, int], pod_effect: float, user_effect: float, worlds: tuple[int, ...] = ()
) -> tuple[ClusterSums, ClusterSums]:
    """Cells (replicate, pod); users differ by replicate and arm, pods by themselves."""
    rng = np.random.default_rng(seed)
    arms = []
    for count in pods:
        pod = 1 + pod_effect * rng.standard_normal((*worlds, 1, count))
        user = 1 + user_effect * rng.standard_normal((*worlds, 32, 1))
        den = rng.poisson(200, (*worlds, 32, count))
        arms.append(ClusterSums(rng.binomial(den, np.clip(0.1 * pod * user, 0, 1)), den))
    return arms[0], arms[1]


def test_the_variance_is_the_two_way_sandwich_of_statsmodels() -> None:
    control, treatment = _world(1, (4, 4), 0.3, 0.3)
    result = stats.two_way(control, treatment)
    y = np.concatenate([(arm.num / arm.den).ravel() for arm in (control, treatment)])
    weights = np.concatenate([arm.den.ravel() for arm in (control, treatment)])
    fit = sm.WLS(y, sm.add_constant(np.repeat([0.0, 1.0], 128)), weights=weights).fit()
    replicate = np.tile(np.repeat(np.arange(32), 4), 2)
    pod = np.concatenate([np.tile(np.arange(4), 32), 4 + np.tile(np.arange(4), 32)])
    rep, inst, cell = (
        cov_cluster(fit, group, use_correction=False)[1, 1] for group in (replicate, pod, replicate * 8 + pod)
    )
    # Traffic is almost equal, so the jackknife between instances is almost B/(B-1)·Σu².
    v_inst = 0.0
    for arm in (control, treatment):
        d, n = arm.den.sum(0), arm.num.sum(0)
        left = (n.sum() - n) / (d.sum() - d)
        v_inst += 3 / 4 * float(((left - n.sum() / d.sum()) ** 2).sum())
    assert v_inst == pytest.approx(inst * 4 / 3, rel=0.05)
    expected = rep * 32 / 31 + v_inst - cell * 128 / 127
    assert expected > max(rep * 32 / 31, v_inst)
    assert result.effect_se == pytest.approx(np.sqrt(expected), rel=1e-8)
    assert result.effect == pytest.approx(fit.params[1], rel=1e-10)
    assert result.df == pytest.approx(6, abs=0.1)
    assert result.replication == "32 hash replicates × 4 instances"


@pytest.mark.parametrize(("pod", "user"), [(0.1, 0.0), (0.0, 0.3), (0.1, 0.3)])
@pytest.mark.parametrize("pods", [(3, 3), (5, 1), (10, 2)])
def test_false_winners_are_rare_whatever_varies(pods: tuple[int, int], pod: float, user: float) -> None:
    worlds = 500
    control, treatment = _world(7, pods, pod, user, (worlds,))
    result = stats.two_way(control, treatment)
    assert rejected(result.p_value) <= monte_carlo(0.05, worlds)
    assert rejected(result.lift_p_value) <= monte_carlo(0.05, worlds)
    assert_clean(result)
    if pod:
        one_way = stats.ratios(
            ClusterSums(control.num.sum(-1), control.den.sum(-1)),
            ClusterSums(treatment.num.sum(-1), treatment.den.sum(-1)),
            paired=True,
        )
        assert rejected(one_way.p_value) > 0.1


def test_the_variance_never_falls_below_either_way() -> None:
    for seed in range(20):
        control, treatment = _world(seed, (2, 2), 0.0, 0.0)
        both = stats.two_way(control, treatment).effect_se
        pods = stats.ratios(
            ClusterSums(control.num.sum(-2), control.den.sum(-2)),
            ClusterSums(treatment.num.sum(-2), treatment.den.sum(-2)),
            instances=True,
        ).effect_se
        assert both >= pods * (1 - 1e-12)


def test_one_pod_borrows_and_two_single_pods_say_why_not() -> None:
    control, treatment = _world(3, (4, 1), 0.2, 0.2)
    result = stats.two_way(control, treatment, instance="pod")
    assert result.status == "ok"
    assert result.df == pytest.approx(3, abs=0.1)
    assert "treatment has one pod and borrows" in result.method
    swapped = stats.two_way(treatment, control, instance="pod")
    assert swapped.p_value == pytest.approx(result.p_value, rel=1e-9)
    assert swapped.effect == -result.effect
    alone = stats.two_way(*_world(3, (1, 1), 0.2, 0.2), instance="pod")
    assert alone.p_value is None
    assert alone.effect is not None
    assert alone.status.startswith("one pod in each arm")
    assert_clean(alone)


def test_silence_zero_and_shapes() -> None:
    some = ClusterSums(np.full((8, 3), 2.0), np.full((8, 3), 10.0))
    zero = ClusterSums(np.zeros((8, 3)), np.full((8, 3), 10.0))
    silent = ClusterSums(np.zeros((8, 3)), np.zeros((8, 3)))
    assert stats.two_way(silent, some).status == "no data in control"
    assert stats.two_way(zero, zero).status.startswith("no events in either arm")
    for pair in ((silent, silent), (zero, some), (some, some)):
        assert_clean(stats.two_way(*pair))
    with pytest.raises(ValueError, match="replicate, instance"):
        stats.two_way(ClusterSums([1, 2], [3, 4]), ClusterSums([1, 2], [3, 4]))
