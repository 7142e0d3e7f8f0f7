"""What stands beside the scorecard, as plain tables: power, probabilities, looks, covariates, segments, time, weights.

Each is a heading, one sentence on how to read it, and rows of text: the console and the pages draw them alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from abkit.evidence import Evaluation, MetricResult, PeriodChange, Status, StatusCode, Usage
from abkit.report import format as fmt

__all__ = ["InsightTable", "insight_tables", "looks_words"]

_AGAINST = {"last-week": "the same hours a week before", "last-period": "the time just before"}
_SPENDING = {"obrien-fleming": "O'Brien–Fleming", "pocock": "Pocock"}
_MOST_ANOMALIES = 10


@dataclass(frozen=True, slots=True)
class InsightTable:
    """A table of words and formatted numbers.

    Attributes:
        title: Its heading.
        note: How to read it, in one or two sentences.
        columns: Headings; the first column names the row.
        rows: Cells, as many as there are columns.
        numeric: Indexes of the columns that are numbers.
        over_time: Whether it is about time: a terminal shows it where that is asked for (`abkit trend`).
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    over_time: bool = False


def insight_tables(evaluation: Evaluation) -> tuple[InsightTable, ...]:
    """All tables that have rows, in the order in which people ask for them."""
    makers = (_power, _probabilities, _covariates, _segments, _interactions, _periods, _novelty, _anomalies, _bandit)
    return tuple(table for make in makers for table in make(evaluation) if table.rows)


def looks_words(evaluation: Evaluation) -> str:
    """How and when the result may be read."""
    plan = evaluation.look_plan
    if plan is not None:
        words = f"to be read at {plan.planned} planned looks ({_SPENDING[plan.spending]}), {plan.taken} of them taken"
        return words + ("" if plan.next is None else f", the next on {fmt.moment(plan.next)}")
    return "may be read at any time" if evaluation.looks == "always-valid" else "to be read once, at the planned end"


def _power(evaluation: Evaluation) -> Iterable[InsightTable]:
    rows = []
    for result in evaluation.metrics:
        power = result.power
        if power is None:
            continue
        # Where all is well the numbers say what the note would say again.
        why = "" if power.days is not None and not power.saturates else power.note or _reason(power.status)
        rows.append(
            (
                *_named(result, evaluation),
                fmt.percent(power.mde),
                f"{_chance(power.achieved)} for {fmt.percent(power.planned)}",
                _days(power.days),
                fmt.plain(why),
            )
        )
    chance = next((result.power.power for result in evaluation.metrics if result.power is not None), 0.8)
    yield InsightTable(
        "What can be found",
        f"The smallest effect that the data so far find with a chance of {chance:.0%}; the chance for the effect that "
        "was planned for (of a guardrail, its margin); the days from the start until that chance is there.",
        ("Metric", "Finds now", "Chance", "Days", "Note"),
        tuple(rows),
        frozenset({1, 2, 3}),
    )


def _probabilities(evaluation: Evaluation) -> Iterable[InsightTable]:
    shown = [
        (result, result.bayes)
        for result in evaluation.metrics
        if result.bayes is not None and result.bayes.probability_better is not None
    ]
    prior = next((bayes.prior for _, bayes in shown), "")
    yield InsightTable(
        "Bayesian view",
        f"Shown, never decided on. Prior: {fmt.plain(prior)}. Loss: what is lost on average by the wrong choice.",
        ("Metric", "Better with", "Credible lift", "Loss if shipped", "Loss if kept"),
        tuple(
            (
                *_named(result, evaluation),
                _chance(bayes.probability_better),
                fmt.lift_interval(bayes.lift_ci),
                _loss(bayes.loss_ship),
                _loss(bayes.loss_keep),
            )
            for result, bayes in shown
            if result.role is Usage.PRIMARY
        ),
        frozenset({1, 2, 3, 4}),
    )


def _covariates(evaluation: Evaluation) -> Iterable[InsightTable]:
    yield InsightTable(
        "Pre-period (CUPED)",
        "How much of the noise the labelled time before the start explains, and the lift without it.",
        ("Metric", "Noise removed", "Lift without it", "Interval without it", "Note"),
        tuple(
            (
                *_named(result, evaluation),
                fmt.percent(result.covariate.variance_removed),
                fmt.lift(result.covariate.lift),
                fmt.lift_interval(result.covariate.lift_ci),
                _reason(result.covariate.status),
            )
            for result in evaluation.metrics
            if result.covariate is not None
        ),
        frozenset({1, 2, 3}),
    )


def _segments(evaluation: Evaluation) -> Iterable[InsightTable]:
    several = _several(evaluation)
    for label in dict.fromkeys(segment.label for segment in evaluation.segments):
        yield InsightTable(
            f"By {fmt.plain(label)}",
            "Segments decide nothing; p is corrected over all of them. An effect in one segment and none in another is "
            "no proof that they differ: the test below is about that.",
            ("Metric", "Segment", "Lift", "Interval", "p", "Note"),
            tuple(
                (
                    fmt.plain(f"{row.metric}, {row.variant}" if several else row.metric),
                    fmt.plain(row.segment),
                    fmt.lift(row.lift),
                    fmt.lift_interval(row.lift_ci),
                    fmt.p_value(row.p_adjusted if row.p_adjusted is not None else row.p_value),
                    _reason(row.status),
                )
                for row in evaluation.segments
                if row.label == label
            ),
            frozenset({2, 3, 4}),
        )


