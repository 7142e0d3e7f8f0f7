"""The store's totals and the experiment file in, one evaluation out: compare and decide, for one experiment.

The same store and moment give the same evaluation, to the byte: no clock is read here.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import abkit
from abkit.assignment import BUCKETS
from abkit.canary.judge import StageData, judge
from abkit.evidence import Evaluation, Health, LimitResult, Provenance, Share, Stage, Usage, WindowModel
from abkit.pipeline.compare import compare_all
from abkit.pipeline.health import quality_of, srm_of
from abkit.pipeline.limits import check_limits
from abkit.pipeline.totals import Totals
from abkit.queries import EXPOSED_USERS, ResolvedMetric, resolve
from abkit.spec import Canary, Experiment, Role
from abkit.store import Store
from abkit.verdict import Decision, decide_ab, health_reasons
from abkit.window import Window

__all__ = ["evaluate"]

_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_LOOKS = 60
"""Points of the trend, at most."""
_STALE = timedelta(minutes=5)
"""Traffic older than this has stopped."""


def evaluate(experiment: Experiment, store: Store, at: datetime | None = None) -> Evaluation:
    """Compare and decide one experiment from the store.

    Args:
        experiment: The experiment file.
        store: Holds what was pulled.
        at: The moment to look from; the newest pull's end where left out. Later data is left out.

    Returns:
        The evaluation; its verdict is `no-data` where nothing was pulled.

    Raises:
        QueryError: A metric is not in the catalogue.
        StoreError: The store can't be read.
    """
    metrics = {metric.name: metric for metric in resolve(experiment)}
    window = _window(experiment, store, at)
    step = _step(window)
    looks = max(1, math.ceil((window.end_ms - window.start_ms) / step))
    totals = Totals.read(store.totals(experiment.name, window, step), looks, (window.end_ms - window.start_ms) / 1000)
    as_of = _time(window.end_ms) if len(totals.total) else None
    quality = store.quality(experiment.name)
    health = Health(
        srm=srm_of(experiment, metrics[EXPOSED_USERS], totals, _splits(experiment, store, totals)),
        data_quality=quality_of(quality, experiment),
    )
    ends = [min(window.start_ms + (look + 1) * step, window.end_ms) for look in range(looks)]
    compared = compare_all(experiment, _usages(experiment, metrics), totals, ends)
    limits: tuple[LimitResult, ...] = ()
    stage: Stage | None = None
    if experiment.canary is None:
        decision = decide_ab(experiment, compared.metrics, health, _without_data(experiment, totals), as_of)
    else:
        limits = check_limits(experiment, metrics, totals)
        stage = _stage(experiment, experiment.canary, window if as_of else None)
        data = StageData(
            stage=stage,
            last_seen=_last_seen(experiment, store, totals, window),
            requests=_requests(experiment, metrics, totals),
            stale_after=_STALE,
            as_of=_time(window.end_ms),
        )
        decision = Decision(*judge(experiment, limits, compared.metrics, data, health_reasons(health)))
    return Evaluation(
        experiment=experiment.name,
        strategy=experiment.strategy,
        owner=experiment.metadata.owner,
        hypothesis=experiment.metadata.hypothesis,
        verdict=decision.verdict,
        reasons=decision.reasons,
        as_of=as_of,
        window=WindowModel(start=_time(window.start_ms), end=as_of) if as_of else WindowModel(start=None, end=None),
        planned_end=experiment.analysis.end,
        confidence=experiment.analysis.confidence,
        looks=str(experiment.analysis.looks),
        health=health,
        metrics=compared.metrics,
        limits=limits,
        stage=stage,
        split=_shares(experiment, health, metrics, totals),
        trend=compared.trend,
        epochs=tuple(_time(start) for start in totals.epochs[1:]),
        provenance=Provenance(
            abkit_version=abkit.__version__,
            spec_hash=experiment.fingerprint,
            inputs=totals.fingerprint,
            source=store.source(experiment.name),
            queries={
                f"{metric.name}.{role}": data.selector
                for metric in metrics.values()
                for role, data in metric.inputs.items()
            },
        ),
    )


def _window(experiment: Experiment, store: Store, at: datetime | None) -> Window:
    """What is analysed: of an A/B test all since its start, of a canary all since the stage began."""
    span = store.span(experiment.name)
    if span is None:
        return Window(0, 0)
    start, end = span.start_ms, span.end_ms
    if at is not None:
        end = min(end, _ms(at))
    # Before a ramp's first step nobody knows the split.
    begin = experiment.analysis.start or (experiment.ramp[0].from_ if experiment.ramp else None)
    if begin is not None:
        start = max(start, _ms(begin))
    if experiment.analysis.end is not None:
        end = min(end, _ms(experiment.analysis.end))
    if experiment.canary is not None:
        begun = [weight.from_ms for weight in store.weights(experiment.name) if weight.from_ms < end]
        start = max([start, *begun])
    return Window(start, max(start, end))


def _step(window: Window) -> int:
    """Length of a look: whole minutes, or hours where the store keeps hours."""
    length = window.end_ms - window.start_ms
    unit = _HOUR if length > 2 * _DAY else _MINUTE
    return max(unit, math.ceil(length / _LOOKS / unit) * unit)


def _splits(experiment: Experiment, store: Store, totals: Totals) -> dict[int, dict[str, int]]:
    """Start of each weight epoch → variant → basis points."""
    splits: dict[int, dict[str, int]] = {start: {} for start in totals.epochs}
    for weight in store.weights(experiment.name):
        for start in splits:
            if weight.from_ms <= start and (weight.to_ms is None or start < weight.to_ms):
                splits[start][weight.variant] = weight.weight
    return {start: split or dict(experiment.split) for start, split in splits.items()}


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


def _without_data(experiment: Experiment, totals: Totals) -> list[str]:
    """Variants that should have traffic and have none, in any metric."""
    return [
        name
        for name in experiment.variants
        if experiment.split[name] > 0 and not (totals.total[totals.variant == name] > 0).any()
    ]


def _stage(experiment: Experiment, canary: Canary, window: Window | None) -> Stage:
    (treatment,) = experiment.treatments
    share = experiment.split[treatment] / BUCKETS
    steps = [number for number, percent in enumerate(canary.steps, 1) if abs(percent / 100 - share) < 1e-9]
    since = None if window is None else _time(window.start_ms)
    return Stage(share=share, step=steps[0] if steps else None, steps=canary.steps, since=since)


def _requests(experiment: Experiment, metrics: dict[str, ResolvedMetric], totals: Totals) -> dict[str, float]:
    """Requests of each variant: the largest denominator of what the limits and metrics count."""
    counted = {
        data.id for metric in metrics.values() for role, data in metric.inputs.items() if role is Role.DENOMINATOR
    }
    return {
        name: max((float(totals.total[totals.any_rows(i, name)].sum()) for i in counted), default=0.0)
        for name in experiment.variants
    }


def _last_seen(experiment: Experiment, store: Store, totals: Totals, window: Window) -> dict[str, datetime]:
    """Newest moment with traffic; to the look before `_STALE`, to the minute after it."""
    seen = {}
    length = (window.end_ms - window.start_ms) / max(totals.looks, 1)
    for name in experiment.variants:
        looks = totals.look[(totals.variant == name) & (totals.total > 0)]
        if looks.size:
            seen[name] = min(window.start_ms + (int(looks.max()) + 1) * length, window.end_ms)
    fresh = Window(max(window.start_ms, window.end_ms - int(_STALE.total_seconds() * 1000)), window.end_ms)
    recent = Totals.read(store.totals(experiment.name, fresh), 1, 0.0)
    for name in list(seen):
        if (recent.total[recent.variant == name] > 0).any():
            seen[name] = window.end_ms
        else:
            seen[name] = min(seen[name], fresh.start_ms - 1)
    return {name: _time(int(ms)) for name, ms in seen.items()}


def _shares(
    experiment: Experiment, health: Health, metrics: dict[str, ResolvedMetric], totals: Totals
) -> tuple[Share, ...]:
    users = health.srm.observed
    counts: dict[str, float] = dict(users) if users else _requests(experiment, metrics, totals)
    expected = health.srm.expected or {name: float(weight) for name, weight in experiment.split.items()}
    total, planned = sum(counts.values()), sum(expected.values())
    return tuple(
        Share(
            variant=name,
            version=variant.version,
            intended=expected[name] / planned if planned else 0.0,
            users=users.get(name) if users else None,
            observed=counts[name] / total if total else None,
            basis="users" if users else "requests",
        )
        for name, variant in experiment.variants.items()
    )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _ms(moment: datetime | None) -> int:
    return 0 if moment is None else round(moment.timestamp() * 1000)
