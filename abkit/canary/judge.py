"""The canary's verdict: absolute limits, then the comparison with the control now, then the bake time.

The rules, the first that holds wins:

1. the canary has no data, or its traffic stopped → `no-data`, unless it is certainly beyond a rollback limit;
2. data that can't be trusted → `invalid`;
3. canary and control both certainly beyond the same limit → `pause`: an incident, not the canary's doing;
4. the canary certainly beyond a rollback limit → `rollback`; beyond a pause limit → `pause`;
5. a limit that can't be judged → `no-data`: missing is never a pass; an estimate past a limit, not certainly → `pause`;
6. a guardrail or primary metric that can't be judged → `pause`, without data `no-data`;
7. the canary certainly worse than the control, beyond a margin where there is one → `pause` (or `rollback`:
   `canary.on-harm`);
8. the stage has baked without harm, or every guardrail is shown to be within its margin → `continue`, and on the last
   stage `promote`; until then `pause`.

A split that has only just been written into the file has seen nothing: `pause`. A stage bakes from the canary's first
request on. "Certainly" is always-valid: the job may look every minute. Half of the error rate is the limits', half the
comparison's, both split over the stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from abkit.evidence import LimitResult, MetricResult, Reason, Stage, StatusCode, Usage, Verdict
from abkit.spec import Canary, Experiment, OnHarm
from abkit.wording import percent, values

__all__ = ["StageData", "judge"]


@dataclass(frozen=True, slots=True)
class StageData:
    """How much this stage has seen.

    Attributes:
        stage: Where the canary stands.
        first_seen: Variant → first moment with traffic in this stage; absent where there was none.
        last_seen: Variant → newest moment with traffic in this stage; absent where there was none.
        requests: Variant → requests in this stage, by the metric that counts most of them.
        pulled: Whether anything was pulled, in this stage or before.
        stale_after: A variant whose traffic is older than this has stopped.
        as_of: The newest moment that the results include.
        present: Until when data was asked for.
    """

    stage: Stage
    first_seen: dict[str, datetime]
    last_seen: dict[str, datetime]
    requests: dict[str, float]
    pulled: bool
    stale_after: timedelta
    as_of: datetime
    present: datetime


def judge(
    experiment: Experiment,
    limits: Sequence[LimitResult],
    metrics: Sequence[MetricResult],
    data: StageData,
    invalid: Sequence[Reason],
) -> tuple[Verdict, tuple[Reason, ...]]:
    """Decide a canary's stage.

    Args:
        experiment: The experiment file; its `canary` block rules.
        limits: Every limit on every variant.
        metrics: Comparisons with the control, in this stage.
        data: How much this stage has seen.
        invalid: Reasons why the data can't be trusted.

    Returns:
        The verdict and its reasons, the rule that fired first.
    """
    canary = experiment.canary
    if canary is None:
        msg = "an experiment of strategy ab has no canary to judge"
        raise ValueError(msg)
    (treatment,) = experiment.treatments
    mine = [limit for limit in limits if limit.variant == treatment]
    theirs = {(limit.metric, limit.level) for limit in limits if limit.variant == experiment.control and limit.beyond}
    alone = [limit for limit in mine if limit.beyond and (limit.metric, limit.level) not in theirs]
    rollback = [_beyond(limit) for limit in alone if limit.level == "rollback"]

    if data.stage.since is None and data.pulled:
        message = f"The split of {percent(data.stage.share)} is new and has no data yet: pull first (abkit pull)."
        return Verdict.PAUSE, (Reason(code="new-split", message=message),)
    if gone := _no_traffic(experiment, treatment, data):
        return (Verdict.ROLLBACK, (*rollback, *gone)) if rollback else (Verdict.NO_DATA, gone)
    if invalid:
        return Verdict.INVALID, tuple(invalid)
    if rollback:
        return Verdict.ROLLBACK, tuple(rollback)
    if both := [limit for limit in mine if limit.beyond and (limit.metric, limit.level) in theirs]:
        incident = Reason(
            code="incident", message="Both versions are beyond a limit: an incident, not the canary's doing."
        )
        return Verdict.PAUSE, (incident, *(_beyond(limit) for limit in both))
    if pause := [_beyond(limit) for limit in alone]:
        return Verdict.PAUSE, tuple(pause)
    if unjudged := [limit for limit in mine if limit.status.code is not StatusCode.OK]:
        return Verdict.NO_DATA, tuple(
            Reason(code="limit-unjudged", message=f"{limit.metric} of {treatment} can't be judged: {limit.status}.")
            for limit in {limit.metric: limit for limit in unjudged}.values()
        )
    if unclear := [limit for limit in mine if not limit.within and _past(limit)]:
        return Verdict.PAUSE, tuple(
            Reason(code="limit-unclear", message=f"{_is(limit)}, past the {limit.level} limit, but it may be chance.")
            for limit in {limit.metric: limit for limit in unclear}.values()
        )
    if data.stage.share < 1 and (open_guards := _unjudged(metrics)):
        missing = any(guard.value is None or guard.baseline is None for guard in open_guards)
        return Verdict.NO_DATA if missing else Verdict.PAUSE, tuple(
            Reason(code="guardrail-unjudged", message=f"{guard.metric} of {treatment} can't be judged: {guard.status}.")
            for guard in open_guards
        )
    # Half of α is the limits', the other half the comparison's, in equal parts for each stage.
    alpha = (1 - experiment.analysis.confidence) / 2 / len(canary.steps)
    decides = [result for result in metrics if result.role is not Usage.SECONDARY and result.randomised]
    if worse := [result for result in decides if result.certain(alpha) is False and not result.within_margin]:
        verdict = Verdict.ROLLBACK if canary.on_harm is OnHarm.ROLLBACK else Verdict.PAUSE
        return verdict, tuple(
            Reason(
                code="worse-than-control",
                message=f"{r.metric} of {treatment} is certainly worse than the control's: {{}} against {{}}.".format(
                    *values(r.kind, r.unit, r.value, r.baseline)
                ),
            )
            for r in worse
        )
    return _healthy(canary, treatment, metrics, data)


def _healthy(
    canary: Canary, treatment: str, metrics: Sequence[MetricResult], data: StageData
) -> tuple[Verdict, tuple[Reason, ...]]:
    stage = data.stage
    name = f"stage {stage.step} of {len(stage.steps)}" if stage.step is not None else "this split"
    place = f"{name} ({percent(stage.share)} of the traffic)"
    if (seen := data.requests.get(treatment, 0.0)) < canary.minimum_requests:
        message = f"Only {seen:,.0f} requests in {place}; {canary.minimum_requests:,} are needed before it counts."
        return Verdict.PAUSE, (Reason(code="too-few", message=message),)
    guardrails = [result for result in metrics if result.role is Usage.GUARDRAIL]
    within = [r for r in guardrails if r.within_margin]
    begun = max(stage.since or data.as_of, data.first_seen.get(treatment, data.as_of))
    age = data.as_of - begun
    if age < canary.bake and not (guardrails and len(within) == len(guardrails)):
        message = f"No harm so far in {place}, which has run {_length(age)} of its {_length(canary.bake)} bake time."
        return Verdict.PAUSE, (Reason(code="baking", message=message),)
    last = stage.share * 100 >= canary.steps[-1] - 1e-9
    done = "the last stage is healthy" if last else "this stage is healthy"
    compared = any(result.status.code is StatusCode.OK for result in metrics if result.role is not Usage.SECONDARY)
    beside = " and not certainly worse than the control" if compared else "; it could not be compared with the control"
    why = f"{treatment} ran {_length(age)} in {place} beyond no limit{beside}: {done}."
    reasons = [Reason(code="healthy", message=why)]
    reasons.extend(
        Reason(
            code="guardrail-within",
            message=f"{r.metric}: at most {percent(max(r.harm_bound or 0, 0))} worse, within {percent(r.margin)}.",
        )
        for r in within
    )
    return (Verdict.PROMOTE if last else Verdict.CONTINUE), tuple(reasons)


def _unjudged(metrics: Sequence[MetricResult]) -> list[MetricResult]:
    """Guardrails and primary metrics that could not be compared; without any event in either version they could."""
    named = [result for result in metrics if result.role in {Usage.PRIMARY, Usage.GUARDRAIL}]
    return [
        result
        for result in named
        if result.status.code not in {StatusCode.OK, StatusCode.UNDEFINED}
        or result.value is None
        or result.baseline is None
    ]


def _no_traffic(experiment: Experiment, treatment: str, data: StageData) -> tuple[Reason, ...]:
    reasons = []
    for name in (treatment, experiment.control):
        if name == experiment.control and data.stage.share >= 1:
            continue  # a full switch leaves the control without traffic, rightly
        version = experiment.variants[name].version
        seen = data.last_seen.get(name)
        if seen is None:
            message = (
                f"There is no data from {name} (version {version}) in this stage: no data is no pass and no failure."
            )
            reasons.append(Reason(code="variant-missing", message=message))
        elif data.present - seen > data.stale_after:
            message = f"The traffic of {name} (version {version}) stopped at {seen:%Y-%m-%d %H:%M} UTC."
            reasons.append(Reason(code="traffic-stopped", message=message))
    return tuple(reasons)


def _past(limit: LimitResult) -> bool:
    """Whether the estimate is on the wrong side, certain or not."""
    if limit.value is None:
        return False
    return limit.value > limit.limit if limit.upper else limit.value < limit.limit


def _is(limit: LimitResult) -> str:
    return f"{limit.metric} of {limit.variant} is {values(limit.kind, limit.unit, limit.value)[0]}"


def _beyond(limit: LimitResult) -> Reason:
    value, bound = values(limit.kind, limit.unit, limit.value, limit.limit)
    message = f"{limit.metric} of {limit.variant} is {value}, certainly beyond the {limit.level} limit of {bound}."
    return Reason(code=f"beyond-{limit.level}", message=message)


def _length(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds} s"
