"""What several test modules need: little worlds of sticky users, and a look over everything that leaves."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abkit.stats import ClusterSums


def assert_clean(result: Any) -> None:
    """Nothing that leaves is NaN: a missing number is None or masked, and `status` says why."""
    for field in fields(result):
        _clean(field.name, getattr(result, field.name))
    assert result.method
    assert result.assumption


def _clean(name: str, x: Any) -> None:
    if isinstance(x, tuple):
        for part in x:
            _clean(name, part)
    elif isinstance(x, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(x)
        assert not np.isnan(x.data[~mask]).any(), name
        assert np.isnan(x.data[mask]).all(), f"{name}: something that looks like a number lies under the mask"
    elif is_dataclass(x):
        for field in fields(x):
            _clean(f"{name}.{field.name}", getattr(x, field.name))
    elif isinstance(x, float):
        assert not math.isnan(x), name
    elif isinstance(x, np.ndarray):
        assert x.dtype in (np.dtype(bool), np.dtype(object)), name
    else:
        assert x is None or isinstance(x, (bool, int, str)), (name, type(x))


def sticky(
    rng: np.random.Generator,
    worlds: int,
    users: int,
    share: float,
    replicates: int = 32,
    *,
    conversion: float = 0.1,
    concentration: float = 10.0,
) -> tuple[ClusterSums, ClusterSums, NDArray[np.float64]]:
    """A/A worlds: gamma(0.5) activity, 64 visits on average, beta conversion a user.

    Args:
        rng: Source of randomness.
        worlds: How many.
        users: In each.
        share: Of the treatment.
        replicates: How many.
        conversion: Mean of the users' conversions.
        concentration: Of their beta; small where a few users make all events.

    Returns:
        Control and treatment, (world, replicate), and the users an arm and replicate, (arm, world, replicate).
    """
    everyone = worlds * users
    visits = rng.poisson(rng.gamma(0.5, 128.0, everyone))
    bought = rng.binomial(visits, rng.beta(conversion * concentration, (1 - conversion) * concentration, everyone))
    arm, cluster = rng.random(everyone) < share, rng.integers(0, replicates, everyone)
    shape = (2, worlds, replicates)
    cell = np.ravel_multi_index((arm.astype(int), np.repeat(np.arange(worlds), users), cluster), shape)
    num, den, exposed = (np.bincount(cell, x, math.prod(shape)).reshape(shape) for x in (bought, visits, None))
    return ClusterSums(num[0], den[0]), ClusterSums(num[1], den[1]), exposed.astype(np.float64)


def rejected(p: Any, alpha: float = 0.05) -> float:
    """Share of worlds with p < α; a world without a p value rejects nothing."""
    return float((np.ma.filled(p, 1.0) < alpha).mean())


def monte_carlo(alpha: float, worlds: int) -> float:
    """The largest rate that α with three Monte Carlo errors allows."""
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / worlds)
