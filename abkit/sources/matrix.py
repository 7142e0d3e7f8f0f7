"""Decodes Prometheus' JSON for a range vector: `resultType` matrix, samples as scraped.

The values are most of the text and all of one form, `[1700000000.123,"12"],…`. They are cut out of the text and parsed
as a table of numbers by Arrow, twice as fast as any JSON parser makes Python objects of them. A server that writes its
JSON in another order or with spaces is understood all the same, more slowly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from abkit.errors import SourceAnswer
from abkit.sources.answers import native_histograms, plain

__all__ = ["Matrix", "decode_matrix"]

_HEAD: Final = b'{"status":"success","data":{"resultType":"matrix","result":['
_METRIC: Final = b'{"metric":'
_VALUES: Final = b',"values":[['


@dataclass(frozen=True, slots=True)
class Matrix:
    """A range vector.

    Attributes:
        labels: One mapping a series.
        lengths: Samples of each series.
        timestamps: Milliseconds, of all series in turn.
        values: As scraped.
        warnings: What the server said beside it.
    """

    labels: tuple[Mapping[str, str], ...]
    lengths: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    values: NDArray[np.float64]
    warnings: tuple[str, ...]


def decode_matrix(body: bytes) -> Matrix:
    """Decode an answer.

    Args:
        body: JSON, as `/api/v1/query` answers with status 200.

    Raises:
        SourceAnswer: It is not JSON, cut, an error or of another type; says what it is, not where from.

    >>> answer = decode_matrix(
    ...     b'{"status":"success","data":{"resultType":"matrix","result":['
    ...     b'{"metric":{"__name__":"up"},"values":[[1700000000.5,"1"],[1700000015.5,"+Inf"]]}]}}'
    ... )
    >>> answer.timestamps.tolist(), answer.values.tolist()
    ([1700000000500, 1700000015500], [1.0, inf])
    """
    return _cut(body) or _parse(body)


def _cut(body: bytes) -> Matrix | None:
    """The fast way; None where the text is not of the usual form."""
    if not body.startswith(_HEAD):
        return None
    labels: list[Mapping[str, str]] = []
    pieces: list[bytes] = []
    position = len(_HEAD)
    while body.startswith(_METRIC, position):
        # In a JSON string these quotes would be escaped: the first match is structure.
        values = body.find(_VALUES, position)
        end = body.find(b"]]", values)
        if values < 0 or end < 0:
            return None
        try:
            labels.append(json.loads(body[position + len(_METRIC) : values]))
        except ValueError:
            return None
        pieces.append(body[values + len(_VALUES) : end])
        position = end + 3
        if body[end + 2 : position] != b"}":
            return None
        if body.startswith(b",", position):
            position += 1
    if not body.startswith(b"]}", position):
        return None
    try:
        tail = json.loads(b'{"data":0' + body[position + 2 :])
    except ValueError:
        return None
    lengths = np.array([piece.count(b"],[") + 1 for piece in pieces], dtype=np.int64)
    if not pieces:
        return Matrix((), lengths, np.zeros(0, np.int64), np.zeros(0), _warnings(tail))
    rows = b"\n".join(pieces).replace(b"],[", b"\n").replace(b'"', b"").replace(b"+Inf", b"inf")
    try:
        table = pacsv.read_csv(
            pa.py_buffer(rows),
            read_options=pacsv.ReadOptions(column_names=["time", "value"], block_size=1 << 22),
            parse_options=pacsv.ParseOptions(quote_char=False),
            convert_options=pacsv.ConvertOptions(
                column_types={"time": pa.float64(), "value": pa.float64()}, null_values=[]
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != int(lengths.sum()) or not _are_labels(labels):
        return None
    return Matrix(
        tuple(labels),
        lengths,
        _milliseconds(table["time"].to_numpy()),
        table["value"].to_numpy(),
        _warnings(tail),
    )


def _parse(body: bytes) -> Matrix:
    """The thorough way: any JSON, every type checked."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise _not_json(body) from None
    if not isinstance(answer, dict) or "status" not in answer:
        raise SourceAnswer("answers JSON that is not Prometheus' (no status)")
    if answer["status"] != "success":
        raise SourceAnswer(f"answers with an error: {plain(answer.get('error', answer['status']))}")
    data = answer.get("data")
    kind, result = (data.get("resultType"), data.get("result")) if isinstance(data, dict) else (None, None)
    if kind != "matrix" or not isinstance(result, list):
        raise SourceAnswer(f"answers with {plain(kind)} where samples (matrix) were asked for")
    labels: list[Mapping[str, str]] = []
    times: list[float] = []
    values: list[float] = []
    lengths: list[int] = []
    for series in result:
        if isinstance(series, dict) and series.get("histograms"):
            named = series.get("metric")
            raise native_histograms(named if isinstance(named, dict) else {})
        try:
            labels.append(dict(series["metric"]))
            lengths.append(len(series["values"]))
            for time, value in series["values"]:
                times.append(float(time))
                values.append(float(value))
        except (KeyError, TypeError, ValueError):
            raise SourceAnswer('answers with samples that are not [time, "value"] pairs') from None
    if not _are_labels(labels):
        raise SourceAnswer("answers with labels that are not texts")
    return Matrix(
        tuple(labels),
        np.array(lengths, dtype=np.int64),
        _milliseconds(np.array(times, dtype=np.float64)),
        np.array(values, dtype=np.float64),
        _warnings(answer),
    )


def _milliseconds(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    if not np.isfinite(seconds).all():
        raise SourceAnswer("answers with a sample that has no time")
    return np.rint(seconds * 1000).astype(np.int64)


def _are_labels(labels: list[Mapping[str, str]]) -> bool:
    return all(isinstance(each, dict) and all(isinstance(value, str) for value in each.values()) for each in labels)


def _warnings(answer: Mapping[str, Any]) -> tuple[str, ...]:
    said = answer.get("warnings")
    return tuple(plain(text) for text in said) if isinstance(said, list) else ()


def _not_json(body: bytes) -> SourceAnswer:
    start = body[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return SourceAnswer("answers HTML, not JSON: is the URL the base of a Prometheus, and no login page before it?")
    if start.startswith(b"{"):
        return SourceAnswer("answers JSON that breaks off or is malformed")
    return SourceAnswer(f"answers something that is not JSON: {plain(body[:60].decode(errors='replace'))!r}")
