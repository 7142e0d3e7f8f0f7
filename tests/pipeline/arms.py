"""Totals from arrays of increments: what tests of single estimates stand on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedMetric
from abkit.spec import Role
from tests.pipeline.buckets import SCHEMA

__all__ = ["by_instance", "by_replicate"]

Floats = NDArray[np.float64]


def by_replicate(metric: ResolvedMetric, arms: Sequence[str], num: Floats, den: Floats, *, days: float = 1.0) -> Totals:
    """Totals of a user metric.

    Args:
        metric: Which.
        arms: Names, the control first.
        num: Increments of the numerator, (look, arm, replicate).
        den: The same of the denominator.
        days: Length of the window.
    """
    return _totals(metric, arms, {Role.NUMERATOR: num, Role.DENOMINATOR: den}, days, replicates=True)


def by_instance(metric: ResolvedMetric, arms: Sequence[str], num: Floats, den: Floats, *, days: float = 1.0) -> Totals:
    """The same of a technical metric without replicates: (look, arm, instance)."""
    return _totals(metric, arms, {Role.NUMERATOR: num, Role.DENOMINATOR: den}, days, replicates=False)


def _totals(
    metric: ResolvedMetric, arms: Sequence[str], sums: dict[Role, Floats], days: float, *, replicates: bool
) -> Totals:
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    for role, array in sums.items():
        look, arm, cluster = (index.tolist() for index in np.nonzero(array))
        count = len(look)
        columns["input"] += [metric.inputs[role].id] * count
        columns["variant"] += [arms[number] for number in arm]
        columns["assignment"] += ["hash" if replicates else ""] * count
        columns["replicate"] += cluster if replicates else [-1] * count
        columns["instance"] += (
            [""] * count if replicates else [f"{arms[a]}-{c}" for a, c in zip(arm, cluster, strict=True)]
        )
        columns["le"] += [None] * count
        columns["epoch"] += [0] * count
        columns["look"] += look
        columns["total"] += array[np.nonzero(array)].tolist()
    looks = next(iter(sums.values())).shape[0]
    return Totals.read(pa.Table.from_pydict(columns, schema=SCHEMA), looks, days * 86_400)
