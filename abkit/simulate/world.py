"""What a simulated world is made of: arms, users, a shop, its pods, and what goes wrong with them.

All times are milliseconds since the epoch. Nothing here draws a number: `abkit.simulate.run` does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from abkit.assignment import BUCKETS
from abkit.errors import InputError, did_you_mean

__all__ = ["HOUR", "MINUTE", "Arm", "Effects", "Epoch", "Gap", "Mesh", "Pod", "Shop", "Users", "World", "with_troubles"]

MINUTE = 60_000
HOUR = 60 * MINUTE
_START = 1_793_491_200_000  # 2026-11-01T00:00Z


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a variant truly does, relative to no effect: 0.08 is 8 % more.

    Attributes:
        conversion: On the probability that a page view ends in a purchase.
        click_rate: On the probability that a page view is clicked.
        page_load_time: On the page load time.
        revenue: On the value of an order.
        error_rate: On the probability that a request is answered with 5xx.
        latency: On a request's duration, and so on its mean and every quantile.
        activity: On a user's page views.
    """

    conversion: float = 0.0
    click_rate: float = 0.0
    page_load_time: float = 0.0
    revenue: float = 0.0
    error_rate: float = 0.0
    latency: float = 0.0
    activity: float = 0.0


@dataclass(frozen=True, slots=True)
class Arm:
    """A variant: its name, the version that serves it, its weight in basis points and its true effects."""

    name: str
    version: str
    weight: int
    effects: Effects = Effects()


