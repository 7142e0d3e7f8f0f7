"""Rows of a result: metrics, trend, split, health, limits and stage as view models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from abkit.evidence import Evaluation, Interval, LimitResult, MetricResult, Severity, Stage, StatusCode, Usage
from abkit.report import format as fmt
from abkit.report.words import DIRECTION_WORDS, ROLE_WORDS, Outcome, Tone, limit_outcome, metric_outcome

__all__ = [
    "Change",
    "HealthRow",
    "LimitRow",
    "MetricRow",
    "SplitRow",
    "StageView",
    "TrendRow",
    "TrendSeries",
    "health_rows",
    "limit_rows",
    "metric_rows",
    "split_rows",
    "stage_view",
    "trend_series",
]


@dataclass(frozen=True, slots=True)
class Change:
    """A change with its intervals, raw for bars and as text.

    Attributes:
        estimate: The change; None where it doesn't exist.
        fixed: Fixed-horizon interval.
        sequence: Confidence sequence.
        deciding: The one of the two that the verdict rests on.
        text: The estimate.
        fixed_text: The fixed-horizon interval.
        sequence_text: The confidence sequence.
        deciding_text: The one of the two that the verdict rests on.
    """

    estimate: float | None
    fixed: Interval | None
    sequence: Interval | None
    deciding: Interval | None
    text: str
    fixed_text: str
    sequence_text: str
    deciding_text: str


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of one treatment.

    Attributes:
        metric: The metric's name.
        title: The name as a heading.
        role: Its part in the verdict.
        role_word: The same in a word.
        direction: Which way is better, in words.
        meaning: What it measures, in one sentence; may be empty.
        unit: What it is measured in; may be empty.
        control: The control's name.
        variant: The treatment's name.
        baseline: The control's value.
        value: The treatment's value.
        lift: Relative change.
        effect: Absolute change.
        p: Of the kind that decides: corrected where it was, else always-valid or fixed-horizon.
        p_fixed: Fixed-horizon p.
        p_sequence: Always-valid p.
        margin: Guardrails: tolerated relative harm, signed as the harmful lift; None elsewhere.
        margin_text: The same as text; empty elsewhere.
        harm_text: Guardrails: the harm is at most this; empty elsewhere.
        outcome: What the row says.
        status: Why a number is missing or may not be relied on; empty when all is well.
        method: How it was computed.
        replication: What the noise was measured on.
        assumption: What must hold for it.
    """

    metric: str
    title: str
    role: Usage
    role_word: str
    direction: str
    meaning: str
    unit: str
    control: str
    variant: str
    baseline: str
    value: str
    lift: Change
    effect: Change
    p: str
    p_fixed: str
    p_sequence: str
    margin: float | None
    margin_text: str
    harm_text: str
    outcome: Outcome
    status: str
    method: str
    replication: str
    assumption: str


@dataclass(frozen=True, slots=True)
class TrendRow:
    """Cumulative lift at one moment; the intervals' open sides are None."""

    at: datetime
    lift: float
    fixed: Interval | None
    sequence: Interval | None


@dataclass(frozen=True, slots=True)
class TrendSeries:
    """Cumulative lift of one metric of one treatment, by time."""

    metric: str
    title: str
    variant: str
    points: tuple[TrendRow, ...]


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One variant's share against what was intended.

    Attributes:
        variant: Its name.
        version: The label that mesh and Prometheus know it by.
        intended: Share, 0 … 1.
        observed: Share, 0 … 1; None without data.
        intended_text: Intended share.
        observed_text: Observed share.
        count_text: Users first exposed; `—` where the services don't count them.
        basis: `users` or `requests`.
    """

    variant: str
    version: str
    intended: float
    observed: float | None
    intended_text: str
    observed_text: str
    count_text: str
    basis: str


@dataclass(frozen=True, slots=True)
class HealthRow:
    """One check of whether the numbers may be believed."""

    name: str
    outcome: Outcome
    message: str


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One absolute limit of one variant.

    Attributes:
        metric: The metric's name.
        title: The name as a heading.
        variant: The variant that is judged.
        level: What being beyond it asks for.
        limit: The limit as text.
        value: The value now as text.
        raw_limit: The limit, in the metric's unit.
        raw_value: The value now; None without data.
        p: Always-valid p of being within the limit.
        outcome: Within or beyond.
        status: Why it can't be judged; empty when all is well.
    """

    metric: str
    title: str
    variant: str
    level: Literal["pause", "rollback"]
    limit: str
    value: str
    raw_limit: float
    raw_value: float | None
    p: str
    outcome: Outcome
    status: str


