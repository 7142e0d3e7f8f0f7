"""Commands that act on a mesh: export, rollback."""

from __future__ import annotations

import difflib
import getpass
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from abkit.cli.options import AsJson, error_console, now, output, write_json
from abkit.cli.routing_options import SpecFiles, Step, Weights, mesh_help
from abkit.errors import InputError, TargetDrift
from abkit.spec import load

if TYPE_CHECKING:
    from abkit.export import Exporter, Planned, Version, Who

__all__ = ["register"]

To = Annotated[
    str,
    typer.Option(
        "--to", metavar="TARGET", help="Where to: DIR, git or git:DIR, envoy:DIR, cluster.", show_default=False
    ),
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="Where the history of a cluster lies (or ABKIT_STATE). [default: ~/.local/state/abkit]",
    ),
]
Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="The context of kubeconfig, for a cluster.")
]
MeshOrTargets = Annotated[
    str | None,
    typer.Option("--mesh", help=f"{mesh_help} [default: istio; envoy where Envoy's files are the target]"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Diff = Annotated[bool, typer.Option("--diff", help="Show what would change, line by line, and do nothing.")]

_WORDS: Final = {
    "missing": ("+", "green"),
    "differs": ("~", "yellow"),
    "left-over": ("-", "red"),
    "in-sync": ("=", "dim"),
}
_LINES: Final = {"+": "green", "-": "red", "@": "cyan"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(export)
    app.command()(rollback)


def export(
    specs: SpecFiles,
    to: To,
    mesh: MeshOrTargets = None,
    weights: Weights = None,
    step: Step = None,
    replaces: Annotated[
        list[str] | None,
        typer.Option("--replaces", metavar="NAME", help="An experiment that ends: its routes are replaced."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare: end with 5 where the target is not what it should be.")
    ] = False,
    dry_run: DryRun = False,
    diff: Diff = False,
    state: State = None,
    context: Context = None,
    as_json: AsJson = False,
) -> None:
    """Write manifests to where they are in force; experiments on one service are merged.

    Only what differs is written. What abkit did not write, or what was changed since, is left alone: ends with 5.
    A crash leaves the old state or the new one, once the next export has run. Every state is kept for rollback.

    Examples:
      abkit export shop.yaml --to manifests/

      abkit export shop.yaml --to git:deploy/shop --weights v2=25 --diff

      abkit export canary.yaml --to envoy:/etc/envoy/abkit --step 2

      abkit export shop.yaml --to cluster --context staging --dry-run

      abkit export shop.yaml --to manifests/ --check --json
    """
    from abkit.export import bundles
    from abkit.routing import resolve_splits

    experiments = [load(path) for path in specs]
    exporter = _exporter(to, state, context)
    chosen = _mesh(mesh, to)
    folder = str(Path(to.removeprefix("envoy:")).absolute()) if to.startswith("envoy:") else ""
    ready = bundles(experiments, chosen, resolve_splits(experiments, weights or (), step or ()), folder)

    def plan() -> tuple[Planned, ...]:
        return exporter.plan(ready, replaces or ())

    if check:
        _check(exporter, plan(), as_json=as_json)
    elif dry_run or diff:
        _preview(exporter, plan(), diff=diff, as_json=as_json)
    else:
        _show(exporter, *exporter.apply(plan, _who()), as_json=as_json)


def rollback(
    specs: SpecFiles,
    to: To,
    mesh: MeshOrTargets = None,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="Bring this version back, in place of the last.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the versions that are kept.")] = False,
    dry_run: DryRun = False,
    diff: Diff = False,
    state: State = None,
    context: Context = None,
    as_json: AsJson = False,
) -> None:
    """Bring back what was in force before, for the services of the experiments.

    Once more goes one version further back; --version undoes that. The last 20 versions of a service are kept.

    Examples:
      abkit rollback shop.yaml --to manifests/

      abkit rollback shop.yaml --to git:deploy/shop --diff

      abkit rollback shop.yaml --to manifests/ --list

      abkit rollback shop.yaml --to manifests/ --version 3
    """
    from abkit.export import bundle_name

    exporter = _exporter(to, state, context)
    chosen = _mesh(mesh, to)
    names = list(dict.fromkeys(bundle_name(experiment, chosen) for experiment in map(load, specs)))
    if version is not None and len(names) > 1:
        msg = f"--version {version}: every service has its own: name the experiments of one"
        raise InputError(msg)
    if listed:
        _list(exporter, chosen, names, as_json=as_json)
        return

    def plan() -> tuple[Planned, ...]:
        return tuple(exporter.plan_rollback(chosen, name, version) for name in names)

    if dry_run or diff:
        _preview(exporter, plan(), diff=diff, as_json=as_json)
    else:
        _show(exporter, *exporter.apply(plan, _who()), as_json=as_json)


def _exporter(to: str, state: Path | None, context: str | None) -> Exporter:
    from abkit.export import Exporter, open_target
    from abkit.settings import load_settings

    return Exporter(open_target(to, state=load_settings(state=state).state, context=context))


def _mesh(mesh: str | None, to: str) -> str:
    if not to.startswith("envoy:"):
        return mesh or "istio"
    if mesh not in {None, "envoy"}:
        msg = f"--mesh {mesh}: --to {to} takes Envoy's files: leave --mesh out, or name another target"
        raise InputError(msg)
    return "envoy"


def _who() -> Who:
    from abkit.export import Who

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}"
    return Who(name, now())


def _check(exporter: Exporter, planned: Sequence[Planned], *, as_json: bool) -> None:
    unfinished = bool(exporter.history.unfinished())
    good = not unfinished and all(one.in_sync for one in planned)
    if as_json:
        write_json(
            {
                "target": exporter.target.place,
                "in_sync": good,
                "unfinished": unfinished,
                "bundles": [_bundle(one) for one in planned],
            }
        )
    else:
        for one in planned:
            for change in one.changes:
                line = f"{change.key}: {change.status}"
                output().print(Text(line, style="" if change.status == "in-sync" else "yellow"), soft_wrap=True)
        if unfinished:
            output().print("an export was cut off: the next export or rollback ends it", soft_wrap=True)
    if not good:
        raise typer.Exit(TargetDrift.exit_code)


def _preview(exporter: Exporter, planned: Sequence[Planned], *, diff: bool, as_json: bool) -> None:
    if exporter.history.unfinished():
        error_console().print("an export was cut off: the next export or rollback ends it first")
    exporter.rehearse(planned)
    if as_json:
        _document(exporter, planned, (), dry_run=True, diff=diff)
    elif diff:
        for one in planned:
            for line in _diff(one):
                output().print(Text(line, style=_LINES.get(line[:1], "")), soft_wrap=True)
    else:
        _lines(planned)


def _show(exporter: Exporter, planned: Sequence[Planned], versions: Sequence[Version], *, as_json: bool) -> None:
    if as_json:
        _document(exporter, planned, versions, dry_run=False, diff=False)
        return
    _lines(planned)
    for version in versions:
        output().print(Text(f"{version.bundle}: version {version.number} at {exporter.target.place}"), soft_wrap=True)
    if not versions:
        output().print(Text(f"{exporter.target.place}: nothing to do"), soft_wrap=True)


def _lines(planned: Sequence[Planned]) -> None:
    for one in planned:
        for change in one.changes:
            sign, style = _WORDS[change.status]
            output().print(Text(f"{sign} {change.key}", style=style), soft_wrap=True)


def _diff(planned: Planned) -> list[str]:
    lines: list[str] = []
    for change in planned.changes:
        before, after = (text.splitlines() if text is not None else [] for text in (change.before, change.after))
        names = (
            "/dev/null" if change.before is None else change.key,
            "/dev/null" if change.after is None else change.key,
        )
        lines += difflib.unified_diff(before, after, *names, lineterm="")
    return lines


def _bundle(planned: Planned, *, diff: bool = False) -> dict[str, Any]:
    return {
        "bundle": planned.bundle,
        "mesh": planned.mesh,
        "splits": planned.splits,
        "restores": planned.restores,
        "changes": [
            {"name": change.key, "status": change.status, "reason": change.reason or None} for change in planned.changes
        ],
        **({"diff": "\n".join(_diff(planned))} if diff else {}),
    }


def _document(
    exporter: Exporter, planned: Sequence[Planned], versions: Sequence[Version], *, dry_run: bool, diff: bool
) -> None:
    made = {version.bundle: version.number for version in versions}
    write_json(
        {
            "target": exporter.target.place,
            "dry_run": dry_run,
            "bundles": [_bundle(one, diff=diff) | {"version": made.get(one.bundle)} for one in planned],
        }
    )


def _list(exporter: Exporter, mesh: str, names: Sequence[str], *, as_json: bool) -> None:
    found = [
        version
        for name in names
        for number in exporter.history.numbers(mesh, name)
        if (version := exporter.history.version(mesh, name, number)) is not None
    ]
    if as_json:
        rows = [one.model_dump(mode="json", exclude={"before", "after"}) for one in found]
        write_json({"target": exporter.target.place, "versions": rows})
        return
    for one in found:
        head = one.message.splitlines()[0]
        output().print(
            Text(f"{one.bundle} {one.number}: {one.at:%Y-%m-%d %H:%M:%SZ}, {one.by}: {head}"), soft_wrap=True
        )
