"""The truth behind the samples: what was counted, what the scrapes show of it, and the lifts that hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abkit.simulate.events import Requests, Views
from abkit.simulate.layout import Layout
from abkit.simulate.pods import Fleet
from abkit.simulate.population import HASH, Population
from abkit.simulate.tally import Tally
from abkit.simulate.world import Arm, World

__all__ = ["Total", "TrueLift", "Truth", "find_truth"]

_GROUP = ("ab_variant", "ab_assignment", "response_code", "le")


@dataclass(frozen=True, slots=True)
class Total:
    """What one family counted in the window, over all pods and replicates.

    `visible == true - lost - pending + carried_in`, exactly.

    Attributes:
        family: The series' name, such as `ab_clicks_total`.
        version: The version that counted it.
        variant: The label `ab_variant`; empty for Istio's families, which know versions only.
        assignment: The label `ab_assignment`; empty for Istio's families.
        response_code: The label `response_code`; empty for the `ab_` families.
        le: The label `le` of buckets; else empty.
        true: What was counted at a time in the window.
        visible: What an exact reader of the scrapes in the window finds, one who knows when processes started.
        lost: Counted in the window, and gone with its process before a scrape.
        pending: Counted in the window, after the last scrape in it.
        carried_in: Counted before the window, and first shown in it: by the mesh, and in a pre-period.
        masked: The part of `visible` that a reader of values alone misses: a restart after which a counter is first
            seen no lower than it was last seen looks like none.
    """

    family: str
    version: str
    variant: str
    assignment: str
    response_code: str
    le: str
    true: float
    visible: float
    lost: float
    pending: float
    carried_in: float
    masked: float


@dataclass(frozen=True, slots=True)
class TrueLift:
    """What a variant truly does to a metric.

    Attributes:
        metric: Name in the catalogue, such as `conversion`.
        variant: The variant that is compared with the control.
        control: The expected value if every randomised view in the window were served by the control, over all pods
            that could be; None where it has no closed form.
        lift: The same with the variant, over that, minus 1. A property of users and versions: pods' luck is left out.
        lift_given_pods: With the luck of the very pods that served, weighted by what they served; None where it isn't
            known. Replicates alone can only find this one.
    """

    metric: str
    variant: str
    control: float | None
    lift: float
    lift_given_pods: float | None


@dataclass(frozen=True, slots=True)
class Truth:
    """All that is true of a simulated world's window.

    Attributes:
        experiment: The experiment's name.
        seed: The world's seed.
        start_ms: Start of the window.
        end_ms: Its end, exclusive.
        scrape_interval_ms: From scrape to scrape.
        totals: What was counted.
        lifts: What the variants do.
        users: Variant → users with an id whom the hash gave it at the window's end, whether they came or not.
    """

    experiment: str
    seed: int
    start_ms: int
    end_ms: int
    scrape_interval_ms: int
    totals: tuple[Total, ...]
    lifts: tuple[TrueLift, ...]
    users: Mapping[str, int]

    def total(self, family: str, **labels: str) -> Total:
        """The sum of all totals of a family with some labels.

        Args:
            family: The series' name.
            **labels: `variant`, `version`, `assignment`, `response_code`, `le`; left out means all (of `le`: give one).

        Returns:
            A total whose other labels are empty.

        Raises:
            KeyError: Nothing has these labels.
        """
        found = [
            total
            for total in self.totals
            if total.family == family and all(getattr(total, name) == value for name, value in labels.items())
        ]
        if not found:
            msg = f"{family} {labels}"
            raise KeyError(msg)
        return Total(
            family=family,
            version=labels.get("version", ""),
            variant=labels.get("variant", ""),
            assignment=labels.get("assignment", ""),
            response_code=labels.get("response_code", ""),
            le=labels.get("le", ""),
            true=sum(total.true for total in found),
            visible=sum(total.visible for total in found),
            lost=sum(total.lost for total in found),
            pending=sum(total.pending for total in found),
            carried_in=sum(total.carried_in for total in found),
            masked=sum(total.masked for total in found),
        )

    def lift(self, metric: str, variant: str) -> TrueLift:
        """The lift of a variant on a metric.

        Raises:
            KeyError: It isn't known.
        """
        for lift in self.lifts:
            if (lift.metric, lift.variant) == (metric, variant):
                return lift
        msg = f"{metric} of {variant}"
        raise KeyError(msg)

    def as_dict(self) -> dict[str, object]:
        """As JSON has it: `totals` and `lifts` are lists of flat objects with the fields of their classes."""
        return dataclasses.asdict(self)


def find_truth(
    world: World,
    population: Population,
    fleet: Fleet,
    views: Views,
    requests: Requests,
    layouts: tuple[Layout, ...],
    sums: Tally,
    masked: tuple[NDArray[np.float64], ...],
) -> Truth:
    """Gather the truth of a world that was simulated.

    Args:
        world: The world.
        population: Its users.
        fleet: Its pods.
        views: Its page views.
        requests: Their requests.
        layouts: The counters of each version.
        sums: Their sums.
        masked: For each version, what restarts hide of each child.
    """
    final = world.splits[-1].split
    edges = np.cumsum([final.get(name, 0) for name in world.names])
    hashed = population.buckets[population.assignment == HASH]
    users = np.bincount(np.searchsorted(edges, hashed, side="right"), minlength=len(world.arms))
    return Truth(
        world.experiment,
        world.seed,
        world.start_ms,
        world.end_ms,
        world.scrape_interval_ms,
        tuple(_totals(layouts, sums, masked)),
        tuple(_lifts(world, population, fleet, views, requests)),
        dict(zip(world.names, users.tolist(), strict=True)),
    )


def _totals(layouts: tuple[Layout, ...], sums: Tally, masked: tuple[NDArray[np.float64], ...]) -> Iterator[Total]:
    for number, layout in enumerate(layouts):
        columns = (sums.true, sums.visible, sums.lost, sums.pending, sums.carried_in, masked)
        for block in layout.blocks:
            groups: dict[tuple[str, str, str, str], list[int]] = {}
            for child, labels in enumerate(block.labels, start=block.first):
                variant, assignment, code, le = (labels.get(name, "") for name in _GROUP)
                groups.setdefault((variant, assignment, code, le), []).append(child)
            for (variant, assignment, code, le), children in groups.items():
                true, visible, lost, pending, carried_in, unseen = (
                    float(column[number][children].sum()) for column in columns
                )
                yield Total(
                    block.family,
                    layout.version,
                    variant,
                    assignment,
                    code,
                    le,
                    true=true,
                    visible=visible,
                    lost=lost,
                    pending=pending,
                    carried_in=carried_in,
                    masked=unseen,
                )


def _lifts(world: World, population: Population, fleet: Fleet, views: Views, requests: Requests) -> Iterator[TrueLift]:
    hashed = views.counted & (population.assignment[views.user] == HASH)
    counted = views.counted[requests.view]
    serving = views.pod[requests.view][counted]
    shop, mesh = world.shop, world.mesh
    control = world.arms[world.names.index(world.control)]
    chosen = np.flatnonzero(hashed)
    conversion = _mean(views.conversion[chosen])
    orders = None if conversion is None else conversion * (1 + shop.second_order)
    versions = np.array([world.versions.index(arm.version) for arm in world.arms])

    def luck(kind: int, pods: NDArray[np.int64]) -> Callable[[Arm], float | None]:
        """Mean factor of an arm's pods over the control's, as they served."""

        def of(arm: Arm) -> float | None:
            means = []
            for side in (arm, control):
                own = fleet.version_of_pod[pods] == versions[world.arms.index(side)]
                means.append(_mean(fleet.factors[kind, pods[own]]))
            return None if means[0] is None or means[1] is None else means[0] / means[1]

        return of

    plain: Callable[[Arm], float | None] = lambda _arm: 1.0  # noqa: E731
    unknown: Callable[[Arm], float | None] = lambda _arm: None  # noqa: E731
    load, errors, latency = luck(2, views.pod[chosen]), luck(1, serving), luck(0, serving)
    metrics: list[tuple[str, float | None, Callable[[Arm], float], Callable[[Arm], float | None]]] = [
        ("conversion", conversion, lambda arm: 1 + arm.effects.conversion, plain),
        ("orders-per-page-view", orders, lambda arm: 1 + arm.effects.conversion, plain),
        ("click-rate", _mean(views.click_rate[chosen]), lambda arm: 1 + arm.effects.click_rate, plain),
        ("page-load-time", shop.page_load, lambda arm: 1 + arm.effects.page_load_time, load),
        ("error-rate", mesh.error_rate, lambda arm: 1 + arm.effects.error_rate, errors),
        ("success-rate", 1 - mesh.error_rate, lambda arm: _success(world, arm), unknown),
        ("latency-mean", mesh.latency / 1000, lambda arm: 1 + arm.effects.latency, latency),
        ("latency-p95", None, lambda arm: 1 + arm.effects.latency, unknown),
        ("latency-p99", None, lambda arm: 1 + arm.effects.latency, unknown),
    ]
    if len(world.splits) == 1:
        # Per exposed user: users who move between arms make these depend on the ramp.
        metrics += [
            ("page-views-per-user", None, lambda arm: 1 + arm.effects.activity, unknown),
            ("revenue-per-user", None, _revenue, unknown),
        ]
    for arm in (arm for arm in world.arms if arm is not control):
        for metric, value, effect, factor in metrics:
            ratio = effect(arm) / effect(control)
            by_luck = factor(arm)
            given = None if by_luck is None else ratio * by_luck - 1
            at_control = None if value is None else value * (effect(control) if metric != "success-rate" else 1)
            yield TrueLift(metric, arm.name, at_control, ratio - 1, given)


def _success(world: World, arm: Arm) -> float:
    return (1 - world.mesh.error_rate * (1 + arm.effects.error_rate)) / (1 - world.mesh.error_rate)


def _revenue(arm: Arm) -> float:
    return (1 + arm.effects.conversion) * (1 + arm.effects.revenue) * (1 + arm.effects.activity)


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
