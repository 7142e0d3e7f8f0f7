from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit import stats
from abkit.stats import ClusterSums
from abkit.stats.saturation import saturation
from tests.stats.worlds import assert_clean


@given(
    ceiling=st.floats(1e-3, 1e9),
    half=st.floats(0.05, 30),
    scale=st.floats(1e-3, 1e3),
)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_an_exact_curve_is_found_in_any_unit(ceiling: float, half: float, scale: float) -> None:
    days = np.array([1.0, 2.0, 4.0, 7.0, 14.0])
    found = saturation(days * scale, ceiling * days / (days + half))
    assert found.ceiling == pytest.approx(ceiling, rel=1e-6)
    assert found.half_time == pytest.approx(half * scale, rel=1e-6)
    assert found.error < 1e-9
    assert found.information_at(half * scale) == pytest.approx(ceiling / 2, rel=1e-6)
    assert found.time_for(ceiling / 2) == pytest.approx(half * scale, rel=1e-6)
    assert found.time_for(ceiling * 1.01) is None
    assert_clean(found)


def test_growth_without_a_ceiling() -> None:
    days = np.arange(1.0, 8.0)
    found = saturation(days, 300 * days)
    assert (found.capped, found.ceiling, found.half_time, found.reached) == (False, None, None, None)
    assert found.time_for(9_000.0) == pytest.approx(30.0)
    # Faster than the population: more users join each day. No ceiling either, and nothing below 0.
    joining = saturation(days, 300 * days**1.5)
    assert (joining.capped, joining.floor) == (False, 0.0)
    # All there at once: a ceiling that is reached.
    still = saturation(days, np.full(7, 50.0))
    assert still.ceiling == pytest.approx(50.0)
    assert still.slope == pytest.approx(0.0, abs=1e-12)


def test_gaps() -> None:
    gaps: list[Any] = [[10, 15, 19, None], [10, None, None, 30], [None] * 4]
    found = saturation([1.0, 2.0, 4.0, 7.0], gaps)
    assert found.status.tolist() == ["ok", *["fewer than 3 looks with information"] * 2]
    assert found.last_time.tolist() == [4.0, 7.0, None]
    assert_clean(found)
    assert saturation([5.0, 5.0, 5.0], [1.0, 1.0, 1.0]).status == "the looks are too close together to see a curve"
    with pytest.raises(ValueError, match="above 0"):
        saturation([0.0, 1.0, 2.0], [1.0, 2.0, 3.0])


def test_sticky_users_saturate_as_the_curve_says() -> None:
    worlds, days, users, replicates = 60, 14, 60, 32
    rng = np.random.default_rng(7)
    arms = []
    for _ in range(2):
        daily = rng.gamma(0.5, 4.0, (worlds, 1, replicates, users))
        visits = rng.poisson(np.broadcast_to(daily, (worlds, days, replicates, users)))
        buys = rng.binomial(visits, rng.beta(1, 9, (worlds, 1, replicates, users)))
        arms.append(ClusterSums(buys.sum(-1).cumsum(1), visits.sum(-1).cumsum(1)))
    # Worlds are averaged: of a single one the information itself is uncertain by a quarter.
    information = 1 / (stats.ratios(arms[0], arms[1], paired=True).lift_se.data ** 2).mean(0)
    seen = saturation(np.arange(1.0, 6.0), information[:5])
    assert seen.capped
    assert seen.information_at(14.0) == pytest.approx(information[13], rel=0.12)
    assert information[13] < seen.ceiling * 1.1
