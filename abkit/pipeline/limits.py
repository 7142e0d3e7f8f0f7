"""A canary's absolute limits, judged on each variant: "beyond" means with statistical certainty, at any look.

A limit on a share is judged on its events; a limit on a quantile on the share of events beyond it: P99 is above 500 ms
exactly if more than 1 % are slower than 500 ms. Buckets count those exactly at their edges alone: a limit between two
edges is judged where the edges around it leave no doubt, and is `undefined` where they do.

A limit is about one variant alone, so all of its requests count, however they were assigned: a comparison needs
randomisation, an error budget doesn't. Half of the error rate is the limits', in equal parts for each of them and each
stage; the comparison has the other half.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from abkit import stats
from abkit.canary.limits import beyond, dispersion, slow_share
from abkit.errors import QueryError
from abkit.evidence import LimitResult, Status, StatusCode
from abkit.pipeline.totals import Floats, Totals, histogram_defect
from abkit.queries import ResolvedMetric
from abkit.spec import Canary, Direction, Experiment, Kind, Role
from abkit.wording import percent

__all__ = ["check_definitions", "check_limits"]

_CELL = "instance-by-look cell"


@dataclass(frozen=True, slots=True)
class _Share:
    """What a limit is judged on.

    Attributes:
        events: Errors, slow requests; or successes where more is better.
        trials: All requests.
        limit: The limit on the share.
        value: The metric's value, in its unit.
        phi: Dispersion of the events, at least 1.
        method: What was counted.
        most: As many events as there may be, with their dispersion, where buckets don't say how many; else None.
        doubt: Why the share may be beyond all the same where `events` aren't; empty where they decide.
    """

    events: float
    trials: float
    limit: float
    value: float | None
    phi: float
    method: str
    most: tuple[float, float] | None = None
    doubt: str = ""


def check_definitions(experiment: Experiment, metrics: Sequence[ResolvedMetric]) -> None:
    """Check that the limits can be judged.

    Args:
        experiment: The experiment file.
        metrics: Its resolved metrics.

    Raises:
        QueryError: A limit is on a metric that is no share and no quantile, or lies outside what a share can be.
    """
    if experiment.canary is None:
        return
    found = {metric.name: metric.definition for metric in metrics}
    for name, limit in experiment.canary.limits.items():
        definition = found[name]
        if definition.kind not in {Kind.PROPORTION, Kind.QUANTILE}:
            msg = (
                f"canary.limits.{name}: limits are judged on shares and quantiles, and '{name}' is a "
                f"{definition.kind}: make it a guardrail, which is compared with the control"
            )
            raise QueryError(msg)
        for level in ("pause", "rollback"):
            value = getattr(limit, level)
            if value is not None and definition.kind is Kind.PROPORTION and not 0 < value < 1:
                msg = f"canary.limits.{name}.{level}: should be a share between 0 and 1, 0.01 for 1 % (got {value:g})"
                raise QueryError(msg)
            if value is not None and definition.kind is Kind.QUANTILE and value <= 0:
                unit = definition.unit or "its unit"
                msg = f"canary.limits.{name}.{level}: should be above 0, in {unit} (got {value:g})"
                raise QueryError(msg)


def check_limits(
    experiment: Experiment, metrics: Mapping[str, ResolvedMetric], totals: Totals
) -> tuple[LimitResult, ...]:
    """Judge every limit on every variant.

    Args:
        experiment: The experiment file.
        metrics: Resolved metrics by name.
        totals: The store's totals of this stage.

    Returns:
        A result for each limit, level and variant; where it can't be judged its status says why, and it is not beyond.

    Raises:
        QueryError: A limit can't be judged on its metric.
    """
    canary = experiment.canary
    if canary is None:
        return ()
    check_definitions(experiment, list(metrics.values()))
    # The other half of α is the comparison's with the control.
    alpha = (1 - experiment.analysis.confidence) / 2 / _tests(canary)
    everyone = totals.everyone()
    return tuple(
        _check(metrics[name], everyone, variant, level, threshold, alpha)
        for name, variant, level, threshold in _all(experiment, canary)
    )


def _tests(canary: Canary) -> int:
    levels = sum((limit.pause is not None) + (limit.rollback is not None) for limit in canary.limits.values())
    return max(levels, 1) * len(canary.steps)


def _all(experiment: Experiment, canary: Canary) -> Iterator[tuple[str, str, Literal["pause", "rollback"], float]]:
    for name, limit in canary.limits.items():
        for variant in experiment.variants:
            if limit.pause is not None:
                yield name, variant, "pause", limit.pause
            if limit.rollback is not None:
                yield name, variant, "rollback", limit.rollback


def _check(
    metric: ResolvedMetric,
    totals: Totals,
    variant: str,
    level: Literal["pause", "rollback"],
    threshold: float,
    alpha: float,
) -> LimitResult:
    definition = metric.definition
    result = LimitResult(
        metric=metric.name,
        kind=definition.kind,
        variant=variant,
        level=level,
        limit=threshold,
        value=None,
        beyond=False,
        p_value=None,
        unit=definition.unit,
        upper=definition.kind is Kind.QUANTILE or definition.direction is not Direction.INCREASE,
    )
    share = (_slow if definition.kind is Kind.QUANTILE else _events)(metric, totals, variant, threshold)
    if isinstance(share, Status):
        return result.model_copy(update={"status": share})
    found = beyond(share.events, share.trials, share.limit, share.phi, alpha, result.upper)
    events, phi = share.most or (share.events, share.phi)
    within = beyond(events, share.trials, share.limit, phi, alpha, result.upper).within
    counted = {"value": share.value, "method": f"{found.method}; {share.method}"}
    if share.doubt and not found.beyond:
        return result.model_copy(
            update=counted | {"status": Status(code=StatusCode.UNDEFINED, reason=share.doubt)},
        )
    return result.model_copy(update=counted | {"beyond": found.beyond, "within": within, "p_value": found.p_value})


def _nothing(metric: ResolvedMetric, variant: str) -> Status:
    selector = next(iter(metric.inputs.values())).selector
    return Status(code=StatusCode.NO_DATA, reason=f"nothing counted for {variant} ({selector})")


def _events(metric: ResolvedMetric, totals: Totals, variant: str, limit: float) -> _Share | Status:
    num, den = metric.inputs[Role.NUMERATOR], metric.inputs[Role.DENOMINATOR]
    trials = totals.sum(den.id, variant)
    if trials <= 0:
        return _nothing(metric, variant)
    # Two counters of one request may be scraped apart by a hair: a share is never above 1.
    events = min(totals.sum(num.id, variant), trials)
    names = sorted(set(totals.instances(den.id, variant)) | set(totals.instances(num.id, variant))) or [""]
    hits, tries = (_cells(totals.by_instance(data.id, variant, names)) for data in (num, den))
    phi, how = _dispersion(np.minimum(hits, tries), tries)
    return _Share(
        events=events,
        trials=trials,
        limit=limit,
        value=events / trials,
        phi=phi,
        method=f"{events:,.0f} of {trials:,.0f}; {how}",
    )


def _slow(metric: ResolvedMetric, totals: Totals, variant: str, limit: float) -> _Share | Status:
    data, q, scale = metric.inputs[Role.BUCKET], metric.definition.quantile, metric.definition.scale
    if q is None or totals.sum(data.id, variant) <= 0:
        return _nothing(metric, variant)
    edges = totals.edges(data.id, variant)
    if defect := histogram_defect(edges, variant):
        return Status(code=StatusCode.UNDEFINED, reason=defect)
    by_bucket = totals.by_bucket(data.id, variant, totals.instances(data.id, variant) or [""], edges)
    counts = by_bucket[-1].sum(axis=(0, 1))
    total = float(counts[-1])
    if total <= 0:
        return _nothing(metric, variant)
    edges = edges * scale
    low, high = _around(edges, limit)
    unit = metric.definition.unit
    if high is None:
        # No finite edge is beyond the limit: not one request is known to be slower.
        slow, phi, how = 0.0, 1.0, "no bucket edge is above the limit"
    else:
        slow, phi, how = _slower(edges, by_bucket, high)
        how = f"{slow:,.0f} of {total:,.0f} slower than {_with(unit, high)}; {how}"
    most, doubt = None, ""
    if low != high:
        slower, noise, _ = (total, 1.0, "") if low is None else _slower(edges, by_bucket, low)
        most = slower, noise
        if slower > (1 - q) * total:
            doubt = _doubt(limit, unit, (low, high), (slower / total, slow / total))
        else:
            how += f"; {slower:,.0f} slower than {_with(unit, low or 0.0)}"
    return _Share(
        events=slow,
        trials=total,
        limit=1 - q,
        value=stats.bucket_quantile(edges, counts, q, cumulative=True).value,
        phi=phi,
        method=how,
        most=most,
        doubt=doubt,
    )


def _slower(edges: Floats, by_bucket: Floats, edge: float) -> tuple[float, float, str]:
    """Events slower than an edge, their dispersion, and words for that."""
    cells = slow_share(edges, _cells(by_bucket, len(edges)), edge, cumulative=True)
    slow = slow_share(edges, by_bucket[-1].sum(axis=(0, 1)), edge, cumulative=True).slow
    return float(slow), *_dispersion(cells.slow, cells.total)


def _around(edges: Floats, limit: float) -> tuple[float | None, float | None]:
    """The finite edges next to a limit, below and above it; both the same where the limit is on an edge."""
    finite = edges[:-1]
    # Edges come in another unit and are scaled: 2300 ms times 0.001 isn't 2.3 s to the last bit.
    same = finite[np.isclose(finite, limit, rtol=1e-9, atol=0.0)]
    if same.size:
        return float(same[0]), float(same[0])
    place = int(np.searchsorted(finite, limit))
    return (
        float(finite[place - 1]) if place > 0 else None,
        float(finite[place]) if place < finite.size else None,
    )


def _doubt(limit: float, unit: str, edges: tuple[float | None, float | None], slower: tuple[float, float]) -> str:
    """Why the edges next to a limit don't decide it, and what to do."""
    known = [
        f"{percent(share)} are slower than {_with(unit, edge)}"
        for edge, share in zip(edges, slower, strict=True)
        if edge is not None
    ]
    if edges[1] is None:
        known.append("no finite edge is above it")
    return (
        f"the histogram has no bucket edge at {_with(unit, limit)}, and those next to it leave it open "
        f"({', '.join(known)}): add a bucket at {_with(unit, limit)} or move the limit to an edge"
    )


def _with(unit: str, number: float) -> str:
    return f"{number:g} {unit}".rstrip()


def _cells(totals: Floats, *edges: int) -> Floats:
    """What each instance counted in each look, from cumulative totals (look, epoch, instance[, edge])."""
    each: Floats = np.diff(totals.sum(axis=1), axis=0, prepend=0.0)
    return each.reshape(-1, *edges)


def _dispersion(events: ArrayLike, trials: ArrayLike) -> tuple[float, str]:
    """How much more a share varies between cells of instance and look than chance makes it, and what that can't see.

    Requests of one user hang together, but a user's requests go to any instance, at any look: cells of users would
    show it, these don't.
    """
    found = dispersion(events, trials, cell=_CELL)
    blind = "users who make many requests are not seen by it"
    if found.value is None:
        return 1.0, f"dispersion taken as 1 ({found.status}); {blind}"
    return max(found.value, 1.0), f"dispersion {found.value:.3g} between {_CELL}s; {blind}"
