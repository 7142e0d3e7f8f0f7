"""What one pull does to the store, in one transaction.

The samples of what was read are deleted and inserted by range, the increments of that range (and of the first sample
after it) computed anew from them, and the facts of the hours that they lie in from the increments. So the same pull
again changes no row, a late sample lands where it belongs, and many small pulls leave the same rows as a large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Final

import duckdb
import pyarrow as pa

from abkit.errors import InputError
from abkit.queries import EXPOSED_USERS, sql
from abkit.store.records import InputRow, Pull, Quality, Read, SeriesRow, Weight, Written

__all__ = ["MINUTES_KEPT_MS", "SHORTEST_KEPT_MS", "cutoff_of", "keep_rows", "run", "shown", "write_pull"]

_HOUR: Final = 3_600_000
MINUTES_KEPT_MS: Final = 48 * _HOUR
"""How long before the watermark facts are kept by minute; before that by hour."""

SHORTEST_KEPT_MS: Final = 72 * _HOUR
"""Samples are kept for at least this long: minutes become hours from them."""

_FAR: Final = 1 << 60
_MOST_WARNINGS: Final = 20

_SCRAPES_MISSED: Final = 5
_MISSED_MS: Final = 5 * 60_000
# A series that is missing in more scrapes than this, and for longer, has vanished.

_INPUTS = pa.schema(
    [("metric", "string"), ("role", "string"), ("input", "string"), ("selector", "string"), ("by_instance", pa.bool_())]
)
_SERIES = pa.schema(
    [
        ("series", pa.int64()),
        ("input", "string"),
        ("labels", "string"),
        ("variant", "string"),
        ("version", "string"),
        ("assignment", "string"),
        ("replicate", pa.int32()),
        ("instance", "string"),
        ("target", "string"),
        ("le", pa.float64()),
    ]
)
_WEIGHTS = pa.schema(
    [("from_ms", pa.int64()), ("to_ms", pa.int64()), ("variant", "string"), ("weight", pa.int32()), ("known", "string")]
)
_TWINS = pa.schema([("one", "string"), ("other", "string"), ("other_job", pa.bool_())])
_PULLED = pa.schema(
    [
        ("input", "string"),
        ("read_from_ms", pa.int64()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("from_ms", pa.int64()),
        ("to_ms", pa.int64()),
    ]
)


def run(connection: duckdb.DuckDBPyConnection, name: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run the statements of a file in `queries/sql/`, each with the parameters that it names.

    Returns:
        All rows of the last one. (A result that is not read to its end would block the connection.)
    """
    rows: list[tuple[Any, ...]] = []
    for statement in connection.extract_statements(sql(name)):
        connection.execute(statement, {key: values[key] for key in statement.named_parameters})
        rows = connection.fetchall()
    return rows


def write_pull(connection: duckdb.DuckDBPyConnection, pull: Pull, keep_ms: int | None = None) -> Written:
    """Write a pull.

    Args:
        connection: Open for writing.
        pull: What was read.
        keep_ms: How long before the watermark samples are kept; for ever where left out.

    Returns:
        What changed, and the experiment's quality now.

    Raises:
        InputError: It would change facts whose samples were dropped.
    """
    before = _number(run(connection, "store/count_samples"))
    connection.execute("BEGIN")
    try:
        quality = _write(connection, pull)
        if keep_ms is not None:
            run(connection, "store/drop_samples", experiment=pull.experiment, keep_ms=keep_ms)
        after = _number(run(connection, "store/count_samples"))
        connection.execute("COMMIT")
    except BaseException:
        # After a fatal error there is nothing left to roll back, and the first error is the one to tell.
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise
    return Written(pull.samples.num_rows, after - before, _series_read(pull), quality)


