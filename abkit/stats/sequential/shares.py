"""Counts against shares, at any time: the Dirichlet-multinomial mixture of Lindon & Malek."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.special import beta_log_ratio
from abkit.stats.values import Many, Text, Value, text, value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Multinomial", "log_e_value", "multinomial"]


@dataclass(frozen=True, eq=False)
class Multinomial(Many):
    """Sequential test of counts against shares, for one look or for many.

    Attributes:
        log_e_value: Natural logarithm of the e value; rejected at α once it reaches -ln α.
        p_value: Always-valid p value at this look, min(1, 1/E).
        method: How the numbers were made.
        replication: The unit counted.
        assumption: What has to hold.
        status: `ok`, or why there is no number.
    """

    log_e_value: Value
    p_value: Value
    method: str
    replication: str
    assumption: str
    status: Text


@np.errstate(all="ignore")
def log_e_value(counts: Floats, shares: Floats, concentration: float) -> Floats:
    """Ln E = lnB(kρ + S) - lnB(kρ) - ΣSᵢ ln ρᵢ, with the big terms cancelled analytically; NaN if too large.

    Split arm by arm: the multivariate beta function is a product of bivariate ones, arm i against all after it.

    Args:
        counts: (…, arm).
        shares: One an arm, all above 0, sum 1.
        concentration: The prior's k.
    """
    before = np.broadcast_to(concentration * shares, counts.shape)
    after = before + counts
    # Σ over the arms that are left, from the right.
    rest_before, rest_after = (np.cumsum(x[..., ::-1], axis=-1)[..., ::-1] for x in (before, after))
    share = before[..., :-1] / rest_before[..., :-1]
    ratio = beta_log_ratio(after[..., :-1], rest_after[..., 1:], share)
    found = (ratio - beta_log_ratio(before[..., :-1], rest_before[..., 1:], share)).sum(-1)
    return np.asarray(np.where(np.isfinite(found), found, np.nan))


def multinomial(observed: ArrayLike, weights: ArrayLike, concentration: float = 100.0) -> Multinomial:
    """Sequential multinomial test of counts against shares, valid at every look.

    Dirichlet-multinomial mixture: ln E = lnB(kρ + S) - lnB(kρ) - ΣSᵢ ln ρᵢ (Lindon & Malek, NeurIPS 2022, arXiv
    2011.03567). Valid for independent units, also under a shared rate that moves; not where events of one unit cluster.

    Args:
        observed: Counts, (…, arm); leading axes are looks or experiments.
        weights: Shares under the null, one an arm, any scale, all above 0.
        concentration: The prior's k: larger finds small deviations in large counts sooner.

    Raises:
        ValueError: Shapes that don't fit, counts below 0, weights not above 0.

    >>> round(multinomial([30, 70], [1, 1]).p_value, 7), round(multinomial([480, 560], [1, 1]).p_value, 7)
    (0.0247295, 0.203374)
    """
    counts, shares = np.asarray(observed, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if not counts.ndim or counts.shape[-1:] != shares.shape or counts.shape[-1] < 2:
        msg = (
            f"observed has shape {counts.shape} and weights {shares.shape}: "
            "give (…, arm) and one weight an arm, for two or more"
        )
        raise ValueError(msg)
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        msg = "observed must hold finite counts, none below 0"
        raise ValueError(msg)
    if not (np.isfinite(shares).all() and (shares > 0).all()):
        msg = "weights must be finite and above 0"
        raise ValueError(msg)
    log_e = log_e_value(counts, shares / shares.sum(), concentration)
    none = np.asarray(~counts.any(-1))
    good = ~none & np.isfinite(log_e)
    units = np.asarray(counts.sum(-1))
    return Multinomial(
        log_e_value=value(log_e, good),
        p_value=value(np.exp(-np.maximum(log_e, 0.0)), good),
        method=f"sequential multinomial test, Dirichlet mixture with concentration {concentration:g}",
        replication=f"{units.max(initial=0.0):.0f} units",
        assumption="Units are independent and each is counted once.",
        status=text(counts.shape[:-1], [(none, "no units yet"), (~good, "too large to compute")]),
    )
