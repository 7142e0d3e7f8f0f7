"""Gauges: what is held and not counted, such as memory or requests in flight.

A gauge is compared by instances, like any technical metric: the mean of each pod over the whole time is one value.
Intervals of time are no units. What is held now was mostly held a minute ago, and pods differ for good: on A/A worlds
Mann & Whitney's test on 60 intervals finds a difference in 25 % at an autocorrelation of 0.5, in 50 % at 0.8 and in
78 % where pods differ; joining intervals until they are no longer correlated leaves 6 to 10 %, and 60 % where pods
differ (`tests/pipeline/test_gauges.py`). By instances it is 4 to 6 % in all of these.

Where there are too few instances for that (one pod a version), the shift between the two arms' intervals is shown with
the interval that such joined intervals give. It is about these pods and not about their versions: descriptive.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from abkit import stats
from abkit.pipeline.totals import Totals
from abkit.queries import ResolvedMetric
from abkit.spec import Role

__all__ = ["FEWEST_BLOCKS", "by_interval", "interval_shift", "joined"]

FEWEST_BLOCKS: Final = 4
"""Fewer joined intervals an arm say nothing."""

Floats = NDArray[np.float64]


def by_interval(metric: ResolvedMetric, totals: Totals, variant: str) -> Floats:
    """A gauge's mean in each look's own time, within the newest weight epoch, over all instances; in its unit.

    Args:
        metric: The metric.
        totals: The store's totals, cumulative over looks.
        variant: Whose.

    Returns:
        (look,); NaN where nothing was sampled.
    """
    sums = []
    for role in (Role.NUMERATOR, Role.DENOMINATOR):
        data = metric.inputs[role].id
        cumulative = totals.by_instance(data, variant, totals.instances(data, variant))[:, -1].sum(-1)
        sums.append(np.diff(cumulative, prepend=0.0))
    values, counts = sums
    found: Floats = np.full(values.shape, np.nan)
    np.divide(values * metric.definition.scale, counts, out=found, where=counts > 0)
    return found


def joined(control: Floats, treatment: Floats) -> tuple[Floats, Floats, int] | None:
    """Intervals of time joined, in both arms alike, until neighbours are no longer correlated.

    Args:
        control: A value an interval; NaN where there is none.
        treatment: The same intervals.

    Returns:
        Values of both arms, and how many intervals one is made of; None where fewer than `FEWEST_BLOCKS` would be left.

    >>> wave = np.sin(np.arange(60.0))
    >>> joined(np.arange(8.0), np.arange(8.0)) is None
    True
    >>> joined(wave, wave[::-1])[2]
    2
    """
    both = np.stack([control, treatment])
    both = both[:, ~np.isnan(both).any(0)]
    length = 1
    while (count := both.shape[1] // length) >= FEWEST_BLOCKS:
        blocks = both[:, : count * length].reshape(2, count, length).mean(-1)
        if _correlation(blocks) + 1 / count <= 1 / np.sqrt(2 * count):
            return blocks[0], blocks[1], length
        length *= 2
    return None


def interval_shift(
    metric: ResolvedMetric, totals: Totals, arms: tuple[str, str], confidence: float
) -> stats.Shift | None:
    """The Hodges-Lehmann shift between the arms' joined intervals.

    Args:
        metric: The metric.
        totals: The store's totals, by look.
        arms: Control and treatment.
        confidence: Of the interval.

    Returns:
        None where too little time would be left.
    """
    found = joined(*(by_interval(metric, totals, name) for name in arms))
    if found is None:
        return None
    control, treatment, length = found
    minutes = totals.seconds / 60 / totals.looks * length
    return stats.shift(control, treatment, confidence, unit=f"interval of {minutes:.3g} min")


def _correlation(values: Floats) -> float:
    """Lag-1 autocorrelation, mean of both arms; 0 where nothing varies."""
    apart = values - values.mean(-1, keepdims=True)
    spread = (apart**2).sum(-1)
    along = (apart[:, 1:] * apart[:, :-1]).sum(-1)
    return float(np.divide(along, spread, out=np.zeros_like(spread), where=spread > 0).mean())
