"""How results are judged: window, confidence, looks, and a canary's stages and limits."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from abkit.spec.base import DnsLabel, Duration, Model, Moment

__all__ = ["DEFAULT_LIMITS", "Analysis", "Canary", "Limit", "Looks", "OnHarm"]


class Looks(StrEnum):
    """How often the result may be looked at."""

    ALWAYS_VALID = "always-valid"
    """At any time: confidence sequences."""
    FIXED = "fixed"
    """Once, at the planned end: fixed-horizon intervals."""


class Analysis(Model):
    """The window and the error rates."""

    start: Moment | None = None
    """First moment that counts; the first data where left out."""
    end: Moment | None = None
    """Planned end; without one the experiment runs until it is decided."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Of intervals, and 1 - α of the verdict."""
    looks: Looks = Looks.ALWAYS_VALID
    """When the result may be read."""
    mde: Annotated[float, Field(ge=1e-4, le=10)] = 0.05
    """Smallest relative effect worth finding; the confidence sequence is tuned to it."""

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.start is not None and self.end is not None and self.end <= self.start:
            msg = f"end {self.end:%Y-%m-%dT%H:%MZ} is not after start {self.start:%Y-%m-%dT%H:%MZ}: give a later end"
            raise ValueError(msg)
        return self


class OnHarm(StrEnum):
    """What a canary that is certainly worse than the control, but within the absolute limits, is answered with."""

    PAUSE = "pause"
    ROLLBACK = "rollback"


class Limit(Model):
    """Absolute limits of one metric, in the metric's unit; beyond means with statistical certainty."""

    pause: float | None = None
    """Beyond it the canary stays where it is."""
    rollback: float | None = None
    """Beyond it the canary is taken back."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.pause is None and self.rollback is None:
            msg = "give pause, rollback or both"
            raise ValueError(msg)
        return self


DEFAULT_LIMITS: dict[str, Limit] = {
    "error-rate": Limit(pause=0.01, rollback=0.05),
    "latency-p99": Limit(pause=0.5, rollback=1.0),
    "success-rate": Limit(pause=0.999, rollback=0.95),
}
"""Error rate as a share, P99 in seconds, success rate as a share (a lower limit)."""


class Canary(Model):
    """Stages and limits of a canary."""

    steps: Annotated[tuple[Annotated[float, Field(gt=0, le=100)], ...], Field(min_length=1)] = (5, 10, 25, 50, 100)
    """Percent of the traffic, stage by stage."""
    interval: Duration = timedelta(minutes=1)
    """How often the scheduled job looks."""
    bake: Duration = timedelta(minutes=10)
    """How long a stage must run without harm before it counts as healthy."""
    minimum_requests: Annotated[int, Field(strict=True, ge=1)] = 50
    """Requests that a stage must have seen before it counts as healthy."""
    limits: dict[DnsLabel, Limit] = Field(default_factory=lambda: dict(DEFAULT_LIMITS))
    """Metric → absolute limits. Naming one metric leaves the defaults of the others; `defaults: false` drops them."""
    defaults: bool = True
    """Whether the default limits hold for metrics that `limits` does not name."""
    on_harm: OnHarm = OnHarm.PAUSE
    """The answer to a canary that is certainly worse than the control, within the limits."""

    @model_validator(mode="before")
    @classmethod
    def _merge(cls, data: object) -> object:
        if isinstance(data, dict) and isinstance(data.get("limits"), dict) and data.get("defaults", True) is True:
            return data | {"limits": DEFAULT_LIMITS | data["limits"]}
        if isinstance(data, dict) and data.get("defaults", True) is False and "limits" not in data:
            return data | {"limits": {}}
        return data

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if any(after <= before for before, after in pairwise(self.steps)):
            msg = "steps must rise, such as [5, 10, 25, 50, 100]"
            raise ValueError(msg)
        return self
