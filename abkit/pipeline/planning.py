"""What `abkit power` answers: what can be found now, and with how many users and days, from data or assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from abkit import stats
from abkit.errors import InputError, did_you_mean
from abkit.evidence import Evaluation, MetricResult, Usage
from abkit.evidence.base import Model
from abkit.pipeline.compare import DEFAULT_MARGIN
from abkit.pipeline.power import question
from abkit.queries import ResolvedMetric
from abkit.spec import Experiment, Kind
from abkit.wording import percent

__all__ = ["DESIGNS", "Assumptions", "MetricPlan", "Need", "SamplePlan", "from_assumptions", "from_data"]

DESIGNS = ("fixed", "obrien-fleming", "always-valid")
"""The ways of looking that are set beside one another."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is taken to be true where there is no data yet.

    Attributes:
        metric: The metric's name; the first primary one where left out.
        baseline: The control's value.
        users_per_day: New users a day, of all variants together; None where not said.
        events_per_user: Units of the denominator that a user makes: page views a user.
        design_effect: By how much users who come back raise the variance.
        deviation: Standard deviation of one unit, for what is no proportion.
    """

    metric: str | None
    baseline: float
    users_per_day: float | None = None
    events_per_user: float = 1.0
    design_effect: float = 1.0
    deviation: float | None = None


class Need(Model):
    """What one way of looking needs."""

    design: str
    """fixed, obrien-fleming, pocock or always-valid."""
    users: int | None
    """Users in each of the two arms, the larger one; None where users aren't counted, or aren't what counts."""
    days: float | None
    """Days from the start; None where it is never reached, or can't be said."""


class MetricPlan(Model):
    """One metric of one treatment."""

    metric: str
    variant: str
    role: Usage
    asks: Literal["effect", "margin"]
    """Whether an effect is to be found, or harm to be shown to be below a margin."""
    planned: float
    """The relative effect, or the margin."""
    baseline: float | None
    mde: float | None
    """Smallest effect, or margin, now; from assumptions, at the planned end."""
    achieved: float | None
    """Power for the planned one now; from assumptions, at the planned end."""
    needs: tuple[Need, ...]
    note: str


class SamplePlan(Model):
    """What `abkit power` prints."""

    experiment: str
    basis: Literal["data", "assumptions"]
    as_of: datetime | None
    """The newest data that it rests on."""
    power: float
    confidence: float
    decides: str
    """How the experiment is looked at."""
    metrics: tuple[MetricPlan, ...]


def from_data(experiment: Experiment, evaluation: Evaluation) -> SamplePlan:
    """What the data so far say.

    Users grow with the information that is needed, as far as each further user is a new one; days follow the curve of
    the information, which knows of users who come back.

    Args:
        experiment: The experiment file.
        evaluation: Of the data until now.
    """
    users = {share.variant: share.users for share in evaluation.split}
    return SamplePlan(
        experiment=experiment.name,
        basis="data",
        as_of=evaluation.as_of,
        power=experiment.analysis.power,
        confidence=experiment.analysis.confidence,
        decides=str(experiment.deciding_looks),
        metrics=tuple(
            _measured(result, users) for result in evaluation.metrics if result.role in {Usage.PRIMARY, Usage.GUARDRAIL}
        ),
    )


def _measured(result: MetricResult, users: dict[str, int | None]) -> MetricPlan:
    power = result.power
    counts = [count for name in (result.control, result.variant) if (count := users.get(name)) is not None]
    # How far pods differ doesn't shrink with users.
    by_users = len(counts) == 2 and "instance" not in result.replication
    now = max(counts) if by_users else None
    return MetricPlan(
        metric=result.metric,
        variant=result.variant,
        role=result.role,
        asks="effect" if result.margin is None else "margin",
        planned=power.planned if power is not None else result.margin or 0.0,
        baseline=result.baseline,
        mde=None if power is None else power.mde,
        achieved=None if power is None else power.achieved,
        needs=()
        if power is None
        else tuple(
            Need(
                design=need.design,
                users=None if now is None or need.information is None else math.ceil(now * need.information),
                days=need.days,
            )
            for need in power.needs
        ),
        note=f"{result.status.reason or result.status.code}." if power is None else power.note,
    )


