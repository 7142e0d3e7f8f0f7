"""Opens the DuckDB file, waits a bounded time for its lock, and turns DuckDB's complaints into abkit's."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from abkit.errors import StoreError, StoreLocked, StoreUnusable, StoreVersion

__all__ = ["connected", "translated"]

# Extensions beyond the bundled ones can't be downloaded everywhere, and a reader must not try.
_CONFIG: Final = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
# A pull holds a bounded number of samples; what DuckDB does with them stays within this much memory, and beyond it
# goes to the disk beside the store. (Its default is 80 % of what the machine or the container has.)
_MOST_MEMORY: Final = "2 GiB"
_SIZES: Final = {"bytes": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.2


@contextmanager
def connected(path: Path, *, read_only: bool, wait: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the store's file, closed at the end.

    Args:
        path: The file.
        read_only: Open for reading, beside other readers.
        wait: Seconds to wait for another process' lock.

    Raises:
        StoreLocked: It is still locked.
        StoreUnusable: It can't be opened, or DuckDB fails in the block.
        StoreVersion: A newer DuckDB wrote it.
    """
    connection = _open(path, read_only=read_only, wait=wait)
    try:
        with translated(path):
            yield connection
    finally:
        # A checkpoint that fails at the close (a full disk) loses nothing: the log is replayed at the next open.
        with translated(path):
            connection.close()


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn DuckDB's errors in the block into the store's."""
    try:
        yield
    except duckdb.Error as error:
        raise _unusable(path, error) from None


def _open(path: Path, *, read_only: bool, wait: float) -> duckdb.DuckDBPyConnection:
    if read_only and not path.exists():
        msg = f"{path}: no store here: run abkit pull first, or name the store with --db"
        raise StoreUnusable(msg)
    _check_kind(path)
    deadline = time.monotonic() + wait
    pause = _FIRST_PAUSE
    while True:
        try:
            return _bounded(duckdb.connect(path, read_only=read_only, config=dict(_CONFIG)))
        except duckdb.Error as error:
            if not _is_lock(error):
                raise _unusable(path, error) from None
            left = deadline - time.monotonic()
            if left <= 0:
                raise _locked(path, error, wait) from None
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)


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


def _locked(path: Path, error: duckdb.Error, wait: float) -> StoreLocked:
    holder = re.search(r"\(PID (\d+)\)", str(error))
    who = f"process {holder[1]}" if holder else "another connection of this process"
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
