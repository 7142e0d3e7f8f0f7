from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from abkit import stats
from abkit.stats import ClusterSums, bayes
from tests.stats.worlds import assert_clean

FLAT = bayes.Prior(deviation=math.inf)


@given(
    estimate=st.floats(-0.5, 0.5),
    se=st.floats(0.02, 0.4),
    mean=st.floats(-0.2, 0.2),
    deviation=st.floats(0.05, 1),
    better=st.sampled_from(["increase", "decrease"]),
)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_against_integration(estimate: float, se: float, mean: float, deviation: float, better: str) -> None:
    found = bayes.ratio(
        estimate, se, prior=bayes.Prior(mean, deviation), rope=(-0.02, 0.03), better=better, confidence=0.9
    )
    assert_clean(found)

    # Gauss-Legendre between the points where something bends: exact to rounding.
    ends = [end for side in found.lift_ci for end in [math.log1p(side)]]
    cuts = sorted(
        {0.0, math.log(0.98), math.log(1.03), *ends, *(found.mean + k * found.deviation for k in range(-9, 10))}
    )
    node, weight = np.polynomial.legendre.leggauss(30)
    half = np.diff(cuts)[:, None] / 2
    x, w = (np.array(cuts[:-1])[:, None] + half + half * node).ravel(), (half * weight).ravel()
    density = w * oracle.norm.pdf(x, mean, deviation) * oracle.norm.pdf(estimate, x, se)
    density /= density.sum()

    up = 1 if better == "increase" else -1
    gain, harm = np.maximum(0, up * np.expm1(x)), np.maximum(0, -up * np.expm1(x))
    expected = {
        "mean": x,
        "p_better": up * x > 0,
        "expected_loss": harm,
        "expected_loss_control": gain,
        "p_rope": (math.log(0.98) < x) & (x < math.log(1.03)),
        "p_below": x < math.log(0.98),
        "p_above": x > math.log(1.03),
    }
    for name, values in expected.items():
        assert getattr(found, name) == pytest.approx(float((values * density).sum()), abs=1e-9), name
    assert float(density[(x > ends[0]) & (x < ends[1])].sum()) == pytest.approx(0.9, abs=1e-9)


def test_without_a_prior_it_is_the_interval_of_the_comparison() -> None:
    rng = np.random.default_rng(4)
    views = np.full((3, 32), 200)
    comparison = stats.ratios(
        ClusterSums(rng.binomial(views, 0.1), views), ClusterSums(rng.binomial(views, 0.12), views), paired=True
    )
    found = bayes.ratio(comparison, prior=FLAT)
    for mine, theirs in zip(found.lift_ci, comparison.lift_ci, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9)
    np.testing.assert_allclose(found.lift, comparison.lift, rtol=1e-12)
    assert found.shrinkage.tolist() == [0.0] * 3
    assert found.replication == comparison.replication
    tame = bayes.ratio(comparison, prior=bayes.Prior(deviation=0.05))
    assert (np.abs(tame.mean) < np.abs(found.mean)).all()
    assert (tame.deviation < found.deviation).all()


@given(estimate=st.floats(-2, 2), se=st.floats(1e-6, 3))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_swapping_arms_mirrors(estimate: float, se: float) -> None:
    one, other = bayes.ratio(estimate, se), bayes.ratio(-estimate, se, better="decrease")
    assert one.p_better == pytest.approx(other.p_better, abs=1e-12)
    assert one.mean == -other.mean


def test_gaps_and_nonsense() -> None:
    found = bayes.ratio([0.1, None, 0.1, 0.1], [0.1, 0.1, None, 0.0])
    assert found.status.tolist() == ["ok", "no estimate", "no standard error", "no log ratio with a standard error"]
    assert_clean(found)
    views = np.full(32, 100)
    empty = stats.ratios(ClusterSums(np.zeros(32), views), ClusterSums(np.arange(32) % 4, views), paired=True)
    assert bayes.ratio(empty).status == "no events in control"
    assert_clean(bayes.ratio(0.0, 1e3, prior=FLAT))
    for options, words in (
        ({"better": "up"}, "valid: increase, decrease"),
        ({"rope": (0.1, -0.1)}, "low, high"),
        ({"confidence": 1.0}, "confidence"),
    ):
        with pytest.raises(ValueError, match=words):
            bayes.ratio(0.1, 0.1, **options)
    with pytest.raises(ValueError, match="standard_error"):
        bayes.ratio(0.1)
    with pytest.raises(ValueError, match="deviation"):
        bayes.Prior(deviation=0.0)


def test_posteriors_are_calibrated_when_the_prior_is_the_truth() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(0, 0.2, 20_000)
    found = bayes.ratio(truth + rng.normal(0, 0.1, truth.size), 0.1, prior=bayes.Prior(0, 0.2))
    claimed = found.p_better.data
    for low, high in ((0.2, 0.4), (0.6, 0.8), (0.9, 1.0)):
        here = (claimed > low) & (claimed < high)
        assert (truth[here] > 0).mean() == pytest.approx(claimed[here].mean(), abs=0.03)
    chosen = found.expected_loss.data.mean()
    assert np.maximum(0, -np.expm1(truth)).mean() == pytest.approx(chosen, rel=0.05)
