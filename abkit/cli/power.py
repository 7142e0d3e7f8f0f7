"""Commands that say what can be found and what a bandit would do: power, bandit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from abkit.cli.options import AsJson, Db, OwnMetrics, SpecFile, output, write_json
from abkit.errors import InputError
from abkit.settings import load_settings
from abkit.spec import Experiment
from abkit.wording import MISSING, count, percent

if TYPE_CHECKING:
    from abkit.evidence import Bandit, Evaluation
    from abkit.pipeline.planning import MetricPlan, SamplePlan

__all__ = ["register"]

_NAMES = {
    "fixed": "read once",
    "obrien-fleming": "O'Brien–Fleming",
    "pocock": "Pocock",
    "always-valid": "read at any time",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(power)
    app.command()(bandit)


def power(
    spec: SpecFile,
    db: Db = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="Assume for this metric; the first primary one where left out.")
    ] = None,
    baseline: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Assume this value of the control: 0.05 for 5 %.")
    ] = None,
    users_per_day: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Assume so many new users a day, of all variants together.")
    ] = None,
    events_per_user: Annotated[
        float, typer.Option(metavar="NUMBER", help="Assume so many events a user, such as page views.")
    ] = 1.0,
    design_effect: Annotated[
        float, typer.Option(metavar="NUMBER", help="Assume that users who come back raise the variance so many times.")
    ] = 1.0,
    deviation: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="Assume this standard deviation of one event, for a mean or a ratio."),
    ] = None,
    own: OwnMetrics = None,
    as_json: AsJson = False,
) -> None:
    """Say what effect can be found now, and how many users and days the planned one takes.

    From the data that was pulled; from assumptions, where --baseline is given.

    Examples:
      abkit power shop.yaml

      abkit power shop.yaml --baseline 0.05 --users-per-day 2000 --events-per-user 8 --design-effect 2.5

      abkit power shop.yaml --metric page-load-time --baseline 1.2 --deviation 0.8 --users-per-day 2000 --json
    """
    from abkit.pipeline.planning import Assumptions, from_assumptions, from_data
    from abkit.queries import resolve
    from abkit.queries.own import load_experiment

    experiment = load_experiment(spec, load_settings(metrics=own).metrics)
    metrics = {found.name: found for found in resolve(experiment)}
    if baseline is not None:
        given = Assumptions(metric, baseline, users_per_day, events_per_user, design_effect, deviation)
        plan = from_assumptions(experiment, metrics, given)
    else:
        evaluation = _evaluated(experiment, db)
        if evaluation is None:
            msg = (
                f"there is no data of '{experiment.name}' to measure the noise on: pull first (abkit pull {spec}), or "
                "say what to assume: --baseline 0.05 --users-per-day 2000"
            )
            raise InputError(msg)
        plan = from_data(experiment, evaluation)
    if as_json:
        write_json(plan.model_dump(mode="json"))
    else:
        _print_plan(plan)


def bandit(spec: SpecFile, db: Db = None, own: OwnMetrics = None, as_json: AsJson = False) -> None:
    """Propose weights by how probable it is that each variant is the best; nothing is changed.

    Needs `analysis: {bandit: {floor: 0.1}}` in the experiment file.

    Examples:
      abkit bandit shop.yaml

      abkit bandit shop.yaml --json | jq '.proposals[0].weights'
    """
    from abkit.queries.own import load_experiment

    experiment = load_experiment(spec, load_settings(metrics=own).metrics)
    if experiment.analysis.bandit is None:
        msg = f"{spec}: no proposal is asked for: add analysis: {{bandit: {{floor: 0.1}}}}"
        raise InputError(msg)
    evaluation = _evaluated(experiment, db)
    if evaluation is None:
        msg = f"there is no data of '{experiment.name}' to propose weights from: pull first (abkit pull {spec})"
        raise InputError(msg)
    if as_json:
        rows = [proposal.model_dump(mode="json") for proposal in evaluation.bandit]
        write_json({"experiment": experiment.name, "proposals": rows})
        return
    for proposal in evaluation.bandit:
        _print_proposal(experiment, proposal, spec)


def _evaluated(experiment: Experiment, db: Path | None) -> Evaluation | None:
    """What the store's data say; None where it has none."""
    from abkit.pipeline.evaluate import evaluate
    from abkit.store import Store

    settings = load_settings(db=db)
    store = Store(settings.db, wait=settings.lock_wait)
    if not store.exists:
        return None
    evaluation = evaluate(experiment, store)
    return evaluation if evaluation.as_of is not None else None


def _print_plan(plan: SamplePlan) -> None:
    console = output()
    basis = "from assumptions" if plan.basis == "assumptions" else f"from data until {plan.as_of:%Y-%m-%d %H:%M} UTC"
    head = f"{plan.experiment}: power {percent(plan.power)}, confidence {percent(plan.confidence)}, {basis}"
    console.print(f"[bold]{escape(head)}[/]", soft_wrap=True)
    for metric in plan.metrics:
        what = "effect to find" if metric.asks == "effect" else "margin to keep"
        title = f"{metric.metric} of {metric.variant}: {what} {percent(metric.planned)}"
        console.print(f"\n{escape(title)}", soft_wrap=True)
        if metric.needs:
            console.print(_table(metric, plan))
        console.print(escape(metric.note), soft_wrap=True)


def _table(metric: MetricPlan, plan: SamplePlan) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("looks")
    for name in ("users an arm", "days"):
        table.add_column(name, justify="right")
    for need in metric.needs:
        mine = " (this experiment)" if need.design == plan.decides else ""
        days = MISSING if need.days is None else "< 0.1" if need.days < 0.1 else f"{need.days:,.1f}"
        table.add_row(_NAMES[need.design] + mine, count(need.users), days)
    return table


def _print_proposal(experiment: Experiment, proposal: Bandit, spec: Path) -> None:
    console = output()
    console.print(f"[bold]{escape(proposal.metric)}[/]")
    if not proposal.weights:
        console.print(f"No proposal: {escape(str(proposal.status))}.", soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("variant", "version", "best with", "now", "proposed"):
        table.add_column(name, justify="left" if name in {"variant", "version"} else "right")
    for name, weight in proposal.weights.items():
        table.add_row(
            escape(name),
            escape(experiment.variants[name].version),
            f"{100 * proposal.probability_best[name]:.1f} %",
            f"{experiment.split[name] / 100:g} %",
            f"{weight / 100:g} %",
        )
    console.print(table)
    weights = ",".join(
        f"{experiment.variants[name].version}={proposal.weights[name] / 100:g}" for name in experiment.treatments
    )
    console.print(
        f"Nothing was changed. To apply it by hand: abkit routes {escape(str(spec))} --weights {escape(weights)}",
        soft_wrap=True,
    )
