"""Users: their ids and hashes, how active they are, when they are there, how they buy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abkit.assignment import bucket, replicate
from abkit.simulate.world import HOUR, MINUTE, World

__all__ = ["ASSIGNMENTS", "HASH", "NONE", "RULE", "Clock", "Population", "draw_population", "hash_units"]

HASH, RULE, NONE = 0, 1, 2
ASSIGNMENTS = ("hash", "rule", "none")
"""Values of the label `ab_assignment`, by code."""

_DAY = 24 * HOUR
_PEAK = 14 * HOUR
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


@dataclass(frozen=True, slots=True)
class Clock:
    """The pattern of the traffic: time ↔ expected share of a resident's views.

    Attributes:
        grid: Milliseconds, rising; int64 of shape (K,).
        cumulative: Share of the views before each; float64 of shape (K,), from 0 to 1.
    """

    grid: NDArray[np.int64]
    cumulative: NDArray[np.float64]

    @classmethod
    def of(cls, world: World) -> Clock:
        """The day and week pattern of a world."""
        step = MINUTE * 5
        grid = np.append(np.arange(world.begin_ms, world.end_ms, step, dtype=np.int64), np.int64(world.end_ms))
        middle = (grid[:-1] + grid[1:]) // 2
        wave = 1 + world.users.day_swing * day_wave(middle)
        weekday = (middle // _DAY + _EPOCH_WEEKDAY) % 7
        weight = wave * np.where(weekday >= 5, world.users.weekend, 1.0) * np.diff(grid)
        cumulative = np.concatenate([[0.0], np.cumsum(weight)])
        return cls(grid, cumulative / cumulative[-1])

    def share_before(self, moments: NDArray[np.int64]) -> NDArray[np.float64]:
        """Share of the views that come before each moment."""
        return np.interp(moments, self.grid, self.cumulative)

    def moment_of(self, shares: NDArray[np.float64]) -> NDArray[np.int64]:
        """The inverse: when each share has come, in whole milliseconds."""
        return np.interp(shares, self.cumulative, self.grid).astype(np.int64)


def day_wave(moments: NDArray[np.int64]) -> NDArray[np.float64]:
    """A daily wave from -1 to 1 with its peak at 14:00 UTC."""
    wave: NDArray[np.float64] = np.cos(2 * np.pi * ((moments - _PEAK) % _DAY) / _DAY)
    return wave


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody who comes, in columns of shape (users,); those with an id first.

    Attributes:
        ids: The ids; empty text for visitors without one.
        assignment: Code of `ASSIGNMENTS`; int8.
        buckets: Bucket of each id, -1 without one; int32.
        replicates: Replicate of each id, 0 without one; int32.
        rate: Expected views of one who stays throughout; float64.
        first: Share of the clock at arrival; float64.
        last: Share of the clock at departure; float64.
        conversion: Probability that a view ends in a purchase, at no effect; float64.
        click_rate: Probability that a view is clicked, at no effect; float64.
        page_load: Factor on page load times; float64.
    """

    ids: tuple[str, ...]
    assignment: NDArray[np.int8]
    buckets: NDArray[np.int32]
    replicates: NDArray[np.int32]
    rate: NDArray[np.float64]
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    conversion: NDArray[np.float64]
    click_rate: NDArray[np.float64]
    page_load: NDArray[np.float64]


def hash_units(ids: tuple[str, ...], salt: str, replicates: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Buckets and replicates of many ids, as `abkit.assignment` has them.

    Returns:
        Two int32 arrays of shape (ids,).
    """
    count = len(ids)
    return (
        np.fromiter((bucket(salt, unit) for unit in ids), dtype=np.int32, count=count),
        np.fromiter((replicate(unit, replicates) for unit in ids), dtype=np.int32, count=count),
    )


def user_ids(rng: np.random.Generator, count: int) -> tuple[str, ...]:
    """Ids of 16 hex digits, as services mint them."""
    return tuple(f"{number:016x}" for number in rng.integers(0, 2**63, size=count, dtype=np.int64).tolist())


def draw_population(world: World, clock: Clock, rng: np.random.Generator) -> Population:
    """Draw everybody who comes to a world.

    Args:
        world: The world.
        clock: Its pattern of traffic.
        rng: Source of randomness.
    """
    users, shop = world.users, world.shop
    strangers = round(users.without_id * users.count)
    total = users.count + strangers
    ids = user_ids(rng, users.count)
    buckets, replicates = hash_units(ids, world.salt_or_name, world.replicates)
    absent = np.zeros(strangers, dtype=np.int32)
    assignment = np.full(total, HASH, dtype=np.int8)
    assignment[: users.count][rng.random(users.count) < users.vip_share] = RULE
    assignment[users.count :] = NONE
    rate = rng.gamma(users.shape, users.views / users.shape, size=total)
    # Those who don't stay arrive evenly, some of them before the world begins, so that it begins in its steady state.
    arrival = rng.integers(world.begin_ms - users.stay_ms, world.end_ms, size=total, dtype=np.int64)
    departure = arrival + rng.exponential(users.stay_ms, size=total).astype(np.int64)
    resident = rng.random(total) < users.residents
    conversion = _propensity(rng, shop.conversion, shop.conversion_users, total)
    conversion = np.where(assignment == RULE, conversion * users.vip_factor, conversion)
    # Nobody's probability may pass 1 under any arm and hour, or the true lift would not be the effect.
    swing = 1 + abs(shop.conversion_swing)
    conversion = np.minimum(conversion, 1 / (swing * max(1 + arm.effects.conversion for arm in world.arms)))
    click_rate = _propensity(rng, shop.click_rate, shop.click_users, total)
    click_rate = np.minimum(click_rate, 1 / max(1 + arm.effects.click_rate for arm in world.arms))
    sigma = shop.page_load_users
    return Population(
        ids=(*ids, *[""] * strangers),
        assignment=assignment,
        buckets=np.concatenate([buckets, absent - 1]).astype(np.int32),
        replicates=np.concatenate([replicates, absent]),
        rate=rate,
        first=np.where(resident, 0.0, clock.share_before(arrival)),
        last=np.where(resident, 1.0, clock.share_before(departure)),
        conversion=conversion,
        click_rate=click_rate,
        page_load=np.exp(rng.normal(-(sigma**2) / 2, sigma, size=total)),
    )


def _propensity(rng: np.random.Generator, mean: float, concentration: float, size: int) -> NDArray[np.float64]:
    if mean <= 0:
        return np.zeros(size)
    return rng.beta(mean * concentration, (1 - mean) * concentration, size=size)
