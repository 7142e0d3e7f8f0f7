"""SQL texts from `queries/sql/`."""

from __future__ import annotations

from functools import cache

from abkit.errors import QueryError, did_you_mean
from abkit.resources import folder

__all__ = ["migrations", "sql"]


@cache
def sql(name: str) -> str:
    """Text of one statement.

    Args:
        name: Path below `queries/sql/` without its ending, such as `increments`.

    Raises:
        QueryError: There is no such file.

    >>> "lag(" in sql("increments")
    True
    """
    root = folder("queries") / "sql"
    path = root / f"{name}.sql"
    if not path.is_file():
        names = (str(found.relative_to(root).with_suffix("")) for found in root.rglob("*.sql"))
        msg = f"no statement '{name}' in {root}; {did_you_mean(name, names)}"
        raise QueryError(msg)
    return path.read_text(encoding="utf-8")


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """The store's migrations, in order: version that each leads to, and its statements.

    >>> [version for version, _ in migrations()] == list(range(1, len(migrations()) + 1))
    True
    """
    files = sorted((folder("queries") / "sql" / "migrations").glob("*.sql"))
    return tuple((int(path.stem.split("_")[0]), path.read_text(encoding="utf-8")) for path in files)
