"""Results within segments, such as mobile and desktop: shown apart and corrected, never decided on.

A segment that looks different is the rule and not the exception: of twenty, one is significant by chance. So a test of
all segments of a label together says whether the lift differs at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from abkit import stats
from abkit.evidence import Interaction, SegmentResult, Status, StatusCode, Usage
from abkit.pipeline.covariates import adjusted, replicate_sums
from abkit.pipeline.estimate import Estimate, estimate
from abkit.pipeline.looks import decided, fixed_at
from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedSegment
from abkit.spec import Experiment
from abkit.wording import lift

__all__ = ["Segmented", "segmented"]


@dataclass(frozen=True, slots=True)
class Segmented:
    """All that is said of an experiment's segments.

    Attributes:
        results: One a label, metric, treatment and value, in the file's order.
        interactions: One a label, metric and treatment.
    """

    results: tuple[SegmentResult, ...] = ()
    interactions: tuple[Interaction, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """One metric of one treatment within one segment, as it was compared."""

    segment: ResolvedSegment
    treatment: str
    found: Estimate
    covariate: bool

    @property
    def last(self) -> stats.Comparison | None:
        return None if self.found.comparison is None else self.found.comparison.at(-1)


def segmented(
    experiment: Experiment, segments: Sequence[ResolvedSegment], totals: Totals, before: Totals | None = None
) -> Segmented:
    """Compare within each segment, by the estimator of the whole, and test whether segments differ.

    Args:
        experiment: The experiment file.
        segments: Its metrics within each segment.
        totals: The store's totals of the segments' inputs, in one look.
        before: Totals of the labelled time before the start, where the experiment file names such a time.
    """
    usages = {ref.metric: Usage.SECONDARY for ref in experiment.metrics.secondary}
    groups: dict[tuple[str, str, str], list[_Part]] = {}
    for segment in segments:
        usage = usages.get(segment.of, Usage.PRIMARY)
        for treatment in experiment.treatments:
            plain = estimate(experiment, segment.metric, totals, treatment)
            found, covariate = adjusted(experiment, segment.metric, usage, totals, before, treatment, plain)
            used = covariate is not None and covariate.status.code is StatusCode.OK
            part = _Part(segment, treatment, found, used)
            groups.setdefault((segment.label, segment.of, treatment), []).append(part)
    tests = [_interaction(experiment, parts, totals) for parts in groups.values()]
    return Segmented(
        _corrected([_result(experiment, part) for parts in groups.values() for part in parts]),
        _holm(tests),
    )


def _result(experiment: Experiment, part: _Part) -> SegmentResult:
    """One segment, its p value that decides not yet corrected."""
    segment, found = part.segment, part.found
    result = SegmentResult(
        label=segment.label,
        segment=segment.value,
        metric=segment.of,
        variant=part.treatment,
        baseline=found.control,
        value=found.treatment,
        lift=None,
        lift_ci=None,
        p_value=None,
        status=found.status,
    )
    if part.last is None:
        return result
    fixed = fixed_at(found, -1, experiment.analysis.confidence)
    # Segments are looked at as often as the whole.
    _, deciding, _ = decided(experiment, found, None)
    numbers = {
        "baseline": part.last.control,
        "value": part.last.treatment,
        "lift": fixed.lift,
        "lift_ci": fixed.lift_ci,
        "p_value": fixed.p_value,
        "p_adjusted": deciding,
        "status": fixed.status,
    }
    return result.model_copy(update=numbers)


def _corrected(results: list[SegmentResult]) -> tuple[SegmentResult, ...]:
    p_values = [result.p_adjusted for result in results]
    if all(p is None for p in p_values):
        return tuple(results)
    corrected = np.ma.asarray(stats.adjust(p_values, "benjamini-hochberg")).tolist()
    return tuple(result.model_copy(update={"p_adjusted": p}) for result, p in zip(results, corrected, strict=True))


def _interaction(experiment: Experiment, parts: list[_Part], totals: Totals) -> Interaction:
    """Whether the lift is the same in all segments of a label."""
    segment = parts[0].segment
    result = Interaction(label=segment.label, metric=segment.of, variant=parts[0].treatment, p_value=None)
    used = [part for part in parts if part.last is not None and part.last.lift_se is not None]
    if len(used) < 2:
        reason = "fewer than two segments have a lift with an interval"
        return result.model_copy(update={"status": Status(code=StatusCode.TOO_FEW, reason=reason)})
    confidence = experiment.analysis.confidence
    if len(totals.epochs) > 1 or any(part.covariate for part in used):
        lasts = [part.last for part in used if part.last is not None]
        test = stats.heterogeneity(
            [float(np.log1p(last.lift)) for last in lasts],
            [last.lift_se for last in lasts],
            [last.df for last in lasts],
            scale="lift",
        )
    else:
        arms = [
            [replicate_sums(experiment, part.segment.metric, totals, name) for part in used]
            for name in (experiment.control, parts[0].treatment)
        ]
        test = stats.interaction(_stacked(arms[0]), _stacked(arms[1]), confidence)
    if test.p_value is None:
        status = Status(code=StatusCode.TOO_FEW, reason=str(test.status))
        return result.model_copy(update={"status": status, "method": test.method})
    return result.model_copy(
        update={"p_value": float(test.p_value), "method": test.method, "reversal": _reversal(experiment, used)}
    )


def _stacked(sums: list[stats.ClusterSums]) -> stats.ClusterSums:
    """(segment, replicate), at the last look."""
    return stats.ClusterSums(np.stack([each.num[-1] for each in sums]), np.stack([each.den[-1] for each in sums]))


def _holm(tests: list[Interaction]) -> tuple[Interaction, ...]:
    p_values = [test.p_value for test in tests]
    if all(p is None for p in p_values):
        return tuple(tests)
    corrected = np.ma.asarray(stats.adjust(p_values, "holm")).tolist()
    return tuple(test.model_copy(update={"p_adjusted": p}) for test, p in zip(tests, corrected, strict=True))


def _reversal(experiment: Experiment, parts: list[_Part]) -> str:
    """Words where one segment's lift is certainly above 0 and another's below, each at the corrected confidence."""
    lasts = [(part.segment.value, part.last) for part in parts]
    # Bonferroni over the segments of the label: a reversal is a claim about two of them at once.
    bar = (1 - experiment.analysis.confidence) / len(parts)
    sure = [
        (value, float(last.lift))
        for value, last in lasts
        if last is not None and last.lift_p_value is not None and last.lift_p_value <= bar
    ]
    up, down = [each for each in sure if each[1] > 0], [each for each in sure if each[1] < 0]
    if not up or not down:
        return ""
    best, worst = max(up, key=lambda each: each[1]), min(down, key=lambda each: each[1])
    segment = parts[0].segment
    return (
        f"{segment.of} of {parts[0].treatment} goes up where {segment.label} is {best[0]} ({lift(best[1])}) and down "
        f"where it is {worst[0]} ({lift(worst[1])}): the lift of the whole is an average of both."
    )
