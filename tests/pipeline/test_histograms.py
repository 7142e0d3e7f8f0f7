"""Histograms: each variant has its own buckets, and a bucket without events is there all the same."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from abkit import spec
from abkit.evidence import StatusCode
from abkit.pipeline.collect import collect
from abkit.pipeline.estimate import Estimate, estimate
from abkit.pipeline.totals import Totals
from abkit.store import Store
from abkit.window import Window
from tests.pipeline.buckets import INF, Row, experiment, histogram, input_of, metrics_of, totals
from tests.sources.data import MemorySource, Series

CANARY = experiment("{latency-p99: {pause: 0.5}}")
BUCKET = input_of(CANARY, "latency-p95")
PODS = ("a", "b", "c", "d")
ARMS = ("control", "treatment")


def compared(found: Totals) -> Estimate:
    return estimate(CANARY, metrics_of(CANARY)["latency-p95"], found, "treatment")


class TestEdges:
    def test_each_variant_has_its_own(self) -> None:
        found = totals(
            histogram(BUCKET, "control", {100: 1, INF: 2}) + histogram(BUCKET, "treatment", {250: 1, 500: 2, INF: 3})
        )
        assert [found.edges(BUCKET, name).tolist() for name in (*ARMS, "other")] == [[100, INF], [250, 500, INF], []]

    def test_those_that_the_store_knows_come_first(self) -> None:
        rows = histogram(BUCKET, "control", {500: 1, INF: 2})
        found = totals(rows, edges={(BUCKET, "control"): (250.0, 500.0, INF)})
        assert found.edges(BUCKET, "control").tolist() == [250, 500, INF]
        assert found.edges(BUCKET, "treatment").tolist() == []

    def test_what_bounds_nothing_is_left_out(self) -> None:
        found = totals([Row(BUCKET, "control", 1, le=le) for le in (-INF, 1.0, INF, math.nan, None)])
        assert found.edges(BUCKET, "control").tolist() == [1, INF]

    def test_they_are_part_of_the_fingerprint(self) -> None:
        rows = histogram(BUCKET, "control", {500: 1, INF: 2})
        marks = {totals(rows, edges={(BUCKET, "control"): known}).fingerprint for known in ((500.0, INF), (1.0, INF))}
        assert len(marks) == 2

    def test_other_edges_are_left_out_of_the_counts(self) -> None:
        found = totals(histogram(BUCKET, "control", {100: 1, 250: 5, 500: 7, INF: 9}, ("a",)))
        counts = found.by_bucket(BUCKET, "control", ["control-a"], found.edges(BUCKET, "control")[[1, 3]])
        assert counts.tolist() == [[[[5, 9]]]]


class TestComparison:
    def rows(self, variant: str, *layouts: dict[float, float]) -> list[Row]:
        """Each pod its own counts, so that there is something to estimate a variance from."""
        return [
            row for pod, counts in zip(PODS, layouts, strict=True) for row in histogram(BUCKET, variant, counts, pod)
        ]

    def arm(self, variant: str, *bounds: float) -> list[Row]:
        """Requests of 0 to 1 s, evenly; pods with more and fewer, and a few slower ones."""
        return self.rows(
            variant,
            *(
                {le: 1_000 + 50 * pod if le == INF else (960 + 50 * pod) * min(le / 1000, 1) for le in bounds}
                for pod in range(len(PODS))
            ),
        )

    def test_only_edges_that_both_have_count(self) -> None:
        # Both have the same times. An edge that one arm lacks is none there, and no count of 0.
        found = compared(totals(self.arm("control", 250, 500, 1000, INF) + self.arm("treatment", 250, 900, 1000, INF)))
        assert found.comparison is not None
        last = found.comparison.at(-1)
        assert last.control is not None
        assert last.control == last.treatment

    def test_none_in_common(self) -> None:
        found = compared(totals(self.arm("control", 100, 500, INF) + self.arm("treatment", 250, 1000, INF)))
        assert (found.comparison, found.status.code) == (None, StatusCode.UNDEFINED)
        assert "control and treatment have no finite bucket bound (le) in common" in found.status.reason

    @pytest.mark.parametrize(
        ("bounds", "reason"),
        [([INF], 'le="+Inf" alone'), ([250, 500], 'no bucket le="+Inf"'), ([None], "no bucket bounds")],
    )
    def test_broken_histograms(self, bounds: list[float | None], reason: str) -> None:
        broken = [Row(BUCKET, "treatment", 5, instance=pod, le=le) for le in bounds for pod in PODS]
        found = compared(totals(self.arm("control", 250, 500, INF) + broken))
        assert (found.comparison, found.status.code) == (None, StatusCode.UNDEFINED)
        assert found.status.reason.startswith("the histogram of treatment has ")
        assert reason in found.status.reason


SPEC = spec.loads("""\
metadata: {name: x}
service: {name: shop, namespace: shop}
variants: {control: v1, treatment: v2}
metrics:
  primary:
    - {name: p50, kind: quantile, direction: decrease, scope: technical, quantile: 0.5, scale: 0.001,
       bucket: 'h_bucket{service="$service"}'}
