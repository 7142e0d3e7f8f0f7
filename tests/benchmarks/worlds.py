"""Worlds to calibrate on: sums per arm, slot, replicate and pod, drawn fast, one world at a time.

Nobody is hashed here: the arm and replicate of a user are drawn, which is the same thing. Each world has a random
stream of its own, named by seed, situation and number, so that any world can be drawn again by itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "REPLICATES",
    "Batch",
    "Floats",
    "Users",
    "autoregression",
    "batch",
    "cells",
    "cumulated",
    "draw_users",
    "mean_conversion",
    "overdispersed",
    "pod_factors",
    "stream",
    "tally",
    "views_in_time",
    "visits",
]

Floats = NDArray[np.float64]
Batch = Mapping[str, Floats]
"""Sums by name, the world on the first axis."""

REPLICATES = 32
CONCENTRATION = 8.0


@dataclass(frozen=True)
class Users:
    """Who comes to a world; all of shape (users,).

    Attributes:
        arm: Number of the arm; 0 is the control.
        replicate: Hash replicate.
        rate: Views to be expected over the whole world.
        own: Probability that a view of theirs ends in a purchase, the effect of their arm included.
        place: Where the user stands between 0 and 1 in the experiment's hash, for splits that change.
    """

    arm: NDArray[np.int64]
    replicate: NDArray[np.int64]
    rate: Floats
    own: Floats
    place: Floats


def stream(seed: int, name: str, number: int) -> np.random.Generator:
    """The random stream of one world."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()), number)))


def batch(
    one: Callable[[np.random.Generator], Batch], seed: int, name: str, numbers: Sequence[int]
) -> dict[str, Floats]:
    """Worlds of the given numbers, stacked."""
    drawn = [one(stream(seed, name, number)) for number in numbers]
    return {key: np.stack([world[key] for world in drawn]) for key in drawn[0]}


def draw_users(
    rng: np.random.Generator,
    count: int,
    weights: Sequence[float] = (0.5, 0.5),
    *,
    views: float = 60.0,
    shape: float = 0.5,
    conversion: float = 0.06,
    lift: float = 0.0,
    activity: float = 0.0,
) -> Users:
    """Sticky users: gamma activity, a conversion of each user's own drawn from a beta.

    Args:
        rng: Source of randomness.
        count: How many.
        weights: Share of each arm.
        views: Mean views a user.
        shape: Of the gamma; 0.5 has a heavy tail.
        conversion: Mean of the beta.
        lift: Relative effect of every arm but the control on the conversion.
        activity: Relative effect on the views.
    """
    place = rng.random(count)
    arm = np.searchsorted(np.cumsum(weights)[:-1], place, side="right")
    own = rng.beta(conversion * CONCENTRATION, (1 - conversion) * CONCENTRATION, size=count)
    own = np.minimum(own, 1 / (1 + lift)) * np.where(arm > 0, 1 + lift, 1.0)
    rate = rng.gamma(shape, views / shape, size=count) * np.where(arm > 0, 1 + activity, 1.0)
    return Users(arm, rng.integers(0, REPLICATES, size=count), rate, own, place)


@lru_cache(maxsize=64)
def mean_conversion(conversion: float, lift: float) -> float:
    """The control's conversion to be expected, where nobody's may pass 1 under the lift."""
    from scipy.special import betainc

    a, b = conversion * CONCENTRATION, (1 - conversion) * CONCENTRATION
    top = 1 / (1 + lift)
    return float(conversion * betainc(a + 1, b, top) + top * (1 - betainc(a, b, top)))


def tally(
    shape: Sequence[int], at: Sequence[NDArray[np.int64]], amount: NDArray[np.int64] | Floats | None = None
) -> Floats:
    """Sum amounts into cells."""
    place = np.ravel_multi_index(tuple(np.broadcast_arrays(*at)), tuple(shape)).ravel()
    weights = None if amount is None else amount.ravel()
    return np.bincount(place, weights=weights, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)


def visits(
    rng: np.random.Generator, users: Users, slots: int, own: Floats | None = None, share: Floats | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Views and purchases, each (slot, user).

    Args:
        rng: Source of randomness.
        users: Who comes.
        slots: Days, epochs or pods that share a user's views.
        own: Conversion by (slot, user), where it isn't the user's own everywhere.
        share: Of the views by slot, (slot,) or (slot, user); even where left out.
    """
    rate = users.rate * (np.full((slots, 1), 1 / slots) if share is None else share.reshape(slots, -1))
    seen = rng.poisson(rate)
    return seen, rng.binomial(seen, users.own if own is None else own)


def cells(
    users: Users, seen: NDArray[np.int64], bought: NDArray[np.int64], arms: int, prefix: str = ""
) -> dict[str, Floats]:
    """Purchases `num` and views `den`, each (slot, arm, replicate)."""
    shape = (seen.shape[0], arms, REPLICATES)
    at = (np.arange(shape[0])[:, np.newaxis], users.arm, users.replicate)
    return {f"{prefix}num": tally(shape, at, bought), f"{prefix}den": tally(shape, at, seen)}


def cumulated(sums: Batch) -> dict[str, Floats]:
    """What is there at each look, where slots are the times between them."""
    return {name: sums[name].cumsum(axis=0) for name in sums}


def views_in_time(
    rng: np.random.Generator, users: Users, minutes: int, arms: int, factor: Floats | None = None
) -> dict[str, Floats]:
    """Purchases and views by (minute, arm, replicate): each view at a minute of its own.

    Args:
        rng: Source of randomness.
        users: Who comes.
        minutes: How many.
        arms: How many.
        factor: Of the conversion, by minute.
    """
    who = np.repeat(np.arange(users.rate.size), rng.poisson(users.rate))
    minute = rng.integers(0, minutes, size=who.size)
    chance = users.own[who] if factor is None else np.minimum(users.own[who] * factor[minute], 1.0)
    bought = rng.random(who.size) < chance
    shape = (minutes, arms, REPLICATES)
    at = (minute, users.arm[who], users.replicate[who])
    return {
        "num": tally(shape, tuple(index[bought] for index in at)),
        "den": tally(shape, at),
    }


def pod_factors(rng: np.random.Generator, pods: int, spread: float) -> Floats:
    """What each pod multiplies an error rate by; mean 1."""
    return np.exp(rng.normal(-(spread**2) / 2, spread, size=pods))


def overdispersed(rng: np.random.Generator, mean: float, phi: float, shape: Sequence[int]) -> NDArray[np.int64]:
    """Counts with variance φ·mean: Poisson, or negative binomial."""
    if phi == 1:
        return rng.poisson(mean, size=tuple(shape))
    return rng.negative_binomial(mean / (phi - 1), 1 / phi, size=tuple(shape))


def autoregression(rng: np.random.Generator, steps: int, correlation: float, series: int = 1) -> Floats:
    """Normal AR(1) series of variance 1, (series, step), in their steady state."""
    noise = rng.normal(size=(series, steps))
    noise[:, 1:] *= np.sqrt(1 - correlation**2)
    for step in range(1, steps):
        noise[:, step] += correlation * noise[:, step - 1]
    return noise
