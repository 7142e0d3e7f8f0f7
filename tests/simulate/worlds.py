"""Worlds that the tests share."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

from abkit.simulate import HOUR, MINUTE, Arm, Effects, Epoch, Mesh, Shop, Simulation, Users, World, run, with_troubles

__all__ = ["START", "everything", "ramped", "simulated", "two_arms"]

START = 1_793_491_200_000


def two_arms(effects: Effects | None = None, **fields: Any) -> World:
    """A quiet world of three hours."""
    arms = (Arm("control", "v1", 5_000), Arm("treatment", "v2", 5_000, effects or Effects()))
    world = World(experiment="exp", arms=arms, start_ms=START, end_ms=START + 3 * HOUR, scrape_interval_ms=MINUTE)
    return dataclasses.replace(world, **fields)


def everything() -> World:
    """All that can go wrong, VIPs, visitors without an id, late scrapes and three arms."""
    world = World(
        experiment="exp",
        seed=5,
        arms=(
            Arm("control", "v1", 4_000),
            Arm("blue", "v2", 3_000, Effects(conversion=0.2)),
            Arm("green", "v3", 3_000, Effects(latency=0.1, error_rate=1.0)),
        ),
        start_ms=START,
        end_ms=START + 3 * HOUR,
        scrape_interval_ms=MINUTE,
        jitter_ms=700,
        users=Users(count=1_500, vip_share=0.1, without_id=0.1),
        shop=Shop(),
        mesh=Mesh(error_rate=0.02),
    )
    return with_troubles(world)


def ramped() -> World:
    """A ramp in four steps."""
    shares = (500, 1_000, 2_500, 5_000)
    return two_arms(
        epochs=tuple(
            Epoch(START + number * 40 * MINUTE, {"control": 10_000 - share, "treatment": share})
            for number, share in enumerate(shares)
        )
    )


@cache
def simulated() -> Simulation:
    """`everything`, simulated once for all tests."""
    return run(everything())
