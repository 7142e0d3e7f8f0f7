"""Commands for who wants to see it: demo, dashboard."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from abkit.cli import log
from abkit.cli.options import Db, error_console, now, output
from abkit.errors import InputError
from abkit.files import make_folder, write_text
from abkit.resources import folder
from abkit.settings import load_settings

__all__ = ["register"]

_DEMO = Path("abkit-demo")
_ENDS_WITHIN = 10.0
"""Seconds that the dashboard's server has to end by itself."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(demo)
    app.command()(dashboard)


def demo(
    no_dashboard: Annotated[
        bool, typer.Option("--no-dashboard", help="End after the scorecard; print the command that opens the pages.")
    ] = False,
) -> None:
    """The main job on a recorded shop: collect, compare, decide, print; on a terminal serve the dashboard.

    Everything is written into ./abkit-demo/: the store, and the routing manifests of the experiment.
    """
    from abkit.cli.progress import pull_progress
    from abkit.pipeline.collect import collect
    from abkit.pipeline.evaluate import evaluate
    from abkit.pipeline.opening import open_source
    from abkit.report.scorecard import print_scorecard
    from abkit.routing import render
    from abkit.spec import load
    from abkit.store import Store

    settings = load_settings()
    log.configure(settings.log_level, settings.log_format)
    spec = folder("data") / "experiments" / "buy-now-button.yaml"
    experiment = load(spec)
    place = make_folder(_DEMO)
    database = place / "abkit.duckdb"
    for old in (database, database.with_suffix(".duckdb.wal")):
        old.unlink(missing_ok=True)
    store = Store(database, wait=settings.lock_wait)
    with closing(open_source(experiment, spec.parent)) as source, pull_progress() as progress:
        collect(experiment, source, store, now_ms=int(now().timestamp() * 1000), progress=progress)
    evaluation = evaluate(experiment, store)
    store.append_verdict(evaluation)
    manifests = make_folder(place / "manifests")
    for manifest in render(experiment, "istio"):
        write_text(manifests / manifest.filename, [manifest.text])
    console = output()
    print_scorecard(evaluation, console)
    console.print()
    for what, where in (("experiment", spec), ("store", database), ("routing", manifests)):
        console.print(f"[dim]{what:<11}[/]{escape(str(where))}", soft_wrap=True)
    if no_dashboard or not sys.stdout.isatty():
        opens = f"{_program()} dashboard --db {shlex.quote(str(database))}"
        console.print(f"[dim]{'dashboard':<11}[/]{opens}", soft_wrap=True)
        return
    _serve(database, "127.0.0.1", None)


def dashboard(
    host: Annotated[str, typer.Option(help="Address to listen on; loopback by default.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port. [default: 8501, or a free one]", show_default=False)] = None,
    db: Db = None,
) -> None:
    """Serve the Streamlit pages on the store's newest results, until Ctrl-C. Nothing is written.

    Examples:
      abkit dashboard

      abkit dashboard --db abkit-demo/abkit.duckdb --port 8600
    """
    settings = load_settings(db=db)
    log.configure(settings.log_level, settings.log_format)
    _serve(settings.db, host, port)


def _program() -> str:
    """How to call this very program: `abkit` where the shell finds it, else its path."""
    if shutil.which("abkit"):
        return "abkit"
    called = Path(sys.argv[0])
    if called.name != "abkit":
        return f"{shlex.quote(sys.executable)} -m abkit"
    return shlex.quote(os.path.relpath(called))


def _serve(database: Path, host: str, port: int | None) -> None:
    from abkit.report.serve import choose_port, command, url

    chosen = choose_port(host, port)
    argv, environment = command(database, host, chosen)
    console = output()
    console.print(f"[dim]{'dashboard':<11}[/][bold]{url(host, chosen)}[/]  (Ctrl-C ends it)", soft_wrap=True)
    code = _until_stopped(argv, environment)
    console.print()
    if code:
        error_console().print(f"[bold red]error:[/] the dashboard ended with code {code}")
        msg = "the dashboard could not be served: see what it printed above"
        raise InputError(msg)


def _until_stopped(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a server until it ends or somebody ends us, by Ctrl-C or SIGTERM: it must not outlive us.

    A signal is noted and not raised: an exception can get lost in whatever code it happens to interrupt.

    Returns:
        Its exit code; 0 where it was stopped.
    """
    stopped: list[float] = []
    handlers = {
        number: signal.signal(number, lambda *_: stopped.append(time.monotonic()))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    # Streamlit prints an address of its own; ours is enough. Its errors go to stderr.
    server = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - our own interpreter
    asked = False
    try:
        while (code := server.poll()) is None:
            if stopped and not asked:
                server.terminate()
                asked = True
            elif stopped and time.monotonic() - stopped[0] > _ENDS_WITHIN:
                server.kill()
            time.sleep(0.1)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return 0 if stopped else code