""")
START = 1_793_491_200_000
HOUR = 3_600_000


def scraped(version: str, pod: str, rates: dict[str, float], start: int = -600, end: int = 3600) -> list[Series]:
    """Buckets of one pod: events a minute, cumulative over the edges; times in seconds after `START`."""
    labels = {"__name__": "h_bucket", "job": "shop", "service": "shop", "version": version}
    return [
        Series(
            labels | {"instance": f"{version}-{pod}", "le": le},
            [(START + second * 1000, rate * (second + 600) // 60) for second in range(start, end, 60)],
        )
        for le, rate in rates.items()
    ]


def stored(tmp_path: Path, *series: list[Series]) -> Store:
    store = Store(tmp_path / "x.duckdb")
    source = MemorySource([each for some in series for each in some])
    collect(SPEC, source, store, now_ms=START + HOUR, start_ms=START)
    return store


class TestStore:
    (data,) = (
        found.id for metric in metrics_of(SPEC).values() for found in metric.inputs.values() if "h_" in found.selector
    )
    hour = Window(START, START + HOUR)

    def test_buckets_without_events_are_there(self, tmp_path: Path) -> None:
        # All requests take 250 to 500 ms: Prometheus' histogram_quantile says 375 ms.
        rates = {"100": 0.0, "250": 0.0, "500": 60.0, "1000.0": 60.0, "+Inf": 60.0}
        arms = [scraped(version, pod, rates) for version in ("v1", "v2") for pod in PODS]
        store = stored(tmp_path, *arms)
        edges = store.edges("x", self.hour)
        assert edges == {(self.data, name): (100.0, 250.0, 500.0, 1000.0, INF) for name in ARMS}
        found = Totals.read(store.totals("x", self.hour), 1, 3600.0, edges)
        result = estimate(SPEC, metrics_of(SPEC)["p50"], found, "treatment")
        assert result.comparison is not None
        assert result.comparison.at(-1).control == pytest.approx(0.375)

    def test_each_variant_s_own_and_only_what_all_of_its_instances_have(self, tmp_path: Path) -> None:
        store = stored(
            tmp_path,
            scraped("v1", "a", {"100": 1.0, "250": 2.0, "+Inf": 3.0}),
            scraped("v2", "a", {"250": 1.0, "500": 2.0, "750": 2.0, "+Inf": 3.0}),
            scraped("v2", "b", {"250": 1.0, "750": 2.0, "+Inf": 3.0}),
            scraped("v3", "a", {"1": 1.0, "+Inf": 3.0}),
        )
        assert store.edges("x", self.hour) == {
            (self.data, "control"): (100.0, 250.0, INF),
            (self.data, "treatment"): (250.0, 750.0, INF),
        }

    def test_only_those_of_the_window(self, tmp_path: Path) -> None:
        store = stored(
            tmp_path,
            scraped("v1", "a", {"100": 1.0, "+Inf": 3.0}, end=1800),
            scraped("v1", "b", {"250": 1.0, "+Inf": 3.0}, start=1800),
        )
        halves = Window(START, START + HOUR // 2), Window(START + HOUR // 2, START + HOUR)
        assert [store.edges("x", half)[self.data, "control"] for half in halves] == [(100.0, INF), (250.0, INF)]
        assert store.edges("other", self.hour) == {}
