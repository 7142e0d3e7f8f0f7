"""The command for comparisons in time."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from abkit.cli import log
from abkit.cli.options import AsJson, Db, OwnMetrics, SpecFile, now, output, parse_time, write_json
from abkit.settings import load_settings

__all__ = ["register"]


class Earlier(StrEnum):
    """What a time may be compared with."""

    LAST_WEEK = "last-week"
    LAST_PERIOD = "last-period"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(trend)


def trend(
    spec: SpecFile,
    against: Annotated[
        Earlier | None,
        typer.Option(help="The same hours last week, or the time of equal length just before; both where left out."),
    ] = None,
    db: Db = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="The moment to look from; the last pull's end where left out.")
    ] = None,
    metrics: OwnMetrics = None,
    as_json: AsJson = False,
) -> None:
    """Show each variant now and earlier, whether lifts fade, and hours that stand out: described, never decided on.

    Examples:
      abkit trend shop.yaml

      abkit trend shop.yaml --against last-week --json | jq .periods
    """
    from abkit.pipeline.evaluate import evaluate
    from abkit.pipeline.periods import AGAINST
    from abkit.queries.own import load_experiment
    from abkit.report.trend import print_trend, trend_document
    from abkit.store import Store

    settings = load_settings(db=db, metrics=metrics)
    log.configure(settings.log_level, settings.log_format)
    experiment = load_experiment(spec, settings.metrics)
    store = Store(settings.db, wait=settings.lock_wait)
    chosen = AGAINST if against is None else (against.value,)
    evaluation = evaluate(experiment, store, parse_time(at, "--at", now()), chosen)
    if as_json:
        write_json(trend_document(evaluation))
    else:
        print_trend(evaluation, output())
