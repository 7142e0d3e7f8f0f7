"""An experiment over time, asked for by itself: now and earlier, day by day, hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from abkit.evidence import Evaluation
from abkit.pipeline.anomalies import anomalies_of
from abkit.pipeline.beside import watched
from abkit.pipeline.evaluate import evaluate, usages_of
from abkit.pipeline.periods import AGAINST, Against, period_changes
from abkit.pipeline.splits import milliseconds
from abkit.queries import resolve
from abkit.spec import Experiment
from abkit.store import Store
from abkit.window import Window

__all__ = ["over_time"]


def over_time(
    experiment: Experiment, store: Store, at: datetime | None = None, against: Sequence[Against] = AGAINST
) -> Evaluation:
    """The evaluation with all that can be said of time, whether or not the experiment file asks for a history.

    Args:
        experiment: The experiment file.
        store: Holds what was pulled.
        at: The moment to look from; the newest pull's end where left out.
        against: Which earlier times to compare with.

    Raises:
        QueryError: A metric is not in the catalogue.
        StoreError: The store can't be read.
    """
    evaluation = evaluate(experiment, store, at)
    start, end, span = evaluation.window.start, evaluation.window.end, store.span(experiment.name)
    if start is None or end is None or span is None:
        return evaluation
    window = Window(milliseconds(start), milliseconds(end))
    usages = usages_of(experiment, {metric.name: metric for metric in resolve(experiment)})
    hours, checks = anomalies_of(experiment, watched(usages), store, window, span.start_ms)
    return evaluation.model_copy(
        update={
            "periods": period_changes(experiment, [metric for metric, _ in usages], store, window, against),
            "anomalies": hours,
            "anomaly_checks": checks,
        }
    )