@dataclass(frozen=True, slots=True)
class StageView:
    """Where a canary stands.

    Attributes:
        share: The treatment's share of the traffic.
        place: `stage 2 of 5`, or that the split is none of the stages.
        steps: Each stage's share and whether it is `done`, `now` or `ahead`.
        since: Since when.
    """

    share: str
    place: str
    steps: tuple[tuple[str, Literal["done", "now", "ahead"]], ...]
    since: str


def metric_rows(evaluation: Evaluation) -> tuple[MetricRow, ...]:
    """The scorecard's rows: by role, else in the order of the experiment file."""
    order = list(ROLE_WORDS)
    ordered = sorted(evaluation.metrics, key=lambda result: order.index(result.role))
    return tuple(_metric_row(result, evaluation) for result in ordered)


def trend_series(evaluation: Evaluation) -> tuple[TrendSeries, ...]:
    """A series for each metric and treatment that has points."""
    found: dict[tuple[str, str], list[TrendRow]] = {}
    for point in evaluation.trend:
        row = TrendRow(point.at, point.lift, point.lift_ci, point.sequence)
        found.setdefault((point.metric, point.variant), []).append(row)
    return tuple(
        TrendSeries(metric, fmt.title(metric), variant, tuple(sorted(rows, key=lambda row: row.at)))
        for (metric, variant), rows in found.items()
    )


def split_rows(evaluation: Evaluation) -> tuple[SplitRow, ...]:
    """Each variant's share, in the order of the experiment file."""
    return tuple(
        SplitRow(
            variant=share.variant,
            version=fmt.plain(share.version),
            intended=share.intended,
            observed=share.observed,
            intended_text=fmt.percent(share.intended),
            observed_text=fmt.percent(share.observed),
            count_text=fmt.count(share.users),
            basis=share.basis,
        )
        for share in evaluation.split
    )


def health_rows(evaluation: Evaluation) -> tuple[HealthRow, ...]:
    """Sample ratio, then what was found in the data, the gravest first."""
    srm = evaluation.health.srm
    chance = srm.p_value if srm.sequential_p_value is None else srm.sequential_p_value
    p = "" if chance is None else f"p {fmt.p_value(chance)}" if chance < 0.001 else f"p = {fmt.p_value(chance)}"
    outcome = {
        "ok": Outcome("✓", "as intended", Tone.GOOD),
        "mismatch": Outcome("!", "mismatch", Tone.BROKEN),
        "unavailable": Outcome("∅", "not checked", Tone.WAIT),
    }[srm.status]
    rows = [HealthRow("Sample ratio", outcome, _sentence(fmt.plain(srm.reason), p))]
    quality = evaluation.health.data_quality
    overall = {
        "ok": Outcome("✓", "good", Tone.GOOD),
        "warning": Outcome("!", "warning", Tone.WAIT),
        "invalid": Outcome("!", "invalid", Tone.BROKEN),
    }[quality.status]
    grave = [Severity.INVALID, Severity.WARNING, Severity.NOTE]
    findings = sorted(quality.findings, key=lambda finding: grave.index(finding.severity))
    scraped = "" if quality.scrape_interval_ms is None else f" Scraped every {quality.scrape_interval_ms / 1000:g} s."
    if not findings:
        return (*rows, HealthRow("Data quality", overall, f"Nothing was found that would change a result.{scraped}"))
    tones = {Severity.INVALID: Tone.BROKEN, Severity.WARNING: Tone.WAIT, Severity.NOTE: Tone.WAIT}
    signs = {Severity.INVALID: "!", Severity.WARNING: "!", Severity.NOTE: "·"}
    for index, finding in enumerate(findings):
        found = Outcome(signs[finding.severity], str(finding.severity), tones[finding.severity])
        # The first row carries the overall state: notes alone leave it good.
        first = index == 0 and quality.status == "ok"
        name = "Data quality" if index == 0 else ""
        rows.append(HealthRow(name, overall if first else found, fmt.plain(finding.message)))
    if scraped:
        rows.append(HealthRow("", Outcome("·", "note", Tone.WAIT), scraped.strip()))
    return tuple(rows)


