"""What the mesh does beside routing: timeouts, retries, faults, circuit breaking, fallbacks, answers, mirroring."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, Field, model_validator

from abkit.spec.base import DnsLabel, Duration, Model
from abkit.spec.matching import Match

__all__ = [
    "Abort",
    "Answer",
    "BreakerTier",
    "CircuitBreaker",
    "Delay",
    "Fallback",
    "Fault",
    "Mirror",
    "Outliers",
    "Policies",
    "Preset",
    "Retries",
    "RetryOn",
    "Timeout",
    "TimeoutTier",
]


def _two_decimals(percent: float) -> float:
    if round(percent * 100) != percent * 100 and abs(percent * 100 - round(percent * 100)) > 1e-6:
        msg = f"should have two decimals at most, such as {round(percent, 2):g}"
        raise ValueError(msg)
    return percent


def _positive(length: timedelta) -> timedelta:
    if length < timedelta(milliseconds=1) or length > timedelta(hours=1):
        msg = "should be 1ms at least and 1h at most"
        raise ValueError(msg)
    return length


Percent = Annotated[float, Field(gt=0, le=100), AfterValidator(_two_decimals)]
Length = Annotated[Duration, AfterValidator(_positive)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class TimeoutTier(StrEnum):
    """How long a request may take, by the kind of service."""

    FAST = "fast"
    """1 s: caches, look-ups."""
    API = "api"
    """5 s: what a page waits for."""
    SLOW = "slow"
    """30 s: reports, uploads."""


_TIMEOUTS: Final = {
    TimeoutTier.FAST: timedelta(seconds=1),
    TimeoutTier.API: timedelta(seconds=5),
    TimeoutTier.SLOW: timedelta(seconds=30),
}
# Retries fit into the tier's timeout: (1 + attempts) × per try is less.
_RETRIES: Final = {
    TimeoutTier.FAST: (2, timedelta(milliseconds=300)),
    TimeoutTier.API: (2, timedelta(milliseconds=1_500)),
    TimeoutTier.SLOW: (1, timedelta(seconds=14)),
}


class Timeout(Model):
    """How long a request may take, its retries included. A bare string is a tier or a duration."""

    shorthands: ClassVar = ({"type": "string"},)

    tier: TimeoutTier | None = None
    """By the kind of service."""
    request: Length | None = None
    """Exactly."""

    @property
    def length(self) -> timedelta:
        """The time."""
        return self.request if self.request is not None else _TIMEOUTS[self.tier or TimeoutTier.API]

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"tier": data} if data in {tier.value for tier in TimeoutTier} else {"request": data}
        return data

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.tier is None) == (self.request is None):
            msg = "give one of tier (fast, api, slow) and request"
            raise ValueError(msg)
        return self


class RetryOn(StrEnum):
    """What is tried again; the words of Envoy and Istio."""

    CONNECT_FAILURE = "connect-failure"
    """No connection came about: the request was not seen."""
    REFUSED_STREAM = "refused-stream"
    """The server refused the stream: the request was not seen."""
    RESET = "reset"
    """The connection broke, or no answer came in time."""
    GATEWAY_ERROR = "gateway-error"
    """502, 503 or 504."""
    SERVER_ERROR = "5xx"
    """Any 5xx, and what counts as one: reset, connect-failure, refused-stream."""
    CONFLICT = "retriable-4xx"
    """409."""


class Retries(Model):
    """How a request that failed is tried again. A bare string is a tier.

    Only idempotent methods are (GET, HEAD, OPTIONS, TRACE, PUT, DELETE: RFC 9110, 9.2.2), unless asked for all.
    """

    shorthands: ClassVar = ({"type": "string"},)

    tier: TimeoutTier | None = None
    """By the kind of service: two retries of 300 ms, two of 1.5 s, one of 14 s."""
    attempts: Annotated[int, Field(strict=True, ge=1, le=10)] | None = None
    """Number of retries."""
    per_try: Length | None = None
    """How long one try may take."""
    on: Annotated[tuple[RetryOn, ...], Field(min_length=1)] = (
        RetryOn.CONNECT_FAILURE,
        RetryOn.REFUSED_STREAM,
        RetryOn.GATEWAY_ERROR,
    )
    """What is tried again."""
    non_idempotent: bool = False
    """Whether POST, PATCH and the like are tried again too: an order may then be placed twice."""

    @property
    def number(self) -> int:
        """Number of retries."""
        return self.attempts or _RETRIES[self.tier or TimeoutTier.API][0]

    @property
    def length(self) -> timedelta:
        """How long one try may take."""
        return self.per_try or _RETRIES[self.tier or TimeoutTier.API][1]

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        return {"tier": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.tier is None and (self.attempts is None or self.per_try is None):
            msg = "give tier (fast, api, slow), or attempts and per-try"
            raise ValueError(msg)
        if len(set(self.on)) < len(self.on):
            msg = "@on@@names a condition twice: name each once"
            raise ValueError(msg)
        return self


class Delay(Model):
    """Requests that are held back, for trials."""

    time: Length
    """How long."""
    share: Percent = 100.0
    """Percent of the requests."""


class Abort(Model):
    """Requests that are answered with an error, for trials; they reach no version and count in none's metrics."""

    status: Annotated[int, Field(strict=True, ge=400, le=599)]
    """The HTTP status."""
    share: Percent = 100.0
    """Percent of the requests."""


