"""Sums that a real Prometheus makes, beside what the samples say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abkit.errors import InputError
from abkit.pipeline.collect import collect
from abkit.pipeline.evaluate import evaluate
from abkit.pipeline.health import quality_of
from abkit.sources.pushdown import PushDownSource
from abkit.spec import Experiment
from abkit.spec import Source as SourceSettings
from abkit.store import Store
from abkit.window import Window
from tests.servers import backfill, prometheus
from tests.sources.data import MemorySource, Series, fetched, openmetrics
from tests.store.rows import START, counter, differences, experiment, living, process, rows

SPEC = experiment(analysis={"start": "2026-11-01"})
END = 9_000
HOUR = 3_600_000


def _series() -> list[Series]:
    """Two replicates on a quiet pod; a restart; a gap of ten minutes; a birth; requests without a replicate."""
    seconds = [second + 3 for second in range(-1_200, END, 15)]
    shared = {"ab_variant": "control", "version": "v1"}
    return [
        living(-1_200, END),
        *(counter([(t, 5_000.0 + t // 15 * 3) for t in seconds], ab_replicate=str(i), **shared) for i in range(2)),
        # The same sum: another code of the same replicate, born while its target was scraped.
        counter([(t, (t - 4_000) // 15 + 1.0) for t in seconds if t >= 4_000], ab_replicate="1", code="500", **shared),
        # A restart between two scrapes of one step.
        counter([(t, 900.0 + t // 15 if t < 2_010 else (t - 2_010) // 15 * 1.0) for t in seconds], "b", **shared),
        process([(t, -5_000.0 if t < 2_010 else 2_005.0) for t in seconds], "b"),
        # A gap that no scrape saw.
        counter([(t, 7_000.0 + t) for t in seconds if not 3_300 <= t < 3_900], "c", ab_variant="treatment", pod="p"),
        living(-1_200, END, instance="c"),
    ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("pushdown")
    with prometheus(backfill(openmetrics(_series()), folder / "tsdb")) as url:
        yield url


def _source(url: str, batch: int = 1_000_000) -> PushDownSource:
    return PushDownSource(SourceSettings.model_validate({"prometheus": url, "mode": "push-down"}), batch=batch)


def _pulled(path: Path, source: PushDownSource | MemorySource, *ends: int, spec: Experiment = SPEC) -> Store:
    store = Store(path)
    for end in ends or (END,):
        collect(spec, source, store, now_ms=START + end * 1_000)
    return store


def _totals(store: Store) -> list[tuple[str, int, str, float]]:
    query = "SELECT variant, replicate, instance, CAST(sum(total) AS DOUBLE) FROM facts GROUP BY ALL ORDER BY ALL"
    return rows(store, query)


@pytest.mark.prometheus
class TestPushDown:
    def test_sums_are_what_the_samples_say(self, server: str, tmp_path: Path) -> None:
        exact = _pulled(tmp_path / "exact", MemorySource(_series()))
        summed = _pulled(tmp_path / "summed", _source(server))
        assert len(_totals(exact)) == 4
        # The last scrape lies within the last step.
        assert _totals(summed) == _totals(exact)
        read = [rows(store, "SELECT count(*) FROM samples")[0][0] for store in (exact, summed)]
        assert read[1] < read[0] / 4

    def test_pulls_in_parts_leave_the_same_rows(self, server: str, tmp_path: Path) -> None:
        whole = _pulled(tmp_path / "whole", _source(server))
        parts = _pulled(tmp_path / "parts", _source(server, batch=7), 1_000, 3_590, 3_610, 7_207, END)
        assert differences(whole.path, parts.path) == {}

    def test_windows_hold_whole_steps(self, server: str) -> None:
        window = Window(START + HOUR - 90_000, START + HOUR + 90_000)
        (points,) = fetched(_source(server), 'c_total{ab_replicate="0"}', window).values()
        assert [moment - START - HOUR for moment, _ in points] == [-60_001, -1, 0, 59_999]
        assert [value for _, value in points] == [708.0, 720.0, 0.0, 12.0]

    def test_it_is_marked_approximate_wherever_it_is_shown(self, server: str, tmp_path: Path) -> None:
        store = _pulled(tmp_path / "x", _source(server))
        quality = store.quality("x")
        assert quality is not None
        codes = {finding.code for finding in quality_of(quality, SPEC).findings}
        assert "push-down" in codes
        # Its counters begin anew each hour: nobody's restart, nor births that nobody saw.
        assert not codes & {"resets", "unseen-births", "gaps", "no-process-start"}
        assert rows(store, "SELECT way FROM pulls") == [("push-down",)]
        evaluation = evaluate(SPEC, store)
        assert evaluation.metrics
        for metric in evaluation.metrics:
            assert "approximate" in metric.method
            assert "approximate: sums that the server made" in metric.assumption
        # What was once approximate stays so, whoever reads the rest.
        _pulled(store.path, MemorySource(_series()), END + 60)
        quality = store.quality("x")
        assert quality is not None
        assert quality.approximate

    def test_gauges_have_no_increments(self, server: str, tmp_path: Path) -> None:
        gauge = {"name": "memory", "kind": "gauge", "direction": "decrease", "value": "memory_bytes"}
        with pytest.raises(InputError, match="push-down sums counters, and memory are gauges"):
            _pulled(tmp_path / "x", _source(server), spec=experiment(metrics=[gauge]))

    def test_a_birth_at_a_target_that_nobody_knows_is_left_out(self, tmp_path: Path) -> None:
        late = counter([(t, 1_000.0 + t) for t in range(1_800, END, 15)], "z", ab_replicate="3")
        with prometheus(backfill(openmetrics([*_series(), late]), tmp_path / "tsdb")) as url:
            store = _pulled(tmp_path / "x", _source(url))
        (total,) = [total for _, replicate, _, total in _totals(store) if replicate == 3]
        assert 7_000 < total < 7_300
