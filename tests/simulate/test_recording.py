from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from abkit.resources import folder
from abkit.simulate import HOUR, MINUTE, Users, labels_text, run
from abkit.simulate.recording import METADATA, example_world, main, write_recording
from abkit.spec import load
from tests.simulate.worlds import START, simulated, two_arms

NAME = "buy-now-button"


def test_the_same_simulation_gives_the_same_bytes_and_the_file_its_samples(tmp_path: Path) -> None:
    write_recording(simulated(), tmp_path / "a.parquet", "Eine Prüfung.")
    write_recording(run(simulated().world), tmp_path / "b.parquet", "Eine Prüfung.")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = pq.read_table(tmp_path / "a.parquet")
    samples = simulated().samples
    assert table["timestamp"].to_numpy().tobytes() == samples.timestamps.tobytes()
    assert table["value"].to_numpy().tobytes() == samples.values.tobytes()
    texts = table["labels"].to_pylist()
    edges = np.flatnonzero(np.diff(samples.series, prepend=-1))
    assert [texts[edge] for edge in edges] == [labels_text(labels) for labels in samples.labels]
    assert json.loads(table.schema.metadata[METADATA]) == {
        "description": "Eine Prüfung.",
        "start_ms": simulated().world.begin_ms,
        "end_ms": simulated().world.end_ms,
        "scrape_interval_ms": MINUTE,
        "seed": 5,
    }


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_recording(run(two_arms(seed=seed, users=Users(count=50))), tmp_path / f"{seed}.parquet", "")
    assert (tmp_path / "1.parquet").read_bytes() != (tmp_path / "2.parquet").read_bytes()


@pytest.mark.slow
def test_the_committed_recording_is_what_make_recording_writes(tmp_path: Path) -> None:
    main(tmp_path)
    for name in (f"{NAME}.parquet", f"{NAME}.truth.json"):
        written = (tmp_path / "recordings" / name).read_bytes()
        assert written == (folder("data") / "recordings" / name).read_bytes(), f"{name}: run make recording"


def test_the_committed_recording_is_small_and_described() -> None:
    path = folder("data") / "recordings" / f"{NAME}.parquet"
    assert path.stat().st_size <= 5_000_000
    with pq.ParquetFile(path) as file:
        rows = file.metadata.num_rows
        header = json.loads(file.schema_arrow.metadata[METADATA])
    assert 1_000_000 < rows <= 4_000_000
    world = example_world()
    assert (header["start_ms"], header["end_ms"]) == (world.begin_ms, world.end_ms)
    assert header["scrape_interval_ms"] == world.scrape_interval_ms
    assert header["description"]
    assert f"{rows:,} samples" in (folder("data") / "README.md").read_text(encoding="utf-8")


def test_the_example_experiment_fits_its_recording() -> None:
    path = folder("data") / "experiments" / f"{NAME}.yaml"
    experiment, world = load(path), example_world()
    assert experiment.sources[0].recording is not None
    assert (path.parent / experiment.sources[0].recording).is_file()
    assert (experiment.name, experiment.salt) == (world.experiment, world.salt)
    assert (experiment.service.name, experiment.service.namespace) == (world.service, world.namespace)
    assert {name: (variant.version, variant.weight) for name, variant in experiment.variants.items()} == {
        arm.name: (arm.version, arm.weight) for arm in world.arms
    }
    assert experiment.analysis.start is not None
    assert experiment.analysis.end is not None
    assert experiment.analysis.start.timestamp() * 1000 == world.start_ms == START
    assert experiment.analysis.end.timestamp() * 1000 == world.end_ms == START + 48 * HOUR


def test_every_example_experiment_is_valid() -> None:
    found = sorted(path.name for path in (folder("data") / "experiments").glob("*.yaml"))
    assert {"buy-now-button.yaml", "checkout-canary.yaml", "vip-first.yaml"} < set(found)
    for name in found:
        assert load(folder("data") / "experiments" / name).name == name.removesuffix(".yaml")
