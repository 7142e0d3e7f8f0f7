"""An OpenMetrics file as a source: text with timestamps, as `promtool tsdb create-blocks-from openmetrics` takes it.

Read line by line in pieces of bounded size, once, into columns of 20 bytes a sample. What is malformed is named by its
line; a file that doesn't end with `# EOF` was cut off.

Reference: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from abkit.errors import SourceAnswer, SourceUnreachable
from abkit.sources.base import Samples
from abkit.sources.columns import BATCH, Columns
from abkit.window import Window

__all__ = ["OpenMetricsSource"]

_PIECE_BYTES: Final = 1 << 22
_LONGEST_LINE: Final = 1 << 20
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r' *([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)" *(,|$)')
_ESCAPE: Final = re.compile(r"\\(.)")
_EXEMPLAR: Final = re.compile(rb'((?:[^"#]|"(?:[^"\\]|\\.)*")*?) # \{.*')
_ESCAPED: Final = {"n": "\n", "\\": "\\", '"': '"'}
_FURTHEST: Final = 1e14
"""Seconds since the epoch; what is further can't be told in milliseconds exactly."""


class OpenMetricsSource:
    """Samples of an OpenMetrics file; loaded once, at the first use.

    Args:
        path: The file.
        batch: Most samples in one batch that `fetch` yields.

    Raises:
        SourceUnreachable: The file is missing or can't be read.
        SourceAnswer: A line is malformed, or the file was cut off. (Both when it is first used.)
    """

    way: Final = "openmetrics"
    warnings: tuple[str, ...] = ()

    def __init__(self, path: Path | str, *, batch: int = BATCH) -> None:
        self._path = Path(path)
        self._batch = batch
        self._loaded: Columns | None = None

    @property
    def name(self) -> str:
        """`openmetrics` and the file's name."""
        return f"openmetrics {self._path.name}"

    def span(self) -> Window:
        """From the file's first sample to its last."""
        return self._columns().span

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        """Raw samples of a selector in a window: see `abkit.sources.base.Source.fetch`."""
        yield from self._columns().fetch(selector, window, self._batch)

    def close(self) -> None:
        """Let go of the loaded columns."""
        self._loaded = None

    def _columns(self) -> Columns:
        if self._loaded is None:
            reading = _Reading(self._path)
            try:
                with self._path.open("rb") as file:
                    while piece := file.read(_PIECE_BYTES):
                        reading.take(piece)
            except FileNotFoundError:
                msg = f"{self._path}: no such file: check the path"
                raise SourceUnreachable(msg) from None
            except IsADirectoryError:
                msg = f"{self._path}: can't be read: is a folder: name the file in it"
                raise SourceUnreachable(msg) from None
            except OSError as error:
                msg = f"{self._path}: can't be read: {error.strerror}"
                raise SourceUnreachable(msg) from None
            self._loaded = reading.columns()
        return self._loaded


