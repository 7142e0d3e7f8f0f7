"""Decodes what VictoriaMetrics exports: JSON lines, `{"metric":{…},"values":[…],"timestamps":[…]}`, while they come.

The numbers are nearly all of the text. They are cut out of it and parsed as columns by Arrow, as fast as the best JSON
parser makes Python objects of them; and unlike JSON, Arrow takes the `+Inf` that VictoriaMetrics writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from abkit.errors import SourceAnswer

__all__ = ["Export", "TooManySamples", "decode_export"]

_METRIC: Final = b'{"metric":'
_VALUES: Final = b',"values":['
_TIMESTAMPS: Final = b'],"timestamps":['
_END: Final = b"]}"
_TEXT_BYTES: Final = 1 << 22
_LONGEST_LINE: Final = 1 << 25


class TooManySamples(Exception):
    """The answer has more samples than may be held."""


@dataclass(frozen=True, slots=True)
class Export:
    """An export.

    Attributes:
        labels: One mapping a series.
        series: Index into `labels`, one a sample.
        timestamps: Milliseconds, one a sample.
        values: One a sample; what is no number was no sample.
    """

    labels: tuple[Mapping[str, str], ...]
    series: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    values: NDArray[np.float64]


def decode_export(pieces: Iterator[bytes], most: int) -> Export:
    r"""Decode an answer while it comes: the text is let go of as soon as its numbers are read.

    VictoriaMetrics keeps no NaN but the marker of a series that ended, and writes it as null: left out.

    Args:
        pieces: The answer's body.
        most: How many samples may be held.

    Raises:
        SourceAnswer: A line is of another form; says what it is, not where from.
        TooManySamples: There are more samples.

    >>> body = b'{"metric":{"__name__":"up"},"values":[1,null,+Inf],"timestamps":[1000,2000,3000]}'
    >>> export = decode_export(iter([body[:40], body[40:] + b"\n"]), 10)
    >>> export.timestamps.tolist(), export.values.tolist()
    ([1000, 3000], [1.0, inf])
    """
    reading = _Reading(most)
    rest: list[bytes] = []
    held = 0
    for piece in pieces:
        first, *lines = piece.split(b"\n")
        rest.append(first)
        held += len(first)
        if held > _LONGEST_LINE:
            raise SourceAnswer(f"answers with a line of more than {_LONGEST_LINE >> 20} MB")
        if lines:
            reading.line(b"".join(rest))
            rest, held = [lines.pop()], 0
            for line in lines:
                reading.line(line)
    reading.line(b"".join(rest))
    return reading.export()


class _Reading:
    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._text = 0
        self._known: dict[bytes, int] = {}
        self._labels: list[Mapping[str, str]] = []
        self._lines: list[tuple[int, bytes, bytes]] = []
        self._parts: list[tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]] = []

    def line(self, line: bytes) -> None:
        if not line.strip():
            return
        # In a JSON string these quotes would be escaped: the first match is structure.
        values = line.find(_VALUES)
        times = line.find(_TIMESTAMPS, values)
        if not line.startswith(_METRIC) or values < 0 or times < 0 or not line.endswith(_END):
            raise _other(line)
        numbers, moments = line[values + len(_VALUES) : times], line[times + len(_TIMESTAMPS) : -len(_END)]
        if not numbers and not moments:
            return
        self._lines.append((self._series(line[len(_METRIC) : values]), numbers, moments))
        self._text += len(line)
        if self._text >= _TEXT_BYTES:
            self._parse()

    def export(self) -> Export:
        self._parse()
        empty = (np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))
        series, timestamps, values = (np.concatenate(columns) for columns in zip(empty, *self._parts, strict=True))
        return Export(tuple(self._labels), series, timestamps, values)

    def _series(self, metric: bytes) -> int:
        if (known := self._known.get(metric)) is not None:
            return known
        try:
            labels = json.loads(metric)
        except (ValueError, RecursionError):
            labels = None
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise SourceAnswer(f"answers with labels that are not texts: {_plain(metric)}")
        self._known[metric] = len(self._labels)
        self._labels.append(labels)
        return self._known[metric]

    def _parse(self) -> None:
        if not self._lines:
            return
        values = _column([values for _, values, _ in self._lines], pa.float64())
        timestamps = _column([times for _, _, times in self._lines], pa.int64())
        lengths = [values.count(b",") + 1 for _, values, _ in self._lines]
        if timestamps is None or values is None or not len(timestamps) == len(values) == sum(lengths):
            raise SourceAnswer("answers with values or timestamps that are not numbers, or not as many of both")
        series = np.repeat(np.array([index for index, _, _ in self._lines], np.int32), lengths)
        self._lines, self._text = [], 0
        self._held += len(values)
        if self._held > self._most:
            raise TooManySamples
        numbers = ~np.isnan(values)
        part = (series, timestamps, values)
        self._parts.append(part if numbers.all() else (series[numbers], timestamps[numbers], values[numbers]))


def _column(texts: list[bytes], kind: pa.DataType) -> NDArray[Any] | None:
    rows = b",".join(texts).replace(b",", b"\n").replace(b"+Inf", b"inf")
    try:
        table = pacsv.read_csv(
            pa.py_buffer(rows),
            read_options=pacsv.ReadOptions(column_names=["number"], block_size=1 << 22),
            parse_options=pacsv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=pacsv.ConvertOptions(column_types={"number": kind}, null_values=["null"]),
        )
    except pa.ArrowInvalid:
        return None
    column = table["number"].combine_chunks()
    if pa.types.is_integer(kind) and column.null_count:
        return None
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _other(line: bytes) -> SourceAnswer:
    start = line[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return SourceAnswer("answers HTML, not JSON lines: is the URL the base of a VictoriaMetrics, no login page?")
    if start.startswith(_METRIC):
        return SourceAnswer("answers with a line that breaks off or is malformed")
    return SourceAnswer(f"answers something that is not an export: {_plain(line)!r}")


def _plain(text: bytes) -> str:
    """One line without control characters."""
    shown = text[:120].decode(errors="replace")
    return "".join(char if char.isprintable() else " " for char in shown)
