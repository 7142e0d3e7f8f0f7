"""A real Prometheus: what its own tool dumps is what every way reads, to the bit."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cramjam
import pytest
import requests

from abkit.errors import SourceAnswer
from abkit.sources.prometheus import WAYS, PrometheusSource
from abkit.spec import Source as SourceSettings
from abkit.window import Window
from tests.servers import backfill, binary, prometheus
from tests.sources.data import Series, fetched, openmetrics
from tests.sources.remote_read.encoding import bits_of, field, labels, series_of_samples, zigzag

pytestmark = pytest.mark.prometheus

START = 1_793_491_200_000
MINUTE = 60_000
SPAN = Window(START - 10 * MINUTE, START + 600 * MINUTE)
STALE = struct.unpack(">d", bytes.fromhex("7ff0000000000002"))[0]

Bits = dict[str, list[tuple[int, int]]]


def _written() -> list[Series]:
    """Counters that reset, with gaps; NaN and stale markers; infinities; huge and tiny numbers; steps of all widths."""
    grid = [START + 15_000 * i for i in range(480)]
    widths = [START]
    for width in range(1, 24):
        widths += [widths[-1] + (1 << width), widths[-1] + (1 << width) + 7]
    odd = [
        math.nan,
        math.inf,
        -math.inf,
        5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        -0.0,
        0.1 + 0.2,
        1e15,
    ]
    return [
        Series({"__name__": "resets_total", "pod": "a"}, [(t, float(i * 7 % 1000)) for i, t in enumerate(grid)]),
        Series(
            {"__name__": "gaps_total", "pod": "b"},
            [(t + i % 3, 0.25 * i) for i, t in enumerate(grid) if not 100 < i < 180 and i % 17],
        ),
        Series({"__name__": "odd", "pod": "c"}, [(t, odd[i % len(odd)]) for i, t in enumerate(grid[:100])]),
        Series(
            {"__name__": "stale_total", "pod": "d"},
            [(t, STALE if i % 10 == 9 else float(i)) for i, t in enumerate(grid[:60])],
        ),
        Series({"__name__": "widths_total", "pod": "e"}, [(t, float(i)) for i, t in enumerate(widths)]),
        Series({"__name__": "constant", "pod": "f"}, [(t, 1.0) for t in grid]),
        Series({"__name__": "zero_total", "pod": "ü\n\"'"}, [(t, 0.0) for t in grid[:200]]),
    ]


def _late() -> list[Series]:
    """Of the same series: between, before and beside what was written first."""
    return [
        Series(
            {"__name__": "resets_total", "pod": "a"}, [(START + 15_000 * i + 4_000, float(i)) for i in range(20, 60)]
        ),
        Series({"__name__": "gaps_total", "pod": "b"}, [(START + 15_000 * i, 5.5) for i in range(120, 150)]),
    ]


def _write(url: str, series: Sequence[Series]) -> None:
    for each in series:
        for first in range(0, len(each.points), 100):
            _send(url, series_of_samples(each.labels, each.points[first : first + 100]))


def _send(url: str, *series: bytes) -> None:
    body = bytes(cramjam.snappy.compress_raw(b"".join(series)))
    headers = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
    answer = requests.post(f"{url}/api/v1/write", body, headers=headers, timeout=10)
    assert answer.ok, answer.text


def _dumped(tsdb: Path) -> Bits:
    """What `promtool tsdb dump` finds; of all NaNs it says the same."""
    done = subprocess.run(
        [binary("promtool"), "tsdb", "dump", str(tsdb)], capture_output=True, text=True, check=True, timeout=60
    )
    found: Bits = {}
    for line in done.stdout.splitlines():
        names, value, moment = re.fullmatch(r"\{(.*)\} (\S+) (\d+)", line).groups()  # type: ignore[union-attr]
        pairs = {name: json.loads(text) for name, text in re.findall(r'([\w.]+)=("(?:[^"\\]|\\.)*")', names)}
        found.setdefault(_text(pairs), []).append((int(moment), bits_of(float(value))))
    return {key: sorted(points) for key, points in found.items()}


def _read(url: str, way: str, selector: str, batch: int = 1_000_000) -> Bits:
    source = PrometheusSource(
        SourceSettings.model_validate({"prometheus": url}), ways=[way, "range-vector"], batch=batch
    )
    found: Bits = {}
    for samples in source.fetch(selector, SPAN):
        bits = samples.values.view("u8").tolist()
        for index, moment, value in zip(samples.series.tolist(), samples.timestamps.tolist(), bits, strict=True):
            number = value if not math.isnan(struct.unpack(">d", value.to_bytes(8, "big"))[0]) else bits_of(math.nan)
            found.setdefault(_text(samples.labels[index]), []).append((moment, number))
    source.close()
    return found


def _text(names: Mapping[str, str]) -> str:
    return json.dumps(names, sort_keys=True, ensure_ascii=False)


def _expected(*parts: Sequence[Series]) -> Bits:
    """Each sample once, in order, without stale markers."""
    found: dict[str, dict[int, int]] = {}
    for each in (each for part in parts for each in part):
        mine = found.setdefault(_text(each.labels), {})
        mine.update((t, bits_of(v)) for t, v in each.points if bits_of(v) != bits_of(STALE))
    return {key: sorted(points.items()) for key, points in found.items()}


def _without_sign_of_zero(found: Bits) -> Bits:
    return {key: [(t, 0 if bits == 1 << 63 else bits) for t, bits in points] for key, points in found.items()}


def _check(url: str, expected: Bits) -> Bits:
    """Every way, in large and in small answers, reads this; returns what the first did."""
    selector = '{__name__=~".+"}'
    for way in WAYS:
        for batch in (1_000_000, 150):
            found = _read(url, way, selector, batch)
            if way == "remote-read-samples":
                # The server's own encoder leaves out -0 for 0.
                assert _without_sign_of_zero(found) == _without_sign_of_zero(expected), (way, batch)
            else:
                assert found == expected, (way, batch)
    return expected


OUT_OF_ORDER = "storage: {tsdb: {out_of_order_time_window: 10h}}\nscrape_configs: []\n"


def test_what_was_written_late_and_odd_is_read_to_the_bit(tmp_path: Path) -> None:
    tsdb = tmp_path / "tsdb"
    with prometheus(tsdb, "--web.enable-remote-write-receiver", config=OUT_OF_ORDER) as url:
        _write(url, _written())
        _write(url, _late())
        read = _check(url, _expected(_written(), _late()))
    dumped = _dumped(tsdb)
    for each in _written():
        stale = {t for t, value in each.points if bits_of(value) == bits_of(STALE)}
        key = _text(each.labels)
        dumped[key] = [(t, bits) for t, bits in dumped[key] if t not in stale]
    assert read == dumped


def test_blocks_that_overlap(tmp_path: Path) -> None:
    first = [each for each in _written() if each.labels["pod"] != "d"]
    again = [Series(each.labels, each.points[::3]) for each in first]
    tsdb = tmp_path / "tsdb"
    for index, series in enumerate((first, again, _late())):
        file = tmp_path / f"{index}.om"
        file.write_text("".join(openmetrics(series)))
        backfill(file, tsdb)
    # No compaction: it would merge them.
    flags = ("--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
    with prometheus(tsdb, *flags) as url:
        read = _check(url, _expected(first, _late()))
    assert read == _dumped(tsdb)


EXTERNAL = "global: {external_labels: {cluster: here, replica: r1}}\nscrape_configs: []\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    points = [(START + 15_000 * i, float(i)) for i in range(10)]
    names: list[dict[str, str]] = [
        {"pod": "a"},
        {"pod": "a", "cluster": "elsewhere"},
        {"pod": "b", "cluster": "here"},
        {"pod": "c", "cluster": "here", "replica": "r1"},
        {},
    ]
    series = [Series({"__name__": "external_total", **each}, points) for each in names]
    twins = [Series({"__name__": "twin_total", **each}, points) for each in ({}, {"cluster": "here"})]
    tsdb = backfill(openmetrics([*series, *twins]), tmp_path_factory.mktemp("external") / "tsdb")
    with prometheus(tsdb, config=EXTERNAL) as url:
        yield url


class TestExternalLabels:
    """A Prometheus adds its own to what remote_read answers, and to nothing else."""

    @pytest.mark.parametrize(
        "matchers",
        [
            "",
            '{cluster="here"}',
            '{replica="r1"}',
            '{cluster=~"here|x"}',
            '{cluster=""}',
            '{cluster!="here"}',
            '{pod="a"}',
        ],
    )
    def test_all_ways_show_what_queries_show(self, url: str, matchers: str) -> None:
        settings = SourceSettings.model_validate({"prometheus": url})
        by_queries = fetched(PrometheusSource(settings, ways=["range-vector"]), f"external_total{matchers}", SPAN)
        source = PrometheusSource(settings)
        assert fetched(source, "external_total", SPAN)
        assert fetched(source, f"external_total{matchers}", SPAN) == by_queries

    def test_the_best_way_is_kept(self, url: str) -> None:
        source = PrometheusSource(SourceSettings.model_validate({"prometheus": url}))
        assert len(fetched(source, "external_total", SPAN)) == 5
        assert source.way == "remote-read-chunks"

    def test_what_it_makes_alike_is_read_by_queries(self, url: str) -> None:
        source = PrometheusSource(SourceSettings.model_validate({"prometheus": url}))
        assert len(fetched(source, "twin_total", SPAN)) == 2
        assert "range-vector" in source.way


def _histogram(moment: int) -> bytes:
    """Three observations in one bucket: `prompb.Histogram`."""
    span = field(1, 0) + field(2, 1)
    return (
        field(1, 3)
        + b"\x19"
        + struct.pack("<d", 4.5)
        + field(4, 0)
        + field(11, span)
        + field(12, zigzag(3))
        + field(15, moment)
    )


@pytest.mark.parametrize("way", WAYS)
def test_native_histograms_are_named_never_dropped(tmp_path: Path, way: str) -> None:
    flags = ("--web.enable-remote-write-receiver", "--enable-feature=native-histograms")
    with prometheus(tmp_path / "tsdb", *flags) as url:
        name = labels({"__name__": "wait_seconds", "pod": "a"})
        _send(url, field(1, name + b"".join(field(4, _histogram(START + 15_000 * i)) for i in range(3))))
        _write(url, [Series({"__name__": "beside_total", "pod": "a"}, [(START, 1.0)])])
        ways = [way, "range-vector"]  # where samples hide histograms, queries show them
        source = PrometheusSource(SourceSettings.model_validate({"prometheus": url}), ways=ways)
        assert len(fetched(source, "beside_total", SPAN)) == 1
        with pytest.raises(SourceAnswer, match=r"wait_seconds.* has native histograms") as raised:
            list(source.fetch('{pod="a"}', SPAN))
        assert url in str(raised.value)