@dataclass(frozen=True, slots=True)
class Epoch:
    """A split and when it came into force; arms that it does not name have weight 0."""

    from_ms: int
    split: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, which is one scrape target.

    Attributes:
        name: Its name, the `pod` label.
        version: The version that it runs.
        instance: The `instance` label.
        born_ms: When its process starts; None: before the traffic.
        died_ms: When it goes for good; None: it outlives the world.
        restarts: When its process ends and starts anew, with counters at zero and the same labels.
    """

    name: str
    version: str
    instance: str
    born_ms: int | None = None
    died_ms: int | None = None
    restarts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """A span without scrapes, [start_ms, end_ms).

    Attributes:
        start_ms: First moment without.
        end_ms: First moment with scrapes again.
        pod: The target whose scrapes fail; `up` is 0 meanwhile. None: the whole Prometheus is away.
    """

    start_ms: int
    end_ms: int
    pod: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Who comes, how often and when.

    Attributes:
        count: Number of users with an id.
        views: Expected page views of a user who stays from first to last.
        shape: Shape of the gamma distribution of activity; 0.5 has a heavy tail.
        residents: Share who are there throughout; the others arrive evenly and leave after an exponential time.
        stay_ms: Mean stay of those others.
        day_swing: Relative height of the daily wave of traffic, 0 … 1; its peak is at 14:00 UTC.
        weekend: Traffic on Saturday and Sunday relative to a working day.
        vip_share: Share of the users whom a rule routes to `World.vip_arm`, labelled `rule`.
        vip_factor: How much likelier a VIP buys.
        without_id: Visitors without an id, relative to `count`; they get `World.without_unit`, labelled `none`.
    """

    count: int = 2_000
    views: float = 20.0
    shape: float = 0.5
    residents: float = 0.7
    stay_ms: int = 2 * HOUR
    day_swing: float = 0.6
    weekend: float = 0.7
    vip_share: float = 0.0
    vip_factor: float = 3.0
    without_id: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """What users do on a page.

    Attributes:
        conversion: Mean probability that a page view ends in a purchase; each user's own is a beta draw.
        conversion_users: Concentration a + b of that beta: the smaller, the more users differ.
        conversion_swing: Relative height of a daily wave of the conversion: what makes pooling over a ramp wrong.
        click_rate: Mean probability that a page view is clicked.
        click_users: Concentration of its beta.
        second_order: Probability that a purchase makes two orders.
        order_value: Mean value of an order.
        order_sigma: Log standard deviation of the value.
        page_load: Mean page load time in seconds.
        page_load_sigma: Its log standard deviation from view to view.
        page_load_users: Log standard deviation of the users' own factor: devices and lines.
    """

    conversion: float = 0.05
    conversion_users: float = 8.0
    conversion_swing: float = 0.0
    click_rate: float = 0.3
    click_users: float = 8.0
    second_order: float = 0.1
    order_value: float = 40.0
    order_sigma: float = 0.6
    page_load: float = 1.2
    page_load_sigma: float = 0.5
    page_load_users: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """What the mesh sees, and how much pods differ.

    Attributes:
        requests: Mean requests a page view, at least 1.
        error_rate: Probability that a request is answered with 5xx (four in five 500, else 503).
        not_found: Probability that it is answered with 404.
        latency: Mean duration of a request in milliseconds.
        latency_sigma: Its log standard deviation.
        pods: Log standard deviation of the pods' own factors on duration, error rate and page load time.
    """

    requests: float = 3.0
    error_rate: float = 0.008
    not_found: float = 0.01
    latency: float = 80.0
    latency_sigma: float = 0.6
    pods: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A world with a known truth; the same world simulates to the same samples.

    Attributes:
        experiment: The experiment's name, label `ab_experiment`.
        service: The service's name, label `job` and `destination_service_name`.
        namespace: Its namespace.
        seed: All randomness comes from it.
        salt: Salt of the buckets; the experiment's name where empty.
        replicates: Number of hash replicates.
        arms: The variants, in the order of their buckets; the control is the one of that name, or the first.
        epochs: The splits over time, where they change; the first must not be later than the traffic.
        pods: The targets; three a version where empty.
        gaps: Spans without scrapes.
        start_ms: Start of the window: from here on the services count for the experiment.
        end_ms: End of the window and of the world, exclusive.
        lead_ms: How long before the window traffic and scrapes begin; only the mesh counts then.
        pre_ms: The last part of the lead, in which services already count for the experiment, labelled by the variant
            that each user will come to: a pre-period. Then nothing is routed in the whole lead: the control's version
            serves everyone, without any effect.
        scrape_interval_ms: From one scrape of a target to its next.
        jitter_ms: Each scrape is late by 0 … this.
        downtime_ms: How long a restart takes.
        users: Who comes.
        shop: What they do.
        mesh: What the mesh sees.
        vip_arm: Where VIPs are routed; the last treatment where empty.
        without_unit: What visitors without an id get; the control where empty.
        time_quantum: Page load times are multiples of it (seconds), so that sums are exact in float64.
        money_quantum: Order values are multiples of it.

    Raises:
        InputError: It contradicts itself.

    >>> World(experiment="buy-now").salt_or_name
    'buy-now'
    """

    experiment: str
    service: str = "my-service"
    namespace: str = "shop"
    seed: int = 1
    salt: str = ""
    replicates: int = 32
    arms: tuple[Arm, ...] = (Arm("control", "v1", 5_000), Arm("treatment", "v2", 5_000))
    epochs: tuple[Epoch, ...] = ()
    pods: tuple[Pod, ...] = ()
    gaps: tuple[Gap, ...] = ()
    start_ms: int = _START
    end_ms: int = _START + 6 * HOUR
    lead_ms: int = 10 * MINUTE
    pre_ms: int = 0
    scrape_interval_ms: int = 30_000
    jitter_ms: int = 0
    downtime_ms: int = 20_000
    users: Users = field(default_factory=Users)
    shop: Shop = field(default_factory=Shop)
    mesh: Mesh = field(default_factory=Mesh)
    vip_arm: str = ""
    without_unit: str = ""
    time_quantum: float = 2.0**-10
    money_quantum: float = 0.25

    def __post_init__(self) -> None:
        if not self.pods:
            object.__setattr__(self, "pods", _default_pods(self))
        _check(self)

    @property
    def begin_ms(self) -> int:
        """When traffic and scrapes begin: the lead before the window."""
        return self.start_ms - self.lead_ms

    @property
    def salt_or_name(self) -> str:
        """The salt of the buckets."""
        return self.salt or self.experiment

    @property
    def names(self) -> tuple[str, ...]:
        """The arms' names."""
        return tuple(arm.name for arm in self.arms)

    @property
    def control(self) -> str:
        """The arm that the others are compared with: the one of that name, or the first."""
        return "control" if "control" in self.names else self.names[0]

    @property
    def treatments(self) -> tuple[str, ...]:
        """All arms but the control."""
        return tuple(name for name in self.names if name != self.control)

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions, each once, in the arms' order."""
        return tuple(dict.fromkeys(arm.version for arm in self.arms))

    @property
    def splits(self) -> tuple[Epoch, ...]:
        """All epochs; one that holds throughout where none is given."""
        return self.epochs or (Epoch(self.begin_ms, {arm.name: arm.weight for arm in self.arms}),)


def with_troubles(world: World) -> World:
    """The same world with one of each trouble that a collector must survive.

    In its first version: a restart and a span of failed scrapes. In its last: a pod that dies, and one that is born
    midway. And a span in which the whole Prometheus is away.

    Args:
        world: Needs at least two pods of its last version; a window of some 100 scrapes shows all troubles.
    """
    span = world.end_ms - world.start_ms
    interval = world.scrape_interval_ms

    def at(share: float) -> int:
        # Off the scrapes' own beat, so that events are lost at restarts and deaths.
        return world.start_ms + int(span * share) + interval // 3

    first = [pod for pod in world.pods if pod.version == world.versions[0]]
    last = [pod for pod in world.pods if pod.version == world.versions[-1]]
    if len(last) < 2:
        msg = f"world {world.experiment}: version {world.versions[-1]} has {len(last)} pods, one is to die: give it two"
        raise InputError(msg)
    born = dataclasses.replace(
        last[-1], name=f"{last[-1].name}-born", instance=f"10.0.9.{len(world.pods)}:8080", born_ms=at(0.45)
    )
    changed = {
        first[0].name: dataclasses.replace(first[0], restarts=(*first[0].restarts, at(0.3))),
        last[-1].name: dataclasses.replace(last[-1], died_ms=at(0.7)),
    }
    return dataclasses.replace(
        world,
        pods=(*(changed.get(pod.name, pod) for pod in world.pods), born),
        gaps=(
            *world.gaps,
            Gap(at(0.5), at(0.5) + 6 * interval, first[-1].name),
            Gap(at(0.6), at(0.6) + 5 * interval),
        ),
    )


