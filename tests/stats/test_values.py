from __future__ import annotations

import json

import numpy as np
import pytest

from abkit.stats import ClusterSums, ratios
from abkit.stats.values import interval, numbers, text, value


def test_missing_of_many_is_masked_and_becomes_null() -> None:
    array = value([1.0, np.nan, 3.0], [True, True, False])
    assert array.tolist() == [1.0, None, None]
    assert json.dumps(array.tolist()) == "[1.0, null, null]"
    # Who strips the mask gets no number either.
    assert np.isnan(np.asarray(array)[1:]).all()
    assert np.isnan(array.filled()[1:]).all()


def test_missing_of_one_is_none() -> None:
    assert value(np.nan) is None
    assert value(1.0, False) is None
    assert type(value(np.float64(1))) is float
    assert interval(np.nan, 1.0) is None


def test_the_first_reason_wins() -> None:
    assert text((2,), [([True, False], "a"), ([True, True], "b")]).tolist() == ["a", "b"]


def test_numbers_come_in_with_gaps() -> None:
    assert np.isnan(numbers(np.ma.MaskedArray([1, 2], mask=[True, False]))).tolist() == [True, False]
    assert np.isnan(numbers(None))


def test_at_gives_what_a_single_comparison_gives() -> None:
    rng = np.random.default_rng(1)
    num, den = rng.poisson(5, (2, 3, 12)).astype(float), rng.poisson(50, (2, 3, 12)).astype(float)
    num[0, 2] = 0
    many = ratios(ClusterSums(num[0], den[0]), ClusterSums(num[1], den[1]), paired=True)
    for i in range(3):
        one = ratios(ClusterSums(num[0, i], den[0, i]), ClusterSums(num[1, i], den[1, i]), paired=True)
        picked = many.at(i)
        assert (picked.status, picked.lift_status) == (one.status, one.lift_status)
        assert picked.p_value == pytest.approx(one.p_value, rel=1e-12)
        assert picked.effect_ci == pytest.approx(one.effect_ci, rel=1e-12)
        assert type(picked.p_value) is float
        assert type(picked.small_arm) is bool
        if one.lift is None:
            assert picked.lift is None
            assert picked.lift_ci is None
    assert many.at(2).lift_status == "no events in control"
