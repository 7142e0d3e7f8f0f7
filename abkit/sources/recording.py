"""A Parquet recording as a source: what a Prometheus held over a window, in one file.

Columns, sorted by series and then time: `labels` (canonical JSON of the label mapping, `__name__` included; dictionary
encoded), `timestamp` (int64, milliseconds since the epoch) and `value` (double, as scraped). The file's key-value
metadata has `abkit.recording`: JSON with `start_ms`, `end_ms` (half-open) and whatever its writer adds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from abkit.errors import SourceAnswer, SourceUnreachable
from abkit.sources.base import Samples
from abkit.sources.columns import BATCH, Columns
from abkit.window import Window

__all__ = ["RecordingSource"]

_COLUMNS: Final = ("labels", "timestamp", "value")


class RecordingSource:
    """Samples of a Parquet file; loaded once, at the first use.

    Args:
        path: The file.
        batch: Most samples in one batch that `fetch` yields.

    Raises:
        SourceUnreachable: The file is missing or can't be read.
        SourceAnswer: It is not a recording, or damaged. (Both when it is first used.)
    """

    way: Final = "recording"
    warnings: tuple[str, ...] = ()

    def __init__(self, path: Path | str, *, batch: int = BATCH) -> None:
        self._path = Path(path)
        self._batch = batch
        self._loaded: Columns | None = None

    @property
    def name(self) -> str:
        """`recording` and the file's name."""
        return f"recording {self._path.name}"

    def span(self) -> Window:
        """The window that was recorded."""
        return self._columns().span

    def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
        """Raw samples of a selector in a window: see `abkit.sources.base.Source.fetch`."""
        yield from self._columns().fetch(selector, window, self._batch)

    def close(self) -> None:
        """Let go of the loaded columns."""
        self._loaded = None

    def _columns(self) -> Columns:
        if self._loaded is None:
            self._loaded = _load(self._path)
        return self._loaded


def _load(path: Path) -> Columns:
    if path.is_dir():
        msg = f"{path}: can't be read: is a folder: name the recording in it"
        raise SourceUnreachable(msg)
    try:
        with pq.ParquetFile(path, read_dictionary=["labels"]) as file:
            metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
            header = metadata.get(b"abkit.recording")
            missing = [column for column in _COLUMNS if column not in file.schema_arrow.names]
            table = None if header is None or missing else file.read(columns=list(_COLUMNS))
    except FileNotFoundError:
        msg = f"{path}: no such recording: check the path"
        raise SourceUnreachable(msg) from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise _damaged(path, f"is not a Parquet file, or damaged: {_first_line(error)}") from None
    except OSError as error:
        # pyarrow raises OSError for damaged pages too; the system's own errors carry a number.
        if error.errno is None:
            raise _damaged(path, f"is damaged: {_first_line(error)}") from None
        msg = f"{path}: can't be read: {error.strerror}"
        raise SourceUnreachable(msg) from None
    if table is None:
        why = f"lacks column {', '.join(missing)}" if missing else "lacks the metadata 'abkit.recording'"
        raise _damaged(path, f"is a Parquet file but not a recording: it {why}")
    try:
        return _columns(path, _span(path, header or b""), table)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise _damaged(path, f"has a column of the wrong type: {_first_line(error)}") from None


def _span(path: Path, header: bytes) -> Window:
    try:
        fields = json.loads(header)
        window = Window(int(fields["start_ms"]), int(fields["end_ms"]))
    except (ValueError, KeyError, TypeError):
        raise _damaged(path, "has metadata 'abkit.recording' without start_ms and end_ms") from None
    if window.end_ms <= window.start_ms:
        raise _damaged(path, "ends before it starts")
    return window


def _columns(path: Path, span: Window, table: pa.Table) -> Columns:
    if any(table[column].null_count for column in _COLUMNS):
        raise _damaged(path, "has empty cells")
    timestamps = _numbers(table["timestamp"], pa.int64())
    values = _numbers(table["value"], pa.float64())
    encoded = table["labels"]
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.cast(pa.string()).dictionary_encode()
    encoded = encoded.unify_dictionaries()
    if len(timestamps) == 0:
        return Columns(span, [], np.zeros(1, np.int64), timestamps, values)
    texts: list[Any] = encoded.chunk(0).dictionary.to_pylist()
    codes = np.concatenate([np.asarray(chunk.indices) for chunk in encoded.chunks])
    starts = np.flatnonzero(np.diff(codes, prepend=codes[0] - 1))
    order = codes[starts]
    if len(np.unique(order)) != len(order):
        raise _damaged(path, "is not sorted by series: a series lies in two places")
    rising = np.diff(timestamps) > 0
    rising[starts[1:] - 1] = True
    if not rising.all():
        raise _damaged(path, f"is not sorted by time within a series (row {int(np.argmin(rising)) + 2:,})")
    inside = (timestamps >= span.start_ms) & (timestamps < span.end_ms)
    if not inside.all():
        raise _damaged(path, f"has a sample outside its own window (row {int(np.argmin(inside)) + 1:,})")
    labels = [_labels(path, texts[code]) for code in order]
    return Columns(span, labels, np.append(starts, len(codes)), timestamps, values)


def _numbers(column: pa.ChunkedArray, wanted: pa.DataType) -> NDArray[Any]:
    return column.cast(wanted).combine_chunks().to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _labels(path: Path, text: Any) -> Mapping[str, str]:
    try:
        labels = json.loads(text)
    except (ValueError, TypeError):
        labels = None
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise _damaged(path, f"has labels that are not a JSON mapping of texts: {str(text)[:60]}")
    return labels


def _damaged(path: Path, why: str) -> SourceAnswer:
    return SourceAnswer(f"{path}: {why}: get the recording again, or name another file")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
