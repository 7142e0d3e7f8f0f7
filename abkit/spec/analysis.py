"""How results are judged: window, confidence, looks, and a canary's stages and limits."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from abkit.spec.base import DnsLabel, Duration, Model, Moment

__all__ = [
    "DEFAULT_LIMITS",
    "Analysis",
    "BanditSettings",
    "Canary",
    "Limit",
    "Looks",
    "OnHarm",
    "PriorSettings",
    "Segment",
]


_NO_SEGMENTS = frozenset({"version", "destination_version", "le"})


class Looks(StrEnum):
    """How often the result may be looked at."""

    ALWAYS_VALID = "always-valid"
    """At any time: confidence sequences."""
    FIXED = "fixed"
    """Once, at the planned end: fixed-horizon intervals."""
    OBRIEN_FLEMING = "obrien-fleming"
    """A few times, at planned moments: group sequential, little α early."""
    POCOCK = "pocock"
    """A few times, at planned moments: group sequential, α spent evenly."""

    @property
    def grouped(self) -> bool:
        """Whether looks come at planned moments and spend α."""
        return self in {Looks.OBRIEN_FLEMING, Looks.POCOCK}


class Segment(Model):
    """A label by whose values results are shown apart; each value is read from the source by itself."""

    label: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
    """A label of the metrics' series, such as `device`."""
    values: Annotated[tuple[Annotated[str, Field(strict=True, min_length=1)], ...], Field(min_length=2, max_length=20)]
    """Its values, such as [mobile, desktop]."""

    @field_validator("label")
    @classmethod
    def _users(cls, label: str) -> str:
        if label in _NO_SEGMENTS or label.startswith(("ab_", "__")):
            msg = f"'{label}' tells variants, replicates or buckets apart, no users: name a label such as device"
            raise ValueError(msg)
        return label

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.values)) < len(self.values):
            msg = "a value is listed twice: name each once"
            raise ValueError(msg)
        return self


class PriorSettings(Model):
    """Prior of the lift for the Bayesian view: normal on the log ratio, around no effect."""

    sd: Annotated[float, Field(gt=0, le=2)] = 0.1
    """Its standard deviation: 0.1 takes two thirds of all lifts to be within 10 %."""


class BanditSettings(Model):
    """Asks for a proposal of weights by Thompson sampling; nothing is changed by it."""

    floor: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """Share of the users that each variant keeps."""


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
    power: Annotated[float, Field(ge=0.5, le=0.99)] = 0.8
    """Probability with which the smallest effect worth finding should be found."""
    planned_looks: Annotated[int, Field(strict=True, ge=2, le=20)] = 5
    """Number of looks of a group-sequential test, evenly spaced from start to end."""
    warm_up: Duration = timedelta(0)
    """Time after the start, and after each change of a canary's split, that does not count, for or against: neither in
    comparisons nor for limits, nor for how long and how much a stage must have seen."""
    pre_period: Duration | None = None
    """Time before the start in which the assignment was labelled and not yet routed on: the covariate of CUPED."""
    history: Duration = timedelta(0)
    """Time before the start that is pulled too, for comparisons with the past."""
    segments: tuple[Segment, ...] = ()
    """Labels by whose values the results are shown apart."""
    prior: PriorSettings = PriorSettings()
    """Prior of the Bayesian view."""
    bandit: BanditSettings | None = None
    """Whether weights are proposed."""

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.start is not None and self.end is not None and self.end <= self.start:
            msg = f"end {self.end:%Y-%m-%dT%H:%MZ} is not after start {self.start:%Y-%m-%dT%H:%MZ}: give a later end"
            raise ValueError(msg)
        if self.looks.grouped and (self.start is None or self.end is None):
            msg = f"looks: {self.looks} comes at planned moments: give start and end, or take looks: always-valid"
            raise ValueError(msg)
        for name, given in (("pre-period", self.pre_period), ("history", self.history)):
            if given and self.start is None:
                msg = f"{name} lies before the start: give start"
                raise ValueError(msg)
        labels = [segment.label for segment in self.segments]
        if len(set(labels)) < len(labels):
            msg = "segments name a label twice: put its values in one list"
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
