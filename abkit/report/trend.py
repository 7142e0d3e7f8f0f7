"""An experiment over time on a terminal and as JSON."""

from __future__ import annotations

from rich.console import Console

from abkit.evidence import Evaluation, StatusCode
from abkit.report.format import plain
from abkit.report.insights import insight_tables
from abkit.report.scorecard import print_insights

__all__ = ["print_trend", "trend_document"]

_OVER_TIME = {"periods", "novelty", "anomalies", "anomaly_checks"}


def print_trend(evaluation: Evaluation, console: Console) -> None:
    """Print each variant now and earlier, whether lifts fade, and hours that stand out.

    Args:
        evaluation: What was concluded, with all that can be said of time.
        console: Where to.
    """
    if evaluation.as_of is None:
        console.print(f"{evaluation.experiment}: no data in the window: pull first (abkit pull)", markup=False)
        return
    print_insights([table for table in insight_tables(evaluation) if table.over_time], console)
    if not evaluation.periods:
        console.print(
            "Nothing earlier is in the store: name a time before the start in the experiment file "
            "(analysis.history: 14d) and pull again.",
            markup=False,
            soft_wrap=True,
        )
    judged = [check for check in evaluation.anomaly_checks if check.status.code is StatusCode.OK]
    if judged and not evaluation.anomalies:
        names = ", ".join(plain(f"{check.metric} of {check.variant}") for check in judged)
        console.print(f"No hour stands out from its past: {names}.", markup=False, soft_wrap=True)
    unjudged: dict[str, list[str]] = {}
    for check in evaluation.anomaly_checks:
        if check.status.code is not StatusCode.OK:
            unjudged.setdefault(check.status.reason, []).append(f"{check.metric} of {check.variant}")
    for reason, series in unjudged.items():
        console.print(plain(f"Hours are not judged ({', '.join(series)}): {reason}."), markup=False, soft_wrap=True)


def trend_document(evaluation: Evaluation) -> dict[str, object]:
    """The same for `--json`.

    Args:
        evaluation: What was concluded, with all that can be said of time.
    """
    return evaluation.model_dump(mode="json", include={"experiment", "as_of", "window", *_OVER_TIME})