def limit_rows(evaluation: Evaluation) -> tuple[LimitRow, ...]:
    """Absolute limits: what is beyond comes first, then rollback before pause."""
    ordered = sorted(evaluation.limits, key=lambda row: (not row.beyond, row.level != "rollback"))
    return tuple(_limit_row(limit) for limit in ordered)


def stage_view(stage: Stage) -> StageView:
    """A canary's stage in words."""
    now = stage.step
    states: list[tuple[str, Literal["done", "now", "ahead"]]] = []
    for number, step in enumerate(stage.steps, start=1):
        reached = number == now if now is not None else False
        done = number < now if now is not None else step <= stage.share * 100
        states.append((f"{step:g} %", "now" if reached else "done" if done else "ahead"))
    place = "between stages" if now is None else f"stage {now} of {len(stage.steps)}"
    return StageView(f"{stage.share * 100:g} %", place, tuple(states), fmt.moment(stage.since))


def _metric_row(result: MetricResult, evaluation: Evaluation) -> MetricRow:
    kind, unit = result.kind, result.unit
    repeated = evaluation.looks != "fixed" and result.sequential is not None
    sequence = result.sequential
    baseline, value = fmt.values(kind, unit, result.baseline, result.value)
    deciding_p = result.p_value if not repeated or sequence is None else sequence.p_value
    harm_sign = -1.0 if result.direction.value == "increase" else 1.0

    def effects(*numbers: float | None) -> tuple[str, ...]:
        return fmt.effects(kind, unit, *numbers)

    return MetricRow(
        metric=fmt.plain(result.metric),
        title=fmt.title(result.metric),
        role=result.role,
        role_word=ROLE_WORDS[result.role],
        direction=DIRECTION_WORDS[result.direction],
        meaning=fmt.plain(result.meaning),
        unit=fmt.plain(result.unit),
        control=result.control,
        variant=result.variant,
        baseline=baseline,
        value=value,
        lift=_change(
            result.lift,
            result.lift_ci,
            sequence.lift_ci if sequence else None,
            repeated,
            fmt.lift,
            fmt.lift_interval,
        ),
        effect=_change(
            result.effect,
            result.effect_ci,
            sequence.effect_ci if sequence else None,
            repeated,
            lambda number: effects(number)[0],
            lambda bounds: fmt.interval(bounds, effects),
        ),
        p=fmt.p_value(deciding_p if result.p_adjusted is None else result.p_adjusted),
        p_fixed=fmt.p_value(result.p_value),
        p_sequence=fmt.p_value(None if sequence is None else sequence.p_value),
        margin=None if result.margin is None else harm_sign * result.margin,
        margin_text="" if result.margin is None else fmt.lift(harm_sign * result.margin),
        harm_text="" if result.harm_bound is None else fmt.percent(max(result.harm_bound, 0.0)),
        outcome=metric_outcome(result, evaluation.confidence, evaluation.looks),
        status="" if result.status.code is StatusCode.OK else fmt.plain(str(result.status)),
        method=fmt.plain(result.method),
        replication=fmt.plain(result.replication),
        assumption=fmt.plain(result.assumption),
    )


def _change(
    estimate: float | None,
    fixed: Interval | None,
    sequence: Interval | None,
    repeated: bool,
    number: Callable[[float | None], str],
    bounds: Callable[[Interval | None], str],
) -> Change:
    deciding = sequence if repeated else fixed
    return Change(
        estimate=estimate,
        fixed=fixed,
        sequence=sequence,
        deciding=deciding,
        text=number(estimate),
        fixed_text=bounds(fixed),
        sequence_text=bounds(sequence),
        deciding_text=bounds(deciding),
    )


def _limit_row(result: LimitResult) -> LimitRow:
    kind, unit = result.kind, result.unit
    return LimitRow(
        metric=fmt.plain(result.metric),
        title=fmt.title(result.metric),
        variant=result.variant,
        level=result.level,
        limit=fmt.values(kind, unit, result.limit)[0],
        value=fmt.values(kind, unit, result.value)[0],
        raw_limit=result.limit,
        raw_value=result.value,
        p=fmt.p_value(result.p_value),
        outcome=limit_outcome(result),
        status="" if result.status.code is StatusCode.OK else fmt.plain(str(result.status)),
    )


def _sentence(text: str, aside: str) -> str:
    """A sentence with an aside in parentheses before its full stop."""
    if not aside:
        return text
    return f"{text.rstrip('.')} ({aside})." if text else f"{aside}."
