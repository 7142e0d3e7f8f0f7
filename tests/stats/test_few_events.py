"""Few events in an arm: the difference's interval must cover, however many clusters there are."""

from __future__ import annotations

import numpy as np
import pytest

from abkit import stats
from tests.stats.worlds import monte_carlo, sticky

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


@pytest.mark.parametrize(("users", "concentration"), [(1_000, 0.2), (2_000, 1.0)])
def test_looks_at_few_buyers_call_few_false_winners(users: int, concentration: float) -> None:
    """New users all the time, of whom about 2 % make all events: z holds at 5 %, not at the level of an early look."""
    rng, worlds, looks = np.random.default_rng(users), 1_000, 4
    drawn = [
        sticky(rng, worlds, users // looks, 0.5, conversion=0.02, concentration=concentration) for _ in range(looks)
    ]
    arms = [
        stats.ClusterSums(
            *(np.stack([getattr(look[arm], name) for look in drawn], 1).cumsum(1) for name in ("num", "den"))
        )
        for arm in (0, 1)
    ]
    found = stats.ratios(arms[0], arms[1], paired=True)
    for spending in ("obrien-fleming", "pocock"):
        tested = stats.sequential.group_sequential(
            np.ma.log(1 + found.lift),
            found.lift_se,
            found.df,
            fraction=np.arange(1, looks + 1) / looks,
            early_looks=found.early_looks,
            spending=spending,
        )
        assert (tested.decision[:, -1] == "reject").mean() <= monte_carlo(0.05, worlds)
        deciding = tested.boundary.count(0) / worlds
        assert deciding[0] < 0.05
        assert deciding[-1] > 0.95
        reasons = {status for status in tested.status[:, 0] if status.startswith("too few users")}
        assert len(reasons) == 1
