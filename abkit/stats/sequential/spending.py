"""A few looks and a planned end: error spending of Lan & DeMets on information.

The share of α that may be spent by a look depends on the information there is, not on how many looks there were or will
be. So looks need no calendar, and information that comes otherwise than planned is taken as it comes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.crossing import Path
from abkit.stats.sequential.mixture import plan
from abkit.stats.special import (
    check_alternative,
    check_confidence,
    check_share,
    normal_cdf,
    normal_quantile,
    p_value,
    t_to_z,
    z_to_t,
)
from abkit.stats.values import Flag, Interval, Many, Text, Value, flag, interval, numbers, text, value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["SPENDING", "GroupSequential", "boundaries", "group_sequential", "spent"]

SPENDING = ("obrien-fleming", "pocock")
"""The two spending functions: O'Brien & Fleming's kind saves α for the end, Pocock's spends it evenly."""

_FAR = 40.0
"""Stands for an infinite boundary while a p value is searched for."""


@dataclass(frozen=True, eq=False)
class GroupSequential(Many):
    """A test with planned looks. Looks are on the last axis of all but `p_value` and `stopped`.

    Attributes:
        estimate: As given.
        z: Of the null, at each look; t is turned into z by its p value.
        boundary: Of z; none where nothing may be decided at a look.
        nominal_p: The p value that z must reach at this look.
        ci: Repeated confidence interval: all looks' intervals hold at once (Jennison & Turnbull, JRSS B 1989).
        information: 1 / standard error².
        information_fraction: Of the planned information; may exceed 1.
        alpha_spent: α spent up to this look, of both sides.
        crossed: Whether z is beyond the boundary at this look.
        decision: `reject` from the first look on that crossed, `do not reject` at the end without one, else `continue`.
        stopped: Number of the first look that crossed, from 1 on; none without one.
        p_value: Repeated p value at the last look that counts: the smallest α, from 10⁻¹⁵ on, whose boundary z reaches
            there. It is the dual of `ci` there; an earlier look that crossed is in `decision` alone.
        confidence: 1 - α, over all looks.
        alternative: two-sided, greater or less, about the estimate.
        null: What z is about.
        spending: Which spending function.
        method: How the numbers were made.
        replication: Empty: the standard error's result says it.
        assumption: What has to hold.
        status: `ok`, or why nothing is decided at a look.
    """

    estimate: Value
    z: Value
    boundary: Value
    nominal_p: Value
    ci: Interval
    information: Value
    information_fraction: Value
    alpha_spent: Value
    crossed: Flag
    decision: Text
    stopped: Value
    p_value: Value
    confidence: float
    alternative: str
    null: float
    spending: str
    method: str
    replication: str
    assumption: str
    status: Text


def spent(fraction: ArrayLike, alpha: float, spending: str = "obrien-fleming") -> Floats:
    """α that one side may have spent at a fraction of the planned information.

    `obrien-fleming`: 2 - 2Φ(z_{α/2}/√t); `pocock`: α·ln(1 + (e - 1)t) (Lan & DeMets, Biometrika 1983).

    Args:
        fraction: Of the planned information; above 1 counts as 1.
        alpha: Of one side.
        spending: One of `SPENDING`.

    Raises:
        ValueError: Unknown spending, or α outside 0 … 1.

    >>> spent([0.2, 0.5, 1.0], 0.025, "pocock").round(5).tolist()
    [0.00738, 0.0155, 0.025]
    """
    _check_spending(spending)
    check_share("alpha", alpha)
    t = np.clip(np.asarray(fraction, dtype=np.float64), 0.0, 1.0)
    if spending == "pocock":
        return np.asarray(alpha * np.log1p((math.e - 1) * t))
    with np.errstate(divide="ignore"):
        z = float(normal_quantile(1 - alpha / 2)) / np.sqrt(t)
    return np.asarray(2 * normal_cdf(-z))


