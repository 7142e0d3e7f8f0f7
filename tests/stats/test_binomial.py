from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.proportion import confint_proportions_2indep

from abkit import stats
from tests.stats.worlds import assert_clean


def test_the_textbook_case() -> None:
    result = stats.proportions(control=(480, 10_000), treatment=(560, 10_000))
    assert result.p_value == pytest.approx(0.01083, abs=5e-6)
    assert result.effect_ci == pytest.approx((0.001846, 0.014154), abs=1e-6)
    assert (result.control, result.treatment) == (0.048, 0.056)
    assert "wrong" in result.assumption
    low, high = confint_proportions_2indep(560, 10_000, 480, 10_000, method="wald")
    assert result.effect_ci == pytest.approx((low, high), abs=1e-12)
    se = math.sqrt(0.048 * 0.952 / 1e4 + 0.056 * 0.944 / 1e4)
    assert result.p_value == pytest.approx(2 * norm.sf(0.008 / se), rel=1e-12)


def test_lift_against_the_log_ratio_of_statsmodels() -> None:
    result = stats.proportions(control=(48, 1_000), treatment=(60, 900))
    low, high = confint_proportions_2indep(60, 900, 48, 1_000, compare="ratio", method="log")
    assert result.lift_ci == pytest.approx((low - 1, high - 1), rel=1e-10)


def test_small_and_zero_counts_are_defined() -> None:
    zero = stats.proportions(control=(0, 100), treatment=(5, 100))
    assert zero.status == "ok"
    assert zero.p_value is not None
    # Exact is .0625; the plain formula, which thinks the empty arm certain, says .022.
    assert 0.05 < zero.p_value < 0.2
    assert (zero.lift, zero.lift_status) == (None, "no events in control")
    none = stats.proportions(control=(0, 100), treatment=(0, 100))
    assert (none.effect, none.p_value, none.effect_ci) == (0.0, None, None)
    assert "no events in either arm" in none.status
    absent = stats.proportions(control=(0, 0), treatment=(5, 100))
    assert (absent.control, absent.effect, absent.status) == (None, None, "no data in control")
    for result in (zero, none, absent, stats.proportions((0, 1), (1, 1)), stats.proportions((3, 3), (4, 4))):
        assert_clean(result)


def test_many_at_once() -> None:
    many = stats.proportions(control=([480, 0], 10_000), treatment=([560, 0], 10_000))
    assert many.p_value.tolist()[0] == pytest.approx(0.01083, abs=5e-6)
    assert many.p_value.tolist()[1] is None
    assert many.status.tolist()[0] == "ok"
    assert_clean(many)


@pytest.mark.parametrize("pair", [(-1, 10), (11, 10), (np.nan, 10), (1, np.inf)])
def test_nonsense_is_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="successes"):
        stats.proportions(control=pair, treatment=(1, 10))
    with pytest.raises(ValueError, match="two-sided, greater, less"):
        stats.proportions(control=(1, 10), treatment=(1, 10), alternative="larger")
