"""What a mesh does beside sending a request somewhere: numbers, resolved from the spec's tiers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from abkit.errors import RoutingError
from abkit.routing.conditions import ALWAYS, IDEMPOTENT, Alternative, MethodMatch, both, from_spec
from abkit.spec import BreakerTier, CircuitBreaker, Experiment, Fault
from abkit.spec.matching import MAX_ALTERNATIVES

__all__ = ["NO_EFFECTS", "Breaker", "Copies", "Effects", "Retrying", "Trial", "breaker", "effects_of", "narrowed"]


@dataclass(frozen=True, slots=True)
class Retrying:
    """How a failed request is tried again.

    Attributes:
        attempts: Number of retries; 0 says that there must be none, where a mesh has some by default.
        per_try: How long a try may take; None where there are no retries.
        on: What is tried again, in Envoy's words.
    """

    attempts: int
    per_try: timedelta | None = None
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """A fault; shares are in percent.

    Attributes:
        delay: How long requests are held back; None for not.
        delay_share: How many.
        abort: HTTP status that requests are answered with; None for not.
        abort_share: How many.
    """

    delay: timedelta | None
    delay_share: float
    abort: int | None
    abort_share: float


@dataclass(frozen=True, slots=True)
class Copies:
    """Mirroring.

    Attributes:
        version: Who gets copies.
        share: Percent of the requests.
    """

    version: str
    share: float


@dataclass(frozen=True, slots=True)
class Effects:
    """What is done with the requests of a route; None leaves it as the mesh has it.

    Attributes:
        timeout: How long a request may take.
        retrying: How it is tried again.
        trial: A fault.
        copies: Mirroring.
    """

    timeout: timedelta | None = None
    retrying: Retrying | None = None
    trial: Trial | None = None
    copies: Copies | None = None


NO_EFFECTS: Final = Effects()
"""Everything as the mesh has it."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker, of each version.

    Attributes:
        tier: The tier that it was made from.
        connections: Most connections at a time.
        pending: Most requests that wait for a connection.
        requests: Most requests at a time.
        retries: Most retries at a time.
        requests_per_connection: Requests after which a connection is closed; None for no limit.
        connect_timeout: How long making a connection may take.
        consecutive_5xx: Errors in a row that eject a pod.
        consecutive_gateway_errors: The same for 502, 503, 504; None where it isn't told apart.
        interval: How often pods are looked at.
        ejection: How long the first ejection lasts.
        max_ejected: Percent of the pods that may be ejected.
    """

    tier: str
    connections: int
    pending: int
    requests: int
    retries: int
    requests_per_connection: int | None
    connect_timeout: timedelta
    consecutive_5xx: int
    consecutive_gateway_errors: int | None
    interval: timedelta
    ejection: timedelta
    max_ejected: int


def _tier(tier: BreakerTier, *limits: int, seconds: tuple[int, int, int], errors: int, ejected: int) -> Breaker:
    connections, pending, requests, retries = limits
    connect, interval, ejection = (timedelta(seconds=number) for number in seconds)
    return Breaker(
        tier.value, connections, pending, requests, retries, None, connect, errors, None, interval, ejection, ejected
    )


_TIERS: Final = {
    BreakerTier.CRITICAL: _tier(
        BreakerTier.CRITICAL, 1_000, 1_000, 2_000, 20, seconds=(5, 10, 30), errors=10, ejected=30
    ),
    BreakerTier.NORMAL: _tier(BreakerTier.NORMAL, 200, 100, 400, 10, seconds=(3, 10, 30), errors=5, ejected=50),
    BreakerTier.BEST_EFFORT: _tier(BreakerTier.BEST_EFFORT, 50, 20, 100, 3, seconds=(1, 5, 60), errors=3, ejected=100),
}


def breaker(asked: CircuitBreaker) -> Breaker:
    """The numbers of a circuit breaker: what is given, and the tier's for the rest.

    >>> breaker(CircuitBreaker.model_validate({"tier": "critical", "connections": 50})).connections
    50
    """
    tier, outliers = _TIERS[asked.tier], asked.outliers
    given = {
        "connections": asked.connections,
        "pending": asked.pending,
        "requests": asked.requests,
        "retries": asked.retries,
        "requests_per_connection": asked.requests_per_connection,
        "connect_timeout": asked.connect_timeout,
        "consecutive_5xx": outliers.consecutive_5xx,
        "consecutive_gateway_errors": outliers.consecutive_gateway_errors,
        "interval": outliers.interval,
        "ejection": outliers.ejection,
        "max_ejected": outliers.max_ejected,
    }
    return replace(tier, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def effects_of(
    experiment: Experiment, copies: Copies | None
) -> tuple[tuple[str, tuple[Alternative, ...], Effects], ...]:
    """What is done with requests that were routed: name, condition, effects; the first whose condition holds counts.

    Faults come first and have neither retries nor a timeout. Retries that are for idempotent methods alone make two of
    each route, and the other one says that there are none: Istio has some by default, for POST too.

    Args:
        experiment: The experiment.
        copies: Mirroring, of all of them.
    """
    policies = experiment.policies
    found = [
        (
            f"fault-{number}",
            ALWAYS if fault.when is None else from_spec(fault.when),
            Effects(trial=_trial(fault), copies=copies),
        )
        for number, fault in enumerate(policies.faults, start=1)
    ]
    if any(when == ALWAYS for _, when, _ in found):
        return tuple(found)
    timeout = None if policies.timeout is None else policies.timeout.length
    if policies.retries is None:
        return (*found, ("", ALWAYS, Effects(timeout, copies=copies)))
    asked = policies.retries
    again = Retrying(asked.number, asked.length, tuple(reason.value for reason in asked.on))
    if asked.non_idempotent:
        return (*found, ("", ALWAYS, Effects(timeout, again, copies=copies)))
    return (
        *found,
        ("idempotent", ((MethodMatch(IDEMPOTENT),),), Effects(timeout, again, copies=copies)),
        ("", ALWAYS, Effects(timeout, Retrying(0), copies=copies)),
    )


def _trial(fault: Fault) -> Trial:
    delay, abort = fault.delay, fault.abort
    return Trial(
        None if delay is None else delay.time,
        0.0 if delay is None else delay.share,
        None if abort is None else abort.status,
        0.0 if abort is None else abort.share,
    )


def narrowed(place: str, when: tuple[Alternative, ...], further: tuple[Alternative, ...]) -> tuple[Alternative, ...]:
    """Alternatives of both conditions.

    Raises:
        RoutingError: There are too many for a mesh.
    """
    found = both(when, further)
    if len(found) > MAX_ALTERNATIVES:
        msg = (
            f"{place}: this rule and a fault's condition make {len(found)} alternatives together, {MAX_ALTERNATIVES} "
            "is the most: make the conditions simpler"
        )
        raise RoutingError(msg)
    return found
