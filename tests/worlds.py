"""Simulated worlds, pulled into a store: what tests of the pipeline stand on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abkit import spec
from abkit.evidence import Evaluation
from abkit.pipeline.collect import collect
from abkit.pipeline.evaluate import evaluate
from abkit.simulate import SampleColumns, Simulation, World, run
from abkit.simulate.recording import write_recording
from abkit.sources.recording import RecordingSource
from abkit.spec import Experiment
from abkit.store import Store

Relabel = Callable[[dict[str, str]], dict[str, str] | None]
"""Changes a series' labels, or drops it."""


@dataclass(frozen=True)
class Pulled:
    """A world in a store."""

    experiment: Experiment
    store: Store
    simulation: Simulation

    def evaluate(self) -> Evaluation:
        return evaluate(self.experiment, self.store)


def pulled(tmp_path: Path, world: World, text: str, relabel: Relabel | None = None) -> Pulled:
    """Simulate a world, record it, and pull the recording into a new store."""
    simulation = run(world)
    if relabel is not None:
        simulation = Simulation(world, relabelled(simulation.samples, relabel), simulation.truth)
    return stored(tmp_path, simulation, text)


def stored(tmp_path: Path, simulation: Simulation, text: str) -> Pulled:
    """Record a simulation, and pull the recording into a new store."""
    path = tmp_path / "world.parquet"
    write_recording(simulation, path, "a test's world")
    experiment = spec.loads(text)
    store = Store(tmp_path / "world.duckdb")
    with closing(RecordingSource(path)) as source:
        collect(experiment, source, store, now_ms=simulation.world.end_ms)
    return Pulled(experiment, store, simulation)


def relabelled(samples: SampleColumns, relabel: Relabel) -> SampleColumns:
    """Samples with other labels; dropped series are gone."""
    changed = [relabel(dict(labels)) for labels in samples.labels]
    kept = [index for index, labels in enumerate(changed) if labels is not None]
    # Series must stay unique and sorted: labels that become equal would be one series with two sets of samples.
    assert len({tuple(sorted((changed[i] or {}).items())) for i in kept}) == len(kept)
    place = np.full(len(changed), -1, dtype=np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    rows = place[samples.series] >= 0
    return SampleColumns(
        labels=tuple(changed[i] or {} for i in kept),
        series=place[samples.series][rows],
        timestamps=samples.timestamps[rows],
        values=samples.values[rows],
    )
