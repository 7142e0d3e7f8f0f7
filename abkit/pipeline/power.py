"""What an experiment can find with the data that it has, and by when.

A primary metric has to show an effect of the planned size (`analysis.mde`), two-sided. A guardrail has to show that
its harm is smaller than its margin, one-sided, where there is none. α is what a test has where several decide: an equal
part each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abkit import stats
from abkit.evidence import DesignNeed, MetricResult, Power, Status, StatusCode
from abkit.pipeline.estimate import Estimate
from abkit.pipeline.looks import Looked
from abkit.spec import Direction, Experiment
from abkit.wording import percent, plural

__all__ = ["Question", "power_of", "question"]

_DAY = 86_400_000
_IN_SIGHT = 0.5
"""Share of the ceiling that must have been reached before it is believed: further out it is extrapolation."""


_ABSURD = math.log(11)
"""Log ratio above which an effect is no effect that anybody looks for."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a metric has to show.

    Attributes:
        relative: The effect, or the margin, as a share.
        effect: The same on the log ratio; above 0.
        alternative: two-sided, or greater: the size of an effect, or the room below a margin.
        confidence: 1 - α of this test alone.
        design: What decides, by the name that `stats.power` has for it.
        looks: Planned looks; None where the design has its own.
        power: With which probability.
        downwards: Whether harm is a decrease, so that a margin is one of a fall.
    """

    relative: float
    effect: float
    alternative: str
    confidence: float
    design: str
    looks: int | None
    power: float
    downwards: bool

    @property
    def margin(self) -> bool:
        """Whether it is about a guardrail's margin."""
        return self.alternative == "greater"

    def as_share(self, effect: float) -> float:
        """A size on the log ratio as the share it is told as."""
        return -math.expm1(-effect) if self.margin and self.downwards else math.expm1(min(effect, 700.0))


def question(experiment: Experiment, direction: Direction, margin: float | None, tests: int) -> Question:
    """What a metric has to show.

    Args:
        experiment: The experiment file.
        direction: Which way is better.
        margin: A guardrail's; None for a primary metric.
        tests: How many primary metrics and treatments decide together.
    """
    analysis = experiment.analysis
    alpha = 1 - analysis.confidence
    downwards = direction is Direction.INCREASE
    if margin is None:
        relative, effect, alternative = analysis.mde, math.log1p(analysis.mde), "two-sided"
        if experiment.canary is not None:  # as its judge splits it
            alpha /= 2 * len(experiment.canary.steps)
        alpha /= max(tests, 1)
    else:
        relative, alternative = margin, "greater"
        effect = -math.log1p(-margin) if downwards and margin < 1 else math.log1p(margin)
        alpha /= len(experiment.treatments)
    looks = experiment.deciding_looks
    return Question(
        relative=relative,
        effect=effect,
        alternative=alternative,
        confidence=1 - alpha,
        design=str(looks),
        looks=analysis.planned_looks if looks.grouped else None,
        power=analysis.power,
        downwards=downwards,
    )


