"""What is collected equals the truth of a simulated world, from a recording and from a real Prometheus."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow.compute as pc
import pytest

from abkit.pipeline.collect import collect
from abkit.queries import resolve
from abkit.simulate import Simulation, run
from abkit.simulate.openmetrics import to_openmetrics
from abkit.simulate.recording import write_recording
from abkit.sources.prometheus import PrometheusSource
from abkit.sources.recording import RecordingSource
from abkit.spec import Experiment, Role
from abkit.spec import Source as SourceSettings
from abkit.store import Store
from abkit.window import Window
from tests.pipeline.pulls import HOUR
from tests.servers import backfill, prometheus
from tests.simulate.worlds import everything
from tests.store.rows import MINUTE, differences


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return run(dataclasses.replace(everything(), scrape_interval_ms=3 * MINUTE))


@pytest.fixture(scope="module")
def recorded(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The world, collected from a recording of it."""
    folder = tmp_path_factory.mktemp("recorded")
    write_recording(simulation, folder / "x.parquet", "a test's world")
    store, world = Store(folder / "x.duckdb"), simulation.world
    source = RecordingSource(folder / "x.parquet")
    collect(_spec(simulation), source, store, start_ms=world.start_ms, now_ms=world.end_ms)
    return store


def _spec(simulation: Simulation) -> Experiment:
    world = simulation.world
    return Experiment.model_validate(
        {
            "metadata": {"name": world.experiment},
            "service": {"name": "my-service", "namespace": "shop"},
            "variants": {arm.name: {"version": arm.version, "weight": arm.weight} for arm in world.arms},
            "metrics": {
                "primary": ["conversion"],
                "guardrails": ["error-rate", "latency-p99"],
                "secondary": ["click-rate", "page-load-time", "orders-per-page-view", "revenue-per-user"],
            },
        }
    )


def _check(store: Store, spec: Experiment, simulation: Simulation) -> None:
    truth = simulation.truth
    totals = store.totals(spec.name, Window(truth.start_ms, truth.end_ms))
    checked = 0
    for metric in resolve(spec):
        for role, each in metric.inputs.items():
            if role is Role.BUCKET or "istio" in each.selector:
                continue
            family = each.selector.split("{")[0]
            for variant in spec.variants:
                mask = pc.and_(pc.equal(totals["input"], each.id), pc.equal(totals["variant"], variant))
                found = pc.sum(totals.filter(mask)["total"]).as_py()
                true = truth.total(family, variant=variant)
                assert found == pytest.approx(true.visible, abs=1e-6), (family, variant)
                checked += 1
    assert checked >= 12


class TestTruth:
    def test_a_recording_gives_what_the_scrapes_saw(self, recorded: Store, simulation: Simulation) -> None:
        _check(recorded, _spec(simulation), simulation)

    @pytest.mark.prometheus
    def test_a_real_prometheus_gives_the_same_rows(
        self, tmp_path: Path, recorded: Store, simulation: Simulation
    ) -> None:
        spec, start, now = _spec(simulation), simulation.world.start_ms, simulation.world.end_ms
        once, twice = Store(tmp_path / "once.duckdb"), Store(tmp_path / "twice.duckdb")
        with prometheus(backfill(to_openmetrics(simulation), tmp_path / "tsdb")) as url:
            source = PrometheusSource(SourceSettings.model_validate({"prometheus": url}))
            collect(spec, source, once, start_ms=start, now_ms=now)
            collect(spec, source, twice, start_ms=start, end_ms=start + HOUR + 12_345, now_ms=now)
            collect(spec, source, twice, now_ms=now)
        assert differences(once.path, recorded.path) == {}
        assert differences(twice.path, recorded.path) == {}
