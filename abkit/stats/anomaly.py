"""A series against its own past: what is left after trend and season, in robust standard deviations.

It points at moments that are worth a look. It is not a comparison of arms, and no verdict rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from abkit.errors import InputError
from abkit.stats.special import check_share, student_quantile
from abkit.stats.values import numbers, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Anomalies", "anomalies"]

_MAD = 1.4826022185056018
"""Standard deviation of a normal over its median absolute deviation."""

_EFFICIENCY = 0.37
"""Of the median absolute deviation: so much of its points' degrees of freedom it is worth (Rousseeuw & Croux 1993)."""

_SHORTEST_TREND = 31
"""Steps of the trend's window, at least: a shorter one follows the noise."""

_SEASONS = 3
"""Seasons below which a place in the season has no others to be compared with."""


@dataclass(frozen=True, eq=False)
class Anomalies:
    """A series taken apart, and the moments that stand out.

    Attributes:
        expected: Trend + season, (time,), made without the point itself; none where its place has no other value.
        low: Lower end of the band in which a value does not stand out, (time,).
        high: Its upper end.
        residual: Value - expected, (time,); none where the value is missing.
        score: Residual in robust standard deviations of the past, (time,).
        anomalous: Where the score is beyond the threshold; never where a value is missing.
        filled: Where a missing value was filled in for the decomposition.
        scale: Robust standard deviation of the past's residuals, with weights of those of median weight.
        threshold: Of |score|.
        judged: Number of points at the end that were judged; all where it is the length of the series.
        df: Degrees of freedom that the scale is worth.
        alpha: Chance of any false point, were residuals normal and independent.
        method: How the numbers were made.
        replication: Points in time.
        assumption: What has to hold.
        status: `ok`, or why there is no decomposition.
    """

    expected: Any
    low: Any
    high: Any
    residual: Any
    score: Any
    anomalous: NDArray[np.bool_]
    filled: NDArray[np.bool_]
    scale: float | None
    threshold: float
    judged: int
    df: float
    alpha: float
    method: str
    replication: str
    assumption: str
    status: str


