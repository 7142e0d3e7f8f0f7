"""Before and during an experiment: what can be found, with how many users, by when.

All of it is one number: the drift δ·√I at the planned end. Fixed, group-sequential and always-valid designs differ by
it alone; clusters enter by the design effect, or by a standard error that was measured; recurring users by the ceiling
of the information.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from abkit.stats.clusters import divide
from abkit.stats.comparison import Comparison
from abkit.stats.design_effects import design_effect, kish
from abkit.stats.designs import DESIGNS, LOOKS, check_design, drift, power_of
from abkit.stats.saturation import Saturation, saturation
from abkit.stats.values import Many, Text, Value, numbers, text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "DESIGNS",
    "LOOKS",
    "Plan",
    "Saturation",
    "achieved",
    "days",
    "design_effect",
    "information",
    "kish",
    "mde",
    "sample_size",
    "saturation",
]


@dataclass(frozen=True, eq=False)
class Plan(Many):
    """What a design can find, for one plan or for many. What was not asked for is None.

    Attributes:
        effect: Smallest effect that is found with `power`, on the scale of the standard error.
        lift: The same as a lift, where the scale is known.
        power: Chance to find the effect.
        information: 1/V at the planned end.
        units: Denominators in both arms: trials, page views.
        units_control: Of the control.
        units_treatment: Of the treatment.
        users: `units` over units a user.
        days: Until the planned end.
        average: Share of the planned information that is used on average if there is the effect.
        inflation: Planned information over that of a fixed test with the same power.
        smallest: Smallest effect that can ever be found where information has a ceiling.
        design: One of `DESIGNS`.
        looks: Assumed, evenly spread over the information.
        confidence: 1 - α.
        alternative: two-sided, greater or less.
        method: How the numbers were made.
        replication: Of the standard error, where it is known.
        assumption: What has to hold.
        status: `ok`, or why a number is missing.
    """

    effect: Value
    lift: Value
    power: Value
    information: Value
    units: Value
    units_control: Value
    units_treatment: Value
    users: Value
    days: Value
    average: Value
    inflation: Value
    smallest: Value
    design: str
    looks: int
    confidence: float
    alternative: str
    method: str
    replication: str
    assumption: str
    status: Text


@dataclass(frozen=True)
class _Design:
    """What is the same for all numbers of a plan."""

    power: float
    confidence: float
    alternative: str
    design: str
    looks: int | None

    def drift(self, df: float = math.inf) -> float:
        return drift(self.power, self.confidence, self.alternative, self.design, self.looks, df)

    def drifts(self, df: Floats) -> Floats:
        """Drift for each number of degrees of freedom; NaN where they are too few."""
        found = {}
        for one in set(df.flat):
            try:
                found[one] = self.drift(float(one)) if one >= 1 else math.nan
            except ValueError:
                found[one] = math.nan
        return np.array([found[one] for one in df.flat], dtype=np.float64).reshape(df.shape)

    def average(self) -> float:
        return power_of(self.drift(), self.confidence, self.alternative, self.design, self.looks)[1]

    def inflation(self) -> float:
        fixed = drift(self.power, self.confidence, self.alternative, "fixed")
        return (self.drift() / fixed) ** 2

    def plan(self, shape: tuple[int, ...], cases: Sequence[tuple[ArrayLike, str]] = (), **numbers: Value) -> Plan:
        looks = LOOKS[self.design] if self.looks is None else self.looks
        words = "fixed-sample test" if self.design == "fixed" else f"{self.design} test, {looks} looks"
        given: dict[str, Any] = {
            "effect": None,
            "lift": None,
            "power": self.power,
            "information": None,
            "units": None,
            "units_control": None,
            "units_treatment": None,
            "users": None,
            "days": None,
            "average": self.average(),
            "inflation": self.inflation(),
            "smallest": None,
            "replication": "",
            "assumption": "Estimates are close to normal, and their variance goes on as it is.",
        } | numbers
        return Plan(
            **given,
            design=self.design,
            looks=looks,
            confidence=self.confidence,
            alternative=self.alternative,
            method=f"{words}, {self.alternative}, power {self.power:g}",
            status=text(shape, cases),
        )


def _design(power: float, confidence: float, alternative: str, design: str, looks: int | None) -> _Design:
    check_design(design)
    chosen = _Design(power, confidence, alternative, design, looks)
    chosen.drift()
    return chosen


def _direction(effect: Floats, alternative: str) -> tuple[Floats, list[tuple[ArrayLike, str]]]:
    """Size of an effect in the direction of the alternative, and where it has none."""
    size = np.abs(effect) if alternative == "two-sided" else (effect if alternative == "greater" else -effect)
    return size, [
        (np.isnan(effect), "no effect is given"),
        (effect == 0, "an effect of 0 can't be found"),
        (~(size > 0), f"the effect lies against the alternative, {alternative}"),
    ]


@np.errstate(all="ignore")
def information(
    effect: ArrayLike,
    power: float = 0.8,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    design: str = "fixed",
    looks: int | None = None,
) -> Plan:
    """Information 1/V, at the planned end, with which an effect is found.

    Args:
        effect: On the estimate's scale: ln(1 + lift) for a log ratio.
        power: Wanted.
        confidence: 1 - α.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        design: `fixed`, `always-valid`, `obrien-fleming` or `pocock`.
        looks: Assumed, evenly spread over the information; `LOOKS` where left out.

    Raises:
        ValueError: Unknown design or alternative, or shares outside 0 … 1.

    >>> plan = information(0.02), information(0.02, design="always-valid")
    >>> round(plan[0].information), round(plan[1].inflation, 2), round(plan[1].average * plan[1].inflation, 2)
    (19622, 1.72, 1.08)
    """
    chosen = _design(power, confidence, alternative, design, looks)
    delta = np.asarray(effect, dtype=np.float64)
    size, cases = _direction(delta, alternative)
    needed = (chosen.drift() / size) ** 2
    return chosen.plan(delta.shape, cases, effect=value(delta), information=value(needed, size > 0))


@np.errstate(all="ignore")
def mde(
    standard_error: Comparison | ArrayLike | Sequence[float | None],
    df: ArrayLike = math.inf,
    power: float = 0.8,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    design: str = "fixed",
    looks: int | None = None,
    log_ratio: bool = False,
) -> Plan:
    """Smallest effect that is found with the standard error there is now.

    Args:
        standard_error: Of the estimate, any shape, None or masked where there is none; or a `Comparison`, of which the
            log ratio is taken.
        df: Degrees of freedom of t; not with a `Comparison`.
        power: Wanted.
        confidence: 1 - α.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        design: As for `information`. A sequential one is taken as if now were its planned end.
        looks: As for `information`.
        log_ratio: Whether the standard error is that of a log ratio: `lift` is then given too.

    Raises:
        ValueError: As for `information`.

    >>> plan = mde(0.01, df=31, log_ratio=True)
    >>> round(plan.effect, 5), round(plan.lift, 5)
    (0.02892, 0.02934)
    """
    chosen = _design(power, confidence, alternative, design, looks)
    replication, cases = "", []
    if isinstance(standard_error, Comparison):
        words = np.asarray(standard_error.lift_status, dtype=object)
        names = sorted({str(word) for word in words.flat} - {"ok"})
        cases = [(words == name, name) for name in names]
        replication, log_ratio = standard_error.replication, True
        given, dof = numbers(standard_error.lift_se), numbers(standard_error.df)
    else:
        given, dof = numbers(standard_error), numbers(df)
    se, dof = np.broadcast_arrays(given, dof)
    good = np.isfinite(se) & (se > 0) & (dof >= 1)
    delta = chosen.drifts(np.where(good, dof, np.inf)) * np.where(good, se, np.nan)
    sign = -1.0 if alternative == "less" else 1.0
    cases = [
        *cases,
        (~good, "no standard error"),
        (np.isnan(delta), f"too few degrees of freedom for a power of {power:g}"),
    ]
    return chosen.plan(
        se.shape,
        cases,
        effect=value(sign * delta),
        lift=value(np.expm1(sign * delta)) if log_ratio else None,
        information=value(divide(1.0, np.where(good, se, np.nan) ** 2)),
        replication=replication,
    )


@np.errstate(all="ignore")
def achieved(
    effect: ArrayLike,
    standard_error: ArrayLike | Sequence[float | None],
    df: ArrayLike = math.inf,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    design: str = "fixed",
    looks: int | None = None,
) -> Plan:
    """Power to find an effect with a given standard error at the planned end.

    It is for effects that matter, not for the one that was seen: power at the seen effect only repeats its p value.

    Args:
        effect: On the estimate's scale.
        standard_error: At the planned end; broadcast against the effect.
        df: Degrees of freedom of t.
        confidence: 1 - α.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        design: As for `information`.
        looks: As for `information`.

    Raises:
        ValueError: As for `information`.

    >>> round(achieved(0.02, 0.01).power, 6), round(achieved(0.02, 0.01, df=31).power, 4)
    (0.516005, 0.4912)
    """
    chosen = _design(0.8, confidence, alternative, design, looks)
    delta, se, dof = np.broadcast_arrays(np.asarray(effect, dtype=np.float64), numbers(standard_error), numbers(df))
    size, cases = _direction(delta, alternative)
    good = np.isfinite(se) & (se > 0) & (size > 0) & (dof >= 1)
    ratio = np.where(good, np.minimum(size / se, 50.0), 1.0)
    both = [
        power_of(float(r), confidence, alternative, design, looks, float(d))
        for r, d in zip(ratio.flat, np.where(good, dof, np.inf).flat, strict=True)
    ]
    found = np.array(both, dtype=np.float64).reshape(*se.shape, 2)
    return chosen.plan(
        se.shape,
        [*cases, (~good, "no standard error")],
        effect=value(delta),
        power=value(found[..., 0], good),
        average=value(found[..., 1], good),
        inflation=None,
        information=value(divide(1.0, np.where(good, se, np.nan) ** 2)),
    )


@np.errstate(all="ignore")
def sample_size(
    baseline: ArrayLike,
    lift: ArrayLike | None = None,
    power: float = 0.8,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    effect: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    design_effect: ArrayLike = 1.0,
    split: tuple[float, float] = (0.5, 0.5),
    units_per_user: ArrayLike = 1.0,
    users_per_day: ArrayLike | None = None,
    design: str = "fixed",
    looks: int | None = None,
) -> Plan:
    """How many units, users and days an effect on a proportion or a ratio takes.

    The difference is tested with the variance of each arm under the effect: V = φ·(v₀/n₀ + v₁/n₁), v = p(1 - p) for a
    proportion. φ is the design effect: by how much clusters (users who come back) raise the variance.

    Args:
        baseline: The metric in the control.
        lift: Relative effect; or give `effect`.
        power: Wanted.
        confidence: 1 - α.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        effect: Absolute effect, instead of `lift`.
        variance: Of one unit, for anything but a proportion; the same in both arms.
        design_effect: φ, as `design_effect` measures it or `kish` says.
        split: Shares of control and treatment; they need not fill the traffic.
        units_per_user: How many units a user makes: page views a user.
        users_per_day: New users a day in both arms together, for `days`. With users who come back see `days`, which
            knows the ceiling.
        design: As for `information`.
        looks: As for `information`.

    Raises:
        ValueError: As for `information`; not exactly one of lift and effect; a proportion outside 0 … 1, a variance, a
            design effect or shares not above 0.

    >>> plan = sample_size(0.05, 0.1)
    >>> plan.units_control, plan.units_treatment
    (31231.0, 31231.0)
    >>> sample_size(0.05, 0.1, design_effect=4, design="always-valid", users_per_day=20_000).days
    22.0
    """
    chosen = _design(power, confidence, alternative, design, looks)
    if (lift is None) == (effect is None):
        msg = "give either lift (relative) or effect (absolute)"
        raise ValueError(msg)
    p0, phi, each = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (baseline, design_effect, units_per_user))
    )
    delta = p0 * np.asarray(lift, dtype=np.float64) if effect is None else np.asarray(effect, dtype=np.float64)
    p0, phi, each, delta = np.broadcast_arrays(p0, phi, each, delta)
    for name, array in (("design_effect", phi), ("units_per_user", each)):
        if not (array > 0).all():
            msg = f"{name} must be above 0"
            raise ValueError(msg)
    if not (min(split) > 0 and sum(split) <= 1 + 1e-12):
        msg = f"split is {split!r}; give shares of control and treatment, above 0, of at most 1 together"
        raise ValueError(msg)
    p1 = p0 + delta
    size, cases = _direction(delta, alternative)
    if variance is None:
        if not ((p0 > 0) & (p0 < 1)).all():
            msg = "baseline is a proportion between 0 and 1, unless variance is given"
            raise ValueError(msg)
        cases.append((~((p1 > 0) & (p1 < 1)), "the treatment's proportion would not lie between 0 and 1"))
        v0, v1 = p0 * (1 - p0), p1 * (1 - p1)
    else:
        v0 = v1 = np.broadcast_to(np.asarray(variance, dtype=np.float64), p0.shape)
        if not (v0 > 0).all():
            msg = "variance must be above 0"
            raise ValueError(msg)
    good = (size > 0) & (v1 > 0)
    needed = (chosen.drift() / np.where(good, size, np.nan)) ** 2
    total = needed * phi * (v0 / split[0] + v1 / split[1])
    arms = [np.ceil(total * share) for share in split]
    users = np.ceil((arms[0] + arms[1]) / each)
    daily = None if users_per_day is None else np.asarray(users_per_day, dtype=np.float64)
    return chosen.plan(
        p0.shape,
        cases,
        effect=value(delta),
        lift=value(divide(delta, p0)),
        information=value(needed),
        units=value(arms[0] + arms[1]),
        units_control=value(arms[0]),
        units_treatment=value(arms[1]),
        users=value(users),
        days=None if daily is None else value(np.ceil(divide(users, daily))),
        replication="units, their variance raised by the design effect",
        assumption="The design effect and the variance of a unit are as given; every user counted is a new one.",
    )


@np.errstate(all="ignore")
def days(
    effect: ArrayLike,
    time: ArrayLike,
    trajectory: ArrayLike | Sequence[float | None],
    power: float = 0.8,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    design: str = "fixed",
    looks: int | None = None,
    log_ratio: bool = False,
) -> Plan:
    """When an effect can be found, from the information so far; or that it never can.

    The trajectory is continued by `saturation`. Where recurring users cap the information below what the effect needs,
    there are no days: `smallest` says what could be found in the end, and `status` says so.

    Args:
        effect: On the estimate's scale: ln(1 + lift) for a log ratio.
        time: Days since the start, (look,) or (…, look).
        trajectory: Information 1/standard error² at these times, (…, look).
        power: Wanted.
        confidence: 1 - α.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        design: As for `information`.
        looks: As for `information`.
        log_ratio: Whether effects are log ratios: `lift` is then that of the effect.

    Raises:
        ValueError: As for `information` and `saturation`.

    >>> t = np.array([1.0, 2.0, 4.0, 7.0])
    >>> seen = 10_000 * t / (t + 1.07)
    >>> round(days(0.032, t, seen).days, 2)
    3.51
    >>> never = days(0.02, t, seen)
    >>> never.days, round(never.smallest, 4)
    (None, 0.028)
    """
    chosen = _design(power, confidence, alternative, design, looks)
    curve = saturation(time, trajectory)
    delta, floor, slope, ceiling = np.broadcast_arrays(
        np.asarray(effect, dtype=np.float64), *(numbers(x) for x in (curve.floor, curve.slope, curve.ceiling))
    )
    size, cases = _direction(delta, alternative)
    needed = (chosen.drift() / np.where(size > 0, size, np.nan)) ** 2
    room = 1 / needed - floor
    never = (size > 0) & ~np.isnan(floor) & ~(room > 0)
    smallest = chosen.drift() * np.sqrt(1 / ceiling)
    words = np.broadcast_to(np.asarray(curve.status, dtype=object), delta.shape)
    names = sorted({str(word) for word in words.flat} - {"ok"})
    cases = [
        *cases,
        *((words == name, name) for name in names),
        (never, "recurring users cap the information: this effect is not found, however long it runs"),
    ]
    return chosen.plan(
        delta.shape,
        cases,
        effect=value(delta),
        lift=value(np.expm1(delta)) if log_ratio else None,
        information=value(needed),
        days=value(slope / np.where(room > 0, room, np.nan)),
        smallest=value(smallest),
        assumption=curve.assumption,
    )
