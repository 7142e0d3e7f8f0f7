"""What is shown beside the comparison that decides: power, Bayes, covariates, segments, time."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from abkit.evidence.base import Interval, Model, Status

__all__ = [
    "Anomaly",
    "AnomalyCheck",
    "Bandit",
    "Bayesian",
    "Covariate",
    "DesignNeed",
    "Interaction",
    "LookPlan",
    "Novelty",
    "PeriodChange",
    "Power",
    "SegmentResult",
]


class Bayesian(Model):
    """The posterior of the lift under a stated prior: shown, never decided on."""

    probability_better: float | None
    """That the treatment is better, in the metric's direction."""
    lift: float | None
    """Posterior median."""
    lift_ci: Interval | None
    """Equal-tailed credible interval."""
    loss_ship: float | None
    """Expected relative loss if the treatment ships and is worse."""
    loss_keep: float | None
    """Expected relative loss if the control stays and is worse."""
    prior: str
    """The prior, in words."""
    status: Status = Status()


class DesignNeed(Model):
    """What one way of looking needs to find the planned effect."""

    design: str
    """fixed, always-valid, obrien-fleming or pocock."""
    information: float | None
    """Information that is needed, over what there is now; users too, as far as each further one is a new one."""
    days: float | None
    """Days from the start, on the curve of the information so far; None where it is never reached, or not known."""


class Power(Model):
    """What this experiment can find, and by when, with the looks that it has.

    Of a guardrail it is about the margin: whether the data show that the harm is below it, if there is none.
    """

    power: float
    """The planned power, 0.8 where the experiment file has none."""
    mde: float | None
    """Smallest relative effect that the data so far find with that power; of a guardrail, the smallest margin."""
    planned: float
    """The relative effect worth finding (`analysis.mde`), or the guardrail's margin."""
    achieved: float | None
    """Probability that the data so far find the planned effect."""
    days: float | None
    """Days from the start until the planned effect is found with that power; None where that can't be said."""
    needs: tuple[DesignNeed, ...] = ()
    """The same for each way of looking."""
    reachable: float | None = None
    """Smallest relative effect that these users can ever show, where they come back and information saturates."""
    saturates: bool = False
    """Whether recurring users cap what more days can show."""
    note: str = ""
    """One sentence for a product analyst."""
    status: Status = Status()


class Covariate(Model):
    """What the labelled pre-period removed from the noise (CUPED)."""

    variance_removed: float | None
    """Share of the variance, up to 1; below 0 where adjusting cost more than it removed."""
    lift: float | None
    """The lift without the covariate."""
    lift_ci: Interval | None
    """Its fixed-horizon interval."""
    pre_p_value: float | None = None
    """Of no difference before the start, when nothing was routed: an A/A test."""
    status: Status = Status()
    """Why the covariate was not used, and the unadjusted result decides; ok where it was."""


class LookPlan(Model):
    """The looks of a group-sequential test."""

    spending: Literal["obrien-fleming", "pocock"]
    planned: int
    """Number of looks."""
    taken: int
    """Looks that have come."""
    last: datetime | None
    """When the newest was; what decides is the data until then."""
    next: datetime | None
    """When the next is due; None after the last one."""
    fraction: float | None
    """Information fraction of the newest look, 0 ... 1."""
    spent: float | None
    """α spent by then."""


class SegmentResult(Model):
    """One metric of one treatment within one segment."""

    label: str
    """The segment's label, such as `device`."""
    segment: str
    """Its value, such as `mobile`."""
    metric: str
    variant: str
    baseline: float | None
    value: float | None
    lift: float | None
    lift_ci: Interval | None
    """Fixed-horizon."""
    p_value: float | None
    p_adjusted: float | None = None
    """Of the kind that decides (always-valid or fixed), corrected over all segments of all labels, metrics and
    treatments (Benjamini-Hochberg)."""
    status: Status = Status()


class Interaction(Model):
    """Whether the lift differs between the segments of one label."""

    label: str
    metric: str
    variant: str
    p_value: float | None
    """Of the same lift in all segments; fixed-horizon."""
    p_adjusted: float | None = None
    """Corrected over labels, metrics and treatments (Holm)."""
    reversal: str = ""
    """One sentence where the lift certainly goes up in one segment and down in another; else empty."""
    method: str = ""
    status: Status = Status()


class PeriodChange(Model):
    """One variant's metric now and then: descriptive, since nothing was randomised between two times."""

    metric: str
    variant: str
    against: Literal["last-week", "last-period"]
    """The same hours a week before, or the time of equal length just before."""
    start: datetime
    """Start of the newer time; hours that only one of both times has don't count."""
    end: datetime
    """Its end."""
    before: float | None
    now: float | None
    change: float | None
    """now / before - 1."""
    change_ci: Interval | None
    p_value: float | None
    status: Status = Status()


class Novelty(Model):
    """Whether a lift fades or grows from day to day."""

    metric: str
    variant: str
    slope: float | None
    """Change of the log lift a day."""
    slope_ci: Interval | None
    p_value: float | None
    early: float | None
    """Lift of the first half of the days."""
    late: float | None
    """Lift of the second half."""
    status: Status = Status()


class Anomaly(Model):
    """A moment at which a series stands out from its own past."""

    metric: str
    variant: str
    at: datetime
    """Start of the interval."""
    value: float
    expected: float
    low: float
    high: float
    """The band that it should lie in."""


class AnomalyCheck(Model):
    """A series that was held against its own past, whether or not anything stood out."""

    metric: str
    variant: str
    hours: int
    """Hours of the window that were judged; 0 where there was no telling."""
    status: Status = Status()


class Bandit(Model):
    """Weights that Thompson sampling would set: a proposal, nothing is changed."""

    metric: str
    weights: dict[str, int]
    """Variant → basis points."""
    probability_best: dict[str, float]
    floor: int
    """Basis points that each variant keeps."""
    status: Status = Status()