def _interactions(evaluation: Evaluation) -> Iterable[InsightTable]:
    several = _several(evaluation)
    yield InsightTable(
        "Do the segments differ?",
        "p of the same lift in every segment of a label, corrected over labels and metrics.",
        ("Metric", "Label", "p", "Note"),
        tuple(
            (
                fmt.plain(f"{row.metric}, {row.variant}" if several else row.metric),
                fmt.plain(row.label),
                fmt.p_value(row.p_adjusted if row.p_adjusted is not None else row.p_value),
                fmt.plain(row.reversal) or _reason(row.status),
            )
            for row in evaluation.interactions
        ),
        frozenset({2}),
    )


def _periods(evaluation: Evaluation) -> Iterable[InsightTable]:
    for against, words in _AGAINST.items():
        rows = [row for row in evaluation.periods if row.against == against]
        if not any(row.change is not None for row in rows):
            # One sentence says it for all: a table of reasons would say it for each.
            rows = rows[:1]
        yield InsightTable(
            f"Now against {words}",
            "Described, not tested as an effect: nothing was randomised between two times.",
            ("Metric", "Variant", "Before", "Now", "Change", "Interval", "Note"),
            tuple(_period(row, evaluation) for row in rows),
            frozenset({2, 3, 4, 5}),
            over_time=True,
        )


def _period(row: PeriodChange, evaluation: Evaluation) -> tuple[str, ...]:
    result = next((found for found in evaluation.metrics if found.metric == row.metric), None)
    before, now = (
        (fmt.MISSING, fmt.MISSING) if result is None else fmt.values(result.kind, result.unit, row.before, row.now)
    )
    return (
        fmt.plain(row.metric),
        fmt.plain(row.variant),
        before,
        now,
        fmt.lift(row.change),
        fmt.lift_interval(row.change_ci),
        _reason(row.status),
    )


def _novelty(evaluation: Evaluation) -> Iterable[InsightTable]:
    yield InsightTable(
        "Does the lift fade?",
        "Change of the lift from day to day, and the lift in the first and the second half of the days.",
        ("Metric", "First half", "Second half", "A day", "p", "Note"),
        tuple(
            (
                fmt.plain(f"{row.metric}, {row.variant}" if _several(evaluation) else row.metric),
                fmt.lift(row.early),
                fmt.lift(row.late),
                fmt.lift(row.slope),
                fmt.p_value(row.p_value),
                _reason(row.status),
            )
            for row in evaluation.novelty
        ),
        frozenset({1, 2, 3, 4}),
        over_time=True,
    )


def _anomalies(evaluation: Evaluation) -> Iterable[InsightTable]:
    results = {result.metric: result for result in evaluation.metrics}
    newest = sorted(evaluation.anomalies, key=lambda row: row.at, reverse=True)
    shown = [row for row in newest[:_MOST_ANOMALIES] if row.metric in results]
    more = len(newest) - len(shown)
    yield InsightTable(
        "Unusual hours",
        "Hours that stand out from the series' own past, the newest first; in all variants at once it is the world, in "
        "one alone it may be the version." + (f" {more} older ones are in the JSON." if more else ""),
        ("Metric", "Variant", "Hour from", "Value", "Expected"),
        tuple(
            (
                fmt.plain(row.metric),
                fmt.plain(row.variant),
                fmt.moment(row.at),
                fmt.values(results[row.metric].kind, results[row.metric].unit, row.value)[0],
                " to ".join(fmt.values(results[row.metric].kind, results[row.metric].unit, row.low, row.high)),
            )
            for row in shown
        ),
        frozenset({3, 4}),
        over_time=True,
    )


def _bandit(evaluation: Evaluation) -> Iterable[InsightTable]:
    for proposal in evaluation.bandit:
        yield InsightTable(
            f"Proposed weights ({fmt.plain(proposal.metric)})",
            f"Thompson sampling's proposal: nothing is changed by it. Each variant keeps "
            f"{proposal.floor / 100:g} %. Weights that follow the results "
            "make the results harder to read: a bandit earns, a test learns.",
            ("Variant", "Best with", "Weight", "Note"),
            tuple(
                (
                    fmt.plain(name),
                    _chance(proposal.probability_best.get(name)),
                    f"{weight / 100:g} %",
                    _reason(proposal.status),
                )
                for name, weight in proposal.weights.items()
            )
            or ((fmt.plain(proposal.metric), fmt.MISSING, fmt.MISSING, _reason(proposal.status)),),
            frozenset({1, 2}),
        )


def _named(result: MetricResult, evaluation: Evaluation) -> tuple[str]:
    name = f"{result.metric}, {result.variant}" if _several(evaluation) else result.metric
    return (fmt.plain(name),)


def _several(evaluation: Evaluation) -> bool:
    return len({result.variant for result in evaluation.metrics}) > 1


def _chance(probability: float | None) -> str:
    """A probability: never certainty.

    >>> _chance(0.99999), _chance(0.25), _chance(1e-9), _chance(None)
    ('> 99.9 %', '25.0 %', '< 0.1 %', '—')
    """
    if probability is None or 0.001 <= probability <= 0.999:
        return fmt.percent(probability)
    return "> 99.9 %" if probability > 0.5 else "< 0.1 %"


def _loss(share: float | None) -> str:
    return "< 0.01 %" if share is not None and share < 1e-4 else fmt.percent(share)


def _days(days: float | None) -> str:
    if days is None:
        return fmt.MISSING
    return "< 0.1" if days < 0.1 else f"{days:,.1f}"


def _reason(status: Status) -> str:
    if status.code is StatusCode.OK:
        return fmt.plain(status.reason)
    return fmt.plain(status.reason or str(status))
