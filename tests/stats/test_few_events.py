"""Few events in an arm: the difference's interval must cover, however many clusters there are."""

from __future__ import annotations

import numpy as np
import pytest

from abkit import stats
from tests.stats.worlds import monte_carlo

WORLDS, CLUSTERS = 1_500, 32


@pytest.mark.parametrize("events", [2, 6, 12])
@pytest.mark.parametrize("lift", [0.0, 0.5, -0.5])
def test_interval_of_the_difference_covers(events: int, lift: float) -> None:
    rng = np.random.default_rng(100 * events + round(10 * lift))
    exposure = np.array([38_000.0, 2_000.0]) / CLUSTERS
    rate = events / 2_000.0
    arms = []
    for arm, own in enumerate((rate, rate * (1 + lift))):
        den = rng.poisson(exposure[arm], size=(WORLDS, CLUSTERS))
        arms.append(stats.ClusterSums(rng.poisson(own * exposure[arm], size=(WORLDS, CLUSTERS)), den))
    for paired in (True, False):
        found = stats.ratios(arms[0], arms[1], paired=paired)
        low, high = found.effect_ci
        covered = (low <= lift * rate) & (high >= lift * rate)
        assert covered.count() > 0.8 * WORLDS
        assert covered.mean() >= 1 - monte_carlo(0.05, int(covered.count()))


def test_rule_is_said_and_only_where_events_are_few() -> None:
    den = np.full((2, 32), 1_000.0)
    num = np.array([[1.0, 1.0] + [0.0] * 30, [30.0, 31.0] * 16])
    found = stats.ratios(stats.ClusterSums(num[[1, 1]], den), stats.ClusterSums(num, den), paired=True)
    assert found.small_arm.tolist() == [True, False]
    assert "small-arm rule" in found.method