@np.errstate(all="ignore")
def anomalies(
    values: ArrayLike | Sequence[float | None],
    period: int,
    *,
    judged: int | None = None,
    alpha: float = 0.01,
    logarithm: bool = False,
    weights: ArrayLike | None = None,
) -> Anomalies:
    """Find points of a regular series that its own trend and season don't explain.

    The trend is that of robust STL (Cleveland, Cleveland, McRae & Terpenning, J. Official Statistics 1990), from
    statsmodels. What is expected at a point is the trend and the median of its place in the *other* seasons: STL's own
    season bends towards the point, so that with few seasons its residuals are far too small. Residuals are held against
    1.4826 times their median absolute deviation, by Student's t at α over the number of points judged.

    Args:
        values: One a step, evenly spaced, (time,); None, NaN or masked where there is none. They are filled with the
            median of their place in the season for the trend alone.
        period: Steps in a season: 24 for hours of a day, 168 for hours of a week.
        judged: Only the last so many points are judged, by the past alone: the trend goes on as it was last. All by all
            where left out.
        alpha: Chance of any false point.
        logarithm: Whether to take logarithms first, for series whose swings grow with their level; values must then be
            above 0, and others count as missing.
        weights: Precision of each value, (time,), such as its denominator: a night's few events make noisy values, so
            residuals count times the square root. A value of weight 0 counts as missing.

    Raises:
        InputError: statsmodels is not installed.
        ValueError: Values on more than one axis or infinite, a period below 2, or a share outside 0 … 1.

    >>> hours = np.arange(24 * 14)
    >>> load = 100 + 30 * np.sin(hours * 2 * np.pi / 24) + np.random.default_rng(1).normal(0, 2, hours.size)
    >>> load[300] += 20
    >>> np.flatnonzero(anomalies(load, 24).anomalous).tolist()
    [300]
    """
    check_share("alpha", alpha)
    x = np.array(numbers(values), dtype=np.float64)
    if x.ndim != 1 or np.isinf(x).any():
        msg = f"values have shape {x.shape}: give one finite number a step, on one axis"
        raise ValueError(msg)
    root = _root(weights, x.size)
    x = np.where(root > 0, x, np.nan)
    if period < 2:
        msg = f"period is {period!r}; a season has at least 2 steps"
        raise ValueError(msg)
    size = x.size
    if judged is not None and not 1 <= judged <= max(size, 1):
        msg = f"judged is {judged!r}; there are {size} points"
        raise ValueError(msg)
    if logarithm:
        x = np.log(np.where(x > 0, x, np.nan))
    missing = np.isnan(x)
    last = size if judged is None else judged
    past = size if judged is None else size - last
    known = ~missing & (np.arange(size) < past)
    filled = _filled(np.where(known, x, np.nan)[:past], period)
    df = max(_EFFICIENCY * (int(known.sum()) - period), 1.0)
    threshold = float(student_quantile(df, 1 - alpha / 2 / max(last, 1)))
    words: dict[str, Any] = {
        "threshold": threshold,
        "judged": last,
        "df": df,
        "alpha": alpha,
        "method": f"trend of robust STL, median of the other seasons of {period} steps, median absolute deviation",
        "replication": f"{size} points in time",
        "assumption": "The season repeats, the trend is smooth, and what is left is close to normal and independent.",
    }
    reason = ""
    if past < _SEASONS * period:
        reason = f"fewer than {_SEASONS} seasons of {period} steps"
    elif known.sum() < past / 2:
        reason = "more than half of the values are missing"
    elif np.isnan(filled).any():
        reason = "a place in the season has no value at all"
    if reason:
        none = value(np.full(size, np.nan))
        nothing = np.zeros(size, bool)
        return Anomalies(none, none, none, none, none, nothing, missing, None, **words, status=reason)
    trend = _trend(filled, period)
    trend = np.concatenate([trend, np.full(size - past, trend[-1])])
    expected = trend + _others(x - trend, known, period)
    residual = x - expected
    root = root / np.median(root[known])
    errors = (residual * root)[known & ~np.isnan(residual)]
    scale = _MAD * float(np.median(np.abs(errors - np.median(errors))))
    # A series that repeats exactly has no spread: anything that is more than rounding stands out then.
    least = max(scale, 1e-9 * float(np.abs(filled).max()))
    score = residual * root / least if least > 0 else np.where(np.isnan(residual), np.nan, 0.0)
    radius = threshold * least / np.where(root > 0, root, np.nan)
    ends = [np.exp(end) if logarithm else end for end in (expected - radius, expected + radius)]
    judge = np.arange(size) >= size - last
    return Anomalies(
        expected=value(np.exp(expected) if logarithm else expected),
        low=value(ends[0]),
        high=value(ends[1]),
        residual=value(residual),
        score=value(score),
        anomalous=judge & (np.abs(np.nan_to_num(score)) > threshold),
        filled=missing,
        scale=scale,
        **words,
        status="ok",
    )


def _root(weights: ArrayLike | None, size: int) -> Floats:
    if weights is None:
        return np.ones(size)
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (size,) or not np.isfinite(given).all() or (given < 0).any():
        msg = f"weights have shape {given.shape}: give {size} finite numbers from 0 on, one a value"
        raise ValueError(msg)
    return np.sqrt(given)


def _filled(x: Floats, period: int) -> Floats:
    """Missing values replaced by the median of their place in the season."""
    out = x.copy()
    for place in range(period):
        here = np.arange(place, x.size, period)
        gap = np.isnan(x[here])
        if gap.any() and not gap.all():
            out[here[gap]] = np.median(x[here[~gap]])
    return out


def _others(detrended: Floats, known: NDArray[np.bool_], period: int) -> Floats:
    """For each point the median of its place in the season over the known other points; NaN without any."""
    out = np.full(detrended.size, np.nan)
    for place in range(min(period, detrended.size)):
        here = np.arange(place, detrended.size, period)
        usable = here[known[here]]
        for i in here:
            others = usable[usable != i]
            if others.size:
                out[i] = np.median(detrended[others])
    return out


def _trend(x: Floats, period: int) -> Floats:
    try:
        from statsmodels.tsa.seasonal import STL
    except ImportError as error:
        msg = "anomaly detection needs statsmodels, which is not installed: pip install 'abkit[anomalies]'"
        raise InputError(msg) from error
    window = max(2 * period, _SHORTEST_TREND)
    # A season's smoother so wide that each place in the season has one value: the season repeats.
    seasonal = 10 * (x.size // period) + 1
    found = STL(
        x, period=period, seasonal=seasonal + 1 - seasonal % 2, trend=window + 1 - window % 2, robust=True
    ).fit()
    return np.asarray(found.trend, dtype=np.float64)
