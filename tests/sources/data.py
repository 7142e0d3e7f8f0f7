"""Hand-made samples, as a recording and as OpenMetrics text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from abkit.queries.selectors import parse_selector
from abkit.sources.base import Samples, Source
from abkit.window import Window

__all__ = ["MemorySource", "Series", "columns", "exposition", "fetched", "openmetrics", "write_recording"]


@dataclass(frozen=True, slots=True)
class Series:
    """A series and its samples (ms, value)."""

    labels: Mapping[str, str]
    points: Sequence[tuple[int, float]]


class MemorySource:
    """Hand-made series as a source that, like a live server, does not say what it covers."""

    name = "memory"
    way = "memory"

    def __init__(self, series: Sequence[Series], warnings: tuple[str, ...] = ()) -> None:
        self.series = list(series)
        self.warnings = warnings
        self.asked: list[tuple[str, Window]] = []

    def span(self) -> Window | None:
        return None

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        self.asked.append((selector, window))
        parsed = parse_selector(selector)
        for each in self.series:
            points = [(t, v) for t, v in each.points if window.start_ms <= t < window.end_ms]
            if points and parsed.matches(each.labels):
                yield Samples(
                    (each.labels,),
                    np.zeros(len(points), np.int32),
                    np.array([t for t, _ in points], np.int64),
                    np.array([v for _, v in points], np.float64),
                )

    def close(self) -> None:
        """Nothing to let go of."""


def write_recording(series: Sequence[Series], path: Path, window: Window) -> Path:
    """A recording of these series."""
    ordered = sorted(series, key=lambda each: _text(each.labels))
    texts = [_text(each.labels) for each in ordered for _ in each.points]
    points = [point for each in ordered for point in each.points]
    header = json.dumps({"start_ms": window.start_ms, "end_ms": window.end_ms})
    table = pa.table(
        {
            "labels": pa.array(texts, pa.string()).dictionary_encode(),
            "timestamp": pa.array([moment for moment, _ in points], pa.int64()),
            "value": pa.array([value for _, value in points], pa.float64()),
        }
    ).replace_schema_metadata({"abkit.recording": header})
    pq.write_table(table, path)
    return path


def openmetrics(series: Sequence[Series]) -> Iterator[str]:
    """OpenMetrics text of these series, all of type unknown."""
    for name in sorted({each.labels["__name__"] for each in series}):
        yield f"# TYPE {name} unknown\n"
        for each in series:
            if each.labels["__name__"] == name:
                inner = ",".join(
                    f'{key}="{_escaped(value)}"' for key, value in each.labels.items() if key != "__name__"
                )
                for moment, value in each.points:
                    yield f"{name}{{{inner}}} {_number(value)} {moment // 1000}.{moment % 1000:03d}\n"
    yield "# EOF\n"


def exposition(series: Sequence[Series]) -> Iterator[str]:
    """The same as lines with milliseconds, as Prometheus' text format and VictoriaMetrics have them."""
    for each in series:
        inner = ",".join(f'{key}="{_escaped(value)}"' for key, value in each.labels.items() if key != "__name__")
        for moment, value in each.points:
            yield f"{each.labels['__name__']}{{{inner}}} {_number(value)} {moment}\n"


def fetched(source: Source, selector: str, window: Window) -> dict[str, list[tuple[int, float | str]]]:
    """What a source returns: labels as text → samples; NaN as text, so that it equals itself."""
    found: dict[str, list[tuple[int, float | str]]] = {}
    for batch in source.fetch(selector, window):
        for label, points in columns(batch):
            found.setdefault(_text(label), []).extend(points)
    return found


def columns(batch: Samples) -> Iterator[tuple[Mapping[str, str], list[tuple[int, float | str]]]]:
    """A batch, series by series."""
    for index, labels in enumerate(batch.labels):
        mine = batch.series == index
        yield (
            labels,
            [
                (int(moment), "NaN" if math.isnan(value) else float(value))
                for moment, value in zip(batch.timestamps[mine], batch.values[mine], strict=True)
            ],
        )


def _text(labels: Mapping[str, str]) -> str:
    return json.dumps(labels, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf") if math.isinf(value) else repr(value)
