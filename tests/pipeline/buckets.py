"""Totals made by hand, row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from abkit import spec
from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedMetric, resolve
from abkit.spec import Experiment, Role

__all__ = ["INF", "SCHEMA", "Row", "experiment", "histogram", "input_of", "metrics_of", "totals"]

INF = math.inf

SCHEMA = pa.schema(
    [
        ("input", pa.string()),
        ("variant", pa.string()),
        ("assignment", pa.string()),
        ("replicate", pa.int32()),
        ("instance", pa.string()),
        ("le", pa.float64()),
        ("epoch", pa.int64()),
        ("look", pa.int32()),
        ("total", pa.float64()),
    ]
)

_CANARY = """\
metadata: {name: x}
service: {name: shop, namespace: shop}
strategy: canary
variants: {control: {version: v1, weight: 9000}, treatment: {version: v2, weight: 1000}}
metrics: {secondary: [latency-p95]}
canary: {steps: [10, 100], defaults: false, limits: LIMITS}
"""


@dataclass(frozen=True)
class Row:
    """A row as `Store.totals` returns it."""

    input: str
    variant: str
    total: float
    assignment: str = ""
    replicate: int = -1
    instance: str = "a"
    le: float | None = None
    epoch: int = 0
    look: int = 0


def totals(
    rows: Sequence[Row], looks: int = 1, edges: Mapping[tuple[str, str], tuple[float, ...]] | None = None
) -> Totals:
    """Totals of these rows."""
    return Totals.read(pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA), looks, 3600.0, edges)


def experiment(limits: str) -> Experiment:
    """A canary with these limits."""
    return spec.loads(_CANARY.replace("LIMITS", limits))


def metrics_of(given: Experiment) -> dict[str, ResolvedMetric]:
    """Its metrics by name."""
    return {metric.name: metric for metric in resolve(given)}


def input_of(given: Experiment, metric: str, role: Role = Role.BUCKET) -> str:
    """The id of an input."""
    return metrics_of(given)[metric].inputs[role].id


def histogram(
    data: str, variant: str, counts: Mapping[float, float], instances: Sequence[str] = ("a", "b"), assignment: str = ""
) -> list[Row]:
    """Cumulative counts by bound, the same on each instance; like the store, without those that are 0."""
    return [
        Row(data, variant, count, instance=f"{variant}-{name}", le=le, assignment=assignment)
        for name in instances
        for le, count in counts.items()
        if count
    ]
