"""The application: its commands, its version, and how every error ends."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape
from typer.exceptions import TyperException

import abkit
from abkit.cli import authoring, exporting, metrics, power, results, serving, trends, upkeep
from abkit.cli.options import error_console
from abkit.errors import AbkitError, SpecError

__all__ = ["app", "main"]

app = typer.Typer(
    name="abkit",
    help="A/B tests and canaries on a service mesh, decided from the Prometheus you already run.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (serving, authoring, exporting, metrics, results, trends, power, upkeep):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"abkit {abkit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """A/B tests and canaries on a service mesh, decided from the Prometheus you already run."""


def main() -> None:
    """Run the command line: errors on stderr with the contract's exit code, never a traceback.

    Exit codes: 0 done; 2 the input is wrong; 3 a source or target can't be reached; 4 the store is locked or broken;
    with --exit-code the verdict's. 1 is a fault of abkit itself; ABKIT_DEBUG=1 shows where.
    """
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        code = 130
    except TyperException as error:  # a wrong command, option or argument
        context = getattr(error, "ctx", None)
        if message := error.format_message():  # a bare `abkit` has printed its help already
            _complain(f"{message} ({'abkit' if context is None else context.command_path} --help says more)")
        code = error.exit_code
    except AbkitError as error:
        _show(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has gone: what is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except OSError as error:
        _complain(f"the output can't be written: {error.strerror}")
        code = 3
    except Exception as error:
        if os.environ.get("ABKIT_DEBUG"):
            raise
        _complain(f"a fault in abkit: {type(error).__name__}. Run again with ABKIT_DEBUG=1 and report what it prints.")
        code = 1
    sys.exit(code or 0)


def _show(error: AbkitError) -> None:
    for line in [str(problem) for problem in error.problems] if isinstance(error, SpecError) else [str(error)]:
        _complain(line)


def _complain(message: str) -> None:
    error_console().print(f"[bold red]error:[/] {escape(message)}")
