"""Commands for who writes experiments: validate, routes, assign, simulate."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from abkit.cli.options import AsJson, OwnMetrics, SpecFile, error_console, output, write_json, write_stdout
from abkit.cli.routing_options import Mesh, SpecFiles, Step, Weights
from abkit.errors import InputError, Problem, RoutingError, SpecError
from abkit.files import make_folder, write_text
from abkit.spec import Experiment, load

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(validate)
    app.command()(routes)
    app.command()(assign)
    app.command()(simulate)


def validate(
    specs: Annotated[
        list[Path] | None, typer.Argument(metavar="SPEC…", help="Experiment files.", show_default=False)
    ] = None,
    manifests: Annotated[
        list[Path] | None,
        typer.Option(
            "--manifests",
            metavar="DIR",
            help="Check manifests that you have: Istio, Gateway API, Linkerd, SMI, Flagger, Argo Rollouts, Envoy.",
        ),
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the experiment file.")] = False,
    metrics: OwnMetrics = None,
    as_json: AsJson = False,
) -> None:
    """Check experiment files, and manifests: every error with file, line, field and what would be right.

    Ends with 2 where there is an error; warnings and notes alone end with 0.

    Examples:
      abkit validate shop.yaml

      abkit validate experiments/*.yaml --json

      abkit validate --manifests deploy/

      abkit validate shop.yaml --manifests deploy/

      abkit validate --schema > experiment.schema.json
    """
    if schema:
        write_json(Experiment.model_json_schema(by_alias=True))
        return
    if not specs and not manifests:
        msg = "SPEC: name at least one experiment file, a folder with --manifests, or --schema"
        raise InputError(msg)
    from abkit.cli.manifests import check_manifests, show_findings
    from abkit.pipeline.limits import check_definitions
    from abkit.queries import resolve
    from abkit.queries.own import load_experiment
    from abkit.routing import advice, build_plan, merge_plans
    from abkit.settings import load_settings

    folder = load_settings(metrics=metrics).metrics
    problems: list[Problem] = []
    valid: list[tuple[Path, Experiment]] = []
    for path in specs or ():
        try:
            experiment = load_experiment(path, folder)
            check_definitions(experiment, resolve(experiment))
        except SpecError as error:
            problems.extend(error.problems)
        except InputError as error:
            problems.append(Problem(str(path), _line(path, str(error)), "metrics", None, str(error)))
        else:
            valid.append((path, experiment))
    if not problems:
        try:
            merge_plans(build_plan(spec) for _, spec in valid)
        except RoutingError as error:
            # It quotes the experiments that it is about.
            named = [str(path) for path, spec in valid if f"'{spec.name}'" in str(error)]
            problems.append(Problem(" and ".join(named), None, "assignment", None, str(error)))
    warnings = [Problem(str(path), None, *_parted(text)) for path, spec in valid for text in advice(spec)]
    files, findings = check_manifests(manifests, valid) if manifests else (0, ())
    wrong = bool(problems) or any(finding.severity == "error" for finding in findings)
    if as_json:
        document = {
            "valid": not wrong,
            "experiments": [
                {"file": str(path), "experiment": spec.name, "strategy": spec.strategy, "spec_hash": spec.fingerprint}
                for path, spec in valid
            ],
            "problems": [asdict(problem) for problem in problems],
            "warnings": [asdict(warning) for warning in warnings],
            "manifests": {"files": files, "findings": [asdict(finding) for finding in findings]},
        }
        write_json(document)
    else:
        for path, spec in valid:
            split = ", ".join(f"{name} {weight / 100:g} %" for name, weight in spec.split.items())
            output().print(f"[green]✓[/] {escape(str(path))}: {spec.name}, {spec.strategy}: {split}", soft_wrap=True)
        for warning in warnings:
            error_console().print(f"[yellow]warning:[/] {escape(str(warning))}", soft_wrap=True)
        for problem in problems:
            error_console().print(f"[bold red]error:[/] {escape(str(problem))}")
        if manifests:
            show_findings(output(), files, findings)
    if wrong:
        raise typer.Exit(InputError.exit_code)


def _parted(text: str) -> tuple[str, None, str]:
    """Field, value and message of a warning."""
    field, _, message = text.partition(": ")
    return field, None, message


def _line(path: Path, message: str) -> int | None:
    """The line that first has what a message quotes."""
    quoted = re.search(r"'([^']+)'|limits[.]([^.:]+)", message)
    if quoted is None:
        return None
    word = re.compile(rf"(?<![\w-]){re.escape(quoted[1] or quoted[2])}(?![\w-])")
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if word.search(line)), None)


def routes(
    specs: SpecFiles,
    mesh: Mesh = "istio",
    weights: Weights = None,
    step: Step = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="The way back: every request to the control, rules and copies included.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write a file a manifest into this folder.")
    ] = None,
) -> None:
    """Print the mesh's manifests, or write them into a folder; experiments on one service are merged.

    Examples:
      abkit routes shop.yaml --mesh istio | kubectl diff -f -

      abkit routes shop.yaml --weights v2=25 -o manifests/

      abkit routes canary.yaml --step 3

      abkit routes canary.yaml --rollback

      abkit routes button.yaml search.yaml --weights button:v2=25
    """
    from abkit.routing import join, render_many, resolve_splits

    if rollback and (weights or step):
        msg = "--rollback sends everything to the control: leave out --weights and --step"
        raise InputError(msg)
    experiments = [load(path) for path in specs]
    splits = resolve_splits(experiments, weights or (), step or ())
    manifests = render_many(experiments, mesh, splits, withdrawn=rollback)
    if folder is None:
        write_stdout(join(manifests))
        return
    make_folder(folder)
    for manifest in manifests:
        write_text(folder / manifest.filename, [manifest.text])
        write_stdout(f"{folder / manifest.filename}\n")


def assign(
    spec: SpecFile,
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Values of the unit; '-' reads one a line.")],
    as_json: AsJson = False,
) -> None:
    """Show which variant each id gets: what the mesh computes, to the bit.

    Examples:
      abkit assign shop.yaml user-1 user-2

      cut -d, -f1 users.csv | abkit assign shop.yaml - --json
    """
    import sys

    from rich.table import Table

    from abkit.routing import assign_many

    experiment = load(spec)
    units = [line.rstrip("\n") for line in sys.stdin] if ids == ["-"] else ids
    assigned = assign_many(experiment, units)
    if as_json:
        rows = [
            {
                "id": row.unit,
                "variant": row.variant,
                "version": row.version,
                "bucket": row.bucket,
                "replicate": row.replicate,
                "assignment": row.assignment,
            }
            for row in assigned
        ]
        write_json({"experiment": experiment.name, "assignments": rows})
        return
    table = Table("id", "variant", "version", "bucket", "replicate", "assignment", box=None, pad_edge=False)
    for row in assigned:
        cells = (row.unit, row.variant, row.version, row.bucket, row.replicate, row.assignment)
        table.add_row(*("—" if cell is None else str(cell) for cell in cells))
    output().print(table)


def simulate(
    spec: SpecFile,
    target: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="OpenMetrics text to write.")],
    users: Annotated[int, typer.Option(min=10, max=2_000_000, help="Users over the whole window.")] = 8_000,
    lifts: Annotated[
        list[str] | None,
        typer.Option("--lift", metavar="METRIC=PERCENT", help="True effect on every treatment: conversion=8."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same world.")] = 1,
    hours: Annotated[
        float | None, typer.Option(min=0.1, max=2_000, help="Length of the window; the analysis' where left out.")
    ] = None,
    troubles: Annotated[bool, typer.Option("--troubles", help="Restarts, births, deaths, scrape gaps.")] = False,
) -> None:
    """Write a simulated world with a known truth, and the truth beside it as JSON.

    promtool loads the text into a real Prometheus: promtool tsdb create-blocks-from openmetrics FILE DATA_DIR

    Examples:
      abkit simulate shop.yaml -o shop.om --users 20000 --lift conversion=8
    """
    from abkit.cli.simulation import write_world

    truth = write_world(load(spec), target, users=users, lifts=lifts or [], seed=seed, hours=hours, troubles=troubles)
    write_stdout(f"{target}\n{truth}\n")
