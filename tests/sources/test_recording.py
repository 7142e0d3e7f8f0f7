from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from abkit.errors import SourceAnswer, SourceUnreachable
from abkit.resources import folder
from abkit.sources.recording import RecordingSource
from abkit.window import Window
from tests.sources.data import Series, fetched, write_recording

WINDOW = Window(1_000, 100_000)
GOOD = {"labels": ['{"__name__":"a"}'] * 2, "timestamp": [1_000, 2_000], "value": [1.0, 2.0]}
HEADER = {"start_ms": 1_000, "end_ms": 100_000}


def _file(tmp_path: Path, columns: dict[str, Any], header: object = HEADER, *, mark: bool = True) -> Path:
    table = pa.table(columns)
    if mark:
        table = table.replace_schema_metadata({"abkit.recording": json.dumps(header)})
    pq.write_table(table, tmp_path / "x.parquet")
    return tmp_path / "x.parquet"


def test_plain_text_labels_are_read_too(tmp_path: Path) -> None:
    assert fetched(RecordingSource(_file(tmp_path, GOOD)), "a", WINDOW) == {
        '{"__name__":"a"}': [(1000, 1.0), (2000, 2.0)]
    }


def test_many_row_groups_are_one_series(tmp_path: Path) -> None:
    points = [(1_000 + i, float(i)) for i in range(5_000)]
    path = write_recording(
        [Series({"__name__": "a"}, points), Series({"__name__": "b"}, points)], tmp_path / "x", WINDOW
    )
    table = pq.read_table(path, read_dictionary=["labels"])
    pq.write_table(table, path, row_group_size=777)
    assert fetched(RecordingSource(path), "b", Window(2_000, 2_003)) == {
        '{"__name__":"b"}': [(2_000, 1_000.0), (2_001, 1_001.0), (2_002, 1_002.0)]
    }


def test_an_empty_recording_has_a_span_and_no_samples(tmp_path: Path) -> None:
    source = RecordingSource(write_recording([], tmp_path / "x", WINDOW))
    assert source.span() == WINDOW
    assert list(source.fetch("a", WINDOW)) == []


@pytest.mark.parametrize(
    ("change", "header", "why"),
    [
        ({"value": [1.0, None]}, HEADER, "empty cells"),
        ({"value": ["x", "y"]}, HEADER, "wrong type"),
        ({"timestamp": [2_000, 1_000]}, HEADER, "not sorted by time"),
        ({"timestamp": [1_000, 1_000]}, HEADER, "not sorted by time"),
        ({"timestamp": [1_000, 100_000]}, HEADER, "outside its own window"),
        ({"labels": ["not json"] * 2}, HEADER, "not a JSON mapping"),
        ({"labels": ['{"__name__":1}'] * 2}, HEADER, "not a JSON mapping"),
        ({}, {"start_ms": 1}, "without start_ms and end_ms"),
        ({}, {"start_ms": 2, "end_ms": 1}, "ends before it starts"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: dict[str, Any], header: object, why: str) -> None:
    path = _file(tmp_path, GOOD | change, header)
    with pytest.raises(SourceAnswer, match=why) as raised:
        RecordingSource(path).span()
    assert str(path) in str(raised.value)


def test_a_series_in_two_places(tmp_path: Path) -> None:
    columns = {
        "labels": ['{"__name__":"a"}', '{"__name__":"b"}', '{"__name__":"a"}'],
        "timestamp": [1_000, 1_000, 2_000],
        "value": [1.0, 1.0, 1.0],
    }
    with pytest.raises(SourceAnswer, match="not sorted by series"):
        RecordingSource(_file(tmp_path, columns)).span()


def test_other_parquet_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(SourceAnswer, match="metadata"):
        RecordingSource(_file(tmp_path, GOOD, mark=False)).span()
    with pytest.raises(SourceAnswer, match="lacks column value"):
        RecordingSource(_file(tmp_path, {key: GOOD[key] for key in ("labels", "timestamp")})).span()


def test_what_is_no_parquet(tmp_path: Path) -> None:
    text, cut, whole = tmp_path / "text", tmp_path / "cut", _file(tmp_path, GOOD)
    text.write_text("hello")
    cut.write_bytes(whole.read_bytes()[:-20])
    flipped = bytearray(whole.read_bytes())
    flipped[4:200] = bytes(196)
    (tmp_path / "flipped").write_bytes(flipped)
    (tmp_path / "empty").touch()
    for name in ("text", "cut", "flipped", "empty"):
        with pytest.raises(SourceAnswer, match="damaged"):
            RecordingSource(tmp_path / name).span()


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="no such recording"):
        RecordingSource(tmp_path / "nobody.parquet").span()
    with pytest.raises(SourceUnreachable, match="can't be read"):
        RecordingSource(tmp_path).span()


def test_the_example_recording() -> None:
    source = RecordingSource(folder("data") / "recordings" / "buy-now-button.parquet")
    span = source.span()
    samples = list(source.fetch('ab_page_views_total{ab_experiment="buy-now-button"}', span))
    assert sum(len(batch.timestamps) for batch in samples) > 100_000
    assert {labels["ab_variant"] for batch in samples for labels in batch.labels} == {"control", "treatment"}
    assert not any(math.isnan(value) for batch in samples for value in batch.values[:10])
