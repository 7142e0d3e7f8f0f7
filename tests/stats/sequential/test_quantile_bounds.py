from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import betaln

from abkit.stats import sequential
from tests.stats.worlds import assert_clean, monte_carlo

INF = float("inf")
EDGES = np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.8, 1.2, 2.0, INF])


def test_numbers_of_the_paper() -> None:
    for q, expected in ((0.5, 68.62803), (0.9, 43.72119), (0.1, 59.96521)):
        found = float(sequential.quantile_radius(1000, q, 0.95, optimal=100, uniform=True))
        assert found == pytest.approx(expected, abs=5e-6)


def test_the_mixture_is_the_plain_beta_binomial() -> None:
    alpha, optimal = 0.05, 500.0
    level = 2 * math.log(1 / alpha)
    k = optimal / (level + math.log1p(level)) - 1
    for n, q in ((200, 0.5), (3000, 0.95), (3000, 0.1)):

        def log_e(deviation: float, n: int = n, q: float = q) -> float:
            s = q * n + deviation
            both = betaln(k * q + s, k * (1 - q) + n - s) - betaln(k * q, k * (1 - q))
            return float(both - s * math.log(q) - (n - s) * math.log(1 - q)) - math.log(1 / alpha)

        expected = brentq(log_e, 1e-9, n * (1 - q), xtol=1e-12)
        assert float(sequential.quantile_radius(n, q, optimal=optimal)) == pytest.approx(expected, abs=1e-7)
        # For one quantile it is tighter than for all.
        assert expected < float(sequential.quantile_radius(n, q, optimal=optimal, uniform=True))
    # Even if all of ten events were below the 95th percentile, that would be no news.
    assert float(sequential.quantile_radius(10, 0.95)) == INF


def test_edges_that_are_certain() -> None:
    found = sequential.quantile_sequence([0.1, 0.5, 1.0, INF], [[500, 480, 10, 10], [3, 2, 0, 0], [0, 0, 0, 0]], 0.6)
    assert found.at(0).ci == (0.1, 0.5)
    assert found.at(1).ci == (0.0, INF)
    assert found.status.tolist() == ["ok", "ok", "no events"]
    assert found.at(2).ci is None
    assert_clean(found)
    assert_clean(found.at(1))
    up_to = sequential.quantile_sequence([0.1, 0.5, 1.0, INF], [500, 980, 990, 1000], 0.6, cumulative=True)
    assert up_to.ci == (0.1, 0.5)
    tail = sequential.quantile_sequence([0.1, 0.5, INF], [500, 300, 800], 0.9)
    assert (tail.ci, tail.saturated, tail.value) == ((0.5, INF), True, None)
    refused = sequential.quantile_sequence([0.1, INF], [50, 50], 0.5, dispersion=4.0)
    assert refused.ci is None
    assert "dispersion" in refused.status


@pytest.mark.parametrize("uniform", [True, False])
def test_covers_the_quantile_at_all_looks(uniform: bool) -> None:
    worlds, looks, step, q = 300, 100, 20, 0.9
    rng = np.random.default_rng(14)
    values = rng.lognormal(np.log(0.15), 0.6, (worlds, looks * step))
    truth = 0.15 * math.exp(0.6 * 1.2815515655446004)
    below = np.stack([(values <= edge) for edge in EDGES], -1).cumsum(1)[:, step - 1 :: step]
    found = sequential.quantile_sequence(EDGES, below, q, optimal=300, uniform=uniform, cumulative=True)
    low, high = found.ci
    missed = ((low.filled(0) > truth) | (high.filled(INF) < truth)).any(1).mean()
    assert missed <= monte_carlo(0.05, worlds)
    # And it says something: in the end all but a few buckets are out.
    assert ((low[:, -1] >= 0.15) & (high[:, -1] <= 0.5)).all()


def test_two_arms() -> None:
    worlds, looks, step = 200, 60, 25
    rng = np.random.default_rng(15)

    def below(median: float) -> np.ndarray:
        values = rng.lognormal(np.log(median), 0.6, (worlds, looks * step))
        return np.stack([(values <= edge) for edge in EDGES], -1).cumsum(1)[:, step - 1 :: step]

    control, same, slower = below(0.15), below(0.15), below(0.24)
    aa = sequential.quantile_test(EDGES, control, same, 0.5, optimal=300, cumulative=True)
    assert (aa.p_value.filled(1.0) < 0.05).any(1).mean() <= monte_carlo(0.05, worlds)
    ab = sequential.quantile_test(EDGES, control, slower, 0.5, optimal=300, cumulative=True)
    assert (ab.p_value.filled(1.0) < 0.05).any(1).mean() > 0.9
    low, high = ab.effect_ci
    assert ((low.filled(-INF) > 0.09) | (high.filled(INF) < 0.09)).any(1).mean() <= monte_carlo(0.05, worlds)
    swapped = sequential.quantile_test(EDGES, slower, control, 0.5, optimal=300, cumulative=True)
    np.testing.assert_allclose(swapped.log_e_value, ab.log_e_value, atol=1e-9)
    for found in (aa, ab):
        assert_clean(found)


def test_two_arms_against_all_points_between_the_edges() -> None:
    edges, control, treatment, q = [0.1, 0.2, 0.4, INF], [40, 40, 15, 5], [20, 25, 40, 15], 0.7
    k = 1000 / (2 * math.log(20) + math.log1p(2 * math.log(20))) - 1

    def log_e(s: np.ndarray, n: int) -> np.ndarray:
        both = betaln(k * q + s, k * (1 - q) + n - s) - betaln(k * q, k * (1 - q))
        return np.asarray(both - s * math.log(q) - (n - s) * math.log(1 - q))

    least = INF
    for bucket in range(4):
        parts = []
        for counts in (control, treatment):
            upto = np.concatenate([[0], np.cumsum(counts)])
            parts.append(log_e(np.linspace(upto[bucket], upto[bucket + 1], 20_001), 100).min())
        least = min(least, sum(parts))
    assert sequential.quantile_test(edges, control, treatment, q).log_e_value == pytest.approx(least, abs=1e-7)


def test_gaps_and_nonsense() -> None:
    found = sequential.quantile_test([0.1, INF], [[0, 0], [5, 5]], [[5, 5], [5, 5]], 0.5)
    assert found.status.tolist() == ["no data in control", "ok"]
    assert_clean(found)
    with pytest.raises(ValueError, match="optimal"):
        sequential.quantile_radius(10, 0.5, optimal=0.0)
    with pytest.raises(ValueError, match="both must be"):
        sequential.quantile_test([0.1, INF], [1, 2], [[1, 2]], 0.5)
