"""Sample ratio mismatch: did each arm get the share of users that it was meant to get?

A mismatch means that assignment, exposure or counting is broken, and that no result of the experiment can be
believed. It counts users at their first exposure. Requests can't be used: users who come back make it alarm on right
splits.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.sequential.shares import log_e_value
from abkit.stats.special import binomial_cdf, binomial_log_pmf, binomial_sf, check_share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["SampleRatio", "srm"]

_ENUMERATED = 100_000
"""Outcomes of a multinomial that are enumerated for its exact p value."""

_EXPECTED = 10.0
"""Expected count in every arm from which χ² is used."""

_TIES = 1e-7
"""Relative difference of probabilities below which two outcomes count as equally likely."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether the split that was seen is the split that was meant.

    Attributes:
        observed: Users an arm, over all epochs.
        expected: What the weights make of their sum.
        p_value: Fixed-sample p value.
        e_value: Evidence against the intended split that may be looked at at any time; alarm from 1/α. Capped at the
            largest float.
        log_e_value: Its natural logarithm, uncapped.
        sequential_p_value: min(1, 1/E).
        stray: Users in arms of weight 0 at the time: none may be there.
        alarm: The sequential p value is below α, or there are strays.
        reason: Why there is an alarm; empty without one.
        alpha: Of the alarm.
        method: How the numbers were made.
        replication: The unit counted, and how many.
        assumption: What has to hold.
        status: `ok`, or why there are no p values.
    """

    observed: tuple[float, ...]
    expected: tuple[float, ...]
    p_value: float | None
    e_value: float | None
    log_e_value: float | None
    sequential_p_value: float | None
    stray: float
    alarm: bool
    reason: str
    alpha: float
    method: str
    replication: str
    assumption: str
    status: str


def srm(
    observed: ArrayLike, weights: ArrayLike, alpha: float = 0.001, *, concentration: float = 100.0, unit: str = "users"
) -> SampleRatio:
    """Test the split of users against the intended weights.

    Fixed-sample: exact binomial (two arms) or exact multinomial (more, small counts), two-sided by likelihood as in
    `scipy.stats.binomtest`; χ² for large counts. Sequential: Dirichlet-multinomial e value (Lindon & Malek, arXiv
    2011.03567), multiplied over epochs. Users in an arm of weight 0 are an alarm of their own and don't enter the
    tests.

    Args:
        observed: Users at their first exposure, (arm,) or (epoch, arm).
        weights: Intended weights in basis points, or on any scale, same shape or (arm,); 0 is allowed.
        alpha: Level of the alarm. It is small because an alarm stops the experiment.
        concentration: Of the mixture; larger finds small deviations in large counts sooner.
        unit: What is counted, for the words of the result.

    Raises:
        ValueError: Shapes that don't fit, fewer than two arms, numbers below 0 or not finite, or weights that are all
            0.

    >>> result = srm([4_800, 5_200], [5_000, 5_000])
    >>> round(result.p_value, 7), result.alarm, result.status
    (6.59e-05, False, 'ok')
    >>> srm([4_700, 5_300], [5_000, 5_000]).reason
    'the split of 10000 users is not the intended one (4700 : 5300, expected 5000 : 5000)'
    """
    check_share("alpha", alpha)
    counts, shares = _checked(observed, weights)
    inside = shares > 0
    stray = float(counts[~inside].sum())
    kept = np.where(inside, counts, 0.0)
    sizes = kept.sum(1)
    shares = shares / shares.sum(1, keepdims=True)
    expected = (sizes[:, None] * shares).sum(0)
    total = float(sizes.sum())
    live = sizes > 0
    # A weight of 1 leaves nothing to chance.
    live &= inside.sum(1) > 1
    p: float | None = None
    log_e: float | None = None
    if not total:
        method, status = "none", f"no {unit} yet"
    elif not live.any():
        method, status = "none", "one arm has all the weight: nothing to compare"
    else:
        epochs = [(row[i], share[i]) for row, share, i in zip(kept[live], shares[live], inside[live], strict=True)]
        p, method = _fixed(kept[live], shares[live], epochs)
        log_e = math.fsum(float(log_e_value(n, q / q.sum(), concentration)) for n, q in epochs)
        method, status = f"{method}; sequential Dirichlet-multinomial e value", "ok"
        if math.isnan(log_e):
            p, log_e, status = None, None, f"too many {unit} to compute"
    sequential = None if log_e is None else math.exp(-max(log_e, 0.0))
    mismatch = sequential is not None and sequential <= alpha
    reasons = []
    if stray:
        reasons.append(f"{stray:.0f} {unit} in an arm of weight 0")
    if mismatch:
        seen, meant = (" : ".join(f"{x:.0f}" for x in numbers) for numbers in (kept.sum(0), expected))
        reasons.append(f"the split of {total:.0f} {unit} is not the intended one ({seen}, expected {meant})")
    return SampleRatio(
        observed=tuple(float(x) for x in counts.sum(0)),
        expected=tuple(float(x) for x in expected),
        p_value=p,
        e_value=None if log_e is None else math.exp(min(log_e, math.log(sys.float_info.max))),
        log_e_value=log_e,
        sequential_p_value=sequential,
        stray=stray,
        alarm=bool(reasons),
        reason="; ".join(reasons),
        alpha=alpha,
        method=method,
        replication=f"{total:.0f} {unit}",
        assumption=f"Each of the {unit} is counted once, at the first exposure, and assigned independently.",
        status=status,
    )


def _checked(observed: ArrayLike, weights: ArrayLike) -> tuple[Floats, Floats]:
    counts, shares = np.asarray(observed, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    counts = np.atleast_2d(counts)
    if counts.ndim != 2 or counts.shape[1] < 2:
        msg = f"observed has shape {counts.shape}: give (arm,) or (epoch, arm), with two arms or more"
        raise ValueError(msg)
    if shares.shape not in {counts.shape, counts.shape[1:]}:
        msg = (
            f"weights have shape {shares.shape}; observed has {counts.shape}: give the same shape or one weight an arm"
        )
        raise ValueError(msg)
    shares = np.broadcast_to(shares, counts.shape)
    for name, array in (("observed", counts), ("weights", shares)):
        if not (np.isfinite(array).all() and (array >= 0).all()):
            msg = f"{name} must be finite and not below 0"
            raise ValueError(msg)
    if not (shares.sum(1) > 0).all():
        msg = "weights are all 0 in an epoch: at least one arm must have some"
        raise ValueError(msg)
    return counts, shares


def _fixed(counts: Floats, shares: Floats, epochs: list[tuple[Floats, Floats]]) -> tuple[float, str]:
    """Fixed-sample p value over epochs, and its name."""
    if (shares == shares[0]).all():
        inside = shares[0] > 0
        return _one_split(counts.sum(0)[inside], shares[0][inside] / shares[0].sum())
    # The split changed: the score of all epochs together, Σ(n - expected), has the sum of their covariances.
    sizes = counts.sum(1)
    expected = sizes[:, None] * shares
    score = (counts - expected).sum(0)
    covariance = np.diag(expected.sum(0)) - np.einsum("e,ei,ej->ij", sizes, shares, shares)
    ever = np.diag(covariance) > 0
    if (np.diag(covariance)[ever] >= _EXPECTED).all():
        from scipy.special import chdtrc

        score, covariance = score[ever], covariance[np.ix_(ever, ever)]
        rank = int(np.linalg.matrix_rank(covariance, hermitian=True))
        statistic = float(score @ np.linalg.pinv(covariance, hermitian=True) @ score)
        return float(chdtrc(rank, max(statistic, 0.0))), f"χ² of {len(epochs)} epochs together, {rank} df"
    least = min(_one_split(n, q / q.sum())[0] for n, q in epochs)
    return min(1.0, least * len(epochs)), f"exact tests of {len(epochs)} epochs, Bonferroni"


@np.errstate(over="ignore", invalid="ignore")
def _one_split(counts: Floats, shares: Floats) -> tuple[float, str]:
    """P value of one split; all shares above 0."""
    n, k = float(counts.sum()), counts.size
    if k == 2 and n <= 2**53:
        return _binomial(float(counts[1]), n, float(shares[1])), "exact binomial"
    few = n <= _ENUMERATED and (n + k) ** (k - 1) / math.factorial(k - 1) <= _ENUMERATED
    if few and (counts == np.round(counts)).all():
        return _multinomial(counts, shares), "exact multinomial"
    if (n * shares >= _EXPECTED).all():
        from scipy.special import chdtrc

        statistic = float(((counts - n * shares) ** 2 / (n * shares)).sum())
        return float(chdtrc(k - 1, statistic)), f"χ², {k - 1} df"
    each = [_binomial(float(c), n, float(q)) for c, q in zip(counts, shares, strict=True)]
    return min(1.0, k * min(each)), "exact binomial for each arm, Bonferroni"


def _binomial(count: float, n: float, p: float) -> float:
    """Two-sided exact binomial p value: all outcomes that are no likelier than the one seen."""
    # Counts come from counters, which are floats: an increment may be off by an interpolation.
    n, count = round(n), round(count)
    bound = float(binomial_log_pmf(count, n, p)) + _TIES
    mode = math.floor((n + 1) * p)
    if count == mode or float(binomial_log_pmf(min(mode, n), n, p)) <= bound:
        return 1.0
    above = count > mode
    # On the other side of the mode the probability is monotone: search the last outcome that is no likelier.
    low, high = (-1, mode) if above else (mode, n + 1)
    while high - low > 1:
        middle = (low + high) // 2
        unlikely = float(binomial_log_pmf(middle, n, p)) <= bound
        if above == unlikely:
            low = middle
        else:
            high = middle
    if above:
        return min(1.0, float(binomial_sf(count, n, p)) + float(binomial_cdf(low, n, p)))
    return min(1.0, float(binomial_cdf(count, n, p)) + float(binomial_sf(high, n, p)))


def _multinomial(counts: Floats, shares: Floats) -> float:
    """Exact multinomial p value by enumeration."""
    from scipy.special import gammaln

    n = int(counts.sum())
    outcomes = np.zeros((1, 0), dtype=np.int64)
    for _ in range(counts.size - 1):
        left = n - outcomes.sum(1)
        repeated = np.repeat(outcomes, left + 1, axis=0)
        start = np.cumsum(left + 1) - (left + 1)
        column = np.arange(repeated.shape[0]) - np.repeat(start, left + 1)
        outcomes = np.column_stack([repeated, column])
    outcomes = np.column_stack([outcomes, n - outcomes.sum(1)])
    log = gammaln(n + 1) - gammaln(outcomes + 1).sum(1) + outcomes @ np.log(shares)
    seen = math.lgamma(n + 1) - float(gammaln(counts + 1).sum()) + float(counts @ np.log(shares))
    return float(min(1.0, np.exp(log[log <= seen + _TIES]).sum()))
