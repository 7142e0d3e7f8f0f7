"""From events to counters: which child each event raises, by how much, and which scrape shows it first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abkit.simulate.events import Requests, Views
from abkit.simulate.layout import LATENCY_BOUNDS, LOAD_BOUNDS, Layout
from abkit.simulate.pods import LOST, PENDING, Fleet
from abkit.simulate.population import Population
from abkit.simulate.world import World

__all__ = ["Flow", "Tally", "tally"]


@dataclass(frozen=True, slots=True)
class Flow:
    """What events add to the children of one family: one entry an event that raises it.

    Attributes:
        family: The series' name.
        view: The page view in whose moment and pod it happens.
        child: Index of the child among its version's; of a histogram's buckets, the lowest that holds the event.
        amount: By how much; None: by 1.
    """

    family: str
    view: NDArray[np.int64]
    child: NDArray[np.int64]
    amount: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """Everything added up.

    Attributes:
        increments: For each pod, what each scrape shows more than its process's one before (a process starts at 0);
            float64 of shape (children, scrapes). Buckets are cumulative over `le` already.
        true: For each version, what was counted in the window; float64 of shape (children,).
        visible: What the scrapes in the window show; the same shapes.
        lost: What was counted in the window and ended with its process before a scrape.
        pending: What was counted in the window after the last scrape.
        carried_in: What was counted before the window and shown first in it.
    """

    increments: tuple[NDArray[np.float64], ...]
    true: tuple[NDArray[np.float64], ...]
    visible: tuple[NDArray[np.float64], ...]
    lost: tuple[NDArray[np.float64], ...]
    pending: tuple[NDArray[np.float64], ...]
    carried_in: tuple[NDArray[np.float64], ...]


def tally(
    world: World,
    population: Population,
    fleet: Fleet,
    views: Views,
    requests: Requests,
    layouts: tuple[Layout, ...],
) -> Tally:
    """Add up all events.

    Args:
        world: The world.
        population: Its users.
        fleet: Its pods.
        views: Its page views.
        requests: Their requests.
        layouts: The counters of each version's pods, in the order of `world.versions`.
    """
    version_of_view = fleet.version_of_pod[views.pod]
    first_child = np.concatenate([[0], np.cumsum([layout.children for layout in layouts])])
    scrapes = np.array([len(at) for at in fleet.scrapes])
    children = np.array([layout.children for layout in layouts])
    first_cell = np.concatenate([[0], np.cumsum(children[fleet.version_of_pod] * scrapes)])
    cells = np.zeros(first_cell[-1])
    totals = {name: np.zeros(first_child[-1]) for name in ("true", "visible", "lost", "pending", "carried_in")}
    shown = views.column >= 0
    kinds = {
        "true": views.counted,
        # Every scrape lies before the world's end; those of the lead lie before the window.
        "visible": shown & (views.seen >= world.start_ms),
        "lost": views.counted & (views.column == LOST),
        "pending": views.counted & (views.column == PENDING),
        "carried_in": shown & (views.seen >= world.start_ms) & ~views.counted,
    }
    for flow in _flows(world, population, views, requests, layouts, version_of_view):
        child = first_child[version_of_view[flow.view]] + flow.child
        for kind, chosen in kinds.items():
            _add(totals[kind], child, flow.amount, chosen[flow.view])
        pods = views.pod[flow.view]
        place = first_cell[pods] + flow.child * scrapes[pods] + views.column[flow.view]
        _add(cells, place, flow.amount, shown[flow.view])
    increments = []
    for number, version in enumerate(fleet.version_of_pod):
        part = cells[first_cell[number] : first_cell[number + 1]].reshape(children[version], scrapes[number])
        increments.append(_cumulative(layouts[version], part))
    by_version = {
        name: tuple(
            _cumulative(layout, values[first_child[version] : first_child[version + 1], np.newaxis])[:, 0]
            for version, layout in enumerate(layouts)
        )
        for name, values in totals.items()
    }
    return Tally(tuple(increments), **by_version)


def _add(
    totals: NDArray[np.float64], index: NDArray[np.int64], amount: NDArray[np.float64] | None, chosen: NDArray[np.bool_]
) -> None:
    weights = None if amount is None else amount[chosen]
    totals += np.bincount(index[chosen], weights=weights, minlength=len(totals))


def _cumulative(layout: Layout, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A bucket holds what the lower ones hold."""
    for block in layout.blocks:
        if block.le:
            rows = values[block.first : block.first + len(block.labels)]
            rows[:] = np.cumsum(rows.reshape(-1, block.le, rows.shape[1]), axis=1).reshape(rows.shape)
    return values


def _flows(
    world: World,
    population: Population,
    views: Views,
    requests: Requests,
    layouts: tuple[Layout, ...],
    version_of_view: NDArray[np.int64],
) -> Iterator[Flow]:
    # Slot of each (version, arm, assignment, replicate); a pre-period's control counts for every arm.
    slots = np.full((len(layouts), len(world.arms), 3, world.replicates), -1, dtype=np.int64)
    groups = np.full((len(layouts), len(world.arms), 3), -1, dtype=np.int64)
    for place, layout in enumerate(layouts):
        shared = 0
        for number, slot in enumerate(layout.slots):
            slots[place, slot.arm, slot.assignment, slot.replicate] = number
            if slot.replicate == 0:
                groups[place, slot.arm, slot.assignment] = shared
                shared += 1

    def first(family: str) -> NDArray[np.int64]:
        return np.array([layout.block(family).first for layout in layouts])

    kind = population.assignment[views.user]
    slot_of_view = slots[version_of_view, views.arm, kind, population.replicates[views.user]]
    ones: NDArray[np.float64] | None = None
    for family, chosen, amount in [
        ("ab_exposed_users_total", views.exposure, ones),
        ("ab_page_views_total", views.labelled, ones),
        ("ab_clicks_total", views.labelled & views.click, ones),
        ("ab_purchases_total", views.labelled & (views.orders > 0), ones),
        ("ab_orders_total", views.labelled & (views.orders > 0), views.orders.astype(np.float64)),
        ("ab_revenue_total", views.labelled & (views.orders > 0), views.revenue),
        ("ab_page_load_seconds_sum", views.labelled, views.load),
        ("ab_page_load_seconds_count", views.labelled, ones),
    ]:
        view = np.flatnonzero(chosen)
        child = first(family)[version_of_view[view]] + slot_of_view[view]
        yield Flow(family, view, child, None if amount is None else amount[view])
    family, view = "ab_page_load_seconds_bucket", np.flatnonzero(views.labelled)
    bound = np.searchsorted(LOAD_BOUNDS, views.load[view], side="left")
    group = groups[version_of_view[view], views.arm[view], kind[view]]
    yield Flow(family, view, first(family)[version_of_view[view]] + group * len(LOAD_BOUNDS) + bound)

    version = version_of_view[requests.view]
    duration = "istio_request_duration_milliseconds"
    for family, amount in [
        ("istio_requests_total", ones),
        (f"{duration}_sum", requests.duration.astype(np.float64)),
        (f"{duration}_count", ones),
    ]:
        yield Flow(family, requests.view, first(family)[version] + requests.code, amount)
    family = f"{duration}_bucket"
    bound = np.searchsorted(LATENCY_BOUNDS, requests.duration, side="left")
    child = first(family)[version] + requests.code.astype(np.int64) * len(LATENCY_BOUNDS) + bound
    yield Flow(family, requests.view, child)
