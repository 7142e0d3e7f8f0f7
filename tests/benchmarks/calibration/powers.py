"""What looking early costs: information for 80 % power, beside the fixed-horizon test on the same worlds.

Other users come every day and never again, so information 1/V̂ grows evenly. The effect is such that a fixed test
finds it with 80 % about half way. Each design is tried at every horizon; the horizon at which it has 80 %, and the
information used until then on average, are interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from abkit import stats
from abkit.stats.special import t_to_z
from tests.benchmarks.calibration import judges
from tests.benchmarks.calibration.findings import ALPHA, filled
from tests.benchmarks.worlds import REPLICATES, Batch, Floats, batch, draw_users, tally

__all__ = ["LIMITS", "POWER", "Cost", "Paths", "costs", "drawn", "power_table"]

POWER = 0.8
DAYS = 40
USERS = 500
LIFT = 0.155
"""Found with 80 % by the fixed test at somewhat less than half of the days."""

LIMITS = {"always valid": (1.8, 1.15), "obrien-fleming": (1.1, math.inf)}
"""Most information for 80 % power, and most on average, in terms of the fixed test's."""

_INTERIM = 5


@dataclass(frozen=True)
class Paths:
    """Log ratios and their standard errors, (world, day)."""

    estimate: Floats
    standard_error: Floats

    @property
    def information(self) -> Floats:
        """1/V̂ by day, on average over the worlds; of the median, which a few noisy V̂ don't pull."""
        return np.asarray(np.median(1 / self.standard_error**2, axis=0))


@dataclass(frozen=True)
class Cost:
    """What a design needs.

    Attributes:
        design: Name.
        worlds: How many.
        information: At the end that has 80 % power, over the fixed test's.
        average: Used on average until the decision or that end, over the fixed test's.
        error: Monte Carlo error of `information`.
        limits: The most that is allowed of both.
    """

    design: str
    worlds: int
    information: float
    average: float
    error: float
    limits: tuple[float, float]

    @property
    def broken(self) -> bool:
        """Whether it needs more than it may, by more than chance."""
        return self.information - 3 * self.error > self.limits[0] or self.average - 3 * self.error > self.limits[1]


def drawn(seed: int, numbers: Sequence[int]) -> Paths:
    """Worlds of the given numbers."""

    def one(rng: np.random.Generator) -> Batch:
        users = draw_users(rng, USERS * DAYS, views=20.0, lift=LIFT)
        seen = rng.poisson(users.rate)
        at = (np.repeat(np.arange(DAYS), USERS), users.arm, users.replicate)
        shape = (DAYS, 2, REPLICATES)
        num, den = tally(shape, at, rng.binomial(seen, users.own)), tally(shape, at, seen)
        return {"num": num.cumsum(axis=0), "den": den.cumsum(axis=0)}

    sums = batch(one, seed, "power", numbers)
    arms = judges.arms_of(sums, slots=False)
    found = stats.ratios(arms[0], arms[1], paired=True, cluster="hash replicate")
    return Paths(np.log1p(filled(found.lift, 0.0)), filled(found.lift_se, 1e6))


def costs(paths: Paths) -> Iterator[Cost]:
    """Each design's."""
    df, information, worlds = float(REPLICATES - 1), paths.information, paths.estimate.shape[0]
    z = np.abs(t_to_z(paths.estimate / paths.standard_error, np.full(paths.estimate.shape, df)))
    fixed = (z > 1.959964).mean(axis=0)
    base = _at(fixed, information)
    error = _error(fixed, information, worlds) / base
    yield Cost("fixed horizon", worlds, 1.0, 1.0, error, (math.inf, math.inf))

    sequence = stats.sequential.confidence_sequence(
        paths.estimate, paths.standard_error, df, planned_effect=math.log1p(LIFT)
    )
    stop = filled(sequence.p_value, 1.0) < ALPHA
    found = np.maximum.accumulate(stop, axis=1).mean(axis=0)
    # Day by day the information that the worlds still running add, up to the end that has 80 %.
    running = np.concatenate([np.ones(1), 1 - found[:-1]])
    used = np.cumsum(running * np.diff(information, prepend=0.0))
    end = _at(found, information)
    both = math.hypot(error, _error(found, information, worlds) / base)
    average = float(np.interp(end, information, used)) / base
    yield Cost("always valid, every day", worlds, end / base, average, both, LIMITS["always valid"])

    for spending in ("obrien-fleming", "pocock"):
        ends = np.arange(_INTERIM, DAYS + 1, _INTERIM)
        power, mean = [], []
        for day in ends:
            at = (np.arange(1, _INTERIM + 1) * day // _INTERIM) - 1
            # The fractions are those of the plan: all worlds share the same boundaries.
            bounds = stats.sequential.boundaries(
                tuple((information[at] / information[at[-1]]).tolist()), ALPHA, spending
            )
            crossed = np.maximum.accumulate(z[:, at] >= np.array(bounds), axis=1)
            power.append(crossed[:, -1].mean())
            first = np.where(crossed.any(axis=1), crossed.argmax(axis=1), _INTERIM - 1)
            mean.append(information[at][first].mean())
        curve = np.array(power)
        end = _at(curve, information[ends - 1])
        both = math.hypot(error, _error(curve, information[ends - 1], worlds) / base)
        average = float(np.interp(end, information[ends - 1], mean)) / base
        limits = LIMITS.get(spending, (math.inf, math.inf))
        yield Cost(f"{spending}, {_INTERIM} looks", worlds, end / base, average, both, limits)


def _at(power: Floats, information: Floats) -> float:
    """Information at which a rising power curve reaches 80 %; linear in between."""
    curve = np.maximum.accumulate(power)
    after = int(np.argmax(curve >= POWER))
    if curve[-1] < POWER or after == 0:
        msg = f"power runs from {curve[0]:.2f} to {curve[-1]:.2f}: {POWER:.0%} is not between two looks"
        raise ValueError(msg)
    share = (POWER - curve[after - 1]) / (curve[after] - curve[after - 1])
    return float(information[after - 1] + share * (information[after] - information[after - 1]))


def _error(power: Floats, information: Floats, worlds: int) -> float:
    """Monte Carlo error of `_at`: that of the power, over the slope of the curve."""
    around = np.abs(power - POWER) < 0.15
    slope = np.polyfit(information[around], power[around], 1)[0] if around.sum() > 1 else math.nan
    return math.sqrt(POWER * (1 - POWER) / worlds) / float(slope)


def power_table(found: Sequence[Cost]) -> Iterator[str]:
    """Costs as lines of a Markdown table."""
    yield "| design | worlds | information for 80 % power | on average | allowed | verdict |"
    yield "|---|---|---|---|---|---|"
    for cost in found:
        most, mean = cost.limits
        allowed = "–" if math.isinf(most) else f"{most:g}" + ("" if math.isinf(mean) else f", {mean:g} on average")
        verdict = "**too much**" if cost.broken else "ok"
        share = f"{cost.information:.2f} ± {cost.error:.2f}"
        yield f"| {cost.design} | {cost.worlds:,} | {share} | {cost.average:.2f} | {allowed} | {verdict} |"
