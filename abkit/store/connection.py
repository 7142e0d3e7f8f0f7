"""Opens the DuckDB file, waits a bounded time for its lock, and turns DuckDB's complaints into abkit's."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Final

import duckdb

from abkit.errors import StoreError, StoreLocked, StoreUnusable, StoreVersion
from abkit.queries.sql import sql
from abkit.store.turns import Place, TooLate, place_of, turn
from abkit.store.undo import keep, recover, undo_path

__all__ = ["CONFIG", "connected", "located", "translated"]

# Extensions beyond the bundled ones can't be downloaded everywhere, and a reader must not try.
CONFIG: Final = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
# A pull holds a bounded number of samples; what DuckDB does with them stays within this much memory, and beyond it
# goes to the disk beside the store. (Its default is 80 % of what the machine or the container has.)
_MOST_MEMORY: Final = "1 GiB"
_SIZES: Final = {"bytes": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}
_PAUSE: Final = 0.02
"""Seconds between two attempts to open a file that another process has."""


def located(path: Path) -> Path:
    """The file itself, by whichever link it was named: DuckDB's log lies beside it, and so must all that abkit keeps.

    Raises:
        StoreUnusable: The path names no file.
    """
    if not path.name:
        msg = f"{path}: is a folder, not a store: name a file with --db"
        raise StoreUnusable(msg)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextmanager
def connected(
    path: Path, *, read_only: bool, wait: float, alone: bool = False, then: Callable[[], None] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the store's file, closed at the end; what a writer committed lies in the file then.

    Args:
        path: The file.
        read_only: Open for reading, beside other readers.
        wait: Seconds to wait for other threads and processes.
        alone: Let nobody in until `then` has been called.
        then: Called when the connection is closed, whether or not there was an error.

    Raises:
        StoreLocked: Others still have it.
        StoreUnusable: It can't be opened, or DuckDB fails in the block.
        StoreVersion: A newer DuckDB wrote it.
    """
    deadline = time.monotonic() + wait
    path = located(path)
    place = place_of(path)
    with ExitStack() as held:
        try:
            held.enter_context(place.taken(read_only=read_only, deadline=deadline))
            if alone:
                held.enter_context(turn(path, read_only=False, deadline=deadline))
            connection = _open(path, place, read_only=read_only, alone=alone, deadline=deadline)
        except TooLate as late:
            raise _locked(path, late.process, wait) from None
        # DuckDB's lock is the process': closing any handle of the file gives it up, so this one goes last.
        if then is not None:
            held.callback(then)
        handles = held.enter_context(ExitStack())
        try:
            with translated(path):
                yield connection
                if not read_only:
                    _settle(connection, path, handles)
        finally:
            with translated(path), place.condition:
                place.connections -= 1
                connection.close()


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn DuckDB's errors in the block into the store's."""
    try:
        yield
    except duckdb.Error as error:
        raise _unusable(path, error) from None


def _open(path: Path, place: Place, *, read_only: bool, alone: bool, deadline: float) -> duckdb.DuckDBPyConnection:
    if read_only and not path.exists():
        msg = f"{path}: no store here: run abkit pull first, or name the store with --db"
        raise StoreUnusable(msg)
    if not read_only:
        with nullcontext() if alone else turn(path, read_only=False, deadline=deadline):
            while (connection := _try(path, place, read_only=False, deadline=deadline)) is None:
                time.sleep(_PAUSE)
            return connection
    while True:
        with turn(path, read_only=True, deadline=deadline):
            if (connection := _try(path, place, read_only=True, deadline=deadline)) is not None:
                return connection
        time.sleep(_PAUSE)


def _try(path: Path, place: Place, *, read_only: bool, deadline: float) -> duckdb.DuckDBPyConnection | None:
    """Open it; None where another process has it and there is time left.

    Raises:
        TooLate: There is none.
        StoreUnusable: It can't be opened.
    """
    try:
        with place.condition:
            if not place.connections:
                _prepare(path, read_only=read_only)
            connection = _set_up(duckdb.connect(path, read_only=read_only, config=dict(CONFIG)), read_only=read_only)
            place.connections += 1
    except BlockingIOError:
        holder = None
    except duckdb.Error as error:
        if not _is_lock(error):
            raise _unusable(path, error) from None
        found = re.search(r"\(PID (\d+)\)", str(error))
        holder = int(found[1]) if found else os.getpid()
    else:
        return connection
    if time.monotonic() >= deadline:
        raise TooLate(holder)
    return None


def _prepare(path: Path, *, read_only: bool) -> None:
    """What comes before the first connection of this process: other files refused, a killed checkpoint undone.

    Raises:
        BlockingIOError: Another process has the file.
        StoreUnusable: It can't be opened.
    """
    _check_kind(path)
    try:
        recover(path)
    except BlockingIOError:
        raise
    except OSError as error:
        msg = f"{path}: a job was killed while it wrote, and {undo_path(path).name} can't be put back: {error.strerror}"
        raise StoreUnusable(f"{msg}: run abkit store check where both can be written") from None
    if not read_only and not path.exists():
        # DuckDB makes a file piece by piece: nobody must find half of one.
        begun = path.with_name(f".{path.name}.new")
        begun.unlink(missing_ok=True)
        duckdb.connect(begun, config=dict(CONFIG)).close()
        begun.rename(path)


def _settle(connection: duckdb.DuckDBPyConnection, path: Path, handles: ExitStack) -> None:
    """Move what was committed from the log into the file. Where that fails, the next one who opens it does it."""
    log = path.with_name(f"{path.name}.wal")
    if not log.exists():
        return
    blocks = [int(block) for (block,) in connection.execute(sql("store/metadata_blocks")).fetchall()]
    try:
        keep(path, handles.enter_context(path.open("rb")), blocks)
        connection.execute(sql("store/checkpoint")).fetchall()
        undo_path(path).unlink()
    except OSError as error:
        msg = (
            f"{path}: can't be written: {error.strerror}: check the room on the disk; {log.name} keeps what was pulled"
        )
        raise StoreUnusable(msg) from None


def _set_up(connection: duckdb.DuckDBPyConnection, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    if not read_only:
        for statement in connection.extract_statements(sql("store/hold_checkpoints")):
            connection.execute(statement).fetchall()
    return _bounded(connection)


def _bounded(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Lower the limit of DuckDB's memory; a lower one, as in a small container, stays."""
    rows = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    if _size(str(rows[0][0])) > _size(_MOST_MEMORY):
        connection.execute(f"SET memory_limit = '{_MOST_MEMORY}'")
    return connection