def boundaries(
    fractions: Iterable[float], alpha: float, spending: str = "obrien-fleming", *, two_sided: bool = True
) -> tuple[float, ...]:
    """Boundaries of z at looks on given fractions of the planned information.

    Args:
        fractions: Rising, above 0. One of 1 or more is the end: what is left of α is spent there, and the correlation
            between looks is that of the information there really was.
        alpha: Of both sides together, or of the one.
        spending: One of `SPENDING`.
        two_sided: Whether both sides have a boundary.

    Raises:
        ValueError: Unknown spending, α outside 0 … 1, or fractions that don't rise from above 0.

    >>> [round(z, 3) for z in boundaries((0.2, 0.4, 0.6, 0.8, 1.0), 0.05)]
    [4.877, 3.357, 2.68, 2.29, 2.031]
    >>> [round(z, 3) for z in boundaries((0.2, 0.4, 0.6, 0.8, 1.0), 0.05, "pocock")]
    [2.438, 2.427, 2.41, 2.397, 2.386]
    """
    looks = tuple(float(fraction) for fraction in fractions)
    if any(b <= a for a, b in zip((0.0, *looks), looks, strict=False)):
        msg = f"fractions are {looks!r}; they must rise, from above 0"
        raise ValueError(msg)
    return _boundaries(looks, alpha, spending, two_sided)


@lru_cache(maxsize=4096)
def _boundaries(looks: tuple[float, ...], alpha: float, spending: str, two_sided: bool) -> tuple[float, ...]:
    levels = spent(np.array(looks), alpha / 2 if two_sided else alpha, spending)
    return _solve(looks, tuple(float(level) for level in levels), two_sided)


def _solve(information: tuple[float, ...], levels: tuple[float, ...], two_sided: bool) -> tuple[float, ...]:
    """Boundaries that have spent the given levels, one side's, at looks of given information."""
    path, before, found = Path(), 0.0, []
    for at, level in zip(information, levels, strict=True):
        bound = path.boundary(at, level - before)
        found.append(bound)
        before = level
        path.go(at, -bound if two_sided else -math.inf, bound)
    return tuple(found)