def _default_pods(world: World) -> tuple[Pod, ...]:
    return tuple(
        Pod(f"{world.service}-{version}-{number}", version, f"10.0.{place}.{11 + number}:8080")
        for place, version in enumerate(world.versions)
        for number in range(3)
    )


def _check(world: World) -> None:
    where = f"world {world.experiment}"
    for names, what in [
        (world.names, "arm"),
        ([pod.name for pod in world.pods], "pod"),
        ([pod.instance for pod in world.pods], "instance"),
    ]:
        if twice := sorted({name for name in names if list(names).count(name) > 1}):
            msg = f"{where}: {what} {twice[0]!r} is there twice: give each a name of its own"
            raise InputError(msg)
    _check_splits(world, where)
    _check_pods(world, where)
    for name in filter(None, (world.vip_arm, world.without_unit)):
        if name not in world.names:
            msg = f"{where}: no arm is called {name!r}; {did_you_mean(name, world.names)}"
            raise InputError(msg)
    for arm in world.arms:
        _check_effects(world, arm, f"{where}: arm {arm.name}")
    if world.lead_ms < 0 or world.end_ms <= world.start_ms or world.scrape_interval_ms <= 0:
        msg = f"{where}: the window [{world.start_ms}, {world.end_ms}) or its scrapes are empty: end must follow start"
        raise InputError(msg)
    if not 0 <= world.pre_ms <= world.lead_ms:
        msg = f"{where}: a pre-period of {world.pre_ms} ms in a lead of {world.lead_ms} ms: give a longer lead"
        raise InputError(msg)
    if not 0 <= world.jitter_ms < world.scrape_interval_ms:
        msg = f"{where}: jitter {world.jitter_ms} ms must be less than the scrape interval"
        raise InputError(msg)
    if world.users.count < 1 or world.mesh.requests < 1:
        msg = f"{where}: needs a user at least, and a request a page view"
        raise InputError(msg)


def _check_effects(world: World, arm: Arm, where: str) -> None:
    for name, effect in dataclasses.asdict(arm.effects).items():
        if not -1 < effect < 10:
            msg = f"{where}: effect {effect} on {name} is relative, 0.08 for 8 % more: give one above -1 and below 10"
            raise InputError(msg)
    # Above this a probability could pass 1, and the true lift would not be the effect.
    if (rate := world.mesh.error_rate * (1 + arm.effects.error_rate)) > 0.5:
        msg = f"{where}: its error rate is {rate:.3g}: keep it at 0.5 or below"
        raise InputError(msg)


def _check_splits(world: World, where: str) -> None:
    moments = [epoch.from_ms for epoch in world.splits]
    if moments != sorted(set(moments)) or moments[0] > world.start_ms:
        msg = f"{where}: epochs must follow one another in time, the first no later than the window's start"
        raise InputError(msg)
    for epoch in world.splits:
        if sum(epoch.split.values()) != BUCKETS or min(epoch.split.values()) < 0:
            msg = f"{where}: weights {dict(epoch.split)} must sum to {BUCKETS:,}"
            raise InputError(msg)
        if unknown := sorted(set(epoch.split) - set(world.names)):
            msg = f"{where}: no arm is called {unknown[0]!r}; {did_you_mean(unknown[0], world.names)}"
            raise InputError(msg)


def _check_pods(world: World, where: str) -> None:
    for pod in world.pods:
        if pod.version not in world.versions:
            msg = f"{where}: pod {pod.name} runs {pod.version!r}; {did_you_mean(pod.version, world.versions)}"
            raise InputError(msg)
        born = world.begin_ms - HOUR if pod.born_ms is None else pod.born_ms
        moments = [born, *pod.restarts, world.end_ms if pod.died_ms is None else pod.died_ms]
        ends = [born, *(moment + world.downtime_ms for moment in pod.restarts)]
        if any(later <= earlier for earlier, later in zip(ends, moments[1:], strict=True)):
            msg = f"{where}: pod {pod.name}: birth, restarts and death must follow one another"
            raise InputError(msg)
