"""The decoder against a plain encoder: every kind of step and value, both forms, and damage."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from abkit.errors import SourceAnswer
from abkit.sources.remote_read import xor
from abkit.sources.remote_read.xor import decode_xor, worth_compiling
from tests.sources.remote_read.encoding import bits_of, chunk, uvarint, zigzag

FORMS = pytest.mark.parametrize("compiled", [False, True], ids=["numpy", "numba"])
NOW = 1_793_491_200_000

Points = Sequence[tuple[int, int]]


def decoded(chunks: Sequence[bytes], compiled: bool) -> list[list[tuple[int, int]]]:
    """Samples of each chunk, values as bits."""
    data = np.frombuffer(b"".join(chunks), np.uint8)
    stops = np.cumsum([len(each) for each in chunks])
    found = decode_xor(data, stops - [len(each) for each in chunks], stops, compiled=compiled)
    pairs = list(zip(found.timestamps.tolist(), found.values.view(np.uint64).tolist(), strict=True))
    ends = np.cumsum(found.lengths).tolist()
    return [pairs[end - length : end] for end, length in zip(ends, found.lengths.tolist(), strict=True)]


def bits(points: Sequence[tuple[int, float]]) -> list[tuple[int, int]]:
    return [(moment, bits_of(value)) for moment, value in points]


STEPS = st.one_of(
    st.just(15_000),
    st.integers(14_990, 15_010),
    *(
        st.sampled_from([15_000 + sign * (1 << width) + near for sign in (-1, 1) for near in (-1, 0, 1)])
        for width in (13, 16, 19, 31)
    ),
    st.integers(1, 1 << 40),
)
ODD = [0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 0.1, 1e300, -1.0]
VALUES = st.one_of(
    st.sampled_from([*map(bits_of, ODD), 0x7FF0000000000002]),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, 1 << 20).map(lambda number: bits_of(float(number))),
)


@st.composite
def samples(draw: st.DrawFn) -> list[tuple[int, int]]:
    count = draw(st.integers(0, 30))
    steps = draw(st.lists(STEPS, min_size=count, max_size=count))
    first = draw(st.one_of(st.just(NOW), st.integers(-(1 << 45), 1 << 45)))
    # A counter that stands still and moves on, among values of all kinds.
    value = draw(VALUES)
    points = []
    for step in steps:
        if draw(st.booleans()):
            value = draw(VALUES)
        points.append((first, value))
        first += step
    return points


@FORMS
class TestEqualsWhatWasWritten:
    @settings(max_examples=150, deadline=None)
    @given(st.lists(samples(), min_size=1, max_size=12))
    def test_any_chunks(self, compiled: bool, written: list[list[tuple[int, int]]]) -> None:
        assert decoded([chunk(points) for points in written], compiled) == written

    @pytest.mark.parametrize("width", [13, 16, 19, 40, 60])
    @pytest.mark.parametrize("near", [-2, -1, 0, 1, 2])
    def test_each_width_of_a_step(self, compiled: bool, width: int, near: int) -> None:
        change = (1 << width) + near
        forth = [(0, 1), (change, 1), (3 * change, 2), (3 * change + 1, 3)]
        assert decoded([chunk(forth)], compiled) == [forth]

    @pytest.mark.parametrize("leading", [0, 1, 5, 30, 31, 32, 40, 63])
    @pytest.mark.parametrize("trailing", [0, 1, 10, 52, 63])
    def test_each_place_of_a_difference(self, compiled: bool, leading: int, trailing: int) -> None:
        if leading + trailing < 64:
            difference = (((1 << 64) - 1) >> leading) >> trailing << trailing
            points = [
                (NOW + i, value) for i, value in enumerate([0, difference, 0, 0, 1 << 63, (1 << 63) ^ difference])
            ]
            assert decoded([chunk(points)], compiled) == [points]

    def test_more_chunks_than_are_done_at_once(self, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(xor, "_SIDE_BY_SIDE", 7)
        monkeypatch.setattr(xor, "_MOST_AT_ONCE", 100)
        rng = np.random.default_rng(3)
        written = [
            bits([(NOW + 15_000 * i, float(v)) for i, v in enumerate(np.cumsum(rng.poisson(3, count)))])
            for count in rng.integers(0, 60, 40)
        ]
        assert decoded([chunk(points) for points in written], compiled) == written

    def test_none(self, compiled: bool) -> None:
        assert decoded([chunk([])] * 3, compiled) == [[], [], []]

    def test_bytes_between_chunks_are_none_of_theirs(self, compiled: bool) -> None:
        one, two = chunk(bits([(NOW, 1.0), (NOW + 5, 2.5)])), chunk(bits([(NOW, 3.0)]))
        data = np.frombuffer(b"\xff\x00\xff" + one + b"labels" + two, np.uint8)
        starts = np.array([3, 9 + len(one)])
        found = decode_xor(data, starts, starts + np.array([len(one), len(two)]), compiled=compiled)
        assert found.values.tolist() == [1.0, 2.5, 3.0]


def _long() -> bytes:
    rng = np.random.default_rng(5)
    values: NDArray[np.float64] = np.cumsum(rng.exponential(3, 120))
    return chunk(bits([(NOW + 15_000 * i + (i % 7 == 0), float(v)) for i, v in enumerate(values)]))


@FORMS
class TestDamage:
    @pytest.mark.parametrize("cut", [1, 2, 8, 100, 500])
    def test_a_chunk_that_breaks_off(self, compiled: bool, cut: int) -> None:
        text = _long()[:-cut]
        whole = chunk(bits([(NOW, 1.0)] * 1))
        with pytest.raises(SourceAnswer, match="chunk"):
            decoded([whole, text, whole], compiled)

    @pytest.mark.parametrize(
        "text",
        [
            b"\x00\x01",  # says one sample, has none
            b"\xff\xff" + bytes(12),  # says more than its bytes could hold
            b"\x00\x01" + b"\xff" * 20,  # a time that never ends
            b"\x00\x02" + zigzag(NOW) + bytes(8) + b"\xff" * 12,  # a step that never ends
            # a difference of 64 bits behind 31 zeros
            b"\x00\x02" + zigzag(NOW) + bytes(8) + uvarint(1) + bytes([0b11_11111_0, 0b00000_000]) + bytes(9),
        ],
    )
    def test_what_is_no_chunk(self, compiled: bool, text: bytes) -> None:
        with pytest.raises(SourceAnswer, match="chunk"):
            decoded([text], compiled)

    @settings(max_examples=150, deadline=None)
    @given(at=st.integers(0, len(_long()) - 1), bit=st.integers(0, 7), cut=st.integers(0, 40))
    def test_damage_ends_in_an_error_or_in_as_many_samples(self, compiled: bool, at: int, bit: int, cut: int) -> None:
        text = bytearray(_long())
        text[at] ^= 1 << bit
        text = text[: len(text) - cut]
        try:
            (found,) = decoded([bytes(text)], compiled)
        except SourceAnswer:
            return
        assert len(found) == int.from_bytes(text[:2], "big")

    @settings(max_examples=100, deadline=None)
    @given(st.binary(min_size=2, max_size=80))
    def test_any_bytes(self, compiled: bool, text: bytes) -> None:
        try:
            (found,) = decoded([text], compiled)
        except SourceAnswer:
            return
        assert len(found) == int.from_bytes(text[:2], "big")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(min_size=2, max_size=60), samples().map(chunk)), min_size=1, max_size=4))
def test_both_forms_are_one(chunks: list[bytes]) -> None:
    """Of damaged chunks too: the same samples, or both an error."""
    results: list[list[list[tuple[int, int]]] | None] = []
    for compiled in (False, True):
        try:
            results.append(decoded(chunks, compiled))
        except SourceAnswer:
            results.append(None)
    assert results[0] == results[1]


def test_the_compiled_form_is_for_much_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "abkit.sources.remote_read.xor_compiled", raising=False)
    assert not worth_compiling(100_000)
    assert worth_compiling(10_000_000)
    monkeypatch.setattr(xor, "find_spec", lambda name: None)
    assert not worth_compiling(10_000_000)