def _write(connection: duckdb.DuckDBPyConnection, pull: Pull) -> Quality:
    name = pull.experiment
    _register(connection, pull)
    old_start, old_end = _reach(connection, name)
    _check_kept(connection, name)
    stale = _number(run(connection, "store/outdated", experiment=name)) > 0
    run(connection, "store/prepare", experiment=name)
    late = 0
    first = min((_from(read) for read in pull.reads), default=-_FAR)
    if pull.reads:
        late = _number(run(connection, "store/late", experiment=name, from_ms=first))
        run(connection, "store/advance", experiment=name)
        run(connection, "store/delete_samples", experiment=name)
        run(connection, "store/insert_samples")
        run(connection, "store/span_series")
    keep_rows(connection, "spacings", "store/spacings", experiment=name)
    if pull.reads:
        run(connection, "store/delete_increments", experiment=name, from_ms=first)
        keep_rows(connection, "fresh", "increments", experiment=name, from_ms=first)
        run(connection, "store/insert_increments")
        run(connection, "store/insert_gauges", experiment=name, from_ms=first)
        run(connection, "store/mark_gaps", experiment=name)
    start, end = _reach(connection, name)
    if start is not None and end is not None:
        cutoff = cutoff_of(end)
        if stale or start != old_start:
            _facts(connection, name, -_FAR, _FAR, cutoff)
        else:
            # The cells at the old watermark were cut short there.
            changed = min([old_end or end, *(_from(read) for read in pull.reads)])
            last = max([end, *([_last(connection)] if pull.reads else [])])
            if old_end is not None and cutoff_of(old_end) < cutoff:
                _facts(connection, name, cutoff_of(old_end), min(cutoff, _hour(changed)), cutoff)
            _facts(connection, name, _hour(changed), _hour(last) + _HOUR, cutoff)
    quality = _quality(connection, pull, late, first)
    if old_start is not None and pull.window.start_ms > old_start:
        # What an earlier pull was told of what it read still holds: that was not read again.
        quality = _and_before(connection, quality, name)
    run(
        connection,
        "store/record_pull",
        experiment=name,
        start_ms=pull.window.start_ms,
        end_ms=pull.window.end_ms,
        source=pull.source,
        way=pull.way,
        samples=pull.samples.num_rows,
        series=_series_read(pull),
        quality=quality.to_json(),
    )
    return quality


def _check_kept(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Refuse what would have to be computed from samples that were dropped."""
    early = run(connection, "store/too_early", experiment=name)[0][0]
    if early is not None:
        msg = f"{name}: samples from before {shown(early)} were dropped and can't be read again in part"
        raise InputError(f"{msg}: read from then on, or pull all of it into a new store")
    series, inputs, until = run(connection, "store/final", experiment=name)[0]
    if series or inputs:
        what = f"{series} series are counted otherwise" if series else f"{inputs} inputs are kept by other units"
        msg = f"{name}: {what} by its file of today, and samples from before {shown(until)} were dropped"
        raise InputError(f"{msg}: take the change back, or give the changed experiment a name of its own")


def shown(moment_ms: int) -> str:
    """A moment as RFC 3339.

    >>> shown(1_793_491_200_000)
    '2026-11-01T00:00:00Z'
    """
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _register(connection: duckdb.DuckDBPyConnection, pull: Pull) -> None:
    connection.register("new_inputs", _table(pull.inputs, _INPUTS, InputRow))
    connection.register("new_series", _table(pull.series, _SERIES, SeriesRow))
    connection.register("new_weights", _table(pull.weights, _WEIGHTS, Weight))
    connection.register("new_cuts", pa.table({"at_ms": pa.array(pull.cuts, pa.int64())}))
    connection.register("new_samples", pull.samples)
    twins = [pa.array([pair[index] for pair in pull.twins], kind.type) for index, kind in enumerate(_TWINS)]
    connection.register("new_twins", pa.table(twins, schema=_TWINS))
    rows = [(r.input, r.read_from_ms, r.start_ms, r.end_ms, _from(r), r.end_ms) for r in pull.reads]
    columns = zip(*rows, strict=True) if rows else [()] * len(_PULLED)
    connection.register(
        "pulled",
        pa.table([pa.array(column, kind.type) for column, kind in zip(columns, _PULLED, strict=True)], schema=_PULLED),
    )


def _table(rows: Sequence[Any], schema: pa.Schema, kind: type) -> pa.Table:
    names = [entry.name for entry in fields(kind)]
    values = [tuple(getattr(row, name) for name in names) for row in rows]
    columns = dict(zip(names, zip(*values, strict=True), strict=True)) if values else dict.fromkeys(names, ())
    return pa.table([pa.array(columns[entry.name], entry.type) for entry in schema], schema=schema)


def _from(read: Read) -> int:
    # Older than what the source still holds (its retention), the stored samples are all there is: they stay.
    return read.read_from_ms if read.first_ms is None else max(read.read_from_ms, read.first_ms)


def _facts(connection: duckdb.DuckDBPyConnection, name: str, from_ms: int, to_ms: int, cutoff_ms: int) -> None:
    if from_ms >= to_ms:
        return
    keep_rows(connection, "fresh_facts", "facts", experiment=name, from_ms=from_ms, to_ms=to_ms, cutoff_ms=cutoff_ms)
    run(connection, "store/replace_facts", experiment=name, from_ms=from_ms, to_ms=to_ms)


def keep_rows(connection: duckdb.DuckDBPyConnection, table: str, query: str, **values: Any) -> None:
    """Run a query of `queries/sql/` into a temporary table of this connection."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {sql(query)}", values).fetchall()


