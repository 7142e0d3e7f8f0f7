"""Results, health and rules in; a verdict with its reasons out.

The rules of an A/B test, the first that holds wins:

1. no data, or a variant without any → `no-data`;
2. users not split as intended, or data that can't be trusted → `invalid`;
3. the primary metric is not randomised or not user-level → `descriptive`;
4. a treatment whose primary metric is better, with every guardrail shown to be within its margin → `ship`;
5. every treatment worse, or harming a guardrail → `do-not-ship`;
6. otherwise `keep-running`, or after the planned end `inconclusive`.

"Better", "worse" and "harm" mean with confidence: by the confidence sequence where looks are always valid, by the
fixed-horizon interval at the planned end where they are fixed, by the repeated interval at the newest planned look of a
group-sequential test, which may ship or not ship at any of them; corrected (Holm) over treatments and primary metrics.
What can't be judged is never taken as passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from abkit.evidence import Health, LookPlan, MetricResult, Reason, Severity, StatusCode, Usage, Verdict
from abkit.spec import Direction, Experiment, Looks
from abkit.wording import lift, lift_interval, percent

__all__ = ["Decision", "decide_ab", "health_reasons"]


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and why.

    Attributes:
        verdict: What is to be done.
        reasons: The first is the rule that fired; each a sentence for a product analyst.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]


def decide_ab(
    experiment: Experiment,
    metrics: Sequence[MetricResult],
    health: Health,
    without_data: Sequence[str],
    as_of: datetime | None,
    plan: LookPlan | None = None,
) -> Decision:
    """Decide an A/B test.

    Args:
        experiment: The experiment file.
        metrics: Results of every metric and treatment, with `p_adjusted` and `harm_bound` of the kind that decides.
        health: Users' split and data quality.
        without_data: Variants that should have traffic and have none.
        as_of: The newest moment that the results include.
        plan: The planned looks of a group-sequential test; the metrics are those of the newest one.

    Returns:
        The verdict and its reasons.
    """
    if missing := _no_data(experiment, without_data, as_of):
        return Decision(Verdict.NO_DATA, missing)
    if invalid := health_reasons(health):
        return Decision(Verdict.INVALID, invalid)
    if experiment.deciding_looks is Looks.FIXED:  # the sequence is shown, and decides nothing
        metrics = [result.model_copy(update={"sequential": None}) for result in metrics]
    primary = [result for result in metrics if result.role is Usage.PRIMARY]
    if descriptive := _descriptive(primary):
        return Decision(Verdict.DESCRIPTIVE, descriptive)
    if all(result.status.code is StatusCode.NO_DATA for result in primary):
        reasons = [Reason(code="no-data", message=f"{r.metric}: {r.status.reason}.") for r in primary]
        return Decision(Verdict.NO_DATA, tuple(reasons))

    ended = experiment.analysis.end is not None and as_of is not None and as_of >= experiment.analysis.end
    if experiment.analysis.looks is Looks.FIXED and not ended:
        return Decision(Verdict.KEEP_RUNNING, (_waits_for_end(experiment),))
    if plan is not None and not plan.taken:
        return Decision(Verdict.KEEP_RUNNING, _next_look(plan))

    alpha = 1 - experiment.analysis.confidence
    sides = {
        name: _Side.judge([result for result in metrics if result.variant == name], alpha)
        for name in experiment.treatments
    }
    winners = {name: side for name, side in sides.items() if side.wins}
    if winners:
        best = max(winners, key=lambda name: winners[name].gain)
        unchecked = [Reason(code="split-unchecked", message=health.srm.reason)] if health.srm.status != "ok" else []
        return Decision(Verdict.SHIP, (*_ship_reasons(best, winners, sides), *unchecked))
    if all(side.loses for side in sides.values()):
        return Decision(Verdict.DO_NOT_SHIP, tuple(reason for side in sides.values() for reason in side.against))
    open_reasons = tuple(reason for side in sides.values() for reason in (*side.against, *side.open))
    if ended:
        end = Reason(
            code="planned-end",
            message=f"The planned end ({experiment.analysis.end:%Y-%m-%d %H:%M} UTC) is reached without a decision.",
        )
        return Decision(Verdict.INCONCLUSIVE, (end, *open_reasons))
    return Decision(Verdict.KEEP_RUNNING, (*open_reasons, *_next_look(plan)))


def health_reasons(health: Health) -> tuple[Reason, ...]:
    """Reasons for `invalid`; empty where the data may be believed."""
    reasons = []
    if health.srm.status == "mismatch":
        reasons.append(Reason(code="sample-ratio-mismatch", message=health.srm.reason))
    reasons.extend(
        Reason(code=finding.code, message=finding.message)
        for finding in health.data_quality.findings
        if finding.severity is Severity.INVALID
    )
    return tuple(reasons)


@dataclass(frozen=True, slots=True)
class _Side:
    """One treatment's case: what speaks for it, against it, and what is open."""

    gain: float
    wins: bool
    loses: bool
    support: tuple[Reason, ...]
    against: tuple[Reason, ...]
    open: tuple[Reason, ...]

    @classmethod
    def judge(cls, results: Sequence[MetricResult], alpha: float) -> _Side:
        support, against, undecided = [], [], []
        gain = 0.0
        for result in results:
            if result.role not in {Usage.PRIMARY, Usage.GUARDRAIL}:
                continue
            primary = result.role is Usage.PRIMARY
            good = result.certain(alpha) is True if primary else result.within_margin
            if good:
                support.append(_for(result))
                gain = max(gain, abs(result.lift or 0.0)) if primary else gain
            elif result.certain(alpha) is False and result.randomised:
                against.append(_against(result))
            else:
                undecided.append(_primary_open(result) if primary else _guardrail_open(result))
        better = any(reason.code == "primary-better" for reason in support)
        guardrails_open = any(reason.code == "guardrail-open" for reason in undecided)
        return cls(
            gain=gain,
            wins=better and not against and not guardrails_open,
            loses=bool(against),
            support=tuple(support),
            against=tuple(against),
            open=tuple(undecided),
        )


