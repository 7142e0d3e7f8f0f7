"""What a metric is: kind, direction, unit and the selectors of the counters it is made of."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from abkit.spec.base import DnsLabel, Model

__all__ = ["Direction", "Kind", "Mesh", "MetricDefinition", "MetricRef", "Metrics", "Role", "Scope"]

Selector = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1)]


class Kind(StrEnum):
    """How a metric is computed from its counters' increments."""

    PROPORTION = "proportion"
    """numerator / denominator, each numerator event one of the denominator's: 0 … 1."""
    RATIO = "ratio"
    """numerator / denominator, both counts."""
    MEAN = "mean"
    """numerator / denominator, a histogram's `_sum` and `_count`."""
    RATE = "rate"
    """numerator per second; described, never tested: it follows the split."""
    QUANTILE = "quantile"
    """a quantile of a histogram's `_bucket` series."""
    GAUGE = "gauge"
    """mean of the values that were sampled, over time and instances: memory, requests in flight, sessions."""


class Direction(StrEnum):
    """Which way is better."""

    INCREASE = "increase"
    DECREASE = "decrease"
    NONE = "none"


class Scope(StrEnum):
    """What a metric's noise comes from, and so what its unit of replication must be."""

    USER = "user"
    """Users differ: needs hash replicates."""
    TECHNICAL = "technical"
    """Pods differ too: instances, two-way with replicates where both are known."""


class Mesh(StrEnum):
    """Who counts a service's requests."""

    ISTIO = "istio"
    """Istio's proxies, at the destination."""
    LINKERD = "linkerd"
    """Linkerd's proxies, inbound."""
    ENVOY = "envoy"
    """Envoys before the service, one cluster a version: `<service>-<version>` or `<service>_<version>`."""


class Role(StrEnum):
    """A selector's part in its metric."""

    NUMERATOR = "numerator"
    DENOMINATOR = "denominator"
    BUCKET = "bucket"
    VALUE = "value"


_ROLES: dict[Kind, tuple[Role, ...]] = {
    Kind.PROPORTION: (Role.NUMERATOR, Role.DENOMINATOR),
    Kind.RATIO: (Role.NUMERATOR, Role.DENOMINATOR),
    Kind.MEAN: (Role.NUMERATOR, Role.DENOMINATOR),
    Kind.RATE: (Role.NUMERATOR,),
    Kind.QUANTILE: (Role.BUCKET,),
    Kind.GAUGE: (Role.VALUE,),
}


