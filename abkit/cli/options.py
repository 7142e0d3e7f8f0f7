"""What the commands share: options, times, consoles, and how errors end."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from abkit.errors import InputError
from abkit.spec import parse_duration

__all__ = [
    "AsJson",
    "Db",
    "ExitCode",
    "OwnMetrics",
    "Prometheus",
    "SpecFile",
    "error_console",
    "now",
    "output",
    "parse_time",
    "write_json",
    "write_stdout",
]

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The experiment file.", show_default=False)]
Db = Annotated[
    Path | None, typer.Option("--db", metavar="FILE", help="The store (or ABKIT_DB). [default: abkit.duckdb]")
]
Prometheus = Annotated[
    str | None,
    typer.Option("--prometheus", metavar="URL", help="Base URL of Prometheus, in place of the experiment's source."),
]
OwnMetrics = Annotated[
    Path | None,
    typer.Option("--metrics", metavar="DIR", help="Folder of your own metrics, *.promql (or ABKIT_METRICS)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
ExitCode = Annotated[
    bool, typer.Option("--exit-code", help="End with the verdict's code: 0 go, 10 stop, 20 wait, 30 no valid answer.")
]

_RELATIVE = re.compile(r"-(?P<length>[0-9][0-9a-z.]*)")


def now() -> datetime:
    """The time now. The clock is read at the edge and nowhere below."""
    return datetime.now(UTC)


def output() -> Console:
    """Where results go: stdout; colours only on a terminal, none with NO_COLOR."""
    return Console(highlight=False, soft_wrap=False)


def error_console() -> Console:
    """Where everything else goes: stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def parse_time(text: str | None, option: str, moment: datetime) -> datetime | None:
    """Read a time: RFC 3339, or relative to now as in `-2h`.

    Args:
        text: What the user wrote; None is passed on.
        option: The option's name, for the error.
        moment: What relative times are relative to.

    Raises:
        InputError: It is no time.

    >>> parse_time("-90m", "--at", datetime(2026, 11, 1, 12, tzinfo=UTC))
    datetime.datetime(2026, 11, 1, 10, 30, tzinfo=datetime.timezone.utc)
    """
    if text is None:
        return None
    if text == "now":
        return moment
    if relative := _RELATIVE.fullmatch(text):
        try:
            return moment - parse_duration(relative["length"])
        except (ValueError, OverflowError):
            pass
    else:
        try:
            parsed = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return (parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed).astimezone(UTC)
    msg = f"{option}: should be a time such as 2026-11-01T12:00:00Z, or relative such as -2h (got '{text}')"
    raise InputError(msg)


def write_json(document: object) -> None:
    """Print one JSON document and nothing else."""
    write_stdout(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_stdout(text: str) -> None:
    """Print text as it is: no colours, no wrapping."""
    sys.stdout.write(text)
    sys.stdout.flush()
