"""Results that may be looked at at any time.

A test read every day at p < 0.05 is wrong in 13-16 % of A/A tests instead of 5 %. What is here keeps its error rate
over all looks.

| question | function |
|---|---|
| any estimate with a standard error, whenever and however often | `confidence_sequence` |
| a few looks, a planned end | `group_sequential` |
| few events, independent of one another | `counts` |
| counts against intended shares | `multinomial` |
| a quantile of independent events | `quantile_sequence`, `quantile_test` |
"""

from __future__ import annotations

from abkit.stats.sequential.event_counts import SequentialCounts, counts
from abkit.stats.sequential.mixture import TUNING, ConfidenceSequence, confidence_sequence, planned_information
from abkit.stats.sequential.quantile_bounds import (
    QuantileSequence,
    QuantileTest,
    quantile_radius,
    quantile_sequence,
    quantile_test,
)
from abkit.stats.sequential.shares import Multinomial, log_e_value, multinomial
from abkit.stats.sequential.spending import GroupSequential, boundaries, group_sequential, spent

__all__ = [
    "TUNING",
    "ConfidenceSequence",
    "GroupSequential",
    "Multinomial",
    "QuantileSequence",
    "QuantileTest",
    "SequentialCounts",
    "boundaries",
    "confidence_sequence",
    "counts",
    "group_sequential",
    "log_e_value",
    "multinomial",
    "planned_information",
    "quantile_radius",
    "quantile_sequence",
    "quantile_test",
    "spent",
]
