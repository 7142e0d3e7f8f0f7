"""Several servers feed one experiment: nothing collides, nothing counts twice, and a part is nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from abkit.errors import SourceUnreachable
from abkit.pipeline.collect import collect
from abkit.sources.base import Samples, Source
from abkit.sources.labelled import LabelledSource
from abkit.sources.replicas import DeduplicatedSource
from abkit.sources.several import SeveralSources
from abkit.spec import Experiment
from abkit.store import Store
from abkit.window import Window
from tests.sources.data import MemorySource, Series, fetched
from tests.store.rows import START, counter, differences, experiment, living, process, rows, tables, ticking

FROM = {"start": "2026-11-01"}
EAST, WEST = ({"prometheus": f"http://{name}", "labels": {"cluster": name}} for name in ("east", "west"))


def _collected(path: Path, read_from: Source, ends: Sequence[int] = (3_600,), **more: Any) -> Store:
    store = Store(path)
    for end in ends:
        spec: Experiment = experiment(**({"analysis": FROM} | more))
        collect(spec, read_from, store, now_ms=START + end * 1_000)
    return store


def _total(store: Store) -> float:
    return float(rows(store, "SELECT sum(total) FROM facts")[0][0])


class TestClusters:
    """Two clusters whose pods have the same names and addresses."""

    def _series(self) -> tuple[list[Series], list[Series]]:
        west = [(second, float(second // 15 * 2)) for second in range(600, 3_600, 15)]
        started = [(second, 590.0) for second in range(600, 3_600, 15)]
        east = [ticking(-300, 3_600), living(-300, 3_600)]
        return east, [counter(west), process(started)]

    def test_counts_are_those_of_each_alone(self, tmp_path: Path) -> None:
        sums = []
        for name, series in zip(("east", "west"), self._series(), strict=True):
            alone = _collected(tmp_path / name, MemorySource(series), source=EAST)
            sums.append(_total(alone))
        assert all(sums)
        both = SeveralSources(
            [
                LabelledSource(MemorySource(series), {"cluster": name})
                for name, series in zip(("east", "west"), self._series(), strict=True)
            ]
        )
        store = _collected(tmp_path / "both", both, source=[EAST, WEST])
        assert _total(store) == sum(sums)
        assert sorted(rows(store, "SELECT DISTINCT target FROM series")) == [("shop|a|east",), ("shop|a|west",)]
        assert sorted(rows(store, "SELECT DISTINCT instance FROM facts")) == [("east/a",), ("west/a",)]
        quality = store.quality("x")
        assert quality is not None
        assert (quality.resets, quality.doubled_targets) == (0, 0)
        _collected(tmp_path / "parts", both, range(900, 3_601, 900), source=[EAST, WEST])
        assert differences(tmp_path / "both", tmp_path / "parts") == {}

    def test_one_that_is_down_leaves_the_store_as_it_was(self, tmp_path: Path) -> None:
        class Down(MemorySource):
            def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
                msg = "http://west: can't be reached"
                raise SourceUnreachable(msg)

        east, west = self._series()
        clusters = [LabelledSource(MemorySource(east), {"cluster": "east"})]
        store = _collected(
            tmp_path / "x", SeveralSources([*clusters, LabelledSource(MemorySource(west), {"cluster": "west"})]), (900,)
        )
        before = tables(store.path)
        with pytest.raises(SourceUnreachable, match="west"):
            _collected(store.path, SeveralSources([*clusters, LabelledSource(Down([]), {"cluster": "west"})]))
        assert tables(store.path) == before


class TestReplicas:
    """Two Prometheis that scrape the same pods, each with a silence of its own."""

    def _series(self) -> list[Series]:
        counted = {"a": (0, 600, 1_200), "b": (7, 2_000, 2_400)}
        found = []
        for replica, (offset, silent, back) in counted.items():
            seconds = [t + offset for t in range(-300, 3_600, 15) if not silent <= t < back]
            # Up to four scrapes old where the other one is not.
            points = [(t, float(10_000 + 2 * t - (replica == "b") * 9)) for t in seconds]
            found += [
                counter(points, prometheus_replica=replica),
                Series(
                    {**process([]).labels, "prometheus_replica": replica},
                    process([(t, -9_999.0) for t in seconds]).points,
                ),
            ]
        return found

    def test_one_counts_and_the_other_fills_its_gaps(self, tmp_path: Path) -> None:
        source = DeduplicatedSource(MemorySource(self._series()), ["prometheus_replica"])
        settings = {"prometheus": "http://x", "replica-labels": ["prometheus_replica"]}
        store = _collected(tmp_path / "one", source, source=settings)
        (points,) = fetched(source, "c_total", Window(START - 15_000, START + 3_600_000)).values()
        assert _total(store) == float(points[-1][1]) - float(points[0][1]) > 7_000
        assert rows(store, "SELECT count(*) FROM series WHERE input <> 'process-start'") == [(1,)]
        quality = store.quality("x")
        assert quality is not None
        assert (quality.gaps, quality.resets, quality.doubled_targets) == (0, 0, 0)
        _collected(tmp_path / "parts", source, (700, 1_210, 2_050, 3_600), source=settings)
        assert differences(tmp_path / "one", tmp_path / "parts") == {}
