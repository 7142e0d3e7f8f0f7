"""Commands for who reads results and runs jobs: pull, verdict, run."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from abkit.cli import log
from abkit.cli.options import (
    AsJson,
    Db,
    ExitCode,
    OwnMetrics,
    Prometheus,
    SpecFile,
    now,
    output,
    parse_time,
    write_json,
    write_stdout,
)
from abkit.errors import InputError, StoreError
from abkit.settings import Settings, load_settings
from abkit.spec import parse_duration

if TYPE_CHECKING:
    from abkit.jobs import JobResult

__all__ = ["register"]

Start = Annotated[str | None, typer.Option(metavar="TIME", help="From when: RFC 3339, or relative such as -2h.")]
End = Annotated[str | None, typer.Option(metavar="TIME", help="Until when; now where left out.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(pull)
    app.command()(verdict)
    app.command()(run)


def pull(
    spec: SpecFile,
    prometheus: Prometheus = None,
    recording: Annotated[
        Path | None, typer.Option("--recording", metavar="FILE", help="A Parquet recording, instead of a server.")
    ] = None,
    start: Start = None,
    end: End = None,
    db: Db = None,
    metrics: OwnMetrics = None,
    as_json: AsJson = False,
) -> None:
    """Collect an experiment's samples into the store: what was scraped, exactly; the same window again changes nothing.

    Examples:
      abkit pull shop.yaml --prometheus http://prometheus:9090

      abkit pull shop.yaml --start -6h --db results.duckdb
    """
    from abkit.cli.progress import pull_progress
    from abkit.pipeline.collect import collect
    from abkit.pipeline.opening import open_source
    from abkit.queries import resolve
    from abkit.queries.own import load_experiment
    from abkit.report.pulled import print_pull, pull_document
    from abkit.store import Store

    settings = _settings(db=db, metrics=metrics)
    experiment = load_experiment(spec, settings.metrics)
    resolve(experiment)  # an unknown metric is said before anything is reached for
    moment = now()
    begin, until = parse_time(start, "--start", moment), parse_time(end, "--end", moment)
    if begin is not None and until is not None and until <= begin:
        msg = f"--end: {until:%Y-%m-%dT%H:%M:%SZ} is not after --start {begin:%Y-%m-%dT%H:%M:%SZ}: give a later end"
        raise InputError(msg)
    source = open_source(
        experiment, spec.parent, prometheus=prometheus, recording=recording, fallback=settings.prometheus
    )
    with closing(source), pull_progress() as progress:
        report = collect(
            experiment,
            source,
            Store(settings.db, wait=settings.lock_wait, keep_ms=settings.keep_ms),
            start_ms=None if begin is None else int(begin.timestamp() * 1000),
            end_ms=None if until is None else int(until.timestamp() * 1000),
            now_ms=int(moment.timestamp() * 1000),
            progress=progress,
        )
    if as_json:
        write_json(pull_document(experiment, report))
    else:
        print_pull(experiment, report, output())


def verdict(
    spec: SpecFile,
    db: Db = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="The moment to look from; the last pull's end where left out.")
    ] = None,
    metrics: OwnMetrics = None,
    as_json: AsJson = False,
    exit_code: ExitCode = False,
) -> None:
    """Compare the variants and decide, from what was pulled.

    Examples:
      abkit verdict shop.yaml

      abkit verdict shop.yaml --json | jq .verdict

      abkit verdict shop.yaml --exit-code && kubectl apply -f next-step.yaml
    """
    from abkit.pipeline.evaluate import evaluate
    from abkit.queries.own import load_experiment
    from abkit.report.scorecard import print_scorecard
    from abkit.store import Store

    settings = _settings(db=db, metrics=metrics)
    experiment = load_experiment(spec, settings.metrics)
    store = Store(settings.db, wait=settings.lock_wait)
    evaluation = evaluate(experiment, store, parse_time(at, "--at", now()))
    try:
        if at is None:  # a look back is not the newest verdict
            store.append_verdict(evaluation)
    except StoreError as error:  # what can't be written to now could still be read
        structlog.get_logger("abkit").warning("verdict not kept", reason=str(error))
    if as_json:
        write_stdout(evaluation.to_json())
    else:
        print_scorecard(evaluation, output())
    if exit_code:
        raise typer.Exit(evaluation.verdict.exit_code)


def run(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of experiment files.", show_default=False)],
    once: Annotated[bool, typer.Option("--once", help="Once; end with the worst exit code.")] = False,
    every: Annotated[str, typer.Option(metavar="DURATION", help="How often, without --once.")] = "1m",
    prometheus: Prometheus = None,
    db: Db = None,
    metrics: OwnMetrics = None,
    as_json: AsJson = False,
) -> None:
    """Pull and decide every experiment of a folder; one that fails doesn't stop the others.

    Ends with the worst exit code: an error (4, 3, 2) before 10 before 30 before 20 before 0.

    Examples:
      abkit run experiments/ --once

      abkit run experiments/ --every 5m --prometheus http://prometheus:9090
    """
    from abkit.jobs import run_once, worst_exit_code
    from abkit.store import Store

    settings = _settings(db=db, metrics=metrics)
    try:
        pause = parse_duration(every).total_seconds()
    except ValueError as error:
        msg = f"--every: {error} (got '{every}')"
        raise InputError(msg) from None
    if pause < 1:
        msg = f"--every: should be at least 1s (got '{every}')"
        raise InputError(msg)
    store = Store(settings.db, wait=settings.lock_wait, keep_ms=settings.keep_ms)
    while True:
        began = time.monotonic()
        moment = now()
        results = run_once(
            folder, store, now=moment, prometheus=prometheus, fallback=settings.prometheus, metrics=settings.metrics
        )
        _print_results(results, worst_exit_code(results), as_json, moment)
        if once:
            raise typer.Exit(worst_exit_code(results))
        time.sleep(max(0.0, pause - (time.monotonic() - began)))


def _print_results(results: tuple[JobResult, ...], code: int, as_json: bool, moment: datetime) -> None:
    from abkit.report.pages import Failure, overview
    from abkit.report.scorecard import print_summary

    if as_json:
        rows = [
            {"file": str(result.path), "experiment": result.name, "exit_code": result.exit_code}
            | ({"error": str(result.error)} if result.error is not None else {})
            | ({"result": json.loads(result.evaluation.to_json())} if result.evaluation is not None else {})
            for result in results
        ]
        write_json({"exit_code": code, "experiments": rows})
        return
    failed = [Failure(result.name, str(result.error)) for result in results if result.error is not None]
    decided = overview((result.evaluation for result in results if result.evaluation is not None), moment)
    print_summary([*failed, *decided], output())


def _settings(**flags: object) -> Settings:
    settings = load_settings(**flags)
    log.configure(settings.log_level, settings.log_format)
    return settings
