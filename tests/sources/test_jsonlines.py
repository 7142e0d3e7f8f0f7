from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.errors import SourceAnswer
from abkit.sources.jsonlines import Export, TooManySamples, decode_export

LINE = b'{"metric":{"__name__":"a","x":"\\"},\\"values\\":["},"values":[1,2.5e3,-7],"timestamps":[1000,2000,3000]}\n'


def _decoded(body: bytes, length: int = 7, most: int = 1_000) -> Export:
    return decode_export((body[start : start + length] for start in range(0, len(body), length)), most)


@pytest.mark.parametrize("length", [1, 2, 3, 50, 10_000])
def test_pieces_may_end_anywhere(length: int) -> None:
    export = _decoded(LINE + b"\n" + LINE.replace(b'"a"', b'"b"').rstrip(), length)
    assert [labels["__name__"] for labels in export.labels] == ["a", "b"]
    assert export.labels[0]["x"] == '"},"values":['
    assert export.series.tolist() == [0, 0, 0, 1, 1, 1]
    assert export.timestamps.tolist() == [1000, 2000, 3000] * 2
    assert export.values.tolist() == [1, 2500, -7] * 2


def test_a_series_may_go_on_in_another_line() -> None:
    export = _decoded(LINE + LINE.replace(b"[1000,2000,3000]", b"[4000,5000,6000]"))
    assert len(export.labels) == 1
    assert export.timestamps.tolist() == [1000, 2000, 3000, 4000, 5000, 6000]


def test_nothing() -> None:
    assert _decoded(b"\n").values.tolist() == []
    assert _decoded(b'{"metric":{},"values":[],"timestamps":[]}').labels == ()


@given(st.lists(st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_numbers_are_read_exactly(numbers: list[float]) -> None:
    times = [10**12 + index for index in range(len(numbers))]
    line = json.dumps({"metric": {"__name__": "a"}, "values": numbers, "timestamps": times}, separators=(",", ":"))
    export = _decoded(line.encode(), 1 << 20, 10**6)
    assert export.values.tolist() == [float(number) for number in numbers]
    assert export.timestamps.tolist() == times


def test_infinities_and_the_marker_of_an_end() -> None:
    export = _decoded(LINE.replace(b"[1,2.5e3,-7]", b"[+Inf,null,-Inf]"))
    assert export.values.tolist() == [np.inf, -np.inf]
    assert export.timestamps.tolist() == [1000, 3000]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\x1f\x8b\x00", "not an export"),
        (b'{"status":"success"}', "not an export"),
        (LINE[:-9], "breaks off"),
        (LINE + b"cannot read\x1b[31m the rest", r"cannot read \[31m the rest"),
        (LINE.replace(b"2.5e3", b"x"), "not numbers"),
        (LINE.replace(b"2.5e3", b"true"), "not numbers"),
        (LINE.replace(b"2000", b"null"), "not numbers"),
        (LINE.replace(b"2000", b"2000.5"), "not numbers"),
        (LINE.replace(b"1,2.5e3", b"1"), "not as many"),
        (LINE.replace(b"1,2.5e3", b"1,,2"), "not numbers"),
        (LINE.replace(b'"a"', b"1"), "labels"),
        (b'{"metric":' + b"[" * 10_000 + b',"values":[1],"timestamps":[1]}', "labels"),
    ],
)
def test_nonsense_is_an_error(body: bytes, why: str) -> None:
    with pytest.raises(SourceAnswer, match=why):
        _decoded(body, 1 << 16)


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abkit.sources.jsonlines._TEXT_BYTES", 1)
    with pytest.raises(TooManySamples):
        _decoded(LINE * 10, most=20)
    monkeypatch.setattr("abkit.sources.jsonlines._LONGEST_LINE", 100)
    with pytest.raises(SourceAnswer, match="a line of more than 0 MB"):
        _decoded(b" " * 200, 10)
