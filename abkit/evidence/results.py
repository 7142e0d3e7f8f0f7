"""What the statistics found: one metric of one treatment, one limit, one moment."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from abkit.evidence.base import Interval, Model, Status
from abkit.evidence.insights import Bayesian, Covariate, Power
from abkit.spec import Direction, Kind

__all__ = ["LimitResult", "MetricResult", "Sequential", "TrendPoint", "Usage"]


class Usage(StrEnum):
    """A metric's part in the verdict."""

    PRIMARY = "primary"
    GUARDRAIL = "guardrail"
    SECONDARY = "secondary"
    LIMIT = "limit"


class Sequential(Model):
    """The side of a result that may be looked at again and again: at any time, or at planned looks."""

    p_value: float
    """Smaller than α at some look in at most α of the worlds without effect."""
    lift_ci: Interval | None
    """Confidence sequence of the lift, or its repeated interval of a group-sequential test."""
    effect_ci: Interval | None
    """The same of the effect."""
    looks: Literal["always-valid", "obrien-fleming", "pocock"] = "always-valid"
    """At any time, or at planned looks that spend α."""


class MetricResult(Model):
    """One metric, one treatment against the control."""

    metric: str
    kind: Kind
    role: Usage
    control: str
    """The control's variant name."""
    variant: str
    """The treatment's variant name."""
    direction: Direction
    """Which way is better."""
    unit: str = ""
    meaning: str = ""
    baseline: float | None
    """The control's value."""
    value: float | None
    """The treatment's value."""
    effect: float | None
    """value - baseline; under a ramp, averaged over weight epochs."""
    effect_ci: Interval | None
    """Fixed-horizon interval of the effect; None where few events that hang together leave only that of the lift."""
    lift: float | None
    """effect / baseline, 0.08 is 8 %."""
    lift_ci: Interval | None
    """Fixed-horizon interval of the lift."""
    p_value: float | None
    """Fixed-horizon, two-sided."""
    p_adjusted: float | None = None
    """Of the kind that decides (always-valid, fixed, or repeated at planned looks), corrected for the number of tests
    of its role: Holm for what decides, Benjamini-Hochberg for secondary metrics."""
    margin: float | None = None
    """Guardrails: the relative harm that is tolerated."""
    harm_bound: float | None = None
    """Guardrails: with confidence, the relative harm is at most this; several treatments share α (Bonferroni)."""
    method: str
    replication: str
    """What the noise was measured on, such as `32 hash replicates`."""
    n_replicates: int | None
    assumption: str = ""
    """What must hold for it, in one sentence."""
    sequential: Sequential | None
    status: Status = Status()
    randomised: bool = True
    """Whether only randomised requests were compared; False where rules mixed others in that can't be told apart."""
    bayes: Bayesian | None = None
    """The posterior under a stated prior; None where there is no lift."""
    power: Power | None = None
    """What can be found by when; None for what decides nothing."""
    covariate: Covariate | None = None
    """What a pre-period did for it; None where the experiment file names none."""

    @property
    def better(self) -> bool | None:
        """Whether the estimate points the good way; None where there is none, or no direction."""
        move = self.effect if self.lift is None else self.lift
        if move is None or self.direction is Direction.NONE or move == 0:
            return None
        return (move > 0) == (self.direction is Direction.INCREASE)

    def certain(self, alpha: float) -> bool | None:
        """True where the treatment is better, False where it is worse, each with certainty; None where undecided.

        Args:
            alpha: Error rate that `p_adjusted` must not exceed.
        """
        return self.better if self.p_adjusted is not None and self.p_adjusted <= alpha else None

    @property
    def within_margin(self) -> bool:
        """Whether the harm is shown to be smaller than the margin: non-inferior."""
        return self.harm_bound is not None and self.margin is not None and self.harm_bound < self.margin


class LimitResult(Model):
    """One absolute limit of one metric, judged on one variant."""

    metric: str
    kind: Kind
    variant: str
    level: Literal["pause", "rollback"]
    limit: float
    value: float | None
    """The metric's value now, in its unit."""
    beyond: bool
    """Beyond the limit with statistical certainty."""
    within: bool = False
    """On the right side of it with statistical certainty; neither where it isn't clear."""
    upper: bool = True
    """Whether more is worse."""
    p_value: float | None
    """Always-valid p of "within the limit"."""
    unit: str = ""
    method: str = ""
    status: Status = Status()


class TrendPoint(Model):
    """A metric's cumulative lift at one moment."""

    metric: str
    variant: str
    at: datetime
    lift: float
    lift_ci: Interval | None
    sequence: Interval | None
    """Confidence sequence of the lift."""