def group_sequential(
    estimate: ArrayLike | Sequence[float | None],
    standard_error: ArrayLike | Sequence[float | None],
    df: ArrayLike = math.inf,
    planned_effect: ArrayLike | None = None,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    planned_information: ArrayLike | None = None,
    fraction: ArrayLike | None = None,
    early_looks: ArrayLike = True,
    spending: str = "obrien-fleming",
    null: float = 0.0,
    final: bool = False,
    minimum_increment: float = 0.005,
) -> GroupSequential:
    """Group-sequential test: boundaries and repeated confidence intervals at each look so far.

    α is spent on the fraction of the planned information, which is the maximum: the look that reaches it is the last
    (over-run: all that is left of α is spent there, correlations are those of the real information). `final` ends the
    test at the last look given (under-run): what is left of α is spent there. Looks may come at any information, as
    long as whether to look is not decided by the estimate.

    Args:
        estimate: One a look, in order of time, on the last axis; None or masked where there is none.
        standard_error: Of the estimate, broadcast.
        df: Degrees of freedom of t; infinite for the normal. t is turned into z by its p value.
        planned_effect: The MDE on the estimate's scale: the planned information is then that of a fixed test at 5 %
            with 80 % power. `stats.power.information` gives the one with which this test has it.
        confidence: 1 - α, over all looks.
        alternative: `two-sided`, `greater` or `less`, about estimate - null.
        planned_information: Instead of `planned_effect`: the planned 1/V.
        fraction: Instead of both: how far each look is, 1 at the planned end, known without the data: the share of the
            planned users, or of the time (Lan & DeMets 1989). A variance estimated from 32 clusters is noisy, and noisy
            fractions spend more where the estimate looks most certain: 6 to 7 % false winners. Where users come back,
            information runs ahead of time, and the boundaries are on the safe side.
        early_looks: Whether a look before the end may decide, as a `Comparison` says it of itself. z of a few users'
            events is not what its tail promises at the small level of an early look: such a look spends nothing, and
            what belonged to it is spent later.
        spending: `obrien-fleming` or `pocock`.
        null: What z is about.
        final: Whether the last look given is the end, whatever information there is.
        minimum_increment: Share of the planned information that must be new for a look to count. Looks each minute cost
            α only where something new was seen.

    Raises:
        ValueError: Unknown alternative or spending, confidence outside 0 … 1, not exactly one of the three plans.

    >>> found = group_sequential([0.04, 0.045], [0.02, 0.014], planned_effect=0.05)
    >>> found.boundary.round(3).tolist(), found.decision.tolist(), found.stopped
    ([2.257, 2.117], ['continue', 'reject'], 2.0)
    """
    check_alternative(alternative)
    check_confidence(confidence)
    _check_spending(spending)
    if fraction is not None and not (planned_effect is None and planned_information is None):
        msg = "fraction takes the place of planned_effect and planned_information: give one of the three"
        raise ValueError(msg)
    measure = plan(planned_effect, planned_information) if fraction is None else numbers(fraction)
    arrays = numbers(estimate), numbers(standard_error), numbers(df), measure
    est, se, dof, top = np.broadcast_arrays(*arrays)
    shape = est.shape
    rows = math.prod(shape[:-1])
    est, se, dof, top = (np.reshape(x, (rows, shape[-1] if shape else 1)) for x in (est, se, dof, top))
    unknown = ~(dof > 0)
    there = np.isfinite(est) & np.isfinite(se) & (se > 0) & ~unknown
    safe = np.where(there, se, 1.0)
    with np.errstate(over="ignore", under="ignore"):
        information = np.where(there, 1 / safe / safe, 0.0)
        reached = information / top if fraction is None else top  # `top` broadcasts whichever of the two was given
    there &= (reached > 0) & (reached < 1e12)
    ready = np.reshape(np.broadcast_to(np.asarray(early_looks, dtype=bool), shape), est.shape) | (reached >= 1)
    if final:
        ready[:, -1] = True
    counts, closed = _looks(reached, there & ready, final, minimum_increment)
    dof = np.where(unknown, np.inf, dof)
    z = t_to_z(np.where(there, est - null, 0.0) / safe, dof)
    two_sided = alternative == "two-sided"
    beyond = np.abs(z) if two_sided else (z if alternative == "greater" else -z)

    alpha = 1 - confidence
    bound, level = np.full(est.shape, np.nan), np.full(est.shape, np.nan)
    p_values = np.full(est.shape[0], np.nan)
    for row in range(est.shape[0]):
        at = np.flatnonzero(counts[row])
        if not at.size:
            continue
        used = tuple(float(f) for f in reached[row, at])
        bound[row, at] = _bounds(used, alpha, spending, two_sided, final)
        level[row, at] = spent(used, alpha / 2 if two_sided else alpha, spending) * (2 if two_sided else 1)
        if final:
            level[row, at[-1]] = alpha
        p_values[row] = _repeated_p(float(beyond[row, at[-1]]), used, spending, two_sided, final)

    finite = np.isfinite(bound)
    crossed = np.where(finite, beyond >= np.where(finite, bound, np.inf), False)
    ever = np.maximum.accumulate(crossed, axis=1)
    ended = np.maximum.accumulate(counts & ((reached >= 1) | _last(counts, final)), axis=1)
    radius = z_to_t(np.where(finite, bound, 1.0), dof) * safe
    low = est - radius if alternative != "less" else np.full(est.shape, -np.inf)
    high = est + radius if alternative != "greater" else np.full(est.shape, np.inf)
    cases: list[tuple[ArrayLike, str]] = [
        (np.isnan(est), "no estimate"),
        (np.isnan(se), "no standard error"),
        (~(se > 0), "the standard error is 0: nothing to estimate a variance from"),
        (unknown, "no degrees of freedom: nothing says how sure the standard error is"),
        (~there, "information too small or too large to compute"),
        (closed, "after the end: all of α is spent"),
        (~ready, "too few users make the events for a look before the planned end: nothing is decided, no α is spent"),
        (~counts, "too little new information since the last look"),
        (~finite, "so early that no α is spent yet"),
    ]
    words = np.where(ever, "reject", np.where(ended, "do not reject", "continue")).astype(object)
    first = np.where(crossed.any(1), crossed.argmax(1) + 1.0, np.nan)
    status = text(est.shape, cases)
    nominal = p_value(np.where(finite, bound, 0.0), np.inf, "two-sided" if two_sided else "greater")
    return GroupSequential(
        estimate=value(est.reshape(shape)),
        z=value(np.where(there, z, np.nan).reshape(shape)),
        boundary=value(np.where(finite, bound, np.nan).reshape(shape)),
        nominal_p=value(np.where(finite, nominal, np.nan).reshape(shape)),
        ci=interval(low.reshape(shape), high.reshape(shape), finite.reshape(shape)),
        information=value(np.where(there, information, np.nan).reshape(shape)),
        information_fraction=value(np.where(there, reached, np.nan).reshape(shape)),
        alpha_spent=value(level.reshape(shape)),
        crossed=flag(crossed.reshape(shape)),
        decision=words.reshape(shape) if shape else words.item(),
        stopped=value(first.reshape(shape[:-1])),
        p_value=value(p_values.reshape(shape[:-1])),
        confidence=confidence,
        alternative=alternative,
        null=null,
        spending=spending,
        method=f"group-sequential, {spending} spending on {'information' if fraction is None else 'the planned share'}",
        replication="",
        assumption=(
            "The standard error is that of clusters; the estimate is close to normal; "
            "when to look is not decided by the estimate."
        ),
        status=status.reshape(shape) if shape else status.item(),
    )


