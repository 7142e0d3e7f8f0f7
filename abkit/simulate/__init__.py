"""Seeded worlds with a known truth: sticky users, a shop in several versions, its pods and their scrapes.

`run` turns a `World` into samples as a Prometheus would have scraped them, and into the truth behind them;
`to_openmetrics` writes them as text that `promtool tsdb create-blocks-from openmetrics` takes; `simulate_totals` is
the fast way to thousands of A/A worlds, without scrapes. Nothing here writes a file or reads a clock.

>>> world = World(experiment="buy-now", users=Users(count=200))
>>> simulation = run(world)
>>> total = simulation.truth.total("ab_page_views_total", variant="control")
>>> total.true == total.visible + total.lost + total.pending
True
"""

from __future__ import annotations

from abkit.simulate.from_spec import world_from_spec
from abkit.simulate.openmetrics import to_openmetrics
from abkit.simulate.simulation import SampleColumns, Simulation, labels_text, run
from abkit.simulate.totals import Totals, simulate_totals
from abkit.simulate.truth import Total, TrueLift, Truth
from abkit.simulate.world import (
    HOUR,
    MINUTE,
    Arm,
    Effects,
    Epoch,
    Gap,
    Mesh,
    Pod,
    Shop,
    Users,
    World,
    with_troubles,
)

__all__ = [
    "HOUR",
    "MINUTE",
    "Arm",
    "Effects",
    "Epoch",
    "Gap",
    "Mesh",
    "Pod",
    "SampleColumns",
    "Shop",
    "Simulation",
    "Total",
    "Totals",
    "TrueLift",
    "Truth",
    "Users",
    "World",
    "labels_text",
    "run",
    "simulate_totals",
    "to_openmetrics",
    "with_troubles",
    "world_from_spec",
]
