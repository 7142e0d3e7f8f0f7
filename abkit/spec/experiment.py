"""The experiment file: everything that a user writes about one experiment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from abkit.assignment import BUCKETS
from abkit.errors import did_you_mean
from abkit.spec.analysis import Analysis, Canary, Looks
from abkit.spec.base import DnsLabel, Model
from abkit.spec.deployment import Chaos, Deployment
from abkit.spec.mesh import MeshSettings
from abkit.spec.metrics import MetricRef, Metrics
from abkit.spec.policies import Fallback, Mirror, Policies, Preset
from abkit.spec.source import Sources
from abkit.spec.traffic import RANDOM, Assignment, RampStep, Service, Variant

__all__ = ["Experiment", "Metadata", "Strategy"]

# Blue-green switches at once; what was mirrored goes up from a small share.
_STEPS: Final = {"blue-green": (100,), "mirror": (5, 20, 50, 100)}


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
    policies: Policies = Policies()
    """What the mesh does beside routing."""
    mesh: MeshSettings = MeshSettings()
    """What the meshes need to know."""
    deployment: Deployment = Deployment()
    """How the versions run."""
    chaos: Chaos | None = None
    """A drill that disturbs one of them."""

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
        """The variant for requests that carry no id; the control where it is drawn for each request."""
        given = self.assignment.without_unit
        return self.control if given is None or self.random_without_unit else given

    @property
    def random_without_unit(self) -> bool:
        """Whether a request without an id gets a variant by lot: not user-level, and never compared."""
        return self.assignment.without_unit == RANDOM and RANDOM not in self.variants

    @property
    def fallback(self) -> str | None:
        """The variant whose pods take over while those of another one are not healthy."""
        if self.policies.fallback is not None:
            return self.policies.fallback.to
        return self.control if self.policies.preset is Preset.PROMOTION_DAY else None

    @property
    def mirror(self) -> Mirror | None:
        """Who gets copies of requests: asked for, or the treatment of strategy `mirror` as long as it has no users."""
        if self.policies.mirror is not None or self.strategy is not Strategy.MIRROR:
            return self.policies.mirror
        return Mirror(to=self.treatments[0])

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
            # What is mirrored first is not served: the way up from there is --step, --weights or a ramp.
            share = 0 if self.strategy is Strategy.MIRROR else round(self.canary.steps[0] * BUCKETS / 100)
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

    def _aims(self) -> tuple[tuple[str, Fallback | Mirror | Chaos | None], ...]:
        """Places of the file that name a variant."""
        policies = self.policies
        return (
            ("policies.fallback.to", policies.fallback),
            ("policies.mirror.to", policies.mirror),
            ("chaos.to", self.chaos),
        )

    @model_validator(mode="before")
    @classmethod
    def _canary_defaults(cls, data: Any) -> Any:
        strategy = data.get("strategy", "ab") if isinstance(data, dict) else "ab"
        if strategy == "ab":
            return data
        given = data.get("canary")
        given = {} if given is None else given
        if isinstance(given, dict) and strategy in _STEPS:
            given = {"steps": _STEPS[strategy]} | given
        return data | {"canary": given}

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
            *((place, one.to) for place, one in self._aims() if one is not None),
            *((f"ramp.{index}.split", name) for index, step in enumerate(self.ramp) for name in step.split),
        ]:
            if name not in self.variants:
                msg = f"@{place}@{name}@no variant has this name; {did_you_mean(name, self.variants)}"
                raise ValueError(msg)
        return self

    def _check_holdout(self) -> None:
        """A holdout in the experiment's own layer would take its users from one side alone."""
        held = self.assignment.holdout
        if held is None:
            return
        if held.layer == self.layer:
            msg = (
                f"@assignment.holdout.layer@{held.layer}@is the experiment's own layer: its first buckets are of one "
                "variant; give the holdout a layer of its own"
            )
            raise ValueError(msg)
        if (held.salt or held.layer) == self.salt:
            msg = (
                f"@assignment.holdout.salt@{self.salt}@is the experiment's own salt: the users held out would be of "
                "one variant; give the holdout a salt of its own"
            )
            raise ValueError(msg)

    def _check_buckets(self) -> None:
        """Every split must come out even in the part of the layer that the experiment takes."""
        taken = self.assignment.buckets
        if taken is None:
            return
        splits = [
            ("variants", self.split),
            *((f"ramp.{index}.split", step.split) for index, step in enumerate(self.ramp)),
        ]
        for place, weights in splits:
            for name, weight in weights.items():
                if weight * taken.size % BUCKETS:
                    msg = (
                        f"@{place}@{name} {weight}@{weight / 100:g} % of the {taken.size:,} buckets in "
                        "assignment.buckets is not a whole number of them: change the weight or the range"
                    )
                    raise ValueError(msg)

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
        if self.strategy is Strategy.BLUE_GREEN and self.canary is not None and self.canary.steps != (100,):
            msg = (
                "@canary.steps@@strategy blue-green switches all users at once: leave steps out, or use strategy canary"
            )
            raise ValueError(msg)
        if self.policies.mirror is not None and self.policies.mirror.to == self.control:
            msg = f"@policies.mirror.to@{self.control}@the control serves users already: name a treatment"
            raise ValueError(msg)
        self._check_holdout()
        self._check_buckets()
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
