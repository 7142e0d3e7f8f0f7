"""Which inputs an experiment needs: the selectors of its metrics, filled in, each distinct one once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from abkit.errors import QueryError
from abkit.queries.catalogue import definition
from abkit.queries.rendering import alternatives, render
from abkit.resources import folder
from abkit.spec import Experiment, MetricDefinition, MetricRef, Role

__all__ = ["EXPOSED_USERS", "PROCESS_START", "Input", "ResolvedMetric", "resolve", "starts"]

EXPOSED_USERS = "exposed-users"
"""The metric that every experiment needs: what its split is checked on."""

PROCESS_START = "process-start"
"""Id of the inputs that tell when processes started."""

_TARGETS = 100
"""Targets named in one selector."""


@dataclass(frozen=True, slots=True)
class Input:
    """A distinct selector: what is fetched and stored once, however many metrics use it.

    Attributes:
        id: Short stable hash of the selector (12 hex digits).
        selector: PromQL, filled in.
    """

    id: str
    selector: str


@dataclass(frozen=True, slots=True)
class ResolvedMetric:
    """A metric of an experiment with its inputs.

    Attributes:
        name: The metric's name.
        definition: What it is.
        inputs: Role → input.
    """

    name: str
    definition: MetricDefinition
    inputs: Mapping[Role, Input]


def resolve(experiment: Experiment, *folders: Path) -> tuple[ResolvedMetric, ...]:
    """All metrics that an experiment needs: those it names, those its canary limits name, and exposed users.

    Args:
        experiment: The experiment.
        folders: Further folders of the catalogue.

    Returns:
        Each metric once, in the file's order.

    Raises:
        QueryError: A metric is not in the catalogue, or a selector has an unknown placeholder.

    >>> spec = Experiment.model_validate({
    ...     "service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"],
    ... })
    >>> [metric.name for metric in resolve(spec)]
    ['conversion', 'exposed-users']
    >>> resolve(spec)[0].inputs[Role.NUMERATOR].selector
    'ab_purchases_total{ab_experiment="shop"}'
    """
    limits = () if experiment.canary is None else tuple(experiment.canary.limits)
    # A limit may name a metric that the experiment file defines inline: the file's definition comes first.
    refs = {ref.metric: ref for ref in experiment.metric_refs}
    for name in (*limits, EXPOSED_USERS):
        refs.setdefault(name, MetricRef(metric=name))
    values = {
        "experiment": experiment.name,
        "service": experiment.service.name,
        "namespace": experiment.service.namespace,
    }
    resolved = []
    for ref in refs.values():
        found = definition(ref, *folders)
        inputs = {
            role: _input(render(selector, values, f"metric '{found.name}', {role}"))
            for role, selector in found.roles.items()
        }
        resolved.append(ResolvedMetric(name=ref.metric, definition=found, inputs=inputs))
    return tuple(resolved)


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
