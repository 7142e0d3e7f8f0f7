"""The store's totals and the experiment file in, one evaluation out: compare and decide, for one experiment.

The same store and moment give the same evaluation, to the byte: no clock is read here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import abkit
from abkit.canary.judge import StageData, judge
from abkit.evidence import (
    Evaluation,
    Finding,
    Health,
    LimitResult,
    LookPlan,
    Provenance,
    Reason,
    Severity,
    Share,
    Stage,
    Usage,
    Verdict,
    WindowModel,
)
from abkit.pipeline.beside import beside
from abkit.pipeline.compare import compare_all
from abkit.pipeline.covariates import pre_period, pre_period_findings
from abkit.pipeline.health import quality_of, srm_of
from abkit.pipeline.limits import check_limits
from abkit.pipeline.looks import Looked
from abkit.pipeline.periods import Against
from abkit.pipeline.planned_looks import look_plan, planned_moments
from abkit.pipeline.splits import milliseconds, moment
from abkit.pipeline.stage import Epoch, Traffic, epochs_of, in_force, stage_of
from abkit.pipeline.totals import Totals, fingerprint
from abkit.queries import EXPOSED_USERS, ResolvedMetric, resolve
from abkit.spec import Experiment, Role
from abkit.store import Quality, Store
from abkit.verdict import Decision, decide_ab, health_reasons
from abkit.window import Window

__all__ = ["evaluate"]

_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_LOOKS = 60
"""Points of the trend, at most."""
_STALE = timedelta(minutes=5)
"""Traffic older than this has stopped."""
_SETTLES_MS, _SCRAPES = 2 * _MINUTE, 3
"""A changed split is checked after this time, and this many scrapes: meshes and scrapes lag behind."""


def evaluate(
    experiment: Experiment, store: Store, at: datetime | None = None, against: Sequence[Against] | None = None
) -> Evaluation:
    """Compare and decide one experiment from the store.

    Args:
        experiment: The experiment file.
        store: Holds what was pulled.
        at: The moment to look from; the newest pull's end where left out. Later data is left out.
        against: Earlier times to compare with, whether or not the experiment file asks for a history.

    Returns:
        The evaluation; its verdict is `no-data` where nothing was pulled.

    Raises:
        QueryError: A metric is not in the catalogue.
        StoreError: The store can't be read.
    """
    metrics = {metric.name: metric for metric in resolve(experiment)}
    epochs = epochs_of(store.weights(experiment.name)) if store.exists else ()
    window, span = _window(experiment, store, epochs, at)
    step = _step(window)
    looks = max(1, math.ceil((window.end_ms - window.start_ms) / step))
    unknown = [epoch for epoch in epochs if not epoch.known]
    totals = _totals(experiment, store, window, step, looks, unknown)
    usages, before = _usages(experiment, metrics), pre_period(experiment, store)
    traffic = _traffic(experiment, metrics, totals)
    as_of = moment(window.end_ms) if len(totals.total) else None
    quality = store.quality(experiment.name)
    health = Health(
        srm=srm_of(experiment, metrics[EXPOSED_USERS], totals, _settled(experiment, store, epochs, window, quality)),
        data_quality=quality_of(
            quality,
            experiment,
            left_out=_left_out(unknown, window),
            attributed=store.attributed(experiment.name),
            more=(*_warmed_up(experiment, window), *pre_period_findings(experiment, usages, before)),
        ),
    )
    ends = [min(window.start_ms + (look + 1) * step, window.end_ms) for look in range(looks)]
    current = Looked(totals, window.start_ms, ends)
    planned, plan = _planned(experiment, store, window, unknown, current)
    compared = compare_all(experiment, usages, planned or current, current if planned else None, before)
    limits: tuple[LimitResult, ...] = ()
    stage: Stage | None = None
    if experiment.canary is None:
        without = _without_data(experiment, traffic)
        decision = decide_ab(experiment, compared.metrics, health, without, as_of, plan)
    else:
        limits = check_limits(experiment, metrics, totals)
        stage = stage_of(experiment, experiment.canary, in_force(epochs, window.end_ms), window, now=at is None)
        # Cells of time are hours where the store has rolled minutes up.
        stale = _STALE if span.end_ms - window.end_ms < 2 * _DAY else _STALE + timedelta(hours=2)
        seen = Traffic.read(experiment, store, traffic, window, stale)
        # Until when was asked: a source that has gone empty leaves old data behind, which is no news.
        present = window.end_ms if at is not None else max(window.end_ms, store.pulled_until(experiment.name) or 0)
        data = StageData(
            stage=stage,
            first_seen=seen.first,
            last_seen=seen.last,
            requests=_requests(experiment, metrics, totals),
            pulled=span.length_ms > 0,
            stale_after=stale,
            as_of=moment(window.end_ms),
            present=moment(present),
        )
        decision = Decision(*judge(experiment, limits, compared.metrics, data, health_reasons(health)))
    begun = span.length_ms > 0 and _begin(experiment, window) < span.end_ms
    if experiment.analysis.warm_up and begun and not window.length_ms:
        decision = _warming_up(experiment, window)
    aside = beside(
        experiment,
        usages,
        store,
        window,
        before,
        lambda inputs: Totals.read(
            _table(experiment, store, window, None, unknown, inputs), 1, window.length_ms / 1000
        ),
        against,
    )
    return Evaluation(
        experiment=experiment.name,
        strategy=experiment.strategy,
        owner=experiment.metadata.owner,
        hypothesis=experiment.metadata.hypothesis,
        verdict=decision.verdict,
        reasons=decision.reasons,
        as_of=as_of,
        window=WindowModel(start=moment(window.start_ms), end=as_of) if as_of else WindowModel(start=None, end=None),
        planned_end=experiment.analysis.end,
        confidence=experiment.analysis.confidence,
        looks=str(experiment.deciding_looks),
        health=health,
        metrics=tuple(
            metric.model_copy(update=_noted(metric.method, quality, metric.assumption)) for metric in compared.metrics
        ),
        limits=tuple(limit.model_copy(update=_noted(limit.method, quality)) for limit in limits),
        stage=stage,
        split=_shares(experiment, health, metrics, totals),
        trend=compared.trend,
        epochs=tuple(moment(start) for start in totals.epochs[1:]),
        look_plan=plan,
        segments=aside.segments,
        interactions=aside.interactions,
        periods=aside.periods,
        novelty=aside.novelty,
        anomalies=aside.anomalies,
        anomaly_checks=aside.anomaly_checks,
        bandit=compared.bandit,
        provenance=Provenance(
            abkit_version=abkit.__version__,
            spec_hash=experiment.fingerprint,
            inputs=fingerprint(totals, before, aside.read),
            source=store.source(experiment.name),
            queries={
                f"{metric.name}.{role}": selector
                for metric in metrics.values()
                for role, selector in metric.selectors.items()
            },
        ),
    )


def _noted(method: str, quality: Quality | None, assumption: str | None = None) -> Mapping[str, str]:
    """What a result says of the counts that it rests on, where these are not exact."""
    if quality is None or not quality.approximate:
        return {}
    said = "The counts are approximate: sums that the server made (push-down)."
    more = {} if assumption is None else {"assumption": f"{assumption} {said}".strip()}
    return {"method": f"{method}, approximate counts".removeprefix(", ")} | more


def _window(
    experiment: Experiment, store: Store, epochs: Sequence[Epoch], at: datetime | None
) -> tuple[Window, Window]:
    """What is analysed, and what the store holds: of an A/B test all since its start, of a canary the stage.

    The warm-up after that start is left out; while it lasts the window is empty and lies at its end.
    """
    span = store.span(experiment.name)
    if span is None:
        return Window(0, 0), Window(0, 0)
    start, end = span.start_ms, span.end_ms
    if at is not None:
        end = min(end, milliseconds(at))
    analysis = experiment.analysis
    if analysis.end is not None:
        end = min(end, milliseconds(analysis.end))
    # Before a ramp's first step nobody knows the split.
    begins = [analysis.start, experiment.ramp[0].from_ if experiment.ramp else None]
    start = max([start, *(milliseconds(begin) for begin in begins if begin is not None)])
    if experiment.canary is not None and (stage := in_force(epochs, end)) is not None:
        start = max(start, stage.start_ms)
    start += _warm_up_ms(experiment)
    return Window(start, max(start, end)), span


def _warm_up_ms(experiment: Experiment) -> int:
    return round(experiment.analysis.warm_up.total_seconds() * 1000)


def _begin(experiment: Experiment, window: Window) -> int:
    """When the warm-up began."""
    return window.start_ms - _warm_up_ms(experiment)


def _warmed_up(experiment: Experiment, window: Window) -> list[Finding]:
    """That the warm-up is left out."""
    if not experiment.analysis.warm_up or not window.length_ms:
        return []
    begin = moment(_begin(experiment, window))
    message = (
        f"The time from {begin:%Y-%m-%d %H:%M} to {moment(window.start_ms):%Y-%m-%d %H:%M} UTC is left out "
        "(analysis.warm-up)."
    )
    return [Finding(code="warm-up", severity=Severity.NOTE, message=message)]


def _warming_up(experiment: Experiment, window: Window) -> Decision:
    """Nothing that counts has been seen yet: neither good nor bad."""
    message = (
        f"Warming up until {moment(window.start_ms):%Y-%m-%d %H:%M} UTC (analysis.warm-up): "
        "what was seen so far does not count, for or against."
    )
    verdict = Verdict.KEEP_RUNNING if experiment.canary is None else Verdict.PAUSE
    return Decision(verdict, (Reason(code="warm-up", message=message),))


def _planned(
    experiment: Experiment, store: Store, window: Window, unknown: Sequence[Epoch], current: Looked
) -> tuple[Looked | None, LookPlan | None]:
    """Totals at the planned looks that have come, and the plan; None and None where looks are not planned."""
    moments = planned_moments(experiment)
    plan = look_plan(experiment, moments, window.end_ms)
    if plan is None:
        return None, None
    taken = [number for number, at in enumerate(moments[: plan.taken], 1) if at > window.start_ms]
    if not taken:
        return replace(current, fractions=()), plan
    ends = [moments[number - 1] for number in taken]
    whole = Window(window.start_ms, ends[-1])
    edges = store.edges(experiment.name, whole)
    table = _by_look(experiment, store, [window.start_ms, *ends], unknown)
    totals = Totals.read(table, len(ends), whole.length_ms / 1000, edges=edges)
    return Looked(totals, window.start_ms, ends, tuple(number / plan.planned for number in taken)), plan


def _by_look(experiment: Experiment, store: Store, bounds: Sequence[int], unknown: Sequence[Epoch]) -> pa.Table:
    """Totals of looks between bounds: read at once where they are evenly spaced, as far as the last one."""
    spans = [end - start for start, end in pairwise(bounds)]
    if len(set(spans[:-1])) <= 1 and spans[-1] >= spans[0]:  # what is beyond the last look's length still is its own
        return _table(experiment, store, Window(bounds[0], bounds[-1]), spans[0], unknown)
    parts = []
    for look, (start, end) in enumerate(pairwise(bounds)):
        part = _table(experiment, store, Window(start, end), None, unknown)
        column = part.schema.get_field_index("look")
        parts.append(part.set_column(column, part.schema.field(column), pa.array([look] * len(part), pa.int32())))
    return pa.concat_tables(parts)


def _totals(
    experiment: Experiment, store: Store, window: Window, step: int | None, looks: int, unknown: Sequence[Epoch]
) -> Totals:
    """Totals of a window, without the time in which the split is not known."""
    table = _table(experiment, store, window, step, unknown)
    # Buckets are needed for results by look; counts of users do without.
    edges = None if step is None else store.edges(experiment.name, window)
    return Totals.read(table, looks, (window.end_ms - window.start_ms) / 1000, edges=edges)


def _table(
    experiment: Experiment,
    store: Store,
    window: Window,
    step: int | None,
    unknown: Sequence[Epoch],
    inputs: Collection[str] | None = None,
) -> pa.Table:
    if inputs is None and experiment.analysis.segments:
        # Segments multiply the rows, and are compared once and not look by look.
        inputs = {data.id for metric in resolve(experiment) for data in metric.inputs.values()}
    table = store.totals(experiment.name, window, step, inputs)
    if unknown:
        starts = pa.array([epoch.start_ms for epoch in unknown], pa.int64())
        table = table.filter(pc.invert(pc.is_in(table["epoch"], value_set=starts)))
    return table


def _settled(
    experiment: Experiment, store: Store, epochs: Sequence[Epoch], window: Window, quality: Quality | None
) -> list[tuple[Mapping[str, int], Totals]]:
    """Known splits with the totals of the time in which they surely were in force."""
    if not epochs:
        return [(experiment.split, _totals(experiment, store, window, None, 1, ()))]
    scrape = quality.scrape_interval_ms if quality is not None else None
    grace = max(_SETTLES_MS, _SCRAPES * (scrape or 0))
    periods = []
    for number, epoch in enumerate(epochs):
        if epoch.known:
            start = max(window.start_ms, epoch.start_ms + (grace if number else 0))
            end = window.end_ms if epoch.end_ms is None else min(window.end_ms, epoch.end_ms)
            if start < end:
                periods.append((epoch.split, _totals(experiment, store, Window(start, end), None, 1, ())))
    return periods


def _left_out(unknown: Sequence[Epoch], window: Window) -> list[tuple[datetime, datetime]]:
    spans = [
        (max(epoch.start_ms, window.start_ms), min(epoch.end_ms or window.end_ms, window.end_ms)) for epoch in unknown
    ]
    return [(moment(start), moment(end)) for start, end in spans if start < end]


def _step(window: Window) -> int:
    """Length of a look: whole minutes, or hours where the store keeps hours."""
    length = window.end_ms - window.start_ms
    unit = _HOUR if length > 2 * _DAY else _MINUTE
    return max(unit, math.ceil(length / _LOOKS / unit) * unit)


def _usages(experiment: Experiment, metrics: dict[str, ResolvedMetric]) -> list[tuple[ResolvedMetric, Usage]]:
    """Metrics with their part in the verdict; a canary's limits are compared with the control too."""
    parts = (
        (experiment.metrics.primary, Usage.PRIMARY),
        (experiment.metrics.guardrails, Usage.GUARDRAIL),
        (experiment.metrics.secondary, Usage.SECONDARY),
    )
    named = {ref.metric: usage for refs, usage in parts for ref in refs}
    if experiment.canary is not None:
        named |= {name: Usage.LIMIT for name in experiment.canary.limits if name not in named}
    return [(metrics[name], usage) for name, usage in named.items()]


