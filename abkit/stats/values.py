"""How numbers leave: Python floats or None for one comparison, masked arrays for many.

A number that does not exist must not be mistaken for one. For a single comparison it is None. For many it is masked:
under the mask lies NaN, so that even who strips the mask gets no number. `tolist()` of such an array has None in the
gaps.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Flag", "Interval", "Many", "Text", "Value", "flag", "interval", "numbers", "pick", "text", "value"]

Value: TypeAlias = Any
"""A number: `float | None` for a single comparison, `numpy.ma.MaskedArray` of float64 for many."""

Interval: TypeAlias = Any
"""`(low, high)`: of floats or None as a whole for a single comparison, of masked arrays for many. An open end is
infinite."""

Flag: TypeAlias = Any
"""`bool` for a single comparison, an array of bool for many."""

Text: TypeAlias = Any
"""`str` for a single comparison, an array of `str` (dtype object) for many."""

_Result = TypeVar("_Result")


class Many:
    """What a result is that stands for one comparison or for many: a dataclass of the types above."""

    def at(self, *index: int) -> Self:
        """One out of many, with Python floats and None; looks or segments that lie behind the index stay an axis."""
        return pick(self, index)


def value(x: ArrayLike, exists: ArrayLike = True) -> Value:
    """A number as it leaves.

    Args:
        x: The number or numbers; NaN where there is none.
        exists: Where it exists, beside not being NaN; broadcast against `x`.

    >>> value(2.5), value(2.5, False)
    (2.5, None)
    >>> value([1.0, 2.0], [True, False]).tolist()
    [1.0, None]
    """
    array, there = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(exists, dtype=bool))
    there = there & ~np.isnan(array)
    if array.ndim == 0:
        return float(array) if there else None
    return np.ma.MaskedArray(np.where(there, array, np.nan), mask=~there, fill_value=np.nan)


def interval(low: ArrayLike, high: ArrayLike, exists: ArrayLike = True) -> Interval:
    """An interval as it leaves: both ends exist, or neither.

    >>> interval(0.1, 0.2), interval(0.1, 0.2, False)
    ((0.1, 0.2), None)
    """
    there = np.asarray(exists, dtype=bool) & ~np.isnan(low) & ~np.isnan(high)
    ends = value(low, there), value(high, there)
    return None if ends[0] is None else ends


def flag(x: ArrayLike) -> Flag:
    """A yes or no as it leaves."""
    array = np.asarray(x, dtype=bool)
    return bool(array) if array.ndim == 0 else array


def text(shape: tuple[int, ...], cases: Sequence[tuple[ArrayLike, str]], otherwise: str = "ok") -> Text:
    """The first case that applies, for each comparison.

    >>> text((), [(False, "no data"), (True, "one cluster")])
    'one cluster'
    >>> text((2,), [([True, False], "no data")]).tolist()
    ['no data', 'ok']
    """
    chosen = np.full(shape, otherwise, dtype=object)
    for where, reason in reversed(cases):
        chosen[np.broadcast_to(np.asarray(where, dtype=bool), shape)] = reason
    return chosen.item() if not shape else chosen


def numbers(x: Any) -> NDArray[np.float64]:
    """Numbers as they come in: None and masked become NaN, for use inside only.

    >>> numbers([1, None]).tolist()
    [1.0, nan]
    """
    if isinstance(x, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(x), np.nan, np.ma.getdata(x).astype(np.float64))
    # numpy reads None as NaN.
    return np.asarray(x, dtype=np.float64)


def pick(result: _Result, index: tuple[int, ...]) -> _Result:
    """One comparison out of a result of many, as Python numbers; arrays where a field has more axes than the index."""
    chosen = {f.name: _pick(getattr(result, f.name), index) for f in fields(result)}  # type: ignore[arg-type]
    return replace(result, **chosen)  # type: ignore[type-var]


def _pick(x: Any, index: tuple[int, ...]) -> Any:
    if isinstance(x, np.ma.MaskedArray):
        chosen = x[index]
        # Looks, days or segments lie behind the comparisons: what is left of such a field is still many.
        if chosen is not np.ma.masked and np.ndim(chosen):
            return chosen
        return None if chosen is np.ma.masked else float(chosen)
    if isinstance(x, np.ndarray):
        return x[index] if x.dtype == object or np.ndim(x[index]) else x[index].item()
    if is_dataclass(x) and hasattr(x, "at"):
        return pick(x, index)
    if isinstance(x, tuple) and x and all(isinstance(part, np.ndarray) for part in x):
        parts = tuple(_pick(part, index) for part in x)
        return None if all(part is None for part in parts) else parts
    return x
