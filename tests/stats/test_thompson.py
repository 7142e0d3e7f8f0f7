from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle
from scipy.integrate import quad

from abkit import stats
from tests.stats.worlds import assert_clean


def test_two_normal_arms_have_a_closed_form() -> None:
    found = stats.bandit([0.0, 0.1], [0.05, 0.08])
    gap = 0.1 / math.hypot(0.05, 0.08)
    assert found.p_best is not None
    assert found.expected_loss is not None
    assert found.p_best[1] == pytest.approx(oracle.norm.cdf(gap), abs=1e-12)
    sd = math.hypot(0.05, 0.08)
    assert found.expected_loss[1] == pytest.approx(sd * oracle.norm.pdf(gap) - 0.1 * oracle.norm.sf(gap), abs=1e-12)


def test_beta_arms_against_integration_and_draws() -> None:
    k, n = np.array([100, 130, 118, 3]), np.array([1000, 1000, 900, 40])
    found = stats.bandit(successes=k, trials=n)
    posteriors = [oracle.beta(1 + s, 1 + t - s) for s, t in zip(k, n, strict=True)]
    for i, best in enumerate(found.p_best or ()):
        others = [p for j, p in enumerate(posteriors) if j != i]

        def integrand(x: float, i: int = i, others: Any = others) -> float:
            return float(posteriors[i].pdf(x) * math.prod(p.cdf(x) for p in others))

        assert best == pytest.approx(quad(integrand, 0, 0.5, limit=200, points=[0.1, 0.13, 0.15, 0.2])[0], abs=1e-8)
    draws = np.array([p.rvs(200_000, random_state=j) for j, p in enumerate(posteriors)])
    loss = (draws.max(0) - draws).mean(1)
    assert found.expected_loss == pytest.approx(loss.tolist(), abs=2e-4)


@given(
    arms=st.lists(st.tuples(st.floats(-5, 5), st.floats(1e-4, 3)), min_size=2, max_size=6),
    floor=st.integers(0, 1_500),
    better=st.sampled_from(["increase", "decrease"]),
)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_weights_are_weights(arms: list[tuple[float, float]], floor: int, better: str) -> None:
    mean, sd = zip(*arms, strict=True)
    found = stats.bandit(mean, sd, floor=floor, better=better)
    assert_clean(found)
    assert found.weights is not None
    assert found.p_best is not None
    assert sum(found.weights) == 10_000
    assert min(found.weights) >= floor
    assert sum(found.p_best) == pytest.approx(1)
    rest = 10_000 - floor * len(arms)
    for weight, best in zip(found.weights, found.p_best, strict=True):
        assert abs(weight - floor - best * rest) < 1
    assert stats.bandit(mean, sd, floor=floor, better=better) == found
    mirrored = stats.bandit(
        [-m for m in mean], sd, floor=floor, better="increase" if better == "decrease" else "decrease"
    )
    assert mirrored.p_best == pytest.approx(found.p_best, abs=1e-9)
    turned = stats.bandit(mean[::-1], sd[::-1], floor=floor, better=better)
    assert turned.p_best == pytest.approx(found.p_best[::-1], abs=1e-9)


def test_clusters_make_it_less_sure() -> None:
    sure = stats.bandit(successes=[100, 130], trials=[1000, 1000])
    less = stats.bandit(successes=[100, 130], trials=[1000, 1000], design_effect=5)
    assert sure.p_best is not None
    assert less.p_best is not None
    assert 0.5 < less.p_best[1] < sure.p_best[1]
    down = stats.bandit(successes=[100, 130], trials=[1000, 1000], better="decrease")
    assert down.p_best == pytest.approx(sure.p_best[::-1], abs=1e-9)
    huge = stats.bandit(successes=[10**9, 10**9 + 10**6], trials=[10**10, 10**10])
    assert huge.weights == (500, 9_500)


def test_extreme_posteriors_are_no_matter() -> None:
    far = stats.bandit([1e300, 0.0], [1.0, 1.0])
    assert far.weights == (9_500, 500)
    assert far.expected_loss == pytest.approx((0.0, 1e300), abs=1e-12)
    assert stats.bandit([1e300, 1e300], [1.0, 1.0]).weights == (5_000, 5_000)
    sharp = stats.bandit([0.1, 0.2], [1e-17, 0.1])
    assert sharp.p_best == pytest.approx((oracle.norm.cdf(-1), oracle.norm.cdf(1)), abs=1e-8)
    for found in (far, sharp, stats.bandit([-1e308, 1e308], [1e-300, 1e300])):
        assert_clean(found)


def test_without_a_posterior_nothing_is_proposed() -> None:
    found = stats.bandit([0.1, None, 0.2], [0.1, 0.1, 0.1])
    assert (found.weights, found.status) == (None, "no posterior for the variant 1: weights stay as they are")
    assert stats.bandit([0.1, 0.2], [0.0, 0.1]).status == "no posterior for the control: weights stay as they are"
    assert_clean(found)
    nonsense: list[tuple[dict[str, Any], str]] = [
        ({}, "give either"),
        ({"mean": [1, 2]}, "give either"),
        ({"successes": [1, 2]}, "go together"),
        ({"mean": [1], "standard_deviation": [1]}, "two or more"),
        ({"mean": [1, 2], "standard_deviation": [1, 2], "floor": 6_000}, "doesn't fit"),
        ({"successes": [5, 2], "trials": [3, 3]}, "between 0 and the trials"),
    ]
    for options, words in nonsense:
        with pytest.raises(ValueError, match=words):
            stats.bandit(**options)
