"""Runs a world: samples as a Prometheus would have scraped them, and the truth behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abkit.simulate.events import draw_requests, draw_views
from abkit.simulate.layout import Layout
from abkit.simulate.pods import Fleet, draw_fleet
from abkit.simulate.population import Clock, draw_population
from abkit.simulate.tally import Tally, tally
from abkit.simulate.truth import Truth, find_truth
from abkit.simulate.world import World

__all__ = ["SampleColumns", "Simulation", "labels_text", "run"]


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """Samples as scraped, in columns, sorted by series and then time.

    Attributes:
        labels: One mapping a series, `__name__` included, sorted by name and then by all labels.
        series: Index into `labels`, one a sample; int32.
        timestamps: Milliseconds since the epoch, one a sample; int64.
        values: As scraped, one a sample; float64.
    """

    labels: tuple[Mapping[str, str], ...]
    series: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a world came to: the samples and the truth."""

    world: World
    samples: SampleColumns
    truth: Truth

    def truth_json(self) -> str:
        """The truth as a JSON document."""
        return json.dumps(self.truth.as_dict(), indent=1, sort_keys=True, allow_nan=False) + "\n"


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels in one canonical spelling: JSON, sorted, without spaces.

    >>> labels_text({"job": "shop", "__name__": "up"})
    '{"__name__":"up","job":"shop"}'
    """
    return json.dumps(dict(labels), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def run(world: World) -> Simulation:
    """Simulate a world.

    Args:
        world: The world; its seed decides all randomness. Users, pods, views and requests each have a stream of their
            own, so that another effect or another trouble leaves the people the same.

    Returns:
        All samples from `world.begin_ms` to `world.end_ms` (exclusive), and the truth of the window.

    Raises:
        InputError: A version is asked for at a time when none of its pods is up.
    """
    for_users, for_pods, for_views, for_requests = (
        np.random.Generator(np.random.PCG64(seed)) for seed in np.random.SeedSequence(world.seed).spawn(4)
    )
    clock = Clock.of(world)
    population = draw_population(world, clock, for_users)
    fleet = draw_fleet(world, for_pods)
    views = draw_views(world, population, clock, fleet, for_views)
    requests = draw_requests(world, views, fleet, for_requests)
    layouts = tuple(Layout.of(world, version) for version in world.versions)
    sums = tally(world, population, fleet, views, requests, layouts)
    samples, masked = _scrape(world, fleet, layouts, sums)
    return Simulation(world, samples, find_truth(world, population, fleet, views, requests, layouts, sums, masked))


def _scrape(
    world: World, fleet: Fleet, layouts: tuple[Layout, ...], sums: Tally
) -> tuple[SampleColumns, tuple[NDArray[np.float64], ...]]:
    """The samples, and for each version what a reader of values alone misses of each child."""
    labels: list[dict[str, str]] = []
    times: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float64]] = []
    masked = tuple(np.zeros(layout.children) for layout in layouts)
    for number, pod in enumerate(world.pods):
        version = int(fleet.version_of_pod[number])
        layout, at, owner = layouts[version], fleet.scrapes[number], fleet.process_of_scrape[number]
        target = {"job": world.service, "instance": pod.instance, "namespace": world.namespace, "pod": pod.name}
        counters, present = _counters(layout, sums.increments[number], owner)
        masked[version][:] += _masked(counters, present, owner, at >= world.start_ms)
        for block in layout.blocks:
            for child, own in enumerate(block.labels, start=block.first):
                kept = present[child]
                if kept.any():
                    labels.append({"__name__": block.family, **own, **target})
                    times.append(at[kept])
                    values.append(counters[child, kept])
        started = np.array([life.start_ms for life in fleet.processes])[owner] / 1000
        tried = np.concatenate([at, fleet.failures[number]])
        answered = np.concatenate([np.ones(len(at)), np.zeros(len(tried) - len(at))])
        order = np.argsort(tried, kind="stable")
        for family, when, what in [("process_start_time_seconds", at, started), ("up", tried[order], answered[order])]:
            if len(when):
                labels.append({"__name__": family, **target})
                times.append(when)
                values.append(what)
    # By name first, so that a family's series lie together; "__name__" sorts before every other label.
    order = np.array(sorted(range(len(labels)), key=lambda index: labels_text(labels[index])))
    lengths = np.array([len(times[index]) for index in order])
    samples = SampleColumns(
        tuple(labels[index] for index in order),
        np.repeat(np.arange(len(order), dtype=np.int32), lengths),
        np.concatenate([times[index] for index in order]),
        np.concatenate([values[index] for index in order]),
    )
    return samples, masked


def _counters(
    layout: Layout, increments: NDArray[np.float64], owner: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values of each child at each scrape, and whether it is exposed at all; both of shape (children, scrapes)."""
    counters = np.zeros_like(increments)
    present = np.ones(increments.shape, dtype=np.bool_)
    lazy = layout.block("istio_requests_total")
    for process in np.unique(owner):
        columns = owner == process
        counters[:, columns] = np.cumsum(increments[:, columns], axis=1)
        used = counters[lazy.first : lazy.first + len(lazy.labels), columns] > 0
        for block in layout.blocks:
            if block.lazy:
                rows = slice(block.first, block.first + len(block.labels))
                present[rows, columns] = np.repeat(used, max(block.le, 1), axis=0)
    return counters, present


def _masked(
    counters: NDArray[np.float64], present: NDArray[np.bool_], owner: NDArray[np.int64], within: NDArray[np.bool_]
) -> NDArray[np.float64]:
    # A restart after which a counter is first seen no lower than it was last seen looks like none.
    hidden = np.zeros(len(counters))
    last, known = np.zeros(len(counters)), np.zeros(len(counters), dtype=np.bool_)
    for process in np.unique(owner):
        columns = np.flatnonzero(owner == process)
        shown = present[:, columns]
        ever = shown.any(axis=1)
        entry = columns[np.argmax(shown, axis=1)]
        first = counters[np.arange(len(counters)), entry]
        hidden += np.where(ever & known & within[entry] & (first >= last), last, 0)
        last = np.where(ever, counters[:, columns[-1]], last)
        known |= ever
    return hidden
