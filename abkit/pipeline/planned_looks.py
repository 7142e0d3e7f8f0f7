"""When the looks of a group-sequential test are due, and which of them have come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from abkit import stats
from abkit.evidence import LookPlan
from abkit.pipeline.splits import milliseconds, moment
from abkit.spec import Experiment, Looks

__all__ = ["SPENDING", "look_plan", "planned_moments"]

_HOUR, _MINUTE = 3_600_000, 60_000
_TWO_DAYS = 48 * _HOUR
SPENDING: dict[Looks, Literal["obrien-fleming", "pocock"]] = {
    Looks.OBRIEN_FLEMING: "obrien-fleming",
    Looks.POCOCK: "pocock",
}
"""Spending function of each planned way of looking."""


def planned_moments(experiment: Experiment) -> tuple[int, ...]:
    """When the looks of a group-sequential test are due, ms: evenly spaced from start to end; empty for other tests.

    All but the last lie on whole hours of the clock, on whole minutes in tests of up to two days: what the store keeps.
    What the rounding leaves over is the last one's.
    """
    analysis = experiment.analysis
    if not experiment.deciding_looks.grouped or analysis.start is None or analysis.end is None:
        return ()
    start, end, count = milliseconds(analysis.start), milliseconds(analysis.end), analysis.planned_looks
    unit = _HOUR if end - start > _TWO_DAYS else _MINUTE
    step = max((end - start) // count // unit, 1) * unit
    first = start // unit * unit
    return (*(first + step * k for k in range(1, count) if first + step * k < end), end)


def look_plan(experiment: Experiment, moments: Sequence[int], at_ms: int) -> LookPlan | None:
    """Which looks have come; None for a test without planned ones.

    Args:
        experiment: The experiment file.
        moments: When looks are due, from `planned_moments`.
        at_ms: Now.
    """
    if not moments:
        return None
    taken = sum(moment <= at_ms for moment in moments)
    spending = SPENDING[experiment.deciding_looks]
    share = taken / len(moments)
    alpha = 1 - experiment.analysis.confidence
    return LookPlan(
        spending=spending,
        planned=len(moments),
        taken=taken,
        last=moment(moments[taken - 1]) if taken else None,
        next=moment(moments[taken]) if taken < len(moments) else None,
        fraction=share if taken else None,
        spent=2 * float(stats.sequential.spent(share, alpha / 2, spending)) if taken else None,
    )
