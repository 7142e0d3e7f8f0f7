"""What happens: page views and the requests they make, in columns, in no particular order of users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abkit.assignment import BUCKETS
from abkit.simulate.pods import Fleet
from abkit.simulate.population import NONE, RULE, Clock, Population, day_wave
from abkit.simulate.world import World

__all__ = ["CODES", "Requests", "Views", "arms_of", "draw_requests", "draw_views"]

CODES = ("200", "404", "500", "503")
"""Values of the label `response_code`, by code."""

_UNAVAILABLE = 0.2  # share of 503 among 5xx


@dataclass(frozen=True, slots=True)
class Views:
    """Page views in the order of time, in columns of shape (views,).

    Attributes:
        time: Milliseconds; int64.
        user: Index into the population; int64.
        arm: Index of the arm that the user is in, by which services label; int64.
        served: Index of the arm that was served: the control before the window, where there is a pre-period; int64.
        pod: Index of the pod that served it; int64.
        column: Index of the pod's scrape that shows it first, or `LOST`, `PENDING`; int64.
        seen: When that scrape was, -1 without one; int64.
        counted: Whether it lies in the window; bool.
        labelled: Whether the services count it: in the window, and in the pre-period; bool.
        exposure: Whether it is a user's first that counts; bool.
        click: Whether it is clicked; bool.
        orders: Number of orders; a purchase where not 0; int64.
        revenue: Their value; float64.
        load: Page load time in seconds; float64.
        conversion: Probability of a purchase if the arm had no effect; float64.
        click_rate: Probability of a click if the arm had no effect; float64.
    """

    time: NDArray[np.int64]
    user: NDArray[np.int64]
    arm: NDArray[np.int64]
    served: NDArray[np.int64]
    pod: NDArray[np.int64]
    column: NDArray[np.int64]
    seen: NDArray[np.int64]
    counted: NDArray[np.bool_]
    labelled: NDArray[np.bool_]
    exposure: NDArray[np.bool_]
    click: NDArray[np.bool_]
    orders: NDArray[np.int64]
    revenue: NDArray[np.float64]
    load: NDArray[np.float64]
    conversion: NDArray[np.float64]
    click_rate: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests, in columns of shape (requests,).

    Attributes:
        view: Index of the page view that made it: it shares time and pod; int64.
        code: Code of `CODES`; int8.
        duration: Whole milliseconds; int64.
    """

    view: NDArray[np.int64]
    code: NDArray[np.int8]
    duration: NDArray[np.int64]