def _quality(connection: duckdb.DuckDBPyConnection, pull: Pull, late: int, from_ms: int) -> Quality:
    row = run(connection, "quality", experiment=pull.experiment)[0]
    names = [column[0] for column in connection.description or ()]
    seen = {variant for (variant,) in run(connection, "store/variants_seen", experiment=pull.experiment)}
    missing = tuple(variant for variant in pull.variants if variant not in seen)
    counted = dict(zip(names, row, strict=True))
    interval = counted["scrape_interval_ms"] or 0
    tolerance = max(_SCRAPES_MISSED * interval, _MISSED_MS)
    gone = run(connection, "store/vanished", experiment=pull.experiment, tolerance_ms=tolerance)
    doubled = _number(run(connection, "store/doubled", experiment=pull.experiment)) if pull.twins else 0
    shares = run(connection, "effects", experiment=pull.experiment, interval_ms=interval)[0]
    effects = zip((column[0] for column in connection.description or ()), shares, strict=True)
    newest = _newest(connection, pull.experiment, from_ms)
    return replace(
        pull.quality,
        missing_variants=missing,
        vanished=dict(gone),
        doubled_targets=doubled,
        exposures=dict(run(connection, "store/exposures", experiment=pull.experiment, metric=EXPOSED_USERS)),
        late_samples=late,
        behind_ms=0 if newest is None else max(0, pull.window.end_ms - newest),
        effects={name: share for name, share in effects if share},
        **counted,
    )


def _newest(connection: duckdb.DuckDBPyConnection, name: str, from_ms: int) -> int | None:
    # Mostly it is one that was just written: all the others need not be looked at.
    for start in (from_ms, -_FAR):
        found = run(connection, "store/newest", experiment=name, from_ms=start)[0][0]
        if found is not None:
            return int(found)
    return None


def _and_before(connection: duckdb.DuckDBPyConnection, quality: Quality, name: str) -> Quality:
    rows = run(connection, "store/latest_pull", experiment=name)
    if not rows:
        return quality
    before = Quality.from_json(rows[0][1])
    return replace(
        quality,
        late_samples=before.late_samples + quality.late_samples,
        approximate=before.approximate or quality.approximate,
        warnings=tuple(dict.fromkeys((*before.warnings, *quality.warnings)))[-_MOST_WARNINGS:],
    )


def _reach(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[int | None, int | None]:
    row = run(connection, "store/reach", experiment=name)[0]
    return row[0], row[1]


def _last(connection: duckdb.DuckDBPyConnection) -> int:
    return int(run(connection, "store/last_change")[0][0] or 0)


def _number(rows: list[tuple[Any, ...]]) -> int:
    return int(rows[0][0])


def _series_read(pull: Pull) -> int:
    return int(pull.samples["series"].unique().__len__())


def cutoff_of(end_ms: int) -> int:
    """From when on facts are kept by minute, of what was read until here."""
    return _hour(end_ms - MINUTES_KEPT_MS)


def _hour(moment_ms: int) -> int:
    return moment_ms - moment_ms % _HOUR
