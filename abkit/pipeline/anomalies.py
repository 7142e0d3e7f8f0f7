"""Hours in which a variant's metric stands out from its own past.

They point at moments that are worth a look, such as an outage that hit both arms. No verdict rests on them: a change
from one hour to another is not a comparison of arms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from abkit import stats
from abkit.errors import InputError
from abkit.evidence import Anomaly, AnomalyCheck, Status, StatusCode
from abkit.pipeline.splits import moment
from abkit.pipeline.totals import RANDOMISED
from abkit.queries import ResolvedMetric
from abkit.spec import Experiment, Kind, Role
from abkit.store import Store
from abkit.window import Window

__all__ = ["FEWEST_EVENTS", "anomalies_of"]

FEWEST_EVENTS = 20
"""Events in the median hour, of a proportion or ratio, below which an hour's value is too noisy to be judged."""

_HOUR = 3_600_000
_DAILY = 24
_ROLES = (Role.NUMERATOR, Role.DENOMINATOR)
_RATIOS = {Kind.PROPORTION, Kind.RATIO, Kind.MEAN}
_REMEDY = "statsmodels is not installed: pip install 'abkit[anomalies]'"

Floats = NDArray[np.float64]


def anomalies_of(
    experiment: Experiment, metrics: Sequence[ResolvedMetric], store: Store, window: Window, since_ms: int
) -> tuple[tuple[Anomaly, ...], tuple[AnomalyCheck, ...]]:
    """Hold each variant's hours against its own trend and daily season.

    Residuals count by the square root of an hour's denominator: the night's few users make noisy values.

    Args:
        experiment: The experiment file.
        metrics: What is judged: those that are ratios of sums.
        store: Holds what was pulled.
        window: What is analysed: its hours are judged.
        since_ms: From when on hours are known: the history.

    Returns:
        The hours that stand out; and one check a metric and variant that says whether there was any telling.

    Raises:
        StoreError: The store can't be read.
    """
    chosen = [metric for metric in metrics if metric.definition.kind in _RATIOS]
    inputs = {data.id for metric in chosen for data in metric.inputs.values()}
    found: list[Anomaly] = []
    checks: list[AnomalyCheck] = []
    if not chosen or window.length_ms < _HOUR:
        return (), ()
    first = -(-since_ms // _HOUR)
    last = window.end_ms // _HOUR  # hours that are not over yet don't count
    hourly = store.hourly(experiment.name, Window(first * _HOUR, last * _HOUR), inputs)
    for metric in chosen:
        for variant in experiment.variants:
            num, den = (_series(hourly, metric.inputs[role].id, variant, first, last) for role in _ROLES)
            judged, status = _judge(metric, variant, num * metric.definition.scale, den, window)
            found.extend(judged)
            hours = int((den[max(0, _begin(window) - first) :] > 0).sum()) if status.code is StatusCode.OK else 0
            checks.append(AnomalyCheck(metric=metric.name, variant=variant, hours=hours, status=status))
    return tuple(found), tuple(checks)


def _begin(window: Window) -> int:
    return -(-window.start_ms // _HOUR)


def _series(
    hourly: dict[tuple[str, str, str], dict[int, float]], data: str, variant: str, first: int, last: int
) -> Floats:
    """Totals of each hour: of randomised requests, and of those in the history that nothing is said of."""
    own = {how: hours for (which, name, how), hours in hourly.items() if (which, name) == (data, variant)}
    wanted = [hours for how, hours in own.items() if how in {RANDOMISED, ""}] or list(own.values())
    out = np.zeros(max(last - first, 0))
    for hours in wanted:
        for at, total in hours.items():
            out[at // _HOUR - first] += total
    return out


def _judge(
    metric: ResolvedMetric, variant: str, num: Floats, den: Floats, window: Window
) -> tuple[list[Anomaly], Status]:
    seen = np.flatnonzero(den > 0)
    if not seen.size:
        return [], Status(code=StatusCode.NO_DATA, reason="no hour has any data")
    # What begins midway has no past before; what it has since may be enough.
    num, den = num[seen[0] :], den[seen[0] :]
    start = window.end_ms // _HOUR - num.size
    events = float(np.median(num[den > 0])) / metric.definition.scale
    if metric.definition.kind is not Kind.MEAN and events < FEWEST_EVENTS:
        reason = f"{events:.3g} events in the median hour, fewer than {FEWEST_EVENTS}: single hours say nothing"
        return [], Status(code=StatusCode.TOO_FEW, reason=reason)
    values = [n / d if d > 0 else None for n, d in zip(num.tolist(), den.tolist(), strict=True)]
    try:
        result = stats.anomalies(values, _DAILY, weights=den)
    except InputError:
        return [], Status(code=StatusCode.UNAVAILABLE, reason=_REMEDY)
    if result.status != "ok":
        return [], Status(
            code=StatusCode.TOO_FEW, reason=f"{result.status}: the history may be longer (analysis.history)"
        )
    return [
        Anomaly(
            metric=metric.name,
            variant=variant,
            at=moment((start + place) * _HOUR),
            value=float(values[place] or 0.0),
            expected=float(result.expected[place]),
            low=float(result.low[place]),
            high=float(result.high[place]),
        )
        for place in np.flatnonzero(result.anomalous).tolist()
        if start + place >= _begin(window)
    ], Status()
