"""Worlds that are looked at again and again: sums cumulated over looks, (world, look, arm, replicate)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from abkit import stats
from tests.benchmarks.calibration import judges
from tests.benchmarks.calibration.findings import Findings, Method, Situation, Truth
from tests.benchmarks.calibration.situations import EDGES, HASH, LIFT, conversion_truth, wandering
from tests.benchmarks.worlds import (
    REPLICATES,
    Batch,
    Users,
    cells,
    cumulated,
    draw_users,
    pod_factors,
    tally,
    views_in_time,
    visits,
)

__all__ = ["LOOKED_AT"]

MDE = 0.1
LARGE = 1.0
"""What a small arm may hope to find: a doubling."""


def recurring(rng: np.random.Generator, lift: float, *, users: int, split: Sequence[float], days: int) -> Batch:
    """The same users come every day: information saturates."""
    drawn = draw_users(rng, users, split, lift=lift, views=2.0 * days)
    seen, bought = visits(rng, drawn, days)
    return cumulated(cells(drawn, seen, bought, 2))


def arriving(rng: np.random.Generator, lift: float, *, users: int, days: int) -> Batch:
    """Other users come every day and never again: information grows evenly."""
    drawn = draw_users(rng, users * days, lift=lift, views=30.0)
    seen = rng.poisson(drawn.rate)
    day = np.repeat(np.arange(days), users)
    at, shape = (day, drawn.arm, drawn.replicate), (days, 2, REPLICATES)
    return cumulated({"num": tally(shape, at, rng.binomial(seen, drawn.own)), "den": tally(shape, at, seen)})


def buying(rng: np.random.Generator, lift: float, *, users: int, looks: int) -> Batch:
    """Other users between any two looks, of whom about 2 % make all events."""
    drawn = draw_users(rng, users, views=30.0)
    own = rng.beta(0.004, 0.196, size=users)
    own = np.minimum(own, 1 / (1 + lift)) * np.where(drawn.arm > 0, 1 + lift, 1.0)
    seen = rng.poisson(drawn.rate)
    at, shape = (rng.integers(0, looks, size=users), drawn.arm, drawn.replicate), (looks, 2, REPLICATES)
    return cumulated({"num": tally(shape, at, rng.binomial(seen, own)), "den": tally(shape, at, seen)})


def loaded(rng: np.random.Generator, lift: float, *, users: int, hours: int) -> Batch:
    """A load and a base rate that wander, alike for both arms, looked at each hour."""
    drawn = draw_users(rng, users, lift=lift, views=30.0)
    own, share = wandering(rng, drawn, hours, lift)
    return cumulated(cells(drawn, *visits(rng, drawn, hours, own, share), 2))


def each_minute(rng: np.random.Generator, lift: float, *, users: int, views: float, split: Sequence[float]) -> Batch:
    """A day, looked at each minute."""
    return cumulated(views_in_time(rng, draw_users(rng, users, split, lift=lift, views=views), 1_440, 2))


def technical(rng: np.random.Generator, lift: float, *, pods: int, users: int, looks: int) -> Batch:
    """Sticky users and pods that differ, cells cumulated over looks."""
    drawn: Users = draw_users(rng, users, lift=lift)
    factor = np.stack([pod_factors(rng, pods, 0.1), pod_factors(rng, pods, 0.1)])
    own = np.minimum(drawn.own * factor[drawn.arm].T, 1.0)
    shape = (looks, 2, REPLICATES, pods)
    at = (
        np.arange(looks)[:, np.newaxis, np.newaxis],
        drawn.arm,
        drawn.replicate,
        np.arange(pods)[np.newaxis, :, np.newaxis],
    )
    seen = rng.poisson(drawn.rate / looks / pods, size=(looks, pods, users))
    return cumulated({"num": tally(shape, at, rng.binomial(seen, own)), "den": tally(shape, at, seen)})


def _cells(sums: Batch) -> stats.Comparison:
    control, treatment = (stats.ClusterSums(sums["num"][:, :, arm], sums["den"][:, :, arm]) for arm in (0, 1))
    return stats.two_way(control, treatment)


def _apart(sums: Batch) -> stats.Comparison:
    arms = judges.arms_of(sums, slots=False)
    return stats.ratios(arms[0], arms[1], cluster="hash replicate")


def _unruled(sums: Batch) -> stats.Comparison:
    arms = judges.arms_of(sums, slots=False)
    return stats.ratios(arms[0], arms[1], paired=True, small_arm_rule=False, minimum_effective=0.0)


def latencies(rng: np.random.Generator, lift: float, *, looks: int, per_look: int = 100) -> Batch:
    """Independent requests in buckets, cumulated."""
    counts = np.zeros((looks, 2, EDGES.size))
    for arm in (0, 1):
        latency = rng.lognormal(np.log(0.2 * (1 + lift * arm)), 0.8, size=(looks, per_look))
        counts[:, arm] = tally((looks, EDGES.size), (np.arange(looks)[:, np.newaxis], np.searchsorted(EDGES, latency)))
    return {"buckets": counts.cumsum(axis=0)}


def quantile_sequence(sums: Batch, truth: Truth) -> Findings:
    found = stats.sequential.quantile_test(EDGES, sums["buckets"][:, :, 0], sums["buckets"][:, :, 1], 0.95)
    return Findings(judges.ever(found.p_value, None, None))


VALID = Method("always valid", HASH, judges.always_valid(MDE))
VALID_APART = Method("always valid, variance in each arm", HASH, judges.always_valid(MDE, _apart))
FIXED = Method("fixed-horizon test at every look", HASH, judges.daily(), valid=False)
UNRULED = Method("always valid, without the small-arm rule", HASH, judges.always_valid(LARGE, _unruled), valid=False)

LOOKED_AT: tuple[Situation, ...] = (
    Situation(
        "28 daily looks, 4,000 recurring users",
        partial(recurring, users=4_000, split=(0.5, 0.5), days=28),
        (
            VALID,
            VALID_APART,
            Method("O'Brien–Fleming, 4 weekly looks", HASH, judges.group_sequential("obrien-fleming", 7)),
            Method("Pocock, 4 weekly looks", HASH, judges.group_sequential("pocock", 7)),
            FIXED,
        ),
        LIFT,
        conversion_truth,
    ),
    Situation(
        "28 daily looks, 400 new users a day",
        partial(arriving, users=400, days=28),
        (
            VALID,
            Method("O'Brien–Fleming, 4 weekly looks", HASH, judges.group_sequential("obrien-fleming", 7)),
            Method(
                "O'Brien–Fleming, fractions by the estimated variance",
                HASH,
                judges.group_sequential("obrien-fleming", 7, 480.0),
                valid=False,
            ),
            FIXED,
        ),
        LIFT,
        conversion_truth,
    ),
    Situation(
        "14 daily looks, 8,000 recurring users, O'Brien–Fleming each day",
        partial(recurring, users=8_000, split=(0.5, 0.5), days=14),
        (Method("O'Brien–Fleming, 14 looks", HASH, judges.group_sequential("obrien-fleming", 1)),),
        chunk=25,
    ),
    *(
        Situation(
            f"4 looks, {users:,} new users of whom 2 % make all events",
            partial(buying, users=users, looks=4),
            (
                VALID,
                Method("O'Brien–Fleming, 4 looks", HASH, judges.group_sequential("obrien-fleming", 1)),
                Method("Pocock, 4 looks", HASH, judges.group_sequential("pocock", 1)),
            ),
        )
        for users in (1_000, 2_000, 4_000)
    ),
    *(
        Situation(
            f"28 daily looks, 5 % arm, {users:,} recurring users",
            partial(recurring, users=users, split=(0.95, 0.05), days=28),
            (
                Method("always valid", HASH, judges.always_valid(LARGE)),
                Method("always valid, variance in each arm", HASH, judges.always_valid(LARGE, _apart)),
                *unruled,
            ),
            LIFT,
            conversion_truth,
        )
        for users, unruled in ((400, (UNRULED,)), (2_000, ()), (8_000, ()))
    ),
    Situation(
        "48 hourly looks, autocorrelated load and base rate",
        partial(loaded, users=4_000, hours=48),
        (VALID,),
        LIFT,
    ),
    Situation(
        "24 looks, sticky users, 3 pods a side that differ by 10 %",
        partial(technical, pods=3, users=1_000, looks=24),
        (
            Method("always valid, two-way", "hash replicates × pods", judges.always_valid(MDE, _cells)),
            Method("fixed-horizon test at every look", "hash replicates × pods", judges.daily(_cells), valid=False),
        ),
        LIFT,
        conversion_truth,
        chunk=25,
    ),
    *(
        Situation(
            f"1,440 looks, each minute of a day, {users:,} users, {split[0]:.0%} : {split[1]:.0%}",
            partial(each_minute, users=users, views=views, split=split),
            (VALID, FIXED),
            LIFT,
            conversion_truth,
            chunk=10,
        )
        for users, views, split in ((4_000, 40.0, (0.5, 0.5)), (1_000, 5.0, (0.5, 0.5)), (2_000, 20.0, (0.95, 0.05)))
    ),
    Situation(
        "P95 of buckets, 100 looks, independent requests",
        partial(latencies, looks=100),
        (Method("quantile sequences", "events", quantile_sequence),),
        chunk=25,
    ),
)
