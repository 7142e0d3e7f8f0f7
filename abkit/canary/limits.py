"""Absolute limits on shares, judged with statistical certainty and at any time.

One error in ten requests is no breach of 1 %: the next hundred may be fine. Eight in a hundred is. The test is a
one-sided e-process, so a job may look every minute and still be wrong about a share on its limit in at most α of all
canaries.

A limit on a quantile is a limit on a share: P99 is above 500 ms exactly if more than 1 % are slower than 500 ms.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import divide
from abkit.stats.histogram import check_edges
from abkit.stats.special import beta_log_ratio, check_share, log_beta_sf
from abkit.stats.values import Flag, Text, Value, flag, pick, text, value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Dispersion", "LimitCheck", "SlowShare", "beyond", "dispersion", "slow_share"]

_FEWEST_CELLS = 8
"""Cells with enough expected events from which a dispersion is estimated."""


@dataclass(frozen=True, eq=False)
class LimitCheck:
    """Whether a share is beyond its limit, for one canary or for many.

    Attributes:
        events: As given.
        trials: As given.
        share: Events over trials.
        limit: The limit.
        upper: Whether beyond means above; else below.
        beyond: The share is certainly beyond the limit: e value ≥ 1/α.
        within: The share is certainly on the right side of it, at the same α.
        e_value: Evidence for beyond; capped at the largest float.
        p_value: min(1, 1/E): may be read at any time.
        alpha: Level of `beyond`, and of `within`.
        dispersion: What the counts were divided by.
        method: How the numbers were made.
        replication: The unit counted.
        assumption: What has to hold.
        status: `ok`, or why there is no answer; `beyond` and `within` are then both false.
    """

    events: Value
    trials: Value
    share: Value
    limit: float
    upper: bool
    beyond: Flag
    within: Flag
    e_value: Value
    p_value: Value
    alpha: float
    dispersion: Value
    method: str
    replication: str
    assumption: str
    status: Text

    def at(self, *index: int) -> LimitCheck:
        """One canary out of many, with Python numbers and None."""
        return pick(self, index)


def beyond(
    events: ArrayLike,
    trials: ArrayLike,
    limit: float,
    dispersion: ArrayLike = 1.0,
    alpha: float = 0.05,
    upper: bool = True,
) -> LimitCheck:
    """Is a share beyond a limit, with certainty, at this look and at all others?

    One-sided beta-binomial mixture: E = ∫ p^S·(1-p)^F·π(p) dp / (p₀^S·(1-p₀)^F) over p > p₀, with π a beta truncated to
    p > p₀. Under any share up to p₀ the likelihood ratio of every p > p₀ is a supermartingale, hence so is their
    mixture, and P(E ever ≥ 1/α) ≤ α (Ville; Robbins, Annals of Mathematical Statistics 1970). π is Beta(1,
    (1-p₀)/p₀): it expects breaches of the size of the limit itself. Counts are divided by the dispersion first
    (quasi-likelihood).

    Args:
        events: What the limit is on: errors, slow requests; or successes with `upper=False`.
        trials: All of them.
        limit: Share, 0 < limit < 1.
        dispersion: φ ≥ 1, variance over that of independent events; see `dispersion`.
        alpha: Chance of ever calling a share on the limit beyond it. Split it over the limits that are judged.
        upper: Whether beyond means above the limit; else below it.

    Raises:
        ValueError: A limit or α outside 0 … 1, a dispersion below 1, counts that are not finite, negative, or events
            above trials.

    >>> beyond(1, 10, 0.01).beyond, beyond(8, 100, 0.01).beyond, beyond(99_000, 100_000, 0.999, upper=False).beyond
    (False, True, True)
    """
    check_share("limit", limit)
    check_share("alpha", alpha)
    k, n, phi = (np.asarray(x, dtype=np.float64) for x in np.broadcast_arrays(events, trials, dispersion))
    if not (np.isfinite(k).all() and np.isfinite(n).all() and (k >= 0).all() and (k <= n).all()):
        msg = "events and trials must be finite, with 0 <= events <= trials"
        raise ValueError(msg)
    if not (np.isfinite(phi).all() and (phi >= 1).all()):
        msg = f"dispersion is {phi.min()!r}; it must be finite and at least 1"
        raise ValueError(msg)
    hits, misses = k / phi, (n - k) / phi
    above = _log_e(hits, misses, limit)
    below = _log_e(misses, hits, 1 - limit)
    log_e, log_opposite = (above, below) if upper else (below, above)
    bar = -math.log(alpha)
    none = n == 0
    return LimitCheck(
        events=value(k),
        trials=value(n),
        share=value(divide(k, n)),
        limit=limit,
        upper=upper,
        beyond=flag((log_e >= bar) & ~none),
        within=flag((log_opposite >= bar) & ~none),
        e_value=value(np.exp(np.minimum(log_e, math.log(sys.float_info.max))), ~none),
        p_value=value(np.exp(-np.maximum(log_e, 0.0)), ~none),
        alpha=alpha,
        dispersion=value(phi),
        method="one-sided beta-binomial mixture e-process on the share" + (", dispersed" if (phi > 1).any() else ""),
        replication="events divided by their dispersion" if (phi > 1).any() else "events",
        assumption=(
            "Events vary between users and instances by no more than the dispersion says; "
            "the share may move, as long as it stays on the right side of the limit."
        ),
        status=text(k.shape, [(none, "no data")]),
    )


def _log_e(hits: Floats, misses: Floats, p0: float) -> Floats:
    """Ln E of a share above p0."""
    a, b = 1.0, max((1 - p0) / p0, 1.0)
    posterior = beta_log_ratio(a + hits, b + misses, p0) + log_beta_sf(p0, a + hits, b + misses)
    prior = beta_log_ratio(a, b, p0) + log_beta_sf(p0, a, b)
    return posterior - prior


@dataclass(frozen=True, eq=False)
class Dispersion:
    """How much more events vary than independent ones would.

    Attributes:
        value: φ = max(1, Pearson's χ²/df); none where too few cells have enough events.
        df: Cells used - 1.
        cells: Cells used.
        method: How it was made.
        replication: What the cells are.
        assumption: What has to hold.
        status: `ok`, or why there is no value.
    """

    value: Value
    df: Value
    cells: Value
    method: str
    replication: str
    assumption: str
    status: Text

    def at(self, *index: int) -> Dispersion:
        """One dispersion out of many."""
        return pick(self, index)


def dispersion(num: ArrayLike, den: ArrayLike, *, minimum_expected: float = 1.0, cell: str = "cell") -> Dispersion:
    """Dispersion of a share between cells: hash replicates, or instance × minute.

    Pearson's χ²/df of binomial counts with one common share (McCullagh & Nelder, Generalized Linear Models, ch. 4.5).
    Cells enter by what they expect, never by what they saw, so that choosing them doesn't bias the result.

    Args:
        num: Events, (…, cell).
        den: Trials, same shape.
        minimum_expected: Events, and non-events, that a cell must expect to be used.
        cell: What a cell is, for the words of the result.

    Raises:
        ValueError: Counts that are not finite, negative, events above trials, or shapes that don't fit.

    >>> dispersion([2, 9, 1, 8, 2, 10, 1, 7], [100] * 8).value > 2
    True
    """
    k, n = np.broadcast_arrays(np.asarray(num, dtype=np.float64), np.asarray(den, dtype=np.float64))
    if k.ndim == 0:
        msg = "num and den are single numbers: give them per cell, on the last axis"
        raise ValueError(msg)
    if not (np.isfinite(k).all() and np.isfinite(n).all() and (k >= 0).all() and (k <= n).all()):
        msg = "num and den must be finite, with 0 <= num <= den"
        raise ValueError(msg)
    share = np.nan_to_num(divide(k.sum(-1, keepdims=True), n.sum(-1, keepdims=True)))
    used = (n * np.minimum(share, 1 - share) >= minimum_expected) & (n > 0) & (share > 0) & (share < 1)
    # The share of the cells that are used: one more degree of freedom is lost there, and none elsewhere.
    share = divide(np.where(used, k, 0.0).sum(-1, keepdims=True), np.where(used, n, 0.0).sum(-1, keepdims=True))
    expected = n * share
    square = divide((k - expected) ** 2, expected * (1 - share))
    cells = used.sum(-1)
    df = np.maximum(cells - 1, 0).astype(np.float64)
    phi = divide(np.where(used, np.nan_to_num(square), 0.0).sum(-1), df)
    few = cells < _FEWEST_CELLS
    some = np.isfinite(phi)
    return Dispersion(
        value=value(np.maximum(np.where(some, phi, 1.0), 1.0), ~few & some),
        df=value(df),
        cells=value(cells.astype(np.float64)),
        method=f"Pearson χ²/df over {cell}s that expect {minimum_expected:g} or more events",
        replication=f"{cell}s",
        assumption=f"One share holds for all {cell}s; what differs between them beyond chance is dispersion.",
        status=text(
            cells.shape,
            [
                (n.sum(-1) == 0, "no data"),
                (few, f"fewer than {_FEWEST_CELLS} {cell}s expect {minimum_expected:g} or more events"),
            ],
        ),
    )


@dataclass(frozen=True, eq=False)
class SlowShare:
    """Events slower than a threshold, as far as buckets know.

    Attributes:
        slow: Events slower than `edge`; none where no finite edge reaches the threshold.
        total: All events.
        edge: The smallest finite edge ≥ threshold: what was used in its place.
        threshold: As asked.
        exact: Whether the edge is the threshold. If not, events between the two are not counted as slow.
        method: How the numbers were made.
        replication: The unit counted.
        assumption: What has to hold.
        status: `ok`, or why there is no number.
    """

    slow: Value
    total: Value
    edge: float | None
    threshold: float
    exact: bool
    method: str
    replication: str
    assumption: str
    status: Text

    def at(self, *index: int) -> SlowShare:
        """One share out of many."""
        return pick(self, index)


def slow_share(edges: ArrayLike, counts: ArrayLike, threshold: float, *, cumulative: bool = False) -> SlowShare:
    """Events slower than a threshold: P99 above the threshold exactly if they are more than 1 %.

    Conservative: where no edge is the threshold, the next one above it is used, and events in between pass.

    Args:
        edges: Upper edges (`le`), rising, the last one +Inf; in the unit of `threshold`.
        counts: Events, (…, bucket).
        threshold: What counts as slow.
        cumulative: Whether counts are those up to each edge, instead of each bucket's own.

    Raises:
        ValueError: Edges that don't rise to +Inf, counts of another length, not finite or negative; a threshold that
            isn't finite.

    >>> found = slow_share([0.1, 0.5, 1.0, float("inf")], [90, 5, 4, 1], 0.4)
    >>> found.slow, found.total, found.edge, found.exact
    (5.0, 100.0, 0.5, False)
    """
    le = check_edges(edges)
    array = np.asarray(counts, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != le.size:
        msg = f"counts have shape {array.shape}; there are {le.size} edges, on the last axis"
        raise ValueError(msg)
    if not np.isfinite(array).all() or (array < 0).any():
        msg = "counts must be finite and not below 0"
        raise ValueError(msg)
    if not math.isfinite(threshold):
        msg = f"threshold is {threshold!r}; it must be finite"
        raise ValueError(msg)
    upto = array if cumulative else np.cumsum(array, axis=-1)
    total = upto[..., -1]
    index = int(np.searchsorted(le, threshold))
    beyond_last = index == le.size - 1
    edge = None if beyond_last else float(le[index])
    slow = np.maximum(total - upto[..., index], 0.0)
    return SlowShare(
        slow=value(slow, np.full(total.shape, not beyond_last)),
        total=value(total),
        edge=edge,
        threshold=threshold,
        exact=edge == threshold,
        method="events above the last finite edge" if edge is None else f"events above the edge {edge:g}",
        replication="events",
        assumption="None: buckets know the share at an edge exactly.",
        status=text(
            total.shape,
            [
                (np.full(total.shape, beyond_last), f"the last finite edge, {le[-2]:g}, is below {threshold:g}"),
                (total == 0, "no data"),
            ],
        ),
    )
