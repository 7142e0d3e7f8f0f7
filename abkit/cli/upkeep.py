"""Commands that look after the store: check, compact, backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abkit.cli import log
from abkit.cli.options import AsJson, Db, output, write_json
from abkit.errors import StoreUnusable
from abkit.settings import Settings, load_settings

__all__ = ["register"]

_HELP = """Look after the store: check it, make it smaller, copy it.

Examples:
  abkit store check

  abkit store backup /backups/abkit.duckdb && abkit store compact
"""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help=_HELP)
    for command in (check, compact, backup):
        group.command()(command)
    app.add_typer(group, name="store")


def check(db: Db = None, as_json: AsJson = False) -> None:
    """Read every value of the store, and hold sums against what they come from; exit code 4 where it is not sound.

    Examples:
      abkit store check

      abkit store check --db results.duckdb --json | jq .rows
    """
    from abkit.store import check as look

    settings = _settings(db)
    found = look(settings.db, wait=settings.lock_wait)
    if as_json:
        write_json(
            {
                "store": str(settings.db),
                "sound": not found.faults,
                "version": found.version,
                "bytes": found.size,
                "rows": found.rows,
                "faults": list(found.faults),
            }
        )
    elif not found.faults:
        console = output()
        console.print(f"{settings.db}: sound: {found.size / 1e6:,.1f} MB, version {found.version}", soft_wrap=True)
        for name, rows in found.rows.items():
            console.print(f"  {name:<16}{rows:>14,}")
    if found.faults:
        msg = (
            f"{settings.db}: is damaged: restore it from a backup, or pull into a new store: {'; '.join(found.faults)}"
        )
        raise StoreUnusable(msg)


def compact(db: Db = None, as_json: AsJson = False) -> None:
    """Write the store anew without the room that deleted rows left; a crash leaves the old file or the new one.

    Others wait meanwhile, as long as they would for a writer.

    Examples:
      abkit store compact

      abkit store compact --db results.duckdb
    """
    from abkit.store import compact as rewrite

    settings = _settings(db)
    done = rewrite(settings.db, wait=settings.lock_wait)
    if as_json:
        write_json({"store": str(settings.db), "bytes_before": done.before, "bytes": done.after})
    else:
        output().print(
            f"{settings.db}: {done.before / 1e6:,.1f} MB before, {done.after / 1e6:,.1f} MB now", soft_wrap=True
        )


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; nothing may be there.", show_default=False)],
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Copy the store, all that was committed, while others use it.

    Examples:
      abkit store backup /backups/abkit-$(date +%F).duckdb

      abkit store backup copy.duckdb --db results.duckdb
    """
    from abkit.store import backup as copy

    settings = _settings(db)
    size = copy(settings.db, target, wait=settings.lock_wait)
    if as_json:
        write_json({"store": str(settings.db), "backup": str(target), "bytes": size})
    else:
        output().print(f"{target}: {size / 1e6:,.1f} MB", soft_wrap=True)


def _settings(db: Path | None) -> Settings:
    settings = load_settings(db=db)
    log.configure(settings.log_level, settings.log_format)
    return settings