def power_of(experiment: Experiment, result: MetricResult, found: Estimate, looked: Looked, tests: int) -> Power | None:
    """What a metric of a treatment can find now and by when.

    Args:
        experiment: The experiment file.
        result: The metric's result.
        found: Its estimate at all looks until now.
        looked: When these looks were.
        tests: How many tests of its role decide together.

    Returns:
        None where nothing is compared.
    """
    if found.comparison is None:
        return None
    asked = question(experiment, result.direction, result.margin, tests)
    last = found.comparison.at(-1)
    if last.lift_se is None:
        reason = last.lift_status if last.lift_status != "ok" else "no standard error of the lift"
        return _unknown(asked, StatusCode.UNDEFINED, reason)
    terms = (asked.power, asked.confidence, asked.alternative)
    now = stats.power.mde(last.lift_se, last.df, *terms, design=asked.design, looks=asked.looks)
    if now.effect is None:
        return _unknown(asked, StatusCode.TOO_FEW, now.status)
    if now.effect > _ABSURD:
        return _unknown(asked, StatusCode.TOO_FEW, "only an effect of more than ten times the control would be found")
    reached = stats.power.achieved(
        asked.effect, last.lift_se, last.df, *terms[1:], design=asked.design, looks=asked.looks
    )
    time = (np.asarray(looked.ends, dtype=np.float64) - looked.start_ms) / _DAY
    information = 1 / np.ma.masked_array(found.comparison.lift_se) ** 2
    curve = stats.power.saturation(time, information)
    saturates = bool(curve.capped) and curve.reached is not None and curve.reached >= _IN_SIGHT
    needs = tuple(
        _need(asked, design, last.lift_se, time, information)
        for design in dict.fromkeys(("fixed", "obrien-fleming", "always-valid", asked.design))
    )
    mine = next(need for need in needs if need.design == asked.design)
    smallest = None
    if saturates:
        floor = stats.power.days(
            asked.effect, time, information, *terms, design=asked.design, looks=asked.looks
        ).smallest
        smallest = None if floor is None else asked.as_share(floor)
    mde = asked.as_share(now.effect)
    return Power(
        power=asked.power,
        mde=mde,
        planned=asked.relative,
        achieved=reached.power,
        days=mine.days,
        reachable=smallest,
        saturates=saturates,
        needs=needs,
        note=_note(asked, mde, mine.days, smallest, float(time[-1]), _recurring(last)),
    )


def _unknown(asked: Question, code: StatusCode, reason: str) -> Power:
    return Power(
        power=asked.power,
        mde=None,
        planned=asked.relative,
        achieved=None,
        days=None,
        note="There is too little data to say what could be found.",
        status=Status(code=code, reason=reason),
    )


def _need(
    asked: Question,
    design: str,
    standard_error: float,
    time: NDArray[np.float64],
    information: np.ma.MaskedArray[Any, Any],
) -> DesignNeed:
    """What another way of looking would need for the same question."""
    looks = asked.looks if design == asked.design else None
    terms = (asked.power, asked.confidence, asked.alternative)
    plan = stats.power.information(asked.effect, *terms, design=design, looks=looks)
    when = stats.power.days(asked.effect, time, information, *terms, design=design, looks=looks)
    # What was there at the first look was there by then: the curve says nothing of the time before.
    days = None if when.days is None else max(when.days, float(time[0]))
    return DesignNeed(design=design, information=plan.information * standard_error**2, days=days)


def _recurring(comparison: stats.Comparison) -> str:
    """What it is that more time shows again and again."""
    return "The same pods serve all along" if "instance" in comparison.replication else "The same users come back"


def _note(asked: Question, mde: float, days: float | None, smallest: float | None, now: float, recurring: str) -> str:
    """One sentence or two for a product analyst."""
    if asked.margin:
        first = f"If there is no harm, the data so far show with {100 * asked.power:.0f} % probability that it is below"
        first += f" {percent(mde)}"
        what = f"the margin of {percent(asked.relative)}"
    else:
        first = f"The data so far find an effect of {percent(mde)} with {100 * asked.power:.0f} % probability"
        what = f"the planned effect of {percent(asked.relative)}"
    if smallest is not None and smallest >= asked.relative:
        return (
            f"{first}. {recurring}, and more time adds little: {what} is out of reach, nothing below "
            f"{percent(smallest)} is found however long it runs."
        )
    if days is None:
        return f"{first}; when {what} is within reach can't be said yet."
    if days <= now:
        return f"{first}; {what} is within reach."
    capped = ""
    if smallest is not None:
        capped = f" {recurring}: nothing below {percent(smallest)} is found however long it runs."
    return f"{first}; {what} takes about {_days(days)} from the start.{capped}"


def _days(days: float) -> str:
    """A length of time with its unit.

    >>> _days(0.2), _days(1.25), _days(23.4)
    ('5 hours', '1.2 days', '23 days')
    """
    if days < 1:
        return plural(max(math.ceil(days * 24), 1), "hour")
    return f"{days:.1f} days" if days < 10 else f"{days:,.0f} days"
