"""Weights for several variants by the probability that each is the best: a proposal, never a change.

Thompson sampling sends traffic to a variant as often as it is probable that it is the best. Weights that follow the
data make later comparisons harder: strata are weight epochs, and a small arm says little. So every variant keeps a
floor, and a person, or a rule a person wrote, applies what is proposed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.special import normal_cdf
from abkit.stats.values import numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["BanditProposal", "bandit"]

_NODES = 64
"""Gauss-Legendre nodes in each piece of the integral."""

_WIDE = 8.5
"""Standard deviations beyond which a posterior has no mass."""

_NEVER, _SHARPEST = 1e6, 1e-9
"""Widest posteriors below the best mean beyond which a variant has no chance; the sharpest posterior beside it."""


@dataclass(frozen=True, slots=True)
class BanditProposal:
    """Weights that Thompson sampling would set.

    Attributes:
        weights: One a variant, whole numbers that sum to `total`; None without a posterior for each variant.
        p_best: Probability that each variant is the best; None likewise.
        expected_loss: What staying with each variant costs on average against the best, on the scale of the means.
        floor: Each variant's least weight.
        total: Sum of the weights.
        better: increase or decrease.
        method: How the numbers were made.
        replication: Empty: what the standard errors were made of says it.
        assumption: What has to hold.
        status: `ok`, or why nothing is proposed.
    """

    weights: tuple[int, ...] | None
    p_best: tuple[float, ...] | None
    expected_loss: tuple[float, ...] | None
    floor: int
    total: int
    better: str
    method: str
    replication: str
    assumption: str
    status: str


def bandit(
    mean: ArrayLike | Sequence[float | None] | None = None,
    standard_deviation: ArrayLike | Sequence[float | None] | None = None,
    *,
    successes: ArrayLike | None = None,
    trials: ArrayLike | None = None,
    prior: tuple[float, float] = (1.0, 1.0),
    design_effect: float = 1.0,
    better: str = "increase",
    floor: int = 500,
    total: int = 10_000,
) -> BanditProposal:
    """Thompson weights with a floor, by numerical integration: the same data give the same proposal.

    The posteriors are either normal, from an estimate of each variant and its standard error (the log of a variant's
    ratio, so that variants compare by their log ratio), or beta, from successes and trials. P(best) = ∫ f_i·Π F_j. What
    lies above the floors is shared out by P(best) (Thompson, Biometrika 1933; Scott, 2010), rounded by largest
    remainders.

    Args:
        mean: Posterior mean of each variant, the control first; None or masked where there is none.
        standard_deviation: Posterior standard deviation of each variant, independent between variants.
        successes: Instead: successes of each variant.
        trials: And its trials.
        prior: Beta prior, (successes, failures), with `successes`.
        design_effect: By how much clusters raise the variance of a share: trials are divided by it.
        better: `increase` or `decrease`.
        floor: Least weight of each variant, in basis points if the total is 10,000.
        total: Sum of the weights.

    Raises:
        ValueError: Not exactly one kind of posterior, fewer than two variants, shapes that don't fit, counts that are
            none, a floor that doesn't fit into the total.

    >>> found = bandit(successes=[100, 130, 90], trials=[1000, 1000, 1000])
    >>> found.weights, [round(p, 3) for p in found.p_best]
    ((650, 8835, 515), [0.018, 0.981, 0.002])
    """
    if better not in ("increase", "decrease"):
        msg = f"better is {better!r}; valid: increase, decrease"
        raise ValueError(msg)
    if (mean is None) == (successes is None) or (mean is None) != (standard_deviation is None):
        msg = "give either mean and standard_deviation, or successes and trials"
        raise ValueError(msg)
    if (successes is None) != (trials is None):
        msg = "successes and trials go together"
        raise ValueError(msg)
    first, second = (
        (numbers(mean), numbers(standard_deviation)) if successes is None else (numbers(successes), numbers(trials))
    )
    if first.ndim != 1 or first.shape != second.shape or first.size < 2:
        msg = f"there are {first.shape} and {second.shape} numbers: give one a variant, for two or more"
        raise ValueError(msg)
    arms = first.size
    if not (floor >= 0 and floor * arms <= total):
        msg = f"a floor of {floor} for each of {arms} variants doesn't fit into {total}"
        raise ValueError(msg)
    method = "Thompson weights by numerical integration, "
    if successes is None:
        method += "normal posteriors"
        assumption = "Posteriors of different variants are normal and independent of one another."
        missing = ~(np.isfinite(first) & np.isfinite(second) & (second > 0))
    else:
        method += f"beta posteriors, prior ({prior[0]:g}, {prior[1]:g})"
        assumption = "Trials are as independent as the design effect says."
        missing = ~(np.isfinite(first) & np.isfinite(second))
        if ((first < 0) | (first > second)).any() or not (min(prior) > 0 and design_effect > 0):
            msg = "successes must lie between 0 and the trials; prior and design_effect must be above 0"
            raise ValueError(msg)
    words = floor, total, better, method, "", assumption
    if missing.any():
        which = int(np.flatnonzero(missing)[0])
        name = "control" if which == 0 else f"variant {which}"
        return BanditProposal(None, None, None, *words, f"no posterior for the {name}: weights stay as they are")
    with np.errstate(all="ignore"):
        best, loss = (
            _normal(first, second, better)
            if successes is None
            else _beta(prior[0] + first / design_effect, prior[1] + (second - first) / design_effect, better)
        )
    if not (np.isfinite(best).all() and np.isfinite(loss).all()):
        return BanditProposal(None, None, None, *words, "too large to compute: weights stay as they are")
    return BanditProposal(_rounded(best, floor, total), tuple(best.tolist()), tuple(loss.tolist()), *words, "ok")


def _normal(mean: Floats, sd: Floats, better: str) -> tuple[Floats, Floats]:
    sign = 1.0 if better == "increase" else -1.0
    # In units of the widest posterior, from the best mean down: what is a million of them below is never the best.
    unit = sd.max()
    with np.errstate(over="ignore"):
        below = sign * mean - (sign * mean).max()
        centre = np.maximum(below / unit, -_NEVER)
    sd = np.maximum(sd / unit, _SHARPEST)
    ends = np.unique(np.concatenate([centre + side * width * sd for side in (-1, 1) for width in (0, 1.5, 4, _WIDE)]))
    x, weight = _pieces(ends)
    z = (x - centre[:, None]) / sd[:, None]
    density = np.exp(-0.5 * z * z) / (sd[:, None] * math.sqrt(2 * math.pi))
    best, loss = _best(x, weight, density, normal_cdf(z), centre)
    # The loss of what was cut off is its distance, which no other part of it reaches.
    return best, np.where(centre > -_NEVER, loss * unit, np.minimum(-below, np.finfo(np.float64).max))


def _beta(a: Floats, b: Floats, better: str) -> tuple[Floats, Floats]:
    from scipy.special import betainc, betaln

    from abkit.stats.special import beta_quantile

    if better == "decrease":
        # The smallest share is the largest share of failures.
        a, b = b, a
    tails = np.array([1e-17, 1e-9, 1e-4, 0.02, 0.2, 0.5])
    ends = np.unique(np.concatenate([beta_quantile(p, a, b) for p in (*tails, *(1 - tails))] + [[0.0, 1.0]]))
    x, weight = _pieces(ends)
    log = (a - 1)[:, None] * np.log(x) + (b - 1)[:, None] * np.log1p(-x) - betaln(a, b)[:, None]
    cdf: Floats = np.asarray(betainc(a[:, None], b[:, None], x), dtype=np.float64)
    return _best(x, weight, np.exp(log), cdf, a / (a + b))


def _pieces(ends: Floats) -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss-Legendre in each piece between neighbouring ends."""
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    half = 0.5 * np.diff(ends)
    x = (ends[:-1] + half)[:, None] + half[:, None] * node
    return x.ravel(), (half[:, None] * weight).ravel()


def _best(x: Floats, weight: Floats, density: Floats, cdf: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """P(best), and E(max) - mean, of each variant: larger is better."""
    arms = mean.size
    others = np.array([np.prod(np.delete(cdf, i, axis=0), axis=0) for i in range(arms)])
    share = (density * others * weight).sum(-1)
    largest = float((density * others * weight * x).sum())
    return share / share.sum(), np.maximum(largest / share.sum() - mean, 0.0)


def _rounded(best: Floats, floor: int, total: int) -> tuple[int, ...]:
    """Floors, and the rest by share, in whole numbers that sum to the total."""
    rest = total - floor * best.size
    exact = best * rest
    whole = np.floor(exact).astype(int)
    # Ties go to the variant that comes first, the control before all.
    order = np.argsort(-(exact - whole), kind="stable")
    whole[order[: rest - int(whole.sum())]] += 1
    return tuple(int(floor + w) for w in whole)
