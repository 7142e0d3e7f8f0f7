"""Several tests at once: p values adjusted so that the family keeps its error rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from abkit.stats.values import numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ADJUSTMENTS", "adjust", "adjust_e"]

ADJUSTMENTS = ("holm", "benjamini-hochberg", "bonferroni")
"""Holm and Bonferroni keep the chance of any false winner, Benjamini-Hochberg the share of false ones among the
winners."""

_ALSO = {"bh": "benjamini-hochberg", "fdr_bh": "benjamini-hochberg"}
"""What others call them."""


def adjust(
    p_values: ArrayLike | Sequence[float | None], method: str = "holm"
) -> NDArray[np.float64] | np.ma.MaskedArray[Any, Any]:
    """Adjusted p values, to be held against α itself.

    Args:
        p_values: The family on the last axis. None or masked where a test has no p value: it stays so, and doesn't
            count.
        method: `holm` (Holm 1979), `benjamini-hochberg` (1995; also `bh` or `fdr_bh`) or `bonferroni`.

    Returns:
        The same shape: a plain array, or a masked one where p values were missing.

    Raises:
        ValueError: Unknown method, or a p value outside 0 … 1.

    >>> adjust([0.01, 0.04, 0.03]).round(4).tolist(), adjust([0.01, None, 0.04], "bonferroni").tolist()
    ([0.03, 0.06, 0.06], [0.02, None, 0.08])
    """
    method = _ALSO.get(method, method)
    if method not in ADJUSTMENTS:
        msg = f"method is {method!r}; valid: {', '.join(ADJUSTMENTS)}"
        raise ValueError(msg)
    p = numbers(p_values)
    if p.ndim == 0:
        msg = "p_values is a single number: give the family on the last axis"
        raise ValueError(msg)
    missing = np.isnan(p)
    if ((p < 0) | (p > 1)).any():
        msg = f"p_values holds {p[(p < 0) | (p > 1)].flat[0]!r}; a p value lies between 0 and 1"
        raise ValueError(msg)
    order = np.argsort(np.where(missing, np.inf, p), axis=-1, kind="stable")
    ranked = np.take_along_axis(np.where(missing, 1.0, p), order, axis=-1)
    m = (~missing).sum(-1, keepdims=True).astype(np.float64)
    rank = np.arange(1, p.shape[-1] + 1, dtype=np.float64)
    absent = rank > m
    if method == "bonferroni":
        scaled = ranked * m
    elif method == "holm":
        scaled = np.maximum.accumulate(np.where(absent, 0.0, ranked * np.maximum(m - rank + 1, 1.0)), axis=-1)
    else:
        candidates = np.where(absent, 1.0, ranked * m / rank)
        scaled = np.minimum.accumulate(candidates[..., ::-1], axis=-1)[..., ::-1]
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(scaled, 1.0), axis=-1)
    if isinstance(p_values, np.ma.MaskedArray) or missing.any():
        return np.ma.MaskedArray(np.where(missing, np.nan, adjusted), mask=missing, fill_value=np.nan)
    return adjusted


def adjust_e(
    e_values: ArrayLike | Sequence[float | None], *, logarithm: bool = False
) -> NDArray[np.float64] | np.ma.MaskedArray[Any, Any]:
    """e-BH: the smallest α at which each e value is a discovery, with a false share of at most α.

    The k largest of m e values are discoveries where the k-th is at least m/(kα) (Wang & Ramdas, JRSS B 2022):
    Benjamini-Hochberg on 1/e, but valid however the e values depend on one another, and at any time if they are. That
    is what results of several metrics of the same users, read at every look, need.

    Args:
        e_values: The family on the last axis; None or masked where a test has none: it stays so, and doesn't count.
        logarithm: Whether they are given as logarithms, which don't overflow.

    Returns:
        The same shape, between 0 and 1, to be held against α itself: a plain array, or a masked one where e values were
        missing.

    Raises:
        ValueError: An e value below 0, or a single number.

    >>> adjust_e([40.0, 2.0, 60.0]).round(4).tolist()
    [0.0375, 0.5, 0.0375]
    """
    e = numbers(e_values)
    if not logarithm and (e < 0).any():
        msg = f"e_values holds {e[e < 0].flat[0]!r}; an e value is 0 or more"
        raise ValueError(msg)
    with np.errstate(divide="ignore", over="ignore"):
        log_e = e if logarithm else np.log(e)
        p = np.exp(-np.maximum(log_e, 0.0))
    missing = np.ma.getmaskarray(e_values) if isinstance(e_values, np.ma.MaskedArray) else np.isnan(e)
    if isinstance(e_values, np.ma.MaskedArray) or missing.any():
        return adjust(np.ma.MaskedArray(p, mask=missing | np.isnan(e)), "benjamini-hochberg")
    return adjust(p, "benjamini-hochberg")
