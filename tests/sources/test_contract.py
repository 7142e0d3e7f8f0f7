"""One contract for all sources and ways: the same samples in a real Prometheus and in a recording."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from abkit.errors import QueryError
from abkit.sources.base import Source
from abkit.sources.prometheus import WAYS, PrometheusSource
from abkit.sources.recording import RecordingSource
from abkit.spec import Source as SourceSettings
from abkit.window import Window
from tests.servers import backfill, prometheus
from tests.sources.data import Series, fetched, openmetrics, write_recording

START = 1_793_491_200_000
HOUR = 3_600_000
SPAN = Window(START, START + 3 * HOUR)


def _series() -> list[Series]:
    """Odd label values; times off the grid; NaN and infinities; huge and tiny numbers; a gap; a birth."""
    grid = range(START, SPAN.end_ms, 15_000)
    odd = {"__name__": "odd_total", "path": 'a"b\\c\nd', "word": "ü", "list": ',"values":[[1,"2"]]', "code": "500"}
    return [
        Series(
            {"__name__": "up_total", "job": "shop", "code": "200"}, [(t + 123, float(i)) for i, t in enumerate(grid)]
        ),
        Series(
            {"__name__": "up_total", "job": "shop", "code": "503"},
            [(t + 7, i * 0.1) for i, t in enumerate(grid) if not HOUR < t - START < 2 * HOUR],
        ),
        Series({"__name__": "up_total", "job": "shop.v2"}, [(START + HOUR + 1, 5.0), (SPAN.end_ms - 1, 6.0)]),
        Series(
            odd,
            [
                (START, math.nan),
                (START + 1_000, math.inf),
                (START + 2_000, -math.inf),
                (START + 3_000, 5e-324),
                (START + 4_000, 1.7976931348623157e308),
                (START + 5_000, 0.1 + 0.2),
                (START + 6_000, -0.0),
            ],
        ),
    ]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("contract")
    recording = write_recording(_series(), folder / "recording.parquet", SPAN)
    with prometheus(backfill(openmetrics(_series()), folder / "tsdb")) as url:
        yield {"prometheus": url, "recording": str(recording)}


@pytest.fixture(
    params=[
        *WAYS,
        *(f"{way} in small answers" for way in WAYS),
        "recording",
        "recording in small batches",
    ]
)
def source(request: pytest.FixtureRequest, places: dict[str, str]) -> Iterator[Source]:
    made: Source
    match request.param:
        case "recording":
            made = RecordingSource(Path(places["recording"]))
        case "recording in small batches":
            made = RecordingSource(Path(places["recording"]), batch=7)
        case small if small.endswith(" in small answers"):
            made = PrometheusSource(_settings(places), batch=50, ways=[small.removesuffix(" in small answers")])
        case way:
            made = PrometheusSource(_settings(places), ways=[way])
    yield made
    made.close()


def _settings(places: dict[str, str]) -> SourceSettings:
    return SourceSettings.model_validate({"prometheus": places["prometheus"]})


def _expected(name: str, window: Window, **wanted: str) -> dict[str, list[tuple[int, float | str]]]:
    found = {}
    for each in _series():
        labels = each.labels
        if labels["__name__"] == name and all(labels.get(key, "") == value for key, value in wanted.items()):
            points: list[tuple[int, float | str]] = [
                (t, "NaN" if math.isnan(v) else v) for t, v in each.points if window.start_ms <= t < window.end_ms
            ]
            if points:
                found[json.dumps(labels, sort_keys=True, separators=(",", ":"), ensure_ascii=False)] = points
    return found


@pytest.mark.prometheus
class TestContract:
    def test_every_sample_as_scraped(self, source: Source) -> None:
        assert fetched(source, "up_total", SPAN) == _expected("up_total", SPAN)

    def test_odd_labels_and_numbers(self, source: Source) -> None:
        found = fetched(source, 'odd_total{path=~"a(?s:.*)d"}', SPAN)
        assert found == _expected("odd_total", SPAN)
        # -0.0 keeps its sign, but for the server's own encoder of samples, which leaves out all that equals 0.
        signed = source.way != "remote-read-samples"
        assert math.copysign(1, float(next(iter(found.values()))[-1][1])) == (-1 if signed else 1)

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            (START + 123, START + 15_123),  # a sample on each edge: the left is in, the right is not
            (START + 124, START + 15_124),
            (START + 1, START + 2),
            (START + HOUR - 1, START + 2 * HOUR + 1),
        ],
    )
    def test_windows_are_half_open_to_the_millisecond(self, source: Source, start: int, end: int) -> None:
        window = Window(start, end)
        assert fetched(source, 'up_total{code="200"}', window) == _expected("up_total", window, code="200")

    @pytest.mark.parametrize(
        ("matchers", "codes"),
        [
            ('code="200"', {"200"}),
            ('code!="200"', {"503", ""}),
            ('code=~"5.."', {"503"}),
            ('code=~"5"', set()),  # anchored
            ('code!~"5.."', {"200", ""}),
            ('code=""', {""}),
            ('code=~"200|"', {"200", ""}),
            ('job="shop.v2"', {""}),
            ("job=~'shop\\\\.v2'", {""}),
            ('code="200",job="nobody"', set()),
        ],
    )
    def test_matchers(self, source: Source, matchers: str, codes: set[str]) -> None:
        window = Window(START, SPAN.end_ms)
        found = {
            code
            for code in ("200", "503", "")
            for key in fetched(source, f"up_total{{{matchers}}}", window)
            if key in _expected("up_total", window, code=code)
        }
        assert found == codes

    def test_nothing_matches(self, source: Source) -> None:
        assert list(source.fetch("nobody_total", SPAN)) == []

    def test_no_batch_has_a_sample_outside_or_of_no_series(self, source: Source) -> None:
        window = Window(START + HOUR // 2, START + HOUR)
        batches = list(source.fetch("up_total", window))
        assert batches
        for batch in batches:
            assert batch.timestamps.dtype == np.int64
            assert batch.values.dtype == np.float64
            assert batch.series.dtype == np.int32
            assert ((batch.timestamps >= window.start_ms) & (batch.timestamps < window.end_ms)).all()
            assert set(batch.series.tolist()) <= set(range(len(batch.labels)))

    @pytest.mark.parametrize(
        "selector",
        [
            "rate(up_total[5m])",
            "up_total[5m]",
            "up_total offset 5m",
            "up_total @ 1",
            "1",
            "",
            "{}",
            '{job=~".*"}',
            "up_total{",
        ],
    )
    def test_only_selectors(self, source: Source, selector: str) -> None:
        with pytest.raises(QueryError, match="selector"):
            list(source.fetch(selector, SPAN))

    def test_names_no_secret_and_no_path(self, source: Source) -> None:
        assert source.name.split()[0] in {"prometheus", "recording"}
        assert "/tmp" not in source.name
        assert source.warnings == ()


@pytest.mark.prometheus
@pytest.mark.parametrize("way", WAYS)
def test_says_which_way_was_used(places: dict[str, str], way: str) -> None:
    source = PrometheusSource(_settings(places), ways=WAYS[WAYS.index(way) :])
    assert source.way == "not read yet"
    assert fetched(source, "up_total", SPAN)
    assert source.way == way


@pytest.mark.prometheus
@pytest.mark.parametrize("way", WAYS)
def test_too_many_samples_halve_the_window(tmp_path: Path, way: str) -> None:
    tsdb = backfill(openmetrics(_series()), tmp_path / "tsdb")
    with prometheus(tsdb, "--query.max-samples=40", "--storage.remote.read-sample-limit=300") as url:
        source = PrometheusSource(SourceSettings.model_validate({"prometheus": url}), ways=[way])
        assert fetched(source, "up_total", SPAN) == _expected("up_total", SPAN)