def from_assumptions(experiment: Experiment, metrics: dict[str, ResolvedMetric], given: Assumptions) -> SamplePlan:
    """What assumptions say, for one metric and every treatment.

    Args:
        experiment: The experiment file.
        metrics: Resolved metrics by name.
        given: The assumptions.

    Raises:
        InputError: The metric is neither primary nor a guardrail, or a number is out of range.
    """
    primary = [ref.metric for ref in experiment.metrics.primary]
    margins = {ref.metric: ref.margin or DEFAULT_MARGIN for ref in experiment.metrics.guardrails}
    name = given.metric or next(iter((*primary, *margins)), "")
    if name not in primary and name not in margins:
        msg = f"--metric: no primary metric or guardrail is called '{name}'; {did_you_mean(name, [*primary, *margins])}"
        raise InputError(msg)
    _check(metrics[name], given)
    return SamplePlan(
        experiment=experiment.name,
        basis="assumptions",
        as_of=None,
        power=experiment.analysis.power,
        confidence=experiment.analysis.confidence,
        decides=str(experiment.deciding_looks),
        metrics=tuple(
            _assumed(experiment, metrics[name], variant, margins.get(name), len(primary), given)
            for variant in experiment.treatments
        ),
    )


def _check(metric: ResolvedMetric, given: Assumptions) -> None:
    proportion = metric.definition.kind is Kind.PROPORTION
    if metric.definition.kind in {Kind.RATE, Kind.QUANTILE, Kind.GAUGE}:
        msg = (
            f"--metric: '{metric.name}' is a {metric.definition.kind}: assumptions say nothing of its noise, pull first"
        )
        raise InputError(msg)
    if proportion and not 0 < given.baseline < 1:
        msg = f"--baseline: '{metric.name}' is a proportion: should be between 0 and 1 (got {given.baseline:g})"
        raise InputError(msg)
    if not proportion and given.deviation is None:
        msg = f"--deviation: '{metric.name}' is a {metric.definition.kind}: give the standard deviation of one unit"
        raise InputError(msg)
    for option, number in (
        ("--baseline", given.baseline),
        ("--users-per-day", given.users_per_day),
        ("--events-per-user", given.events_per_user),
        ("--design-effect", given.design_effect),
        ("--deviation", given.deviation),
    ):
        if number is not None and not (math.isfinite(number) and number > 0):
            msg = f"{option}: should be a number above 0 (got {number:g})"
            raise InputError(msg)


def _assumed(
    experiment: Experiment,
    metric: ResolvedMetric,
    variant: str,
    margin: float | None,
    primary: int,
    given: Assumptions,
) -> MetricPlan:
    asked = question(experiment, metric.definition.direction, margin, primary * len(experiment.treatments))
    weights = experiment.split[experiment.control], experiment.split[variant]
    split = weights[0] / 10_000, weights[1] / 10_000
    if min(split) <= 0:
        msg = f"{variant} gets no traffic by the experiment file: give it a weight"
        raise InputError(msg)
    p = given.baseline
    # On the log ratio the variance of an arm of n units is v/p²/n.
    unit = (1 - p) / p if metric.definition.kind is Kind.PROPORTION else ((given.deviation or 0.0) / p) ** 2
    unit *= given.design_effect
    needs = []
    for design in dict.fromkeys((*DESIGNS, asked.design)):
        looks = asked.looks if design == asked.design else None
        terms = (asked.power, asked.confidence, asked.alternative)
        plan = stats.power.information(asked.effect, *terms, design=design, looks=looks)
        # All variants' users: of them the two arms have their shares.
        users = plan.information * unit * (1 / split[0] + 1 / split[1]) / given.events_per_user
        days = None if given.users_per_day is None else users / given.users_per_day
        needs.append(Need(design=design, users=math.ceil(users * max(split)), days=days))
    mde, achieved, note = None, None, "Users are all taken to be new ones: those who come back add less."
    analysis = experiment.analysis
    if given.users_per_day is not None and analysis.start is not None and analysis.end is not None:
        length = (analysis.end - analysis.start).total_seconds() / 86_400
        units = given.users_per_day * length * given.events_per_user
        error = math.sqrt(unit / units * (1 / split[0] + 1 / split[1]))
        found = stats.power.mde(
            error, power=asked.power, confidence=asked.confidence, alternative=asked.alternative, design=asked.design,
            looks=asked.looks,
        )  # fmt: skip
        chance = stats.power.achieved(
            asked.effect,
            error,
            confidence=asked.confidence,
            alternative=asked.alternative,
            design=asked.design,
            looks=asked.looks,
        )
        mde, achieved = asked.as_share(found.effect), chance.power
        what = "margin" if asked.margin else "effect"
        note = f"At the planned end, after {length:g} days, {what}s from {percent(mde)} on are found. {note}"
    return MetricPlan(
        metric=metric.name,
        variant=variant,
        role=Usage.PRIMARY if margin is None else Usage.GUARDRAIL,
        asks="effect" if margin is None else "margin",
        planned=asked.relative,
        baseline=given.baseline,
        mde=mde,
        achieved=achieved,
        needs=tuple(needs),
        note=note,
    )
