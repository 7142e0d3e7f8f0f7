"""How information grows when the same users come back.

More visits of the same users tell more about these users, not about others. With a given population the variance of an
effect does not fall to 0 but to what differs between users: V(t) = a + b/t. Its information has a ceiling, 1/a, and the
smallest effect that can be found has a floor, however long the experiment runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from abkit.stats.values import Flag, Many, Text, Value, flag, numbers, text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Saturation", "saturation"]

_FEWEST = 3
"""Points of a trajectory below which there is no fit."""

_CAP_SEEN = 0.05
"""Share of the ceiling below which the last point says nothing about where it is."""


@dataclass(frozen=True, eq=False)
class Saturation(Many):
    """A trajectory of information, and where it leads.

    Attributes:
        ceiling: Information that is never passed, 1/a; none where no ceiling is in sight.
        half_time: Time at which half of the ceiling is there, b/a; none without a ceiling.
        reached: Share of the ceiling that the last point has; none without a ceiling.
        floor: Variance that never goes away, a.
        slope: b, of V = a + b/t.
        error: Largest relative deviation of a point from the fit.
        capped: Whether there is a ceiling in sight.
        last_time: Of the last point.
        method: How the numbers were made.
        replication: Empty: the trajectory's standard errors say it.
        assumption: What has to hold.
        status: `ok`, or why there is no fit.
    """

    ceiling: Value
    half_time: Value
    reached: Value
    floor: Value
    slope: Value
    error: Value
    capped: Flag
    last_time: Value
    method: str
    replication: str
    assumption: str
    status: Text

    def information_at(self, time: ArrayLike) -> Value:
        """Information at a time, on the fitted curve.

        Args:
            time: In the unit of the trajectory, above 0; broadcast against its leading axes.
        """
        with np.errstate(all="ignore"):
            t = np.asarray(time, dtype=np.float64)
            return value(1 / (numbers(self.floor) + numbers(self.slope) / np.where(t > 0, t, np.nan)))

    def time_for(self, information: ArrayLike) -> Value:
        """When an amount of information is there; none where the ceiling is lower.

        Args:
            information: 1/V, above 0; broadcast against the leading axes.
        """
        with np.errstate(all="ignore"):
            room = 1 / np.asarray(information, dtype=np.float64) - numbers(self.floor)
            return value(numbers(self.slope) / np.where(room > 0, room, np.nan))


@np.errstate(all="ignore")
def saturation(time: ArrayLike, information: ArrayLike | Sequence[float | None]) -> Saturation:
    """Fit V(t) = a + b/t to a trajectory of information.

    a is the variance between users, b/t what their visits add, which falls with time; neither is below 0. Relative
    errors of V are least squares. Of sticky users with gamma(½) activity 52 % of the information of day 14 is there
    after day 1 and 85 % after day 4, which is this curve with b/a of about a day.

    Args:
        time: Since the start, above 0, in any unit, (look,) or (…, look).
        information: 1 / standard error² at these times, (…, look); None or masked where there is none.

    Raises:
        ValueError: Shapes that don't fit, or times not above 0.

    >>> days = np.array([1.0, 2.0, 4.0, 7.0, 14.0])
    >>> found = saturation(days, 1000 * days / (days + 1.07))
    >>> round(found.ceiling, 6), round(found.half_time, 6), round(found.reached, 3), found.time_for(2000.0)
    (1000.0, 1.07, 0.929, None)
    """
    t, seen = np.broadcast_arrays(np.asarray(time, dtype=np.float64), numbers(information))
    if t.ndim == 0:
        msg = "give times and information on the last axis, one a look"
        raise ValueError(msg)
    if not (np.isfinite(t).all() and (t > 0).all()):
        msg = "times must be finite and above 0: they count from the start"
        raise ValueError(msg)
    used = np.isfinite(seen) & (seen > 0)
    i = np.where(used, seen, 0.0)
    # Relative errors of V: (a + b/t)·I - 1, linear in a and b; on scales of its own, so that nothing overflows.
    unit = np.where(used.any(-1), i.max(-1), 1.0)
    last = np.where(used, t, 0.0).max(-1)
    x, y = i / unit[..., None], i / unit[..., None] * np.where(last > 0, last, 1.0)[..., None] / t
    xx, xy, yy, x1, y1 = ((p * q).sum(-1) for p, q in ((x, x), (x, y), (y, y), (x, used), (y, used)))
    det = xx * yy - xy * xy
    flat = ~(det > 1e-12 * xx * yy)
    a, b = (yy * x1 - xy * y1) / np.where(flat, 1.0, det), (xx * y1 - xy * x1) / np.where(flat, 1.0, det)
    a, b = (
        np.where(b < 0, x1 / np.where(xx > 0, xx, 1.0), np.maximum(a, 0.0)),
        np.where(a < 0, y1 / np.where(yy > 0, yy, 1.0), np.maximum(b, 0.0)),
    )
    error = np.where(used, np.abs(a[..., None] * x + b[..., None] * y - 1), 0.0).max(-1)
    few = used.sum(-1) < _FEWEST
    cases: list[tuple[Any, str]] = [
        (few, f"fewer than {_FEWEST} looks with information"),
        (flat, "the looks are too close together to see a curve"),
    ]
    good = ~few & ~flat
    # In these units the last point has time 1: its variance is a + b.
    capped = good & (a > _CAP_SEEN * (a + b))
    return Saturation(
        ceiling=value(unit / np.where(capped, a, np.nan)),
        half_time=value(b * last / np.where(capped, a, np.nan)),
        reached=value(a / (a + b), capped),
        floor=value(a / unit, good),
        slope=value(b * last / unit, good),
        error=value(error, good),
        capped=flag(capped),
        last_time=value(last, used.any(-1)),
        method="V = a + b/t by least squares of relative errors, a and b not below 0",
        replication="",
        assumption="The population stays what it is: users come back as before, and no other kind of users joins.",
        status=text(few.shape, cases),
    )