def arms_of(
    world: World, population: Population, users: NDArray[np.int64], times: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The arm of each view: by rule, by bucket and the split in force, or the one for visitors without an id.

    Args:
        world: The world.
        population: Its users.
        users: Index of a user each; shape (views,).
        times: When; shape (views,).

    Returns:
        Index of an arm each; shape (views,).
    """
    splits = np.array([[epoch.split.get(name, 0) for name in world.names] for epoch in world.splits])
    edges = np.cumsum(splits, axis=1)
    epoch = np.searchsorted([epoch.from_ms for epoch in world.splits], times, side="right") - 1
    # As `variant_of_bucket` walks: the arm is the number of upper edges at or below the bucket.
    table = np.zeros((len(edges), BUCKETS), dtype=np.int64)
    for row, upper in enumerate(edges):
        table[row] = np.searchsorted(upper, np.arange(BUCKETS), side="right")
    arm = table[np.maximum(epoch, 0), population.buckets[users]]
    kind = population.assignment[users]
    arm[kind == RULE] = world.names.index(world.vip_arm or world.treatments[-1])
    arm[kind == NONE] = world.names.index(world.without_unit or world.control)
    return arm


def draw_views(world: World, population: Population, clock: Clock, fleet: Fleet, rng: np.random.Generator) -> Views:
    """Draw all page views of a world.

    Args:
        world: The world.
        population: Its users.
        clock: Its pattern of traffic.
        fleet: Its pods.
        rng: Source of randomness.
    """
    effects = [arm.effects for arm in world.arms]
    activity = np.array([1 + effect.activity for effect in effects])
    span = population.last - population.first
    number = rng.poisson(population.rate * span * activity.max())
    user = np.repeat(np.arange(len(number)), number)
    time = clock.moment_of(population.first[user] + rng.random(len(user)) * span[user])
    order = np.argsort(time, kind="stable")
    user, time = user[order], time[order]
    arm = arms_of(world, population, user, time)
    served = np.where(time < world.start_ms, world.names.index(world.control), arm) if world.pre_ms else arm
    # The busiest arm's views were drawn; the others keep their share of them.
    kept = rng.random(len(user)) * activity.max() < activity[served]
    user, time, arm, served = user[kept], time[kept], arm[kept], served[kept]
    count = len(user)
    version_of_arm = np.array([world.versions.index(arm.version) for arm in world.arms])
    pod = fleet.serve(time, version_of_arm[served], rng)
    column, seen = fleet.seen(time, pod)
    counted = time >= world.start_ms
    exposure = np.zeros(count, dtype=np.bool_)
    begun = int(np.searchsorted(time, world.start_ms))
    exposure[begun + np.unique(user[begun:], return_index=True)[1]] = True
    exposure &= population.assignment[user] != NONE  # without an id, nobody knows what is the first time

    shop = world.shop
    conversion = population.conversion[user] * (1 + shop.conversion_swing * day_wave(time))
    click_rate = population.click_rate[user]
    click = rng.random(count) < click_rate * np.array([1 + effect.click_rate for effect in effects])[served]
    bought = rng.random(count) < conversion * np.array([1 + effect.conversion for effect in effects])[served]
    orders = bought * (1 + (rng.random(count) < shop.second_order))
    revenue = np.zeros(count)
    factor = np.array([1 + effect.revenue for effect in effects])[served[bought]]
    for part in (1, 2):
        value = _lognormal(rng, shop.order_value, shop.order_sigma, int(bought.sum())) * factor
        value = np.maximum(np.rint(value / world.money_quantum), 1) * world.money_quantum
        revenue[bought] += np.where(orders[bought] >= part, value, 0)
    factor = np.array([1 + effect.page_load_time for effect in effects])[served]
    load = _lognormal(rng, shop.page_load, shop.page_load_sigma, count) * factor
    load *= population.page_load[user] * fleet.factors[2, pod]
    load = np.maximum(np.rint(load / world.time_quantum), 1) * world.time_quantum
    return Views(
        time=time,
        user=user,
        arm=arm,
        served=served,
        pod=pod,
        column=column,
        seen=seen,
        counted=counted,
        labelled=time >= world.start_ms - world.pre_ms,
        exposure=exposure,
        click=click,
        orders=orders,
        revenue=revenue,
        load=load,
        conversion=conversion,
        click_rate=click_rate,
    )


def draw_requests(world: World, views: Views, fleet: Fleet, rng: np.random.Generator) -> Requests:
    """Draw the requests that the page views make: one each and some more, all at once and at the same pod.

    Args:
        world: The world.
        views: Its page views.
        fleet: Its pods.
        rng: Source of randomness.
    """
    mesh = world.mesh
    view = np.repeat(np.arange(len(views.time)), 1 + rng.poisson(mesh.requests - 1, size=len(views.time)))
    arm, pod = views.served[view], views.pod[view]
    failing = mesh.error_rate * np.array([1 + arm.effects.error_rate for arm in world.arms])[arm]
    failing *= fleet.factors[1, pod]
    draw = rng.random(len(view))
    code = np.zeros(len(view), dtype=np.int8)
    code[draw < failing + mesh.not_found * (1 - failing)] = CODES.index("404")
    code[draw < failing] = CODES.index("500")
    code[draw < failing * _UNAVAILABLE] = CODES.index("503")
    duration = _lognormal(rng, mesh.latency, mesh.latency_sigma, len(view)) * fleet.factors[0, pod]
    duration *= np.array([1 + arm.effects.latency for arm in world.arms])[arm]
    return Requests(view, code, np.maximum(np.rint(duration), 1).astype(np.int64))


def _lognormal(rng: np.random.Generator, mean: float, sigma: float, size: int) -> NDArray[np.float64]:
    return mean * np.exp(rng.normal(-(sigma**2) / 2, sigma, size=size))
