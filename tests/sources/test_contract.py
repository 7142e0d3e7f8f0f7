"""One contract for all sources and ways: the same samples in real servers and in files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from abkit.errors import QueryError
from abkit.sources.base import Source
from abkit.sources.openmetrics import OpenMetricsSource
from abkit.sources.prometheus import WAYS, PrometheusSource
from abkit.sources.recording import RecordingSource
from abkit.sources.replicas import DeduplicatedSource
from abkit.sources.several import SeveralSources
from abkit.sources.victoriametrics import VictoriaMetricsSource
from abkit.spec import Source as SourceSettings
from abkit.window import Window
from tests.servers import backfill, prometheus, victoriametrics
from tests.sources.data import Series, exposition, fetched, openmetrics, write_recording

START = 1_793_491_200_000
HOUR = 3_600_000
SPAN = Window(START, START + 3 * HOUR)
ODD = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "tiny": 5e-324,
    "huge": 1.7976931348623157e308,
    "broken": 0.1 + 0.2,
    "-0": -0.0,
    "large": 2.0**53 - 1,
}


def _series() -> list[Series]:
    """Odd label values; times off the grid; NaN and infinities; huge and tiny numbers; a gap; a birth."""
    grid = range(START, SPAN.end_ms, 15_000)
    odd = {
        "__name__": "odd_total",
        "path": 'a"b\\c\nd # {e} 1 2',
        "word": "ü",
        "list": ',"values":[[1,"2"]],"timestamps":[1]',
        "code": "500",
    }
    return [
        Series(
            {"__name__": "up_total", "job": "shop", "code": "200"}, [(t + 123, float(i)) for i, t in enumerate(grid)]
        ),
        Series(
            {"__name__": "up_total", "job": "shop", "code": "503"},
            [(t + 7, i * 0.25) for i, t in enumerate(grid) if not HOUR < t - START < 2 * HOUR],
        ),
        Series({"__name__": "up_total", "job": "shop.v2"}, [(START + HOUR + 1, 5.0), (SPAN.end_ms - 1, 6.0)]),
        # A series each: VictoriaMetrics can't keep huge and tiny numbers in one.
        *(Series({**odd, "is": name}, [(START + i * 1_000, value)]) for i, (name, value) in enumerate(ODD.items())),
    ]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("contract")
    text = folder / "samples.om"
    text.write_text("".join(openmetrics(_series())))
    with (
        prometheus(backfill(text, folder / "tsdb")) as url,
        victoriametrics(exposition(_series()), folder / "victoria") as victoria,
    ):
        yield {"prometheus": url, "victoriametrics": victoria, "openmetrics": str(text)} | {
            name: str(write_recording(series, folder / name, SPAN))
            for name, series in {
                "recording": _series(),
                "even": _series()[::2],
                "odd": _series()[1::2],
                "replicas": [each for series in _series() for each in _twice(series)],
            }.items()
        }


@pytest.fixture(
    params=[
        *WAYS,
        *(f"{way} in small answers" for way in WAYS),
        "victoriametrics",
        "victoriametrics in small answers",
        "recording",
        "recording in small batches",
        "openmetrics",
        "openmetrics in small batches",
        "several",
        "one of each replica",
    ]
)
def source(request: pytest.FixtureRequest, places: dict[str, str]) -> Iterator[Source]:
    made: Source
    match request.param:
        case "victoriametrics":
            made = VictoriaMetricsSource(_settings("victoriametrics", places))
        case "victoriametrics in small answers":
            made = VictoriaMetricsSource(_settings("victoriametrics", places), batch=13)
        case "recording":
            made = RecordingSource(Path(places["recording"]))
        case "recording in small batches":
            made = RecordingSource(Path(places["recording"]), batch=7)
        case "openmetrics":
            made = OpenMetricsSource(Path(places["openmetrics"]))
        case "openmetrics in small batches":
            made = OpenMetricsSource(Path(places["openmetrics"]), batch=7)
        case "several":
            made = SeveralSources([RecordingSource(Path(places[half])) for half in ("even", "odd")])
        case "one of each replica":
            made = DeduplicatedSource(RecordingSource(Path(places["replicas"])), ["replica"], batch=100)
        case small if small.endswith(" in small answers"):
            ways = [small.removesuffix(" in small answers")]
            made = PrometheusSource(_settings("prometheus", places), batch=50, ways=ways)
        case way:
            made = PrometheusSource(_settings("prometheus", places), ways=[way])
    yield made
    made.close()


def _twice(series: Series) -> list[Series]:
    """As two replicas saw it, one four seconds after the other and with counters that lag behind."""
    later = [(t + 4_000, v - 1e-3) for t, v in series.points if t + 4_000 < SPAN.end_ms]
    return [
        Series({**series.labels, "replica": "a"}, series.points),
        Series({**series.labels, "replica": "b"}, later),
    ]


def _settings(kind: str, places: dict[str, str]) -> SourceSettings:
    return SourceSettings.model_validate({kind: places[kind]})


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
        found = fetched(source, 'odd_total{path=~"a(?s:.*)2"}', SPAN)
        expected = _expected("odd_total", SPAN)
        if not source.name.startswith("victoriametrics"):
            assert found == expected
            # -0.0 keeps its sign, but for the server's own encoder of samples, which leaves out all that equals 0.
            sign = 1 if source.way == "remote-read-samples" else -1
            assert [math.copysign(1, float(v)) for text, ((_, v),) in found.items() if '"is":"-0"' in text] == [sign]
            return
        # It stores neither NaN nor more than about twelve digits, but whole numbers exactly.
        kept = {text: points for text, points in expected.items() if points[0][1] != "NaN"}
        assert found.keys() == kept.keys()
        for text, ((moment, value),) in found.items():
            at, scraped = kept[text][0][0], float(kept[text][0][1])
            assert moment == at
            assert float(value) == pytest.approx(scraped, rel=1e-12, abs=1e-300)
            assert float(value) == scraped or not scraped.is_integer() or scraped > 2**53

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
        assert source.name.split()[0] in {"prometheus", "victoriametrics", "recording", "openmetrics"}
        assert "/tmp" not in source.name
        assert source.warnings == ()


@pytest.mark.prometheus
@pytest.mark.parametrize("way", WAYS)
def test_says_which_way_was_used(places: dict[str, str], way: str) -> None:
    source = PrometheusSource(_settings("prometheus", places), ways=WAYS[WAYS.index(way) :])
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
