"""Progress of long work: a bar on a terminal, nothing elsewhere (the log says it)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from abkit.cli.options import error_console

__all__ = ["pull_progress"]


@contextmanager
def pull_progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """What `collect` reports to: (what is being done, steps done, steps in all)."""
    if not sys.stderr.isatty():
        yield None
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=error_console(),
        transient=True,
    ) as bar:
        task = bar.add_task("collecting", total=None)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield report
