"""The experiment file: everything that a user writes about one experiment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from abkit.assignment import BUCKETS
from abkit.errors import did_you_mean
from abkit.spec.analysis import Analysis, Canary, Looks
from abkit.spec.base import DnsLabel, Model
from abkit.spec.metrics import MetricRef, Metrics
from abkit.spec.source import Sources
from abkit.spec.traffic import Assignment, RampStep, Service, Variant

__all__ = ["Experiment", "Metadata", "Strategy"]


class Strategy(StrEnum):
    """How the versions are released."""

    AB = "ab"
    CANARY = "canary"
    BLUE_GREEN = "blue-green"
    MIRROR = "mirror"


class Metadata(Model):
    """Who, what and why."""

    name: DnsLabel | None = None
    """The experiment's name; the service's where left out."""
    owner: str = ""
    """Team or person to ask."""
    hypothesis: str = ""
    """What is expected, in one sentence."""


class Experiment(Model):
    """One experiment.

    >>> spec = Experiment.model_validate({
    ...     "service": "my-service", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"],
    ... })
    >>> spec.name, spec.control, dict(spec.split)
    ('my-service', 'control', {'control': 5000, 'treatment': 5000})
    """

    api_version: Literal["abkit/v1"] = "abkit/v1"
    """The format's version."""
    kind: Literal["Experiment"] = "Experiment"
    """What the file describes."""
    metadata: Metadata = Metadata()
    """Who, what and why."""
    service: Service
    """The service under test."""
    strategy: Strategy = Strategy.AB
    """How the versions are released."""
    variants: Annotated[dict[DnsLabel, Variant], Field(min_length=2, max_length=20)]
    """The versions that are compared; the order is the order of their buckets."""
    assignment: Assignment = Assignment()
    """How a request comes to its variant."""
    ramp: tuple[RampStep, ...] = ()
    """How the split changed in time, where it did; each step starts a weight epoch."""
    metrics: Metrics = Metrics()
    """What is compared."""
    sources: Annotated[Sources, Field(alias="source")] = ()
    """Where the samples come from: one source, or a list of several."""
    analysis: Analysis = Analysis()
    """How it is judged."""
    canary: Canary | None = None
    """Stages and limits, for every strategy but `ab`."""

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.metadata.name or self.service.name

    @property
    def salt(self) -> str:
        """The salt of the buckets."""
        return self.assignment.salt or self.name

    @property
    def layer(self) -> str:
        """The layer, which names the bucket header."""
        return self.assignment.layer or self.name

    @property
    def control(self) -> str:
        """The variant that the others are compared with: the one of that name, or the first."""
        return "control" if "control" in self.variants else next(iter(self.variants))

    @property
    def treatments(self) -> tuple[str, ...]:
        """All variants but the control, in the file's order."""
        return tuple(name for name in self.variants if name != self.control)

    @property
    def without_unit(self) -> str:
        """The variant for requests that carry no id."""
        return self.assignment.without_unit or self.control

    @property
    def split(self) -> Mapping[str, int]:
        """Variant → basis points now, in the file's order; sums to 10,000."""
        weights = {name: variant.weight for name, variant in self.variants.items()}
        given = {name: weight for name, weight in weights.items() if weight is not None}
        if given:
            return given
        if self.ramp:
            return {name: self.ramp[-1].split.get(name, 0) for name in self.variants}
        if self.canary is not None:
            share = round(self.canary.steps[0] * BUCKETS / 100)
            return {name: share if name in self.treatments else BUCKETS - share for name in self.variants}
        part, rest = divmod(BUCKETS, len(self.variants))
        return {name: part + (rest if name == self.control else 0) for name in self.variants}

    def split_at(self, moment: datetime) -> Mapping[str, int]:
        """Variant → basis points at a moment: the ramp's, or the one in force now."""
        past = [step for step in self.ramp if step.from_ <= moment]
        return {name: past[-1].split.get(name, 0) for name in self.variants} if past else self.split

    @property
    def deciding_looks(self) -> Looks:
        """When the result may be read: a canary's at any time, since a job looks every minute."""
        return self.analysis.looks if self.strategy is Strategy.AB else Looks.ALWAYS_VALID

    @property
    def always_valid(self) -> bool:
        """Whether results may be read at any time."""
        return self.deciding_looks is Looks.ALWAYS_VALID

    @property
    def metric_refs(self) -> tuple[MetricRef, ...]:
        """All metrics: primary, guardrails, secondary."""
        return (*self.metrics.primary, *self.metrics.guardrails, *self.metrics.secondary)

    @property
    def fingerprint(self) -> str:
        """Hash of the whole experiment (16 hex digits): results carry it."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()[:16]

    @model_validator(mode="before")
    @classmethod
    def _canary_defaults(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("strategy", "ab") != "ab" and data.get("canary") is None:
            return data | {"canary": {}}
        return data

    @field_validator("variants")
    @classmethod
    def _weights(cls, variants: dict[str, Variant]) -> dict[str, Variant]:
        weights = {name: variant.weight for name, variant in variants.items() if variant.weight is not None}
        if not weights:
            return variants
        if missing := [name for name in variants if name not in weights]:
            msg = f"every variant needs a weight, or none: {', '.join(missing)} has none"
            raise ValueError(msg)
        _check_total(weights, "weights")
        return variants

    @field_validator("ramp")
    @classmethod
    def _ramp(cls, ramp: tuple[RampStep, ...]) -> tuple[RampStep, ...]:
        for step in ramp:
            _check_total(step.split, f"the split from {step.from_:%Y-%m-%dT%H:%MZ}")
        moments = [step.from_ for step in ramp]
        if moments != sorted(set(moments)):
            msg = "steps must follow one another in time: sort them by 'from'"
            raise ValueError(msg)
        return ramp

    @model_validator(mode="after")
    def _references(self) -> Self:
        for place, name in [
            *((f"assignment.rules.{index}.to", rule.to) for index, rule in enumerate(self.assignment.rules)),
            ("assignment.without-unit", self.without_unit),
            *((f"ramp.{index}.split", name) for index, step in enumerate(self.ramp) for name in step.split),
        ]:
            if name not in self.variants:
                msg = f"@{place}@{name}@no variant has this name; {did_you_mean(name, self.variants)}"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.strategy is Strategy.AB:
            if self.canary is not None:
                msg = "@canary@@belongs to strategy canary, blue-green or mirror: set strategy, or leave canary out"
                raise ValueError(msg)
            if not self.metrics.primary:
                msg = "@metrics.primary@@an A/B test needs a primary metric: name one, such as [conversion]"
                raise ValueError(msg)
        elif len(self.variants) != 2:
            msg = f"@variants@{len(self.variants)} variants@strategy {self.strategy} compares two variants: leave two"
            raise ValueError(msg)
        bandit = self.analysis.bandit
        if bandit is not None and bandit.floor * len(self.variants) > 1:
            most = 1 / len(self.variants)
            msg = (
                f"@analysis.bandit.floor@{bandit.floor:g}@{len(self.variants)} variants can't each keep this share: "
                f"give {most:.2g} at most"
            )
            raise ValueError(msg)
        if self.ramp and any(v.weight is not None for v in self.variants.values()):
            last = {name: self.ramp[-1].split.get(name, 0) for name in self.variants}
            if last != dict(self.split):
                msg = "@ramp@@the last step is not the variants' weights: make them equal, or leave the weights out"
                raise ValueError(msg)
        return self


def _check_total(weights: Mapping[str, int], what: str) -> None:
    if (total := sum(weights.values())) != BUCKETS:
        shown = " + ".join(f"{name} {weight}" for name, weight in weights.items())
        msg = (
            f"{what} sum to {total:,}, must sum to {BUCKETS:,} (basis points, 5000 is half): "
            f"{shown}; {'add' if total < BUCKETS else 'take away'} {abs(BUCKETS - total):,}"
        )
        raise ValueError(msg)
