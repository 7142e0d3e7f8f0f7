"""The metric catalogue and what a server has of it, for terminals and as documents."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from abkit.pipeline.metric_check import InputCheck, MetricCheck
from abkit.queries import Entry, ResolvedMetric
from abkit.report.format import plain
from abkit.spec import Experiment

__all__ = ["catalogue_document", "check_document", "metric_document", "print_catalogue", "print_check", "print_metric"]

_MARKS = {"ok": "[green]✓[/]", "incomplete": "[yellow]![/]", "missing": "[red]✗[/]"}


def catalogue_document(entries: Sequence[Entry]) -> dict[str, object]:
    """The catalogue as JSON has it."""
    return {"metrics": [_entry(entry) for entry in entries]}


def print_catalogue(entries: Sequence[Entry], console: Console) -> None:
    """The catalogue, by where its metrics come from."""
    for group, members in groupby(entries, key=lambda entry: entry.group):
        console.print(f"[bold]{escape(group or 'own')}[/]")
        for entry in members:
            found = entry.definition
            better = {"increase": "higher is better", "decrease": "lower is better"}.get(str(found.direction))
            facts = ", ".join(part for part in (str(found.kind), found.unit, better) if part)
            console.print(f"  {escape(found.name)}  [dim]{escape(facts)}[/]", soft_wrap=True)
            if found.meaning:
                console.print(Padding(escape(found.meaning), (0, 0, 0, 6)))


def metric_document(entry: Entry, experiment: Experiment | None, resolved: ResolvedMetric | None) -> dict[str, object]:
    """One metric as JSON has it; with an experiment, its selectors filled in."""
    document = _entry(entry) | {"file": entry.file, "selectors": _selectors(entry)}
    if experiment is not None and resolved is not None:
        document |= {"experiment": experiment.name, "resolved": dict(resolved.selectors)}
    return document


def print_metric(entry: Entry, resolved: ResolvedMetric | None, console: Console) -> None:
    """One metric's file; with an experiment, its selectors filled in, to paste into Prometheus."""
    console.print(f"[dim]{escape(entry.file)}[/]", soft_wrap=True)
    console.print(escape(entry.text.rstrip()), soft_wrap=True)
    if resolved is not None:
        console.print()
        for role, selector in resolved.selectors.items():
            console.print(f"[dim]{role:<12}[/]{escape(selector)}", soft_wrap=True)


def check_document(checks: Sequence[MetricCheck], server: str, experiment: Experiment | None) -> dict[str, object]:
    """What a server has, as JSON has it."""
    return {
        "server": server,
        "experiment": None if experiment is None else experiment.name,
        "metrics": [
            {
                "metric": check.metric,
                "kind": check.kind,
                "status": check.status,
                "inputs": [
                    {
                        "role": each.role,
                        "selector": each.selector,
                        "series": each.series,
                        "variants": dict(each.variants),
                        "others": dict(each.others),
                        "unlabelled": dict(each.unlabelled),
                        "problems": list(each.problems),
                    }
                    for each in check.inputs
                ],
            }
            for check in checks
        ],
    }


def print_check(checks: Sequence[MetricCheck], server: str, console: Console) -> None:
    """What a server has, a line a selector, and below each what to do."""
    found = sum(check.status == "ok" for check in checks)
    console.print(f"[bold]{escape(server)}[/]: {found} of {len(checks)} metrics are there and labelled", soft_wrap=True)
    told: set[str] = set()
    for check in checks:
        console.print(f"{_MARKS[check.status]} {escape(check.metric)} [dim]{check.kind}[/]", soft_wrap=True)
        for each in check.inputs:
            console.print(f"    [dim]{each.role:<12}[/]{_series(each)}", soft_wrap=True)
            for problem in each.problems:
                if problem not in told:
                    console.print(f"    [dim]{'':<12}[/]{escape(plain(problem))}", soft_wrap=True)
                told.add(problem)


def _series(check: InputCheck) -> str:
    if not check.series:
        return "no series"
    parts = [f"{name} {count:,}" for name, count in check.variants.items()]
    parts += [f"{name or 'unlabelled'} {count:,}" for name, count in check.others.items()]
    return escape(plain(f"{check.series:,} series: {', '.join(parts)}"))


def _entry(entry: Entry) -> dict[str, object]:
    found = entry.definition
    return {
        "metric": found.name,
        "mesh": None if entry.mesh is None else str(entry.mesh),
        "group": entry.group,
        "kind": str(found.kind),
        "unit": found.unit,
        "direction": str(found.direction),
        "scope": str(found.scope),
        "labels": list(found.labels),
        "meaning": found.meaning,
    }


def _selectors(entry: Entry) -> dict[str, str]:
    return {str(role): selector for role, selector in entry.definition.roles.items()}
