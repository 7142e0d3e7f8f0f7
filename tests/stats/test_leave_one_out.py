from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats as oracle

from abkit import stats
from abkit.stats import ClusterSums
from tests.stats.worlds import assert_clean


def test_the_mean_has_the_standard_error_of_the_mean() -> None:
    x = np.random.default_rng(1).normal(3, 2, 25)
    result = stats.jackknife(lambda t: t[0] / t[1], [x, np.ones(25)], confidence=0.9)
    assert result.estimate == pytest.approx(x.mean())
    assert result.standard_error == pytest.approx(oracle.sem(x), rel=1e-10)
    reference = oracle.ttest_1samp(x, 0).confidence_interval(0.9)
    assert result.ci == pytest.approx((reference.low, reference.high), rel=1e-10)
    assert (result.df, result.replication) == (24, "25 replicates")


def test_a_difference_of_ratios_is_the_paired_comparison() -> None:
    rng = np.random.default_rng(2)
    den = rng.integers(400, 600, (2, 40)).astype(float)
    num = rng.binomial(den.astype(int), 0.1).astype(float)
    totals = np.stack([num[0], den[0], num[1], den[1]])
    result = stats.jackknife(lambda t: t[2] / t[3] - t[0] / t[1], totals)
    paired = stats.ratios(ClusterSums(num[0], den[0]), ClusterSums(num[1], den[1]), paired=True)
    assert result.standard_error == pytest.approx(paired.effect_se, rel=1e-10)
    assert result.ci == pytest.approx(paired.effect_ci, rel=1e-10)


def test_many_at_once_and_gaps() -> None:
    totals = np.ones((2, 3, 10)) + np.arange(10) / 10
    totals[1, 1] = 0
    totals[0, 2] = 5
    totals[1, 2] = 5
    result = stats.jackknife(lambda t: t[0] / t[1] ** 2, totals)
    assert result.estimate.tolist()[1] is None
    assert result.status.tolist() == [
        "ok",
        "the statistic has no value on the totals",
        "no variation between replicates",
    ]
    assert_clean(result)
    assert_clean(result.at(1))
    assert result.at(1).ci is None
    flat = stats.jackknife(lambda t: t[0] / t[1], totals[:, 2])
    assert (flat.estimate, flat.standard_error) == (1.0, None)
    assert flat.status.startswith("no variation")


def test_where_one_left_out_breaks_it() -> None:
    result = stats.jackknife(lambda t: np.log(t[0]), [[0, 0, 7, 0]])
    assert result.estimate == pytest.approx(np.log(7))
    assert result.status == "the statistic has no value with one replicate left out"
    assert result.standard_error is None
    assert stats.jackknife(lambda t: t[0], [[7]]).status.startswith("one replicate")


@pytest.mark.parametrize(
    ("statistic", "totals", "words"),
    [
        (lambda t: t.sum(-1), [[1, 2], [3, 4], [5, 6]], "index leading axes only"),
        (lambda t: t[0], [[1, np.nan]], "NaN or infinity"),
        (lambda t: t, 3, "last axis is the replicate"),
    ],
)
def test_nonsense_is_refused(statistic: Any, totals: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stats.jackknife(statistic, totals)


def test_a_bucket_quantile_fits_in() -> None:
    rng = np.random.default_rng(4)
    edges = [0.1, 0.2, 0.5, 1.0, np.inf]
    totals = rng.poisson([[50], [30], [15], [5], [0]], (5, 32)).astype(float)
    result = stats.jackknife(lambda t: stats.bucket_quantile(edges, t, 0.95, axis=0).value, totals)
    lefts = [stats.bucket_quantile(edges, np.delete(totals, b, 1).sum(1), 0.95).value for b in range(32)]
    assert result.standard_error == pytest.approx(np.sqrt(31 * np.var(lefts)), rel=1e-9)
    saturated = totals.copy()
    saturated[4] = 100
    assert stats.jackknife(lambda t: stats.bucket_quantile(edges, t, 0.95, axis=0).value, saturated).status.startswith(
        "the statistic has no value"
    )