def _size(text: str) -> float:
    """Bytes of a size as DuckDB writes it.

    >>> _size("1.5 KiB")
    1536.0
    """
    number, unit = text.split()
    return float(number) * 1024.0 ** _SIZES[unit]


def _check_kind(path: Path) -> None:
    """Refuse other files before DuckDB sees them: for some of them it would look for an extension."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except FileNotFoundError:
        return
    except OSError as error:
        msg = f"{path}: can't be used: {error.strerror}: name another store with --db"
        raise StoreUnusable(msg) from None
    if head[8:] != b"DUCK":
        msg = f"{path}: is not a DuckDB file: name another store with --db; it was left as it is"
        raise StoreUnusable(msg)


def _is_lock(error: duckdb.Error) -> bool:
    text = str(error)
    # The others are this process' own: a reader and a writer in two threads, and one that is just closing the file.
    own = ("with a different configuration", "is already attached by database")
    return "Could not set lock" in text or any(words in text for words in own)


def _locked(path: Path, process: int | None, wait: float) -> StoreLocked:
    mine = "another connection of this process"
    who = mine if process == os.getpid() else f"process {process}" if process else "another process"
    return StoreLocked(
        f"{path}: locked by {who} for more than {wait:g} s: wait for it to end, or end it, and try again"
    )


def _unusable(path: Path, error: duckdb.Error) -> StoreError:
    text = str(error)
    words = re.sub(r"\s+", " ", text.splitlines()[0] if text else type(error).__name__)[:300]
    if "database file with version number" in text:
        return StoreVersion(
            f"{path}: written by a newer DuckDB: upgrade abkit's duckdb, or name another store ({words})"
        )
    if isinstance(error, (duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)) or (
        "Could not read enough bytes" in text or "checksum" in text.lower() or "Corrupt" in text
    ):
        return StoreUnusable(f"{path}: is damaged: restore it from a backup, or pull into a new store ({words})")
    if "No such file or directory" in text and not path.parent.exists():
        return StoreUnusable(f"{path}: there is no folder {path.parent}: make it, or name another store with --db")
    return StoreUnusable(f"{path}: can't be used: check the path, its rights and the room on the disk ({words})")
