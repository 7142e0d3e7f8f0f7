"""A world that fits an experiment file: its service, variants, split, ramp and window."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime

from abkit.errors import InputError, did_you_mean
from abkit.simulate.world import HOUR, MINUTE, Arm, Effects, Epoch, Users, World, with_troubles
from abkit.spec import Experiment

__all__ = ["world_from_spec"]

_DEFAULT_START = 1_793_491_200_000  # 2026-11-01T00:00Z: a world reads no clock
_EFFECT_OF = {
    "conversion": "conversion",
    "orders-per-page-view": "conversion",
    "click-rate": "click_rate",
    "page-load-time": "page_load_time",
    "revenue-per-user": "revenue",
    "error-rate": "error_rate",
    "latency-mean": "latency",
    "latency-p95": "latency",
    "latency-p99": "latency",
    "page-views-per-user": "activity",
}


def world_from_spec(
    experiment: Experiment,
    *,
    seed: int = 1,
    users: int = 2_000,
    lifts: Mapping[str, float] | None = None,
    hours: float | None = None,
    scrape_interval_ms: int = MINUTE,
    troubles: bool = False,
) -> World:
    """A world in which an experiment runs.

    Args:
        experiment: The experiment.
        seed: All randomness comes from it.
        users: Number of users.
        lifts: Metric → true relative effect of all treatments, 0.08 for 8 % more; `VARIANT.METRIC` for one of them.
        hours: Length of the window; from the analysis' start to its end where left out, or a day.
        scrape_interval_ms: From scrape to scrape.
        troubles: With restarts, births, deaths and gaps.

    Returns:
        The world. Users whom a rule routes are a twentieth, where the experiment has rules.

    Raises:
        InputError: A lift names a metric that no effect moves, or a variant that is not there.

    >>> spec = Experiment.model_validate({
    ...     "service": "my-service", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"],
    ... })
    >>> world_from_spec(spec, seed=3, lifts={"conversion": 0.1}).arms[1].effects.conversion
    0.1
    """
    start = _DEFAULT_START if experiment.analysis.start is None else _ms(experiment.analysis.start)
    planned = start + 24 * HOUR if experiment.analysis.end is None else _ms(experiment.analysis.end)
    end = planned if hours is None else start + round(hours * HOUR)
    effects = _effects(experiment, lifts or {})
    rules = experiment.assignment.rules
    world = World(
        experiment=experiment.name,
        service=experiment.service.name,
        namespace=experiment.service.namespace,
        seed=seed,
        salt=experiment.salt,
        replicates=experiment.assignment.replicates,
        arms=tuple(
            Arm(name, variant.version, experiment.split[name], effects.get(name, Effects()))
            for name, variant in experiment.variants.items()
        ),
        epochs=_epochs(experiment, start),
        start_ms=start,
        end_ms=end,
        scrape_interval_ms=scrape_interval_ms,
        users=Users(count=users, vip_share=0.05 if rules else 0.0),
        vip_arm=rules[0].to if rules else "",
        without_unit=experiment.without_unit,
    )
    return with_troubles(world) if troubles else world


def _effects(experiment: Experiment, lifts: Mapping[str, float]) -> dict[str, Effects]:
    chosen: dict[str, Effects] = {}
    for key, lift in lifts.items():
        variant, _, metric = key.rpartition(".")
        if metric not in _EFFECT_OF:
            msg = f"lift {key}: no effect moves a metric {metric!r}; {did_you_mean(metric, _EFFECT_OF)}"
            raise InputError(msg)
        if variant and variant not in experiment.variants:
            msg = f"lift {key}: no variant is called {variant!r}; {did_you_mean(variant, experiment.variants)}"
            raise InputError(msg)
        for name in (variant,) if variant else experiment.treatments:
            chosen[name] = dataclasses.replace(chosen.get(name, Effects()), **{_EFFECT_OF[metric]: lift})
    return chosen


def _epochs(experiment: Experiment, start: int) -> tuple[Epoch, ...]:
    if not experiment.ramp:
        return ()
    steps = [Epoch(_ms(step.from_), dict(experiment.split_at(step.from_))) for step in experiment.ramp]
    before = [step for step in steps if step.from_ms <= start]
    after = [step for step in steps if step.from_ms > start]
    first = before[-1].split if before else experiment.split
    return (Epoch(start - 24 * HOUR, first), *after)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
