from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.oneway import anova_generic

from abkit import stats
from abkit.stats import ClusterSums
from tests.stats.worlds import assert_clean, monte_carlo, rejected

EFFECTS = st.lists(st.tuples(st.floats(-1, 1), st.floats(0.05, 1)), min_size=2, max_size=8)


@given(segments=EFFECTS)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_q_against_statsmodels(segments: list[tuple[float, float]]) -> None:
    theta, se = (np.array(x) for x in zip(*segments, strict=True))
    assume(np.ptp(theta) > 1e-6)
    expected = combine_effects(theta, se**2)
    found = stats.heterogeneity(theta, se)
    assert found.statistic * found.df1 == pytest.approx(expected.q, rel=1e-8, abs=1e-10)
    assert found.p_value == pytest.approx(chi2.sf(expected.q, len(segments) - 1), rel=1e-8)
    assert found.common == pytest.approx(expected.mean_effect_fe, rel=1e-8)
    assert found.df2 == np.inf
    assert_clean(found)


def test_welchs_correction_against_statsmodels() -> None:
    means, variances, n = np.array([1.0, 1.4, 2.0, 0.7]), np.array([1.0, 2.0, 0.5, 3.0]), np.array([8, 12, 20, 6])
    expected = anova_generic(means, variances, n, use_var="unequal", welch_correction=True)
    found = stats.heterogeneity(means, np.sqrt(variances / n), n - 1)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-8)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-8)
    assert (found.df1, found.df2) == pytest.approx((expected.df[0], expected.df[1]), rel=1e-8)


def _segments(rng: np.random.Generator, worlds: int, lifts: list[float]) -> tuple[ClusterSums, ClusterSums]:
    """Segments that share users: what a replicate's users do is partly the same in all of them."""
    S = len(lifts)
    views = np.full((worlds, S, 32), 400)
    arms = []
    for factor in (np.ones(S), 1 + np.array(lifts)):
        shared = np.exp(rng.normal(0, 0.15, (worlds, 1, 32)) + rng.normal(0, 0.1, (worlds, S, 32)))
        arms.append(ClusterSums(rng.binomial(views, 0.1 * shared * factor[:, None]), views))
    return arms[0], arms[1]


@pytest.mark.parametrize("scale", ["lift", "effect"])
def test_segments_that_share_users(scale: str) -> None:
    worlds = 600
    rng = np.random.default_rng(5)
    control, treatment = _segments(rng, worlds, [0.1] * 4)
    found = stats.interaction(control, treatment, scale=scale)
    assert 0.02 < rejected(found.p_value) <= monte_carlo(0.05, worlds)
    assert (found.df1[0], found.df2[0]) == (3.0, 29.0)
    # Segments as if independent: blind, since what they share cancels in their differences.
    assert rejected(stats.interaction(*_segments(rng, 300, [0.0, 0.0, 0.0, 0.4]), scale=scale).p_value) > 0.8
    # A world without any effect: corrected, hardly any has a segment that stands out.
    none = stats.interaction(*_segments(rng, worlds, [0.0] * 6), scale=scale)
    assert (none.p_adjusted < 0.05).any(-1).mean() <= monte_carlo(0.05, worlds)
    assert none.segments is not None
    raw = none.segments.lift_p_value if scale == "lift" else none.segments.p_value
    assert (raw < 0.05).any(-1).mean() > 0.1
    assert_clean(found)


def test_order_of_segments_and_of_arms_is_nothing() -> None:
    control, treatment = _segments(np.random.default_rng(6), 3, [0.0, 0.2, 0.1])
    one = stats.interaction(control, treatment)
    turned = stats.interaction(
        ClusterSums(control.num[:, ::-1], control.den[:, ::-1]),
        ClusterSums(treatment.num[:, ::-1], treatment.den[:, ::-1]),
    )
    np.testing.assert_allclose(one.statistic, turned.statistic, rtol=1e-8)
    np.testing.assert_allclose(one.p_value, stats.interaction(treatment, control).p_value, rtol=1e-8)


def test_few_replicates_fall_back_to_q_and_gaps_have_reasons() -> None:
    rng = np.random.default_rng(7)
    views = np.full((5, 6), 500)
    few = stats.interaction(ClusterSums(rng.binomial(views, 0.1), views), ClusterSums(rng.binomial(views, 0.1), views))
    assert few.method.startswith("Cochran's Q")
    assert_clean(few)
    views = np.full((2, 3, 32), 100)
    top = rng.binomial(views, 0.2)
    top[1, :2] = 0
    gaps = stats.interaction(ClusterSums(top, views), ClusterSums(rng.binomial(views, 0.2), views))
    assert gaps.status.tolist() == ["ok", "fewer than two segments with an effect and its standard error"]
    assert gaps.p_adjusted.tolist()[1][:2] == [None, None]
    alone = gaps.at(1)
    assert (alone.p_value, alone.p_adjusted.tolist()[:2]) == (None, [None, None])
    assert alone.segments is not None
    assert alone.segments.at(2).status == "ok"
    assert_clean(gaps)
    with pytest.raises(ValueError, match="valid: lift, effect"):
        stats.interaction(ClusterSums(top, views), ClusterSums(top, views), scale="log")
    with pytest.raises(ValueError, match="segment"):
        stats.interaction(ClusterSums([1, 2], [5, 5]), ClusterSums([1, 2], [5, 5]))
