"""The tables' version: who wrote them, and how they come up to date."""

from __future__ import annotations

from pathlib import Path

import duckdb

from abkit import __version__
from abkit.errors import StoreUnusable, StoreVersion
from abkit.queries.sql import migrations
from abkit.store.writing import run

__all__ = ["check_version", "is_current", "migrate"]


def check_version(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """The tables' version; 0 for an empty database.

    Raises:
        StoreUnusable: It is somebody else's database.
        StoreVersion: A newer abkit wrote it.
    """
    try:
        version, writer = next((int(number), str(name)) for number, name in run(connection, "store/version"))
    except duckdb.CatalogException:
        if run(connection, "store/tables"):
            msg = f"{path}: is a DuckDB file but not abkit's: name another store with --db; it was left as it is"
            raise StoreUnusable(msg) from None
        return 0
    newest = migrations()[-1][0]
    if version > newest:
        msg = (
            f"{path}: written by abkit {writer} (store version {version}); this is abkit {__version__}, which knows "
            f"up to {newest}: upgrade abkit, or name another store with --db"
        )
        raise StoreVersion(msg)
    return version


def is_current(version: int) -> bool:
    """Whether there is nothing to bring up to date."""
    return version == migrations()[-1][0]


def migrate(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Bring the tables up to date."""
    for target, statements in migrations():
        if target > version:
            connection.execute("BEGIN")
            connection.execute(statements)
            run(connection, "store/mark_version", version=target, abkit=__version__)
            connection.execute("COMMIT")
