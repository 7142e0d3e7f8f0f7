from __future__ import annotations

import numpy as np
import pytest

from abkit.stats import ClusterSums
from abkit.stats.clusters import divide


def test_adding_adds_both_sums() -> None:
    both = ClusterSums([1, 2], [10, 20]) + ClusterSums([3, 4], [30, 40])
    assert both.num.tolist() == [4, 6]
    assert both.den.tolist() == [40, 60]
    assert both.total == (10.0, 100.0)
    assert both.ratio == 0.1


def test_effective_counts_equal_clusters_and_sees_through_unequal_ones() -> None:
    assert ClusterSums([0] * 5, [7] * 5).effective == pytest.approx(5)
    assert ClusterSums([0] * 5, [7, 0, 0, 0, 0]).effective == pytest.approx(1)
    assert ClusterSums([0, 0], [3, 1]).effective == pytest.approx(16 / 10)
    assert ClusterSums([0, 0], [0, 0]).effective == 0
    assert ClusterSums([0, 0], [1e300, 1e300]).effective == pytest.approx(2)


def test_leading_axes_stay() -> None:
    sums = ClusterSums(np.ones((2, 3, 4)), [[[1, 1, 1, 1]] * 3, [[0, 0, 0, 0]] * 3])
    assert sums.clusters == 4
    assert sums.ratio.tolist() == [[1.0] * 3, [None] * 3]


@pytest.mark.parametrize(
    ("num", "den", "words"),
    [
        ([1, float("nan")], [1, 1], "num holds NaN"),
        ([1, 1], [1, float("inf")], "den holds NaN or infinity"),
        ([1, 1], [1, -1], "can't be negative"),
        ([1, 1], [1, 1, 1], "same axes"),
        (1, 1, "last axis is the cluster"),
        ([], [], "last axis is the cluster"),
    ],
)
def test_what_is_no_sum_is_refused(num: object, den: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ClusterSums(num, den)  # type: ignore[arg-type]


def test_divide_by_zero_is_missing_and_silent() -> None:
    assert np.isnan(divide([1, 0], [0, 0])).all()