class Fault(Model):
    """A trial of what happens when the service is slow or fails.

    Its routes have no retries and no timeout of ours: Istio documents the two together as unsupported, and retries
    would hide what is tried.
    """

    delay: Delay | None = None
    """Hold requests back."""
    abort: Abort | None = None
    """Answer requests with an error."""
    when: Match | None = None
    """Which requests; all where left out."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.delay is None and self.abort is None:
            msg = "give delay, abort or both"
            raise ValueError(msg)
        return self


class BreakerTier(StrEnum):
    """How a circuit breaker is set, by how much depends on the service."""

    CRITICAL = "critical"
    """Generous limits, slow to eject, never more than three pods in ten."""
    NORMAL = "normal"
    """In between."""
    BEST_EFFORT = "best-effort"
    """Tight limits, quick to eject: it must not drag others down."""


class Outliers(Model):
    """When a pod that fails gets no more requests for a while."""

    consecutive_5xx: Annotated[int, Field(strict=True, ge=1, le=1_000)] | None = Field(
        default=None, alias="consecutive-5xx"
    )
    """Errors in a row, 5xx or broken connections, after which a pod is ejected."""
    consecutive_gateway_errors: Annotated[int, Field(strict=True, ge=1, le=1_000)] | None = None
    """The same for 502, 503 and 504 alone."""
    interval: Length | None = None
    """How often pods are looked at, and ejected ones let in again."""
    ejection: Length | None = None
    """How long the first ejection lasts; the next ones a multiple of it."""
    max_ejected: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    """Percent of the pods that may be ejected at a time."""


class CircuitBreaker(Model):
    """Limits of connections and requests, and ejection of pods that fail. A bare string is a tier.

    What is not given is the tier's. `abkit routes` shows the numbers.
    """

    shorthands: ClassVar = ({"type": "string"},)

    tier: BreakerTier = BreakerTier.NORMAL
    """By how much depends on the service."""
    connections: Count | None = None
    """Connections to a version at a time."""
    pending: Count | None = None
    """Requests that wait for a connection."""
    requests: Count | None = None
    """Requests to a version at a time."""
    retries: Count | None = None
    """Retries to a version at a time."""
    requests_per_connection: Count | None = None
    """Requests after which a connection is closed; without limit where left out."""
    connect_timeout: Length | None = None
    """How long making a connection may take."""
    outliers: Outliers = Outliers()
    """Ejection of pods that fail."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        return {"tier": data} if isinstance(data, str) else data


class Fallback(Model):
    """Where requests go while no pod of the versions they are meant for is healthy: another variant's pods."""

    to: DnsLabel
    """The variant whose pods take over."""


class Answer(Model):
    """Requests that are answered by the mesh itself: what a shop can do without on a busy day."""

    when: Match
    """Which requests."""
    status: Annotated[int, Field(strict=True, ge=200, le=599)] = 200
    """The HTTP status."""
    body: Annotated[str, Field(max_length=4_096)] = ""
    """The body, text."""
    content_type: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(; ?charset=[A-Za-z0-9-]+)?$")] = (
        "application/json"
    )
    """Its media type."""


class Mirror(Model):
    """A copy of the requests that others get; what it answers is thrown away.

    What a mirrored request does, it does: writes, mails and payments happen twice unless the version that gets copies
    keeps from them.
    """

    to: DnsLabel
    """The variant that gets copies."""
    share: Percent = 100.0
    """Percent of the requests."""


class Preset(StrEnum):
    """Policies that go together."""

    PROMOTION_DAY = "promotion-day"
    """Critical circuit breaker, timeouts and retries of the fast tier, and a fallback to the control."""


class Policies(Model):
    """What the mesh does beside routing, for all routes of the experiment's service."""

    preset: Preset | None = None
    """Policies that go together; what is given beside it takes its place."""
    timeout: Timeout | None = None
    """How long a request may take."""
    retries: Retries | None = None
    """How a request that failed is tried again."""
    faults: tuple[Fault, ...] = ()
    """Trials of failure; the first whose condition holds counts."""
    circuit_breaker: CircuitBreaker | None = None
    """Limits, and ejection of pods that fail."""
    fallback: Fallback | None = None
    """Where requests go while no pod is healthy."""
    answers: tuple[Answer, ...] = ()
    """Requests that are answered without any pod."""
    mirror: Mirror | None = None
    """Copies for another variant."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("preset") == Preset.PROMOTION_DAY:
            return {"timeout": "fast", "retries": "fast", "circuit-breaker": "critical"} | data
        return data

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.retries is not None and self.timeout is not None:
            longest = (1 + self.retries.number) * self.retries.length
            if longest > self.timeout.length:
                msg = (
                    f"@retries.per-try@{_shown(self.retries.length)}@{1 + self.retries.number} tries take "
                    f"{_shown(longest)}, the timeout is {_shown(self.timeout.length)}: the last would never be made; "
                    "make per-try shorter, attempts fewer or the timeout longer"
                )
                raise ValueError(msg)
        if (self.retries is not None or self.timeout is not None) and any(one.when is None for one in self.faults):
            msg = (
                "@faults@@a fault on all requests and retries or timeouts exclude each other, no mesh has both on one "
                "route: leave out retries and timeout during the trial, or give the fault a 'when'"
            )
            raise ValueError(msg)
        return self


def _shown(length: timedelta) -> str:
    return f"{length.total_seconds():g}s"
