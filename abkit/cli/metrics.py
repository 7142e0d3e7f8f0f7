"""Commands for the metric catalogue: metrics list, show, check."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abkit.cli.options import AsJson, OwnMetrics, Prometheus, output, write_json
from abkit.errors import InputError, QueryError, did_you_mean
from abkit.settings import load_settings

if TYPE_CHECKING:
    from abkit.queries import Entry

__all__ = ["register"]

_NO_ANSWER = 30
_HELP = """The metric catalogue, and what a server has of it.

Examples:
  abkit metrics list

  abkit metrics check shop.yaml --prometheus http://prometheus:9090
"""

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A metric, or one of a mesh: linkerd/error-rate.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    metrics = typer.Typer(name="metrics", help=_HELP, no_args_is_help=True)
    metrics.command("list")(list_metrics)
    metrics.command()(show)
    metrics.command()(check)
    app.add_typer(metrics)


def list_metrics(metrics: OwnMetrics = None, as_json: AsJson = False) -> None:
    """List all metrics that an experiment file may name.

    Examples:
      abkit metrics list

      abkit metrics list --metrics metrics/ --json | jq -r '.metrics[].metric'
    """
    from abkit.report.metrics import catalogue_document, print_catalogue

    found = _entries(metrics)
    if as_json:
        write_json(catalogue_document(found))
    else:
        print_catalogue(found, output())


def show(
    name: Name,
    spec: Annotated[
        Path | None, typer.Option("--spec", metavar="SPEC", help="Fill in the selectors for this experiment file.")
    ] = None,
    metrics: OwnMetrics = None,
    as_json: AsJson = False,
) -> None:
    """Show a metric's file, and with an experiment file the selectors that are asked for.

    Examples:
      abkit metrics show conversion

      abkit metrics show error-rate --spec shop.yaml
    """
    from abkit.queries import resolve
    from abkit.queries.own import load_experiment, own_folders
    from abkit.report.metrics import metric_document, print_metric
    from abkit.spec import MetricRef

    folder = load_settings(metrics=metrics).metrics
    if spec is None:
        entry, experiment, resolved = _named([name], _entries(metrics))[0], None, None
    else:
        from abkit.queries import entries

        experiment = load_experiment(spec, folder)
        mesh = experiment.metrics.mesh
        own = own_folders(experiment, spec, folder)
        known = [entry for entry in entries(*own) if entry.mesh in {None, mesh}]
        (entry,) = _named([name], known)
        refs = (MetricRef(metric=entry.definition.name, definition=entry.definition),)
        wanted = experiment.model_copy(update={"metrics": experiment.metrics.model_copy(update={"secondary": refs})})
        resolved = next(found for found in resolve(wanted) if found.name == entry.definition.name)
    if as_json:
        write_json(metric_document(entry, experiment, resolved))
    else:
        print_metric(entry, resolved, output())


def check(
    what: Annotated[
        list[str],
        typer.Argument(metavar="SPEC|NAME…", help="An experiment file, or metrics by name.", show_default=False),
    ],
    prometheus: Prometheus = None,
    metrics: OwnMetrics = None,
    as_json: AsJson = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 30 where a metric is missing or incomplete.")
    ] = False,
) -> None:
    """Say which metrics a server has now, with how many series of each variant, what is missing and what to do.

    A few instant queries a metric, which count series: the server has little to do.

    Examples:
      abkit metrics check shop.yaml

      abkit metrics check error-rate linkerd/latency-p99 --prometheus http://prometheus:9090
    """
    from abkit.pipeline.metric_check import asked_of_entries, asked_of_experiment, check_metrics
    from abkit.pipeline.opening import open_questions
    from abkit.queries.own import load_experiment
    from abkit.report.metrics import check_document, print_check

    settings = load_settings(metrics=metrics)
    spec = Path(what[0])
    if len(what) == 1 and (spec.suffix in {".yaml", ".yml"} or spec.is_file()):
        experiment = load_experiment(spec, settings.metrics)
        asked = asked_of_experiment(experiment)
    else:
        experiment = None
        asked = asked_of_entries(_named(what, _entries(metrics)))
    found = []
    for server in open_questions(experiment, spec.parent, prometheus=prometheus, fallback=settings.prometheus):
        with closing(server):
            found.append((server.place, check_metrics(asked, server, experiment)))
    if as_json:
        write_json({"servers": [check_document(checks, place, experiment) for place, checks in found]})
    else:
        for place, checks in found:
            print_check(checks, place, output())
    if exit_code and any(each.status != "ok" for _, checks in found for each in checks):
        raise typer.Exit(_NO_ANSWER)


def _entries(metrics: Path | None) -> tuple[Entry, ...]:
    from abkit.queries import entries

    folder = load_settings(metrics=metrics).metrics
    return entries(*(() if folder is None else (folder,)))


def _named(names: list[str], known: tuple[Entry, ...] | list[Entry]) -> list[Entry]:
    """Entries by name or title; a name that several meshes have is Istio's, as in an experiment file."""
    from abkit.spec import Mesh

    by_name = {entry.title: entry for entry in known}
    for mesh in (Mesh.ENVOY, Mesh.LINKERD, Mesh.ISTIO):
        by_name |= {entry.definition.name: entry for entry in known if entry.mesh is mesh}
    for name in names:
        if name not in by_name:
            if name.endswith((".yaml", ".yml")):
                msg = f"{name}: give one experiment file, or names of metrics"
                raise InputError(msg)
            msg = f"metric '{name}' is not in the catalogue; {did_you_mean(name, by_name)}"
            raise QueryError(msg)
    return [by_name[name] for name in names]