def _for(result: MetricResult) -> Reason:
    if result.role is Usage.PRIMARY:
        return Reason(code="primary-better", message=f"{_lift(result)}: better than the control.")
    bound, margin = max(result.harm_bound or 0.0, 0.0), result.margin or 0.0
    bounds = f"at most {percent(bound)} worse, within the margin of {percent(margin)}"
    return Reason(code="guardrail-within", message=f"{result.metric} of {result.variant} is {bounds}.")


def _against(result: MetricResult) -> Reason:
    if result.role is Usage.PRIMARY:
        return Reason(code="primary-worse", message=f"{_lift(result)}: worse than the control.")
    return Reason(code="guardrail-harmed", message=f"{_lift(result)}: the guardrail is harmed.")


def _ship_reasons(best: str, winners: dict[str, _Side], sides: dict[str, _Side]) -> tuple[Reason, ...]:
    reasons = list(winners[best].support)
    if len(sides) > 1:
        others = [name for name in winners if name != best]
        also = f" {' and '.join(others)} would also be better than the control." if others else ""
        reasons.insert(0, Reason(code="best-variant", message=f"{best} gains most.{also}"))
    return (*reasons, *winners[best].open)


def _no_data(experiment: Experiment, without_data: Sequence[str], as_of: datetime | None) -> tuple[Reason, ...]:
    if as_of is None or len(without_data) == len(experiment.variants):
        message = "There is no data in the window: check the source, the labels and the window (abkit pull)."
        return (Reason(code="no-data", message=message),)
    return tuple(
        Reason(
            code="variant-missing",
            message=f"There is no data from {name} (version {experiment.variants[name].version}): "
            "check that it runs, gets traffic, and is labelled with this version.",
        )
        for name in without_data
    )


def _descriptive(primary: Sequence[MetricResult]) -> tuple[Reason, ...]:
    codes = {StatusCode.NOT_RANDOMISED, StatusCode.NOT_USER_LEVEL, StatusCode.DESCRIPTIVE}
    if not primary or any(result.status.code not in codes for result in primary):
        return ()
    return tuple(
        Reason(
            code=result.status.code.value.replace(" ", "-"),
            message=f"{result.metric}: {result.status.code}: {result.status.reason}.",
        )
        for result in primary
    )


def _waits_for_end(experiment: Experiment) -> Reason:
    end = experiment.analysis.end
    if end is None:
        message = "With looks: fixed the result is read once, at the planned end: give analysis.end."
    else:
        message = f"With looks: fixed the result is read once, at the planned end ({end:%Y-%m-%d %H:%M} UTC)."
    return Reason(code="planned-end", message=message)


def _next_look(plan: LookPlan | None) -> tuple[Reason, ...]:
    """When a group-sequential test is looked at again; nothing for other tests, and after the last look."""
    if plan is None or plan.next is None:
        return ()
    until = "there is no result before" if plan.last is None else f"until then that of {_day(plan.last)} stands"
    message = f"Look {plan.taken + 1} of {plan.planned} is due at {_day(plan.next)}: {until}."
    return (Reason(code="next-look", message=message),)


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _primary_open(result: MetricResult) -> Reason:
    if result.status.code is not StatusCode.OK:
        return Reason(code="primary-open", message=f"{result.metric} of {result.variant}: {result.status}.")
    return Reason(code="primary-open", message=f"{_lift(result)}: the difference may still be chance.")


def _guardrail_open(result: MetricResult) -> Reason:
    if not result.randomised:
        message = (
            f"{_lift(result)}: can't be judged, since requests that rules route are among these and the series "
            "don't say which (ab_assignment)."
        )
        return Reason(code="guardrail-open", message=message)
    if result.harm_bound is None or result.margin is None:
        why = str(result.status) if result.status.code is not StatusCode.OK else "no bound could be computed"
        return Reason(code="guardrail-open", message=f"{result.metric} of {result.variant} can't be judged: {why}.")
    return Reason(
        code="guardrail-open",
        message=f"{result.metric} of {result.variant} may be up to {percent(result.harm_bound)} worse; "
        f"the margin is {percent(result.margin)}: more data is needed.",
    )


def _lift(result: MetricResult) -> str:
    """`conversion of treatment +8.1 % [+5.0 %, +11.3 %]`, with the interval that decides."""
    interval = result.sequential.lift_ci if result.sequential is not None else result.lift_ci
    if result.lift is None:
        effect = "" if result.effect is None else f" {result.effect:+.3g}"
        return f"{result.metric} of {result.variant}{effect}"
    band = "" if interval is None else f" {lift_interval(interval)}"
    good = {Direction.INCREASE: "higher is better", Direction.DECREASE: "lower is better"}.get(result.direction)
    return f"{result.metric} of {result.variant} {lift(result.lift)}{band}" + (f" ({good})" if good else "")
