"""What pages and console show, as frozen view models: words and formatted numbers, with raw numbers for the bars.

Text that comes from experiment files (names, owner, hypothesis, reasons) is rid of control characters here; who
draws HTML or Markdown escapes it with `abkit.report.format`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median_low

from abkit.evidence import Evaluation, Interval, Usage, Verdict
from abkit.report import format as fmt
from abkit.report.insights import InsightTable, insight_tables, looks_words
from abkit.report.rows import (
    Change,
    HealthRow,
    LimitRow,
    MetricRow,
    SplitRow,
    StageView,
    TrendSeries,
    health_rows,
    limit_rows,
    metric_rows,
    split_rows,
    stage_view,
    trend_series,
)
from abkit.report.words import STRATEGY_WORDS, Outcome, verdict_words
from abkit.spec import Strategy

__all__ = [
    "Banner",
    "Failure",
    "OverviewRow",
    "ProvenanceRow",
    "ResultPage",
    "banner",
    "bar_limit",
    "overview",
    "result_page",
]

# A canary is judged by the minute, an A/B test at least once a day.
_STALE_AFTER = {Strategy.AB: timedelta(hours=26)}
_STALE_OTHERS = timedelta(hours=1)
_CLIP = 3.0


@dataclass(frozen=True, slots=True)
class Banner:
    """The verdict, as the first thing on a page.

    Attributes:
        verdict: The verdict itself.
        outcome: Its symbol, word and tone.
        headline: Why: the rule that fired.
        reasons: What else speaks.
        advice: What to do now.
        days_left: Until the planned end; empty without one.
        trusted: False where the numbers must not be believed: they stand back behind the reason.
    """

    verdict: Verdict
    outcome: Outcome
    headline: str
    reasons: tuple[str, ...]
    advice: str
    days_left: str
    trusted: bool


@dataclass(frozen=True, slots=True)
class ProvenanceRow:
    """One thing that the result was made from."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Everything that the page of one experiment shows.

    Attributes:
        name: The experiment's name.
        strategy: `A/B test`, `Canary` …
        owner: Whom to ask; may be empty.
        hypothesis: What is expected; may be empty.
        control: The control's name.
        treatments: The treatments' names, in the order of the split.
        confidence: `95 %`.
        looks: How the result may be read, in words.
        sequence_decides: Whether the interval that allows many looks decides, and not the fixed-horizon one.
        sequence_name: What that interval is called.
        banner: The verdict.
        metrics: The scorecard's rows, by role.
        trend: Cumulative lift over time.
        epochs: Moments at which the split changed.
        split: Users or requests against what was intended.
        health: Whether the numbers may be believed.
        limits: Absolute limits; empty for A/B tests.
        stage: Where a canary stands; None without stages.
        window: The time that was analysed.
        as_of: The newest moment that the results include.
        provenance: What the result was made from.
        insights: Tables beside the scorecard: power, probabilities, segments, time …
        queries: Metric and role → the resolved selector.
    """

    name: str
    strategy: str
    owner: str
    hypothesis: str
    control: str
    treatments: tuple[str, ...]
    confidence: str
    looks: str
    sequence_decides: bool
    sequence_name: str
    banner: Banner
    metrics: tuple[MetricRow, ...]
    trend: tuple[TrendSeries, ...]
    epochs: tuple[datetime, ...]
    split: tuple[SplitRow, ...]
    health: tuple[HealthRow, ...]
    limits: tuple[LimitRow, ...]
    stage: StageView | None
    window: str
    as_of: str
    provenance: tuple[ProvenanceRow, ...]
    insights: tuple[InsightTable, ...]
    queries: tuple[tuple[str, str], ...]

    def rows_of(self, treatment: str) -> tuple[MetricRow, ...]:
        """The scorecard of one treatment."""
        return tuple(row for row in self.metrics if row.variant == treatment)


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """One experiment in a triage list.

    Attributes:
        name: The experiment's name, also its address.
        owner: Whom to ask; may be empty.
        strategy: `A/B test`, `Canary` …
        banner: The verdict.
        group: Heading under which it stands.
        needs_attention: Whether somebody should look now.
        metric: The primary metric that the lift is of; empty where none has one.
        variant: The treatment that the lift is of.
        lift: The lift and its interval; None where none exists.
        days_left: Until the planned end; empty without one.
        as_of: The newest moment that the results include.
        age: How long ago that is; empty where no `now` was given.
        stale: Whether a running experiment has got no new data for too long.
    """

    name: str
    owner: str
    strategy: str
    banner: Banner
    group: str
    needs_attention: bool
    metric: str
    variant: str
    lift: Change | None
    days_left: str
    as_of: str
    age: str
    stale: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """An experiment that could not be evaluated, in a list of many.

    Attributes:
        name: The experiment's name, or its file.
        message: What went wrong, where, and the remedy.
    """

    name: str
    message: str


def banner(evaluation: Evaluation, now: datetime | None = None) -> Banner:
    """The verdict in words.

    Args:
        evaluation: What was concluded.
        now: For the days left; the evaluation's own moment where left out, which makes it reproducible.
    """
    words = verdict_words(evaluation.verdict)
    reasons = tuple(fmt.plain(reason.message) for reason in evaluation.reasons)
    return Banner(
        verdict=evaluation.verdict,
        outcome=words.outcome,
        headline=reasons[0] if reasons else words.advice,
        reasons=reasons[1:],
        advice=words.advice,
        days_left=fmt.days_left(evaluation.planned_end, now or evaluation.as_of),
        trusted=evaluation.verdict is not Verdict.INVALID,
    )


def result_page(evaluation: Evaluation, now: datetime | None = None) -> ResultPage:
    """The page of one experiment.

    Args:
        evaluation: What was concluded.
        now: For the days left; the evaluation's own moment where left out.
    """
    control = next((m.control for m in evaluation.metrics), evaluation.split[0].variant if evaluation.split else "")
    with_result = {m.variant for m in evaluation.metrics}
    listed = [share.variant for share in evaluation.split if share.variant != control]
    treatments = dict.fromkeys([*listed, *sorted(with_result - set(listed))])
    window = f"{fmt.moment(evaluation.window.start)} to {fmt.moment(evaluation.window.end)}"
    return ResultPage(
        name=fmt.plain(evaluation.experiment),
        strategy=STRATEGY_WORDS[evaluation.strategy],
        owner=fmt.plain(evaluation.owner),
        hypothesis=fmt.plain(evaluation.hypothesis),
        control=control,
        treatments=tuple(treatments),
        confidence=f"{evaluation.confidence * 100:g} %",
        looks=looks_words(evaluation),
        sequence_decides=evaluation.looks != "fixed",
        sequence_name="always-valid" if evaluation.look_plan is None else "planned looks",
        banner=banner(evaluation, now),
        metrics=metric_rows(evaluation),
        trend=trend_series(evaluation),
        epochs=evaluation.epochs,
        split=split_rows(evaluation),
        health=health_rows(evaluation),
        limits=limit_rows(evaluation),
        stage=None if evaluation.stage is None else stage_view(evaluation.stage),
        window=window if evaluation.window.start or evaluation.window.end else fmt.MISSING,
        as_of=fmt.moment(evaluation.as_of),
        provenance=_provenance(evaluation, window),
        insights=insight_tables(evaluation),
        queries=tuple(sorted(evaluation.provenance.queries.items())),
    )


def overview(evaluations: Iterable[Evaluation], now: datetime | None = None) -> tuple[OverviewRow, ...]:
    """The triage list: what needs attention first.

    Args:
        evaluations: One per experiment.
        now: To tell how old the data is; without it no age is told.
    """
    rows = [(verdict_words(evaluation.verdict).rank, _overview_row(evaluation, now)) for evaluation in evaluations]
    return tuple(row for _, row in sorted(rows, key=lambda pair: (not pair[1].needs_attention, pair[0], pair[1].name)))


def bar_limit(intervals: Sequence[Interval | None]) -> float:
    """The bars' common scale: they run from minus this to plus this.

    A metric that is far noisier than the others is cut off, so that the others stay readable.

    Args:
        intervals: The widest interval of each row.

    Returns:
        A lift > 0.

    >>> bar_limit([(-0.02, 0.04), (-0.01, 0.05), (-9.0, 9.0)])
    0.15
    """
    reaches = [max(abs(bound) for bound in known) for ends in intervals if (known := _known(ends))]
    widest = [reach for reach in reaches if reach > 0]
    if not widest:
        return 0.1
    return float(round(min(max(widest), _CLIP * median_low(widest)), 12))


def _known(bounds: Interval | None) -> tuple[float, ...]:
    return tuple(bound for bound in bounds or () if bound is not None)


def _overview_row(evaluation: Evaluation, now: datetime | None) -> OverviewRow:
    words = verdict_words(evaluation.verdict)
    primary = [row for row in metric_rows(evaluation) if row.role is Usage.PRIMARY]
    guarded = [row for row in metric_rows(evaluation) if row.role is Usage.GUARDRAIL]
    shown = next((row for row in (*primary, *guarded) if row.lift.estimate is not None), None)
    if evaluation.verdict is Verdict.INVALID:
        shown = None  # a lift that must not be believed is not shown
    # What is decided waits for a person, not for data.
    stale = words.group == "Running" and _is_stale(evaluation, now)
    return OverviewRow(
        name=fmt.plain(evaluation.experiment),
        owner=fmt.plain(evaluation.owner),
        strategy=STRATEGY_WORDS[evaluation.strategy],
        banner=banner(evaluation, now),
        group="Needs attention" if stale else words.group,
        needs_attention=stale or words.group == "Needs attention",
        metric="" if shown is None else shown.metric,
        variant="" if shown is None else shown.variant,
        lift=None if shown is None else shown.lift,
        days_left=fmt.days_left(evaluation.planned_end, now or evaluation.as_of),
        as_of=fmt.moment(evaluation.as_of),
        age="" if now is None else fmt.age(evaluation.as_of, now),
        stale=stale,
    )


def _is_stale(evaluation: Evaluation, now: datetime | None) -> bool:
    if now is None or evaluation.as_of is None:
        return False
    if evaluation.planned_end is not None and evaluation.as_of >= evaluation.planned_end:
        return False  # it is over: no new data is expected
    return now - evaluation.as_of > _STALE_AFTER.get(evaluation.strategy, _STALE_OTHERS)


def _provenance(evaluation: Evaluation, window: str) -> tuple[ProvenanceRow, ...]:
    made = evaluation.provenance
    rows = (
        ("Window", window),
        ("As of", fmt.moment(evaluation.as_of)),
        ("Source", made.source or ""),
        ("Experiment file", made.spec_hash),
        ("Inputs", made.inputs),
        ("abkit", made.abkit_version),
    )
    return tuple(ProvenanceRow(name, fmt.plain(value)) for name, value in rows if value)