def _check_spending(spending: str) -> None:
    if spending not in SPENDING:
        msg = f"spending is {spending!r}; valid: {', '.join(SPENDING)}"
        raise ValueError(msg)


def _looks(
    fraction: Floats, there: NDArray[np.bool_], final: bool, increment: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which looks count, and which come after the end."""
    rows, looks = fraction.shape
    counted, closed = np.zeros((rows, looks), dtype=bool), np.zeros((rows, looks), dtype=bool)
    last = np.zeros(rows)
    for k in range(looks):
        now, here = fraction[:, k], there[:, k]
        closed[:, k] = here & (last >= 1)
        needed = np.where((now >= 1) | (final and k == looks - 1), last * (1 + 1e-9), last + increment)
        counted[:, k] = here & (last < 1) & (now > needed)
        last = np.where(counted[:, k], now, last)
    return counted, closed


def _last(counted: NDArray[np.bool_], final: bool) -> NDArray[np.bool_]:
    """The look that ends an under-run: the last that counts."""
    ends = np.zeros_like(counted)
    if final:
        rows = np.flatnonzero(counted.any(1))
        ends[rows, counted.shape[1] - 1 - counted[rows, ::-1].argmax(1)] = True
    return ends


def _bounds(used: tuple[float, ...], alpha: float, spending: str, two_sided: bool, final: bool) -> tuple[float, ...]:
    if not final:
        return boundaries(used, alpha, spending, two_sided=two_sided)
    side = alpha / 2 if two_sided else alpha
    levels = (*(float(level) for level in spent(used[:-1], side, spending)), side)
    return _solve(used, levels, two_sided)


def _repeated_p(z: float, used: tuple[float, ...], spending: str, two_sided: bool, final: bool) -> float:
    """The α whose boundary at the last look is z."""
    from scipy.optimize import brentq

    def gap(log_alpha: float) -> float:
        return min(_bounds(used, math.exp(log_alpha), spending, two_sided, final)[-1], _FAR) - z

    most, least = math.log(0.999), math.log(1e-15)
    if gap(most) >= 0:
        return 1.0
    if gap(least) <= 0:
        return 1e-15
    return math.exp(brentq(gap, least, most, xtol=1e-9))