def _traffic(experiment: Experiment, metrics: Mapping[str, ResolvedMetric], totals: Totals) -> Totals:
    """Totals of what shows traffic; of an A/B test that reads nothing of the kind, all of them."""
    found = totals.only(frozenset().union(*(metric.events for metric in metrics.values())))
    # A canary without requests has not been tried, whatever its pods hold.
    return totals if experiment.canary is None and not (found.total > 0).any() else found


def _without_data(experiment: Experiment, totals: Totals) -> list[str]:
    """Variants that should have traffic and have none, in any metric."""
    return [
        name
        for name in experiment.variants
        if experiment.split[name] > 0 and not (totals.total[totals.variant == name] > 0).any()
    ]


def _requests(experiment: Experiment, metrics: dict[str, ResolvedMetric], totals: Totals) -> dict[str, float]:
    """Requests of each variant, however assigned: by the metric that counts most of them."""
    counts: dict[str, float] = {}
    for name in experiment.variants:
        found = [0.0]
        for metric in metrics.values():
            for role, data in metric.inputs.items():
                rows = totals.any_rows(data.id, name)
                if role is Role.BUCKET:
                    rows &= np.isinf(totals.le)
                if role is not Role.NUMERATOR and data.id in metric.events:
                    found.append(float(totals.total[rows].sum()))
        counts[name] = max(found)
    return counts


def _shares(
    experiment: Experiment, health: Health, metrics: dict[str, ResolvedMetric], totals: Totals
) -> tuple[Share, ...]:
    users = {name: totals.sum(metrics[EXPOSED_USERS].inputs[Role.NUMERATOR].id, name) for name in experiment.variants}
    by_users = any(users.values())
    counts = users if by_users else _requests(experiment, metrics, totals)
    expected = health.srm.expected or {name: float(weight) for name, weight in experiment.split.items()}
    total, planned = sum(counts.values()), sum(expected.values())
    return tuple(
        Share(
            variant=name,
            version=variant.version,
            intended=expected[name] / planned if planned else 0.0,
            users=round(users[name]) if by_users else None,
            observed=counts[name] / total if total else None,
            basis="users" if by_users else "requests",
        )
        for name, variant in experiment.variants.items()
    )
