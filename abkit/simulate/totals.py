"""The fast way to many A/A worlds: totals per arm and replicate, without times, pods or scrapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abkit.assignment import BUCKETS
from abkit.errors import InputError
from abkit.simulate.population import hash_units, user_ids

__all__ = ["Totals", "simulate_totals"]


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of many worlds.

    Attributes:
        names: The arms, in the split's order.
        page_views: float64 of shape (worlds, days, arms, replicates).
        purchases: The same; never more than the views.
        users: Users who came at least once, of shape (worlds, arms); float64.
    """

    names: tuple[str, ...]
    page_views: NDArray[np.float64]
    purchases: NDArray[np.float64]
    users: NDArray[np.float64]


def simulate_totals(
    *,
    worlds: int,
    split: Mapping[str, int],
    seed: int,
    users: int = 8_000,
    days: int = 1,
    views: float = 60.0,
    shape: float = 0.5,
    conversion: float = 0.06,
    concentration: float = 8.0,
    lift: float = 0.0,
    replicates: int = 32,
) -> Totals:
    """Simulate worlds of sticky users: gamma activity, and a conversion of each user's own, drawn from a beta.

    Args:
        worlds: How many worlds.
        split: Arm → basis points.
        seed: All randomness comes from it; the first worlds of a longer run are those of a shorter one.
        users: Users in each world; each has an id of its own, hashed as `abkit.assignment` does.
        days: Days to tell apart; activity is the same on each.
        views: Mean page views a user over all days.
        shape: Shape of the gamma; 0.5 has a heavy tail.
        conversion: Mean probability that a view ends in a purchase.
        concentration: a + b of the beta.
        lift: Relative effect of every arm but the first on the conversion; 0 is an A/A test.
        replicates: Number of hash replicates.

    Returns:
        The totals.

    Raises:
        InputError: The weights do not sum to 10,000.

    >>> totals = simulate_totals(worlds=2, split={"control": 5000, "treatment": 5000}, seed=1, users=100)
    >>> totals.page_views.shape
    (2, 1, 2, 32)
    """
    if sum(split.values()) != BUCKETS:
        msg = f"weights {dict(split)} must sum to {BUCKETS:,}"
        raise InputError(msg)
    edges = np.cumsum(list(split.values()))
    arms = len(edges)
    page_views = np.zeros((worlds, days, arms, replicates))
    purchases = np.zeros_like(page_views)
    came = np.zeros((worlds, arms))
    for number, sequence in enumerate(np.random.SeedSequence(seed).spawn(worlds)):
        rng = np.random.Generator(np.random.PCG64(sequence))
        buckets, cluster = hash_units(user_ids(rng, users), f"world-{number}", replicates)
        arm = np.searchsorted(edges, buckets, side="right")
        own = rng.beta(conversion * concentration, (1 - conversion) * concentration, size=users)
        own = np.minimum(own, 1 / (1 + max(lift, 0.0))) * np.where(arm > 0, 1 + lift, 1.0)
        rate = rng.gamma(shape, views / shape / days, size=users)
        seen = rng.poisson(rate, size=(days, users))
        bought = rng.binomial(seen, own)
        cell = (arm * replicates + cluster) + np.arange(days)[:, np.newaxis] * arms * replicates
        for target, amount in ((page_views, seen), (purchases, bought)):
            summed = np.bincount(cell.ravel(), weights=amount.ravel(), minlength=days * arms * replicates)
            target[number] = summed.reshape(days, arms, replicates)
        came[number] = np.bincount(arm[seen.any(axis=0)], minlength=arms)
    return Totals(tuple(split), page_views, purchases, came)
