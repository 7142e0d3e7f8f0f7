from __future__ import annotations

from pathlib import Path

import pytest

from abkit import simulate
from abkit.errors import SourceAnswer, SourceUnreachable
from abkit.sources.openmetrics import OpenMetricsSource
from abkit.window import Window
from tests.simulate.worlds import simulated
from tests.sources.data import fetched

ALL = Window(0, 10**13)


def _source(tmp_path: Path, text: str | bytes) -> OpenMetricsSource:
    path = tmp_path / "x.om"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return OpenMetricsSource(path)


def test_what_simulate_writes_is_read_exactly(tmp_path: Path) -> None:
    simulation = simulated()
    source = _source(tmp_path, "".join(simulate.to_openmetrics(simulation)))
    samples = simulation.samples
    for name in sorted({labels["__name__"] for labels in samples.labels}):
        found = fetched(source, name, ALL)
        wanted = [index for index, labels in enumerate(samples.labels) if labels["__name__"] == name]
        assert len(found) == len(wanted)
        assert sorted(point for points in found.values() for point in points) == sorted(
            (int(moment), float(value))
            for index in wanted
            for moment, value in zip(
                samples.timestamps[samples.series == index], samples.values[samples.series == index], strict=True
            )
        )


def test_pieces_may_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'a{x="ü"} 1 1\na{x="ü"} 2.5 2.25\nb 3 1\n# EOF\n'
    for length in range(1, 12):
        monkeypatch.setattr("abkit.sources.openmetrics._PIECE_BYTES", length)
        assert fetched(_source(tmp_path, text), "a", ALL) == {'{"__name__":"a","x":"ü"}': [(1_000, 1.0), (2_250, 2.5)]}


def test_what_else_openmetrics_allows(tmp_path: Path) -> None:
    text = (
        "# TYPE a counter\n# UNIT a s\n# HELP a It's # {what}\n"
        'a_total{y="2",x="1 # {z} 1"} 1e3 1.5e0 # {trace="a b",quote="\\"#"} 0.5 1.4\n'
        'a_total{x="1 # {z} 1",y="2",} 2e3 3\n'
        "a_total{} 7 -1.5\n"
        "a_total +Inf 1\n"
        'a_total{x=""} NaN 2\n'
        "# EOF"
    )
    assert fetched(_source(tmp_path, text), "a_total", Window(-10_000, 10_000)) == {
        '{"__name__":"a_total","x":"1 # {z} 1","y":"2"}': [(1_500, 1_000.0), (3_000, 2_000.0)],
        '{"__name__":"a_total"}': [(-1_500, 7.0), (1_000, float("inf")), (2_000, "NaN")],
    }


def test_samples_in_any_order_are_sorted(tmp_path: Path) -> None:
    source = _source(tmp_path, "a 2 2\nb 1 1\na 1 1\n# EOF\n")
    assert fetched(source, "a", ALL) == {'{"__name__":"a"}': [(1_000, 1.0), (2_000, 2.0)]}
    assert source.span() == Window(1_000, 2_001)


def test_no_samples(tmp_path: Path) -> None:
    assert list(_source(tmp_path, "# EOF\n").fetch("a", ALL)) == []


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a 1 1\na 2 2\n", 2, "doesn't end with '# EOF'"),
        ("", 0, "doesn't end with '# EOF'"),
        ("a 1 1\na 2 2", 2, "doesn't end with '# EOF'"),
        ("a 1 1\n# EOF\na 2 2\n", 3, "comes after '# EOF'"),
        ("a 1 1\na 2\n# EOF\n", 2, "should be"),
        ('a{x="b c"} 2\n# EOF\n', 1, "each sample with its time"),
        ("a 1 1\n\n# EOF\n", 2, "should be"),
        ("a 1 1\na one 2\n# EOF\n", 2, "'one' is no number"),
        ("a 1 1\na 1,2 2\n# EOF\n", 2, "'1,2' is no number"),
        ("a 1 1\na 2 soon\n# EOF\n", 2, "'soon' is no time"),
        ("a 1 1\na 2 NaN\n# EOF\n", 2, "'NaN' is no time"),
        ("a 1 1\na 2 1793491200000000\n# EOF\n", 2, "is no time in seconds"),
        ('a{x="1} 1 1\n# EOF\n', 1, "should be"),
        ('a{x="1"x="2"} 1 1\n# EOF\n', 1, "should be"),
        ('a{x="1",x="2"} 1 1\n# EOF\n', 1, "should be"),
        ('a{x="\\d"} 1 1\n# EOF\n', 1, "should be"),
        ("1a 1 1\n# EOF\n", 1, "should be"),
        ('a{x="\xff"} 1 1\n# EOF\n'.encode("latin-1"), 1, "should be"),
        ("<html> <body> login\n", 1, "should be"),
    ],
)
def test_what_is_malformed_is_named_by_line(tmp_path: Path, text: str | bytes, line: int, why: str) -> None:
    with pytest.raises(SourceAnswer, match=why) as raised:
        _source(tmp_path, text).span()
    assert str(raised.value).startswith(f"{tmp_path / 'x.om'}:{line}: ")


def test_a_moment_twice(tmp_path: Path) -> None:
    with pytest.raises(SourceAnswer, match=r"a has two samples at 1\.000"):
        _source(tmp_path, "a 1 1\na 2 1\n# EOF\n").span()


def test_a_line_without_end(tmp_path: Path) -> None:
    with pytest.raises(SourceAnswer, match="longer than a megabyte"):
        _source(tmp_path, b"a" * (6 << 20)).span()


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="no such file"):
        OpenMetricsSource(tmp_path / "nobody.om").span()
    with pytest.raises(SourceUnreachable, match="can't be read"):
        OpenMetricsSource(tmp_path).span()
