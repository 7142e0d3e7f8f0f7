"""Pods: their processes, when they can serve, when they are scraped, and what sets them apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abkit.errors import InputError
from abkit.simulate.world import HOUR, Gap, World

__all__ = ["LOST", "PENDING", "Fleet", "Process", "draw_fleet"]

LOST, PENDING = -1, -2

_KEY = np.int64(1) << 44
"""More than any time span in milliseconds here: pod × _KEY + time is one sortable number."""
_FOREVER = np.int64(1) << 43


@dataclass(frozen=True, slots=True)
class Process:
    """One life of a pod's process, [start_ms, end_ms)."""

    pod: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """All pods of a world.

    Attributes:
        origin_ms: A moment before everything.
        end_ms: The end of the world.
        processes: All processes, by pod, then time.
        scrapes: For each pod, when it was scraped with success; int64 of shape (scrapes,).
        failures: For each pod, when a scrape failed; int64.
        process_of_scrape: For each pod, index into `processes` of each scrape; int64 of shape (scrapes,).
        factors: The pods' own factors on latency, error rate and page load time; float64 of shape (3, pods).
        version_of_pod: Index into the world's versions; int64 of shape (pods,).
    """

    origin_ms: int
    end_ms: int
    processes: tuple[Process, ...]
    scrapes: tuple[NDArray[np.int64], ...]
    failures: tuple[NDArray[np.int64], ...]
    process_of_scrape: tuple[NDArray[np.int64], ...]
    factors: NDArray[np.float64]
    version_of_pod: NDArray[np.int64]

    def serve(
        self, times: NDArray[np.int64], versions: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Send each request to one of the pods of its version that are up, all alike.

        Args:
            times: Milliseconds; shape (requests,).
            versions: Index of the version each one wants; shape (requests,).
            rng: Source of randomness.

        Returns:
            Index of a pod, shape (requests,).

        Raises:
            InputError: A version has no pod up at some time at which it is asked for.
        """
        chosen = np.empty(len(times), dtype=np.int64)
        draw = rng.random(len(times))
        for version in range(int(self.version_of_pod.max()) + 1):
            asked = np.flatnonzero(versions == version)
            lives = [life for life in self.processes if self.version_of_pod[life.pod] == version]
            edges = np.unique([moment for life in lives for moment in (life.start_ms, life.end_ms)])
            # One row for each span between edges: the pods that are up in it, then filling.
            table = np.zeros((len(edges), len(lives)), dtype=np.int64)
            up = np.zeros(len(edges), dtype=np.int64)
            for life in lives:
                for row in np.flatnonzero((life.start_ms <= edges) & (edges < life.end_ms)):
                    table[row, up[row]] = life.pod
                    up[row] += 1
            rows = np.searchsorted(edges, times[asked], side="right") - 1
            if len(asked) and (rows.min() < 0 or up[rows].min() == 0):
                first = int(times[asked][(rows < 0) | (up[rows] == 0)][0])
                msg = f"no pod of version number {version + 1} is up at {first} ms: let one outlive the others"
                raise InputError(msg)
            chosen[asked] = table[rows, (draw[asked] * up[rows]).astype(np.int64)]
        return chosen

    def seen(self, times: NDArray[np.int64], pods: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first scrape that shows each event.

        Args:
            times: Milliseconds, each while a process of its pod is up; shape (events,).
            pods: The pod it happened in; shape (events,).

        Returns:
            Index of the scrape among its pod's, and its time. `LOST` where the process ended before a scrape; `PENDING`
            where it is up at the end of the world and wasn't scraped again; the time is -1 then.
        """
        lives = np.array([_key(life.pod, life.start_ms - self.origin_ms) for life in self.processes])
        ends = np.array([life.end_ms for life in self.processes])
        scraped = np.concatenate([_key(pod, at - self.origin_ms) for pod, at in enumerate(self.scrapes)])
        at_ms = np.append(np.concatenate(self.scrapes), -1)
        owner = np.append(np.concatenate(self.process_of_scrape), -1)
        before = np.concatenate([[0], np.cumsum([len(at) for at in self.scrapes])])
        keys = _key(pods, times - self.origin_ms)
        process = np.searchsorted(lives, keys, side="right") - 1
        # An event in the very millisecond of a scrape is in it.
        place = np.searchsorted(scraped, keys, side="left")
        shown = owner[place] == process
        column = np.where(shown, place - before[pods], np.where(ends[process] <= self.end_ms, LOST, PENDING))
        return column, np.where(shown, at_ms[place], -1)


def draw_fleet(world: World, rng: np.random.Generator) -> Fleet:
    """The pods of a world, their scrapes and their own factors.

    Args:
        world: The world.
        rng: Source of randomness.
    """
    origin = world.begin_ms - 2 * HOUR
    version_of_pod = np.array([world.versions.index(pod.version) for pod in world.pods])
    sigma = world.mesh.pods
    factors = np.exp(rng.normal(-(sigma**2) / 2, sigma, size=(3, len(world.pods))))
    offsets = rng.integers(0, world.scrape_interval_ms, size=len(world.pods))
    processes: list[Process] = []
    scrapes, failures, owners = [], [], []
    for number, pod in enumerate(world.pods):
        born = world.begin_ms - HOUR if pod.born_ms is None else pod.born_ms
        starts = [born, *(moment + world.downtime_ms for moment in pod.restarts)]
        ends = [*pod.restarts, int(_FOREVER) if pod.died_ms is None else pod.died_ms]
        lives = [Process(number, start, end) for start, end in zip(starts, ends, strict=True)]
        tried = np.arange(world.begin_ms + int(offsets[number]), world.end_ms, world.scrape_interval_ms)
        tried = tried + rng.integers(0, world.jitter_ms + 1, size=len(tried))
        tried = tried[(tried >= lives[0].start_ms) & (tried < min(lives[-1].end_ms, world.end_ms))]
        tried = tried[~_within(tried, [gap for gap in world.gaps if gap.pod is None])]
        life = np.searchsorted([life.start_ms for life in lives], tried, side="right") - 1
        up = tried < np.array([life.end_ms for life in lives])[life]
        up &= ~_within(tried, [gap for gap in world.gaps if gap.pod == pod.name])
        scrapes.append(tried[up])
        failures.append(tried[~up])
        owners.append(life[up] + len(processes))
        processes.extend(lives)
    return Fleet(
        origin,
        world.end_ms,
        tuple(processes),
        tuple(scrapes),
        tuple(failures),
        tuple(owners),
        factors,
        version_of_pod,
    )


def _within(times: NDArray[np.int64], gaps: list[Gap]) -> NDArray[np.bool_]:
    inside = np.zeros(len(times), dtype=np.bool_)
    for gap in gaps:
        inside |= (gap.start_ms <= times) & (times < gap.end_ms)
    return inside


def _key(pod: NDArray[np.int64] | int, offset: NDArray[np.int64] | int) -> NDArray[np.int64]:
    return np.asarray(pod, dtype=np.int64) * _KEY + np.asarray(offset, dtype=np.int64)