class _Reading:
    """Reads a file piece by piece."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self._lines = 0
        self._ended = False
        self._known: dict[bytes, int] = {}
        self._same: dict[tuple[tuple[str, str], ...], int] = {}
        self._labels: list[Mapping[str, str]] = []
        self._parts: list[tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]] = []

    def take(self, piece: bytes) -> None:
        text = self._rest + piece
        end = text.rfind(b"\n") + 1
        text, self._rest = text[:end], text[end:]
        if text and not self._read_plain(text):
            self._read(text.split(b"\n")[:-1])
        if len(self._rest) > _LONGEST_LINE:
            raise self._wrong(self._lines + 1, self._rest, "is longer than a megabyte")

    def columns(self) -> Columns:
        if self._rest:
            self._read([self._rest])
        if not self._ended:
            msg = (
                f"{self._path}:{self._lines}: doesn't end with '# EOF': the file was cut off, or is not OpenMetrics: "
                "get it again, or end it"
            )
            raise SourceAnswer(msg)
        empty = (np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))
        series, timestamps, values = (np.concatenate(columns) for columns in zip(empty, *self._parts, strict=True))
        self._parts = []
        if not ((np.diff(series) > 0) | ((np.diff(series) == 0) & (np.diff(timestamps) > 0))).all():
            order = np.lexsort((timestamps, series))
            series, timestamps, values = series[order], timestamps[order], values[order]
            twice = np.flatnonzero((np.diff(series) == 0) & (np.diff(timestamps) == 0))
            if len(twice):
                labels = self._labels[series[twice[0]]]
                msg = (
                    f"{self._path}: {labels.get('__name__', '')} has two samples at {timestamps[twice[0]] / 1000:.3f} "
                    f"({labels}): keep one"
                )
                raise SourceAnswer(msg)
        span = Window(int(timestamps.min()), int(timestamps.max()) + 1) if len(timestamps) else Window(0, 0)
        offsets = np.searchsorted(series, np.arange(len(self._labels) + 1))
        return Columns(span, self._labels, offsets, timestamps, values)

    def _read_plain(self, text: bytes) -> bool:
        """Read whole lines of the usual form, all at once; False where one is of another, or wrong."""
        if self._ended or b"# EOF" in text:
            return False
        data = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(data == ord("\n")) + 1
        offsets = np.concatenate(([0], ends)).astype(np.int32)
        lines = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(text))
        comments = data[offsets[:-1]] == ord("#")
        if comments.any():
            lines = lines.filter(pa.array(~comments))
        if pc.any(pc.match_substring(lines, "#")).as_py():
            return False
        parts = pc.split_pattern(lines, " ", max_splits=2, reverse=True)
        if not pc.all(pc.equal(pc.list_value_length(parts), 3)).as_py():
            return False
        names, values, times = (pc.list_element(parts, index) for index in range(3))
        try:
            found = pc.cast(pc.replace_substring(values, "+Inf", "inf"), pa.float64()).to_numpy()
            seconds = pc.cast(pc.utf8_rtrim(times, "\n"), pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            return False
        if not (np.abs(seconds) < _FURTHEST).all():
            return False
        coded = names.cast(pa.binary()).dictionary_encode()
        places = [self._known.get(name) for name in coded.dictionary.to_pylist()]
        if None in places:
            known = [self._place(name) for name in coded.dictionary.to_pylist()]
            if None in known:
                return False
            places = known
        series = np.array(places, np.int32)[coded.indices.to_numpy()]
        self._parts.append((series, np.rint(seconds * 1000).astype(np.int64), found))
        self._lines += len(ends)
        return True

    def _read(self, lines: list[bytes]) -> None:
        places: list[int] = []
        numbers: list[int] = []
        values: list[bytes] = []
        times: list[bytes] = []
        known, line_number = self._known, self._lines
        for line in lines:
            line_number += 1
            if self._ended:
                if line:
                    raise self._wrong(line_number, line, "comes after '# EOF': leave it out")
                continue
            if line.startswith(b"#"):
                self._ended = line == b"# EOF"
                continue
            parts = (line if b"#" not in line else _without_exemplar(line)).rsplit(b" ", 2)
            if len(parts) != 3:
                raise self._wrong(line_number, line, 'should be: name{label="value"} number seconds')
            place = known.get(parts[0])
            places.append(self._series(parts[0], line_number, line) if place is None else place)
            values.append(parts[1])
            times.append(parts[2])
            numbers.append(line_number)
        if places:
            part = self._parsed(places, values, times)
            if part is None:
                raise self._bad_number(numbers, values, times)
            self._parts.append(part)
        self._lines = line_number

    def _series(self, text: bytes, number: int, line: bytes) -> int:
        place = self._place(text)
        if place is None:
            why = 'should be: name{label="value"} number seconds, each sample with its time'
            raise self._wrong(number, line, why)
        return place

    def _place(self, text: bytes) -> int | None:
        labels = _labels(text)
        if labels is None:
            return None
        # One series may be written in two ways: its labels in another order.
        place = self._same.setdefault(tuple(sorted(labels.items())), len(self._labels))
        if place == len(self._labels):
            self._labels.append(labels)
        self._known[text] = place
        return place

    def _parsed(
        self, places: list[int], values: list[bytes], times: list[bytes]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]] | None:
        found, seconds = _numbers(values), _numbers(times)
        if found is None or seconds is None or not (np.abs(seconds) < _FURTHEST).all():
            return None
        return np.array(places, np.int32), np.rint(seconds * 1000).astype(np.int64), found

    def _bad_number(self, numbers: list[int], values: list[bytes], times: list[bytes]) -> SourceAnswer:
        for number, value, time in zip(numbers, values, times, strict=True):
            if _numbers([value]) is None:
                return self._wrong(number, value, "is no number")
            seconds = _numbers([time])
            if seconds is None or not abs(seconds[0]) < _FURTHEST:
                return self._wrong(number, time, "is no time in seconds since the epoch")
        return self._wrong(numbers[0], b"", "has numbers that can't be read")

    def _wrong(self, number: int, text: bytes, why: str) -> SourceAnswer:
        shown = "".join(c if c.isprintable() else " " for c in text[:80].decode(errors="replace"))
        return SourceAnswer(f"{self._path}:{number}: '{shown}' {why}")


def _labels(text: bytes) -> Mapping[str, str] | None:
    """The labels of a series as OpenMetrics writes it; None where it doesn't."""
    try:
        whole = text.decode().rstrip(" ")
    except UnicodeDecodeError:
        return None
    name = _NAME.match(whole)
    if name is None:
        return None
    labels = {"__name__": name[0]}
    inner = whole[name.end() :]
    if not inner:
        return labels
    if not (inner.startswith("{") and inner.endswith("}")):
        return None
    position, end = 1, len(inner) - 1
    while position < end:
        label = _LABEL.match(inner, position, end)
        if label is None or label[1] in labels:
            return None
        if any(escape not in _ESCAPED for escape in _ESCAPE.findall(label[2])):
            return None
        value = _ESCAPE.sub(lambda found: _ESCAPED[found[1]], label[2])
        if value:  # an empty label is none
            labels[label[1]] = value
        position = label.end()
    return labels


def _without_exemplar(line: bytes) -> bytes:
    found = _EXEMPLAR.fullmatch(line)
    return line if found is None else found[1]


def _numbers(texts: list[bytes]) -> NDArray[Any] | None:
    rows = b"\n".join(texts).replace(b"+Inf", b"inf")
    try:
        table = pacsv.read_csv(
            pa.py_buffer(rows),
            read_options=pacsv.ReadOptions(column_names=["number"], block_size=1 << 22),
            parse_options=pacsv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=pacsv.ConvertOptions(column_types={"number": pa.float64()}, null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    return table["number"].to_numpy() if table.num_rows == len(texts) else None
