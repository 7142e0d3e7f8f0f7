"""Looks after the file: is it sound, could it be smaller, and a copy of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from abkit.errors import InputError, StoreUnusable
from abkit.queries.sql import sql
from abkit.store.connection import CONFIG, connected, located, translated
from abkit.store.schema import check_version, migrate
from abkit.store.undo import sync_folder
from abkit.store.writing import cutoff_of, keep_rows, run

__all__ = ["Compacted", "Condition", "backup", "check", "compact"]

_FAR: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Condition:
    """What a check found.

    Attributes:
        version: Of the tables.
        size: Bytes.
        rows: Table → number of rows.
        faults: A sentence for each thing that is wrong; none in a sound store.
    """

    version: int
    size: int
    rows: dict[str, int]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compacted:
    """Bytes of the file before and after it was written anew."""

    before: int
    after: int


def check(path: Path, *, wait: float) -> Condition:
    """Read every value of every table, and hold against each other what can be.

    Facts are computed anew from the increments that are kept and must be equal, to the last digit.

    Args:
        path: The store.
        wait: Seconds to wait for others.

    Raises:
        StoreError: It is locked, can't be read at all, or is of a newer abkit.
    """
    with connected(path, read_only=True, wait=wait) as connection:
        version = check_version(connection, path)
        rows = {str(name): int(found) for name, found, _ in run(connection, "store/read_tables")}
        faults = [f"{found} {what}" for what, found in run(connection, "store/faults")]
        for (name,) in run(connection, "store/experiments"):
            end = run(connection, "store/reach", experiment=name)[0][1]
            if end is None:
                continue
            span = {"from_ms": -_FAR, "to_ms": _FAR, "cutoff_ms": cutoff_of(int(end))}
            keep_rows(connection, "fresh_facts", "facts", experiment=name, **span)
            unequal = int(run(connection, "store/unequal_facts", experiment=name)[0][0])
            if unequal:
                faults.append(f"{unequal} facts of {name} that are not the sums of their increments")
    return Condition(version, path.stat().st_size, rows, tuple(faults))


def compact(path: Path, *, wait: float) -> Compacted:
    """Write the file anew, without the room that deleted rows left; others wait meanwhile.

    The new file is written beside the old one, compared with it, and renamed into its place: a crash at any point
    leaves the old one or the new one.

    Args:
        path: The store.
        wait: Seconds to wait for others.

    Raises:
        StoreError: It is locked or can't be read, or the new file can't be written or is not equal.
    """
    path = located(path)
    begun = path.with_name(f".{path.name}.compact")
    before = path.stat().st_size if path.exists() else 0
    done = False

    def put_in_place() -> None:
        # A log that could not be moved into the old file is not the new one's.
        if done and not path.with_name(f"{path.name}.wal").exists():
            with begun.open("rb") as file:
                os.fsync(file.fileno())
            begun.rename(path)
            sync_folder(path.parent)
        _remove(begun)

    if not path.exists():
        msg = f"{path}: no store here: run abkit pull first, or name the store with --db"
        raise StoreUnusable(msg)
    with connected(path, read_only=False, wait=wait, alone=True, then=put_in_place) as connection:
        migrate(connection, check_version(connection, path))
        _remove(begun)
        _copy(connection, path, begun)
        done = True
    return Compacted(before, path.stat().st_size)


def _copy(connection: duckdb.DuckDBPyConnection, path: Path, begun: Path) -> None:
    """All rows into a new file; read back, they are the same."""
    name = str(connection.execute("SELECT current_database()").fetchall()[0][0]).replace('"', '""')
    marks = run(connection, "store/read_tables")
    connection.execute(f"ATTACH '{_quoted(begun)}' AS abkit_rewritten")
    connection.execute(sql("store/copy_into").replace("original", f'"{name}"')).fetchall()
    connection.execute("CHECKPOINT abkit_rewritten").fetchall()
    connection.execute("USE abkit_rewritten")
    copied = run(connection, "store/read_tables")
    connection.execute(f'USE "{name}"')
    connection.execute("DETACH abkit_rewritten")
    if copied != marks:
        msg = f"{path}: the rewritten file is not equal: it was left as it is: run abkit store check"
        raise StoreUnusable(msg)


def backup(path: Path, target: Path, *, wait: float) -> int:
    """Copy the store while others may use it: what was committed, whole; writers wait while the bytes are copied.

    Args:
        path: The store.
        target: Where to; nothing may be there.
        wait: Seconds to wait for others.

    Returns:
        Bytes of the copy.

    Raises:
        InputError: There is something already, or it can't be written there.
        StoreError: The store is locked, damaged or of a newer abkit.
    """
    path = located(path)
    if target.exists() or target.is_symlink():
        msg = f"{target}: exists already: name another place"
        raise InputError(msg)
    begun = target.with_name(f".{target.name}.begun")
    log = begun.with_name(f"{begun.name}.wal")
    handles: list[int] = []
    try:
        with connected(path, read_only=True, wait=wait, then=lambda: _close(handles)) as connection:
            check_version(connection, path)
            # DuckDB's lock is the process': a handle that is closed while the connection is open would give it up.
            for source, copy in ((path, begun), (path.with_name(f"{path.name}.wal"), log)):
                if source.exists():
                    handles.append(os.open(source, os.O_RDONLY))
                    with copy.open("wb") as file:
                        shutil.copyfileobj(os.fdopen(handles[-1], "rb", closefd=False), file, 1 << 20)
        with translated(target), duckdb.connect(begun, config=dict(CONFIG)) as copied:
            check_version(copied, target)
        with begun.open("rb") as file:
            os.fsync(file.fileno())
        begun.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        msg = f"{target}: can't be written: {error.strerror}: name another place"
        raise InputError(msg) from None
    finally:
        _remove(begun)
    return target.stat().st_size


def _close(handles: Iterable[int]) -> None:
    for handle in handles:
        os.close(handle)


def _remove(begun: Path) -> None:
    for path in (begun, begun.with_name(f"{begun.name}.wal")):
        path.unlink(missing_ok=True)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