class MetricDefinition(Model):
    """A metric, from the catalogue in `queries/promql/` or inline in the experiment file.

    >>> MetricDefinition.model_validate({
    ...     "name": "conversion", "kind": "proportion", "direction": "increase",
    ...     "numerator": 'ab_purchases_total{ab_experiment="$experiment"}',
    ...     "denominator": 'ab_page_views_total{ab_experiment="$experiment"}',
    ... }).scope
    <Scope.USER: 'user'>
    """

    name: DnsLabel
    """The metric's name, in kebab-case."""
    kind: Kind
    """How it is computed."""
    direction: Direction
    """Which way is better."""
    meaning: str = ""
    """One sentence for a product analyst."""
    unit: str = ""
    """What its values are in: `s`, `purchases per page view` …"""
    scope: Scope = Scope.USER
    """Where its noise comes from; a gauge is always technical."""
    labels: tuple[str, ...] = ()
    """The labels its series should have."""
    numerator: Selector | None = None
    """PromQL selector of counters. Filled in, escaped: `$experiment`, `$service`, `$namespace`; after `=~` also
    `$clusters` and `$pods`, the names of Envoy's clusters and of the pods after service and version."""
    denominator: Selector | None = None
    """PromQL selector of counters."""
    bucket: Selector | None = None
    """PromQL selector of a classic histogram's `_bucket` series."""
    value: Selector | None = None
    """PromQL selector of gauges."""
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Which quantile, for kind `quantile`: 0.99 is P99."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """What turns the counters' own unit into the metric's: 0.001 for Istio's milliseconds. It multiplies the numerator
    of a mean, the bounds (`le`) of buckets and the values of a gauge."""

    @property
    def roles(self) -> dict[Role, str]:
        """Role → selector, for the roles that this kind has."""
        return {role: selector for role in _ROLES[self.kind] if (selector := getattr(self, role.value)) is not None}

    @model_validator(mode="before")
    @classmethod
    def _of_processes(cls, data: Any) -> Any:
        return {"scope": "technical"} | data if isinstance(data, dict) and data.get("kind") == "gauge" else data

    @model_validator(mode="after")
    def _complete(self) -> Self:
        wanted = _ROLES[self.kind]
        if self.kind is Kind.GAUGE and self.scope is not Scope.TECHNICAL:
            msg = "a gauge is a process' and not a user's: scope technical, or leave it out"
            raise ValueError(msg)
        for role in Role:
            given = getattr(self, role.value) is not None
            if given and role not in wanted:
                msg = f"kind '{self.kind}' has no {role}; it needs {' and '.join(wanted)}"
                raise ValueError(msg)
            if not given and role in wanted:
                msg = f"kind '{self.kind}' needs a {role}: a selector such as ab_clicks_total{{…}}"
                raise ValueError(msg)
        if (self.quantile is not None) != (self.kind is Kind.QUANTILE):
            msg = "kind 'quantile' needs quantile: 0.99 or another number between 0 and 1; other kinds have none"
            raise ValueError(msg)
        return self


class MetricRef(Model):
    """A metric's place in an experiment: a catalogue name, or an inline definition.

    A bare string is the catalogue's name; a mapping with `kind` is an inline definition.
    """

    shorthands: ClassVar = (
        {"type": "string", "description": "A name of the catalogue."},
        {"type": "object", "required": ["name", "kind"], "description": "An inline definition."},
    )

    metric: DnsLabel
    """The metric's name."""
    margin: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Guardrails: the relative harm that is still tolerated, 0.10 for 10 % (the default)."""
    definition: MetricDefinition | None = None
    """The inline definition; None where the catalogue has it."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"metric": data}
        if isinstance(data, dict) and "kind" in data and "definition" not in data:
            inline = {key: value for key, value in data.items() if key != "margin"}
            ref: dict[str, Any] = {"metric": data.get("name"), "definition": inline}
            return ref | ({"margin": data["margin"]} if "margin" in data else {})
        return data


class Metrics(Model):
    """What is compared. A bare list is taken as the primary metrics."""

    shorthands: ClassVar = ({"type": "array", "items": {"type": "string"}}, {"type": "string"})

    primary: tuple[MetricRef, ...] = ()
    """What the verdict rests on; a test on each, corrected for their number."""
    guardrails: tuple[MetricRef, ...] = ()
    """What must not get worse than by the margin."""
    secondary: tuple[MetricRef, ...] = ()
    """What is shown beside them, corrected for its number, and decides nothing."""
    mesh: Mesh = Mesh.ISTIO
    """Whose counters are meant by the names that several meshes have: `error-rate`, `latency-p99` and their like."""
    folder: str | None = None
    """Folder of your own metrics (`*.promql`, as in `queries/promql`), relative to the experiment file."""
    definitions: tuple[MetricDefinition, ...] = ()
    """Metrics of your own that the lists above and a canary's limits may name; those of the folder are added here."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        return {"primary": data} if isinstance(data, (list, tuple, str)) else data

    @field_validator("primary", "guardrails", "secondary", mode="before")
    @classmethod
    def _one(cls, data: Any) -> Any:
        return [data] if isinstance(data, (str, dict)) else data

    @field_validator("primary", "secondary")
    @classmethod
    def _no_margin(cls, refs: tuple[MetricRef, ...]) -> tuple[MetricRef, ...]:
        for ref in refs:
            if ref.margin is not None:
                msg = f"only guardrails have a margin: move '{ref.metric}' to guardrails, or leave its margin out"
                raise ValueError(msg)
        return refs

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [ref.metric for ref in (*self.primary, *self.guardrails, *self.secondary)]
        for name in names:
            if names.count(name) > 1:
                msg = f"metric '{name}' is listed {names.count(name)} times: name it once"
                raise ValueError(msg)
        own = [definition.name for definition in self.definitions]
        for name in own:
            if own.count(name) > 1:
                msg = f"metric '{name}' is defined {own.count(name)} times: define it once"
                raise ValueError(msg)
        return self
