"""How often each method calls a winner where there is none: the first table of `make calibrate`, and the README's.

A/A worlds with sticky users: gamma(0.5) activity, 60 page views each on average, a conversion of each user's own drawn
from a beta, 8,000 users, 7 days, 32 hash replicates. A method that keeps its word is wrong in 5 % of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abkit import stats
from abkit.simulate import Totals, simulate_totals

__all__ = ["SEEDS", "SPLITS", "WORLDS", "Rates", "false_winners", "table"]

WORLDS = 200
SEEDS = (1, 2, 3)
SPLITS: dict[str, Mapping[str, int]] = {
    "50/50": {"control": 5_000, "treatment": 5_000},
    "95/5": {"control": 9_500, "treatment": 500},
}
_ALPHA = 0.05
_DAYS = 7


@dataclass(frozen=True)
class Rates:
    """Share of worlds in which each method said p < 0.05.

    Attributes:
        seed: Seed of the worlds.
        split: Name of the split.
        worlds: How many there were.
        events: Two-proportion z test: every page view a draw of its own.
        days: Days paired.
        replicates: Hash replicates.
    """

    seed: int
    split: str
    worlds: int
    events: float
    days: float
    replicates: float


def false_winners(seed: int, split: str, worlds: int = WORLDS) -> Rates:
    """The rates of one seed and split."""
    totals = simulate_totals(worlds=worlds, split=SPLITS[split], seed=seed, days=_DAYS)
    return Rates(
        seed,
        split,
        worlds,
        _share(by_events(totals)),
        _share(by_clusters(totals, days=True)),
        _share(by_clusters(totals)),
    )


def by_events(totals: Totals) -> NDArray[np.float64]:
    """P values of the two-proportion z test, one a world."""
    bought, seen = totals.purchases.sum(axis=(1, 3)), totals.page_views.sum(axis=(1, 3))
    compared = stats.proportions(control=(bought[:, 0], seen[:, 0]), treatment=(bought[:, 1], seen[:, 1]))
    return _numbers(compared.p_value)


def by_clusters(totals: Totals, *, days: bool = False) -> NDArray[np.float64]:
    """P values with hash replicates as the pipeline compares them, or with days, which stand in both arms."""
    axis = 3 if days else 1
    bought, seen = totals.purchases.sum(axis=axis), totals.page_views.sum(axis=axis)
    if days:
        bought, seen = np.swapaxes(bought, 1, 2), np.swapaxes(seen, 1, 2)
    arms = [stats.ClusterSums(bought[:, arm], seen[:, arm]) for arm in (0, 1)]
    return _numbers(stats.ratios(arms[0], arms[1], paired=days).p_value)


def _numbers(p_values: object) -> NDArray[np.float64]:
    # A world without a result is one without a false winner.
    return np.ma.filled(np.ma.asarray(p_values, dtype=np.float64), 1.0)


def _share(p_values: NDArray[np.float64]) -> float:
    return float(np.mean(p_values < _ALPHA))


def table(rates: list[Rates]) -> Iterator[str]:
    """The rates as lines of a Markdown table, with the Monte Carlo error of their mean."""
    seeds = sorted({rate.seed for rate in rates})
    worlds = sum(rate.worlds for rate in rates if rate.split == rates[0].split)
    yield f"| method | split | {' | '.join(f'seed {seed}' for seed in seeds)} | all {worlds} worlds |"
    yield f"|---|---|{'---|' * len(seeds)}---|"
    for method, name in [
        ("events", "every page view independent (two-proportion z)"),
        ("days", "days, paired"),
        ("replicates", "hash replicates (abkit)"),
    ]:
        for split in SPLITS:
            found = [getattr(rate, method) for rate in rates if rate.split == split]
            mean = math.fsum(found) / len(found)
            error = math.sqrt(mean * (1 - mean) / worlds)
            cells = " | ".join(f"{share:.1%}" for share in found)
            yield f"| {name} | {split} | {cells} | {mean:.1%} ± {error:.1%} |"
