"""Which inputs an experiment needs: the selectors of its metrics, filled in, each distinct one once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from abkit.errors import QueryError
from abkit.queries.catalogue import definition
from abkit.queries.placeholders import checked, placeholders
from abkit.queries.rendering import alternatives, render
from abkit.resources import folder
from abkit.spec import Experiment, Kind, MetricDefinition, MetricRef, Role, Scope

__all__ = [
    "EXPOSED_USERS",
    "PROCESS_START",
    "Input",
    "ResolvedMetric",
    "ResolvedSegment",
    "references",
    "resolve",
    "resolve_segments",
    "starts",
]

EXPOSED_USERS = "exposed-users"
"""The metric that every experiment needs: what its split is checked on."""

PROCESS_START = "process-start"
"""Id of the inputs that tell when processes started."""

_TARGETS = 100
"""Targets named in one selector."""

_SEGMENTED = (Kind.PROPORTION, Kind.RATIO, Kind.MEAN)
"""Kinds of metrics that can be compared within segments: ratios of sums."""


@dataclass(frozen=True, slots=True)
class Input:
    """A distinct selector: what is fetched and stored once, however many metrics use it.

    Attributes:
        id: Short stable hash of the selector (12 hex digits).
        selector: PromQL, filled in.
        counts: Id of the gauges' input whose samples this one counts; empty for what is fetched.
    """

    id: str
    selector: str
    counts: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedMetric:
    """A metric of an experiment with its inputs.

    Attributes:
        name: The metric's name.
        definition: What it is.
        inputs: Role → input. A gauge is a ratio too: its values' sum over their number.
    """

    name: str
    definition: MetricDefinition
    inputs: Mapping[Role, Input]

    @property
    def selectors(self) -> Mapping[str, str]:
        """Role, as a file names it → selector, filled in."""
        if self.definition.kind is Kind.GAUGE:
            return {str(Role.VALUE): self.inputs[Role.NUMERATOR].selector}
        return {str(role): data.selector for role, data in self.inputs.items()}

    @property
    def events(self) -> frozenset[str]:
        """Ids of the inputs that count what users or clients do, whose increments therefore show traffic.

        What a process uses or holds (CPU, memory) goes on without any.
        """
        kind, unit = self.definition.kind, self.definition.unit
        if kind is Kind.GAUGE or (kind is Kind.RATE and unit and not unit.endswith("/s")):
            return frozenset()
        return frozenset(
            data.id for role, data in self.inputs.items() if kind is not Kind.MEAN or role is not Role.NUMERATOR
        )


@dataclass(frozen=True, slots=True)
class ResolvedSegment:
    """A metric within one segment: the same counters, of one value of a label.

    Attributes:
        label: The label.
        value: Its value.
        of: The metric's own name.
        metric: The metric with the segment's inputs; named after both, such as `conversion{device="mobile"}`.
    """

    label: str
    value: str
    of: str
    metric: ResolvedMetric


def references(experiment: Experiment) -> tuple[MetricRef, ...]:
    """All metrics that an experiment needs: those it names, those its canary limits name, and exposed users.

    Each once, in the file's order, with its definition where the file has it. A limit may name a metric that the file
    defines inline.
    """
    limits = () if experiment.canary is None else tuple(experiment.canary.limits)
    refs = {ref.metric: ref for ref in experiment.metric_refs}
    for name in (*limits, EXPOSED_USERS):
        refs.setdefault(name, MetricRef(metric=name))
    own = {definition.name: definition for definition in experiment.metrics.definitions}
    return tuple(
        ref.model_copy(update={"definition": own[name]}) if ref.definition is None and name in own else ref
        for name, ref in refs.items()
    )


def resolve(experiment: Experiment) -> tuple[ResolvedMetric, ...]:
    """All metrics that an experiment needs, with the selectors of what they are made of.

    Args:
        experiment: The experiment.

    Returns:
        Each metric once, in the file's order.

    Raises:
        QueryError: A metric is not in the catalogue, or a selector is not PromQL or has an unknown placeholder.

    >>> spec = Experiment.model_validate({
    ...     "service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"],
    ... })
    >>> [metric.name for metric in resolve(spec)]
    ['conversion', 'exposed-users']
    >>> resolve(spec)[0].inputs[Role.NUMERATOR].selector
    'ab_purchases_total{ab_experiment="shop"}'
    """
    values = placeholders(experiment)
    resolved = []
    for ref in references(experiment):
        found = definition(ref, mesh=experiment.metrics.mesh)
        inputs: dict[Role, Input] = {}
        for role, selector in found.roles.items():
            place = f"metric '{found.name}', {role}"
            filled = render(checked(selector, place), values, place)
            inputs |= _sampled(filled) if role is Role.VALUE else {role: _input(filled)}
        resolved.append(ResolvedMetric(name=ref.metric, definition=found, inputs=inputs))
    return tuple(resolved)


def resolve_segments(experiment: Experiment) -> tuple[ResolvedSegment, ...]:
    """The metrics that are shown by segment: primary and secondary ones that count what users do.

    A segment's inputs are the metric's selectors with one more matcher, so that they are fetched, stored and summed
    like any other input. Guardrails and technical metrics are left out: pods are not in a segment of users.

    Args:
        experiment: The experiment.

    Returns:
        One a label, metric and value, in the file's order; nothing where the experiment names no segments.

    Raises:
        QueryError: A metric is not in the catalogue, or a selector has an unknown placeholder.

    >>> spec = Experiment.model_validate({
    ...     "service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"],
    ...     "analysis": {"segments": [{"label": "device", "values": ["mobile", "desktop"]}]},
    ... })
    >>> print(resolve_segments(spec)[0].metric.inputs[Role.NUMERATOR].selector)
    ab_purchases_total{device="mobile",ab_experiment="shop"}
    """
    if not experiment.analysis.segments:
        return ()
    names = [ref.metric for ref in (*experiment.metrics.primary, *experiment.metrics.secondary)]
    metrics = {metric.name: metric for metric in resolve(experiment)}
    found = []
    for segment in experiment.analysis.segments:
        for name in names:
            metric = metrics[name]
            if metric.definition.scope is not Scope.USER or metric.definition.kind not in _SEGMENTED:
                continue
            for value in segment.values:
                matcher = render(f'{segment.label}="$value"', {"value": value}, f"segment {segment.label}")
                inputs = {role: _input(_narrowed(data.selector, matcher)) for role, data in metric.inputs.items()}
                within = ResolvedMetric(f"{name}{{{matcher}}}", metric.definition, inputs)
                found.append(ResolvedSegment(segment.label, value, name, within))
    return tuple(found)


def starts(targets: Iterable[tuple[str, str]]) -> tuple[Input, ...]:
    r"""The inputs that tell when the processes behind scrape targets started.

    A job may hold a whole cluster, so instances are named too; so many in one selector that a request stays small. A
    selector may match more than the targets (jobs and instances in other pairs): the caller leaves that out.

    Args:
        targets: Job and instance of each.

    Returns:
        The inputs; the id of each is `process-start` whatever the targets.

    Raises:
        QueryError: The query's file is malformed.

    >>> print(starts([("shop", "a:80"), ("shop.v2", "b:80")])[0].selector)
    process_start_time_seconds{job=~"shop|shop\\.v2",instance=~"a\\:80|b\\:80"}
    """
    path = folder("queries") / "promql" / "targets" / "process-start.promql"
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    selectors = [line for line in lines if line and not line.startswith("#")]
    if len(selectors) != 1:
        msg = f"{path}: should hold one selector, has {len(selectors)}"
        raise QueryError(msg)
    found = []
    wanted = sorted(set(targets))
    for first in range(0, len(wanted), _TARGETS):
        some = wanted[first : first + _TARGETS]
        values = {
            "jobs": alternatives(sorted({job for job, _ in some})),
            "instances": alternatives(sorted({instance for _, instance in some})),
        }
        found.append(Input(id=PROCESS_START, selector=render(selectors[0], values, str(path))))
    return tuple(found)


def _input(selector: str) -> Input:
    return Input(id=hashlib.sha256(selector.encode()).hexdigest()[:12], selector=selector)


def _sampled(selector: str) -> dict[Role, Input]:
    """Inputs of a gauge: another id than the same selector has as a counter, and that id again for the count."""
    values = Input(id=_input(f"gauge {selector}").id, selector=selector)
    return {Role.NUMERATOR: values, Role.DENOMINATOR: Input(f"{values.id}#", selector, counts=values.id)}


def _narrowed(selector: str, matcher: str) -> str:
    """A selector with one more matcher, in front: a trailing comma and empty braces are PromQL too."""
    head, brace, rest = selector.partition("{")
    if not brace:
        return f"{head}{{{matcher}}}"
    return f"{head}{{{matcher}{'' if rest.strip() == '}' else ','}{rest}"
