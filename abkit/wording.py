"""Numbers as people read them, in verdicts, on consoles and on pages alike."""

from __future__ import annotations

from collections.abc import Callable
from math import floor, log2, log10

from abkit.spec import Kind

__all__ = ["MISSING", "count", "effects", "interval", "lift", "lift_interval", "p_value", "percent", "plural", "values"]

MISSING = "—"
"""What stands for a number that does not exist."""

_SIGNIFICANT = 3
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
_MINUS = str.maketrans("-", "−")

Bounds = tuple[float | None, float | None]


def percent(share: float | None) -> str:
    """A share, 0 … 1, with three significant digits.

    >>> percent(0.0321), percent(0.5), percent(0.00042), percent(None)
    ('3.21 %', '50.0 %', '0.0420 %', '—')
    """
    return values(Kind.PROPORTION, "", share)[0]


def count(number: int | None) -> str:
    """A count with thousands.

    >>> count(1234567)
    '1,234,567'
    """
    return MISSING if number is None else f"{number:,}"


def plural(number: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> plural(1, "restart"), plural(1_200, "restart"), plural(3, "series", "series")
    ('1 restart', '1,200 restarts', '3 series')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def values(kind: Kind | None, unit: str, *numbers: float | None) -> tuple[str, ...]:
    """Values of one metric, all in the same unit and with the same number of decimals.

    Args:
        kind: The metric's kind; None where it isn't known.
        unit: The metric's unit, such as `s`.
        *numbers: The values.

    >>> values(Kind.PROPORTION, "", 0.0321, 0.0347)
    ('3.21 %', '3.47 %')
    >>> values(Kind.QUANTILE, "s", 0.342, None)
    ('342 ms', '—')
    >>> values(Kind.GAUGE, "bytes", 150.0 * 2**20, 151.5 * 2**20)
    ('150 MiB', '152 MiB')
    >>> values(Kind.RATE, "requests/s", 41.23), values(Kind.RATIO, "orders", 0.0432)
    (('41.2 /s',), ('0.0432',))
    """
    return _shown(kind, unit, numbers, signed=False)


def effects(kind: Kind | None, unit: str, *numbers: float | None) -> tuple[str, ...]:
    """Differences of one metric's values, signed; of proportions in percentage points.

    >>> effects(Kind.PROPORTION, "", 0.0026, -0.0101)
    ('+0.26 pp', '−1.01 pp')
    >>> effects(Kind.MEAN, "s", 0.012)
    ('+12.0 ms',)
    """
    return _shown(kind, unit, numbers, signed=True)


def lift(number: float | None) -> str:
    """A relative change; 0.081 is `+8.1 %`.

    >>> lift(0.081), lift(-0.0004), lift(0.0), lift(None)
    ('+8.1 %', '−0.040 %', '0.0 %', '—')
    """
    return _lifts(number)[0]


def lift_interval(bounds: Bounds | None) -> str:
    """An interval of a relative change.

    >>> lift_interval((0.05, 0.112)), lift_interval((None, 0.02)), lift_interval(None)
    ('[+5.0 %, +11.2 %]', '(−∞, +2.0 %]', '—')
    """
    return interval(bounds, _lifts)


def interval(bounds: Bounds | None, shown: Callable[..., tuple[str, ...]]) -> str:
    """An interval; open sides are infinite.

    Args:
        bounds: Low and high.
        shown: Writes several numbers in one manner.
    """
    if bounds is None or bounds == (None, None):
        return MISSING
    low, high = shown(*bounds)
    left = "(−∞" if bounds[0] is None else f"[{low}"
    right = "∞)" if bounds[1] is None else f"{high}]"
    return f"{left}, {right}"


def p_value(number: float | None) -> str:
    """A p-value, with three decimals.

    >>> p_value(0.0123), p_value(1e-9), p_value(None)
    ('0.012', '< 0.001', '—')
    """
    if number is None:
        return MISSING
    return "< 0.001" if number < 0.001 else f"{number:.3f}"


def _lifts(*numbers: float | None) -> tuple[str, ...]:
    largest = max((abs(number) * 100 for number in numbers if number is not None), default=0.0)
    decimals = 0 if largest >= 100 else 1 if largest >= 1 or largest == 0 else _decimals(largest, 2)
    return tuple(
        MISSING if number is None else _number(100 * number, decimals, signed=True) + " %" for number in numbers
    )


def _shown(kind: Kind | None, unit: str, numbers: tuple[float | None, ...], *, signed: bool) -> tuple[str, ...]:
    largest = max((abs(number) for number in numbers if number is not None), default=0.0)
    factor, suffix = _unit(kind, unit, largest, signed=signed)
    decimals = _decimals(largest * factor, _SIGNIFICANT)
    return tuple(
        MISSING if number is None else _number(number * factor, decimals, signed=signed) + suffix for number in numbers
    )


def _unit(kind: Kind | None, unit: str, largest: float, *, signed: bool) -> tuple[float, str]:
    if kind is Kind.PROPORTION:
        return 100.0, " pp" if signed else " %"
    if unit in {"s", "seconds"}:
        return (1000.0, " ms") if largest < 1 else (1.0, " s")
    if unit in {"ms", "milliseconds"}:
        return (1.0, " ms") if largest < 1000 else (0.001, " s")
    if unit in {"B", "bytes"}:
        power = min(max(floor(log2(largest) / 10), 0), len(_BYTES) - 1) if largest >= 1 else 0
        return 1024.0**-power, f" {_BYTES[power]}"
    # Long units ("orders per page view") are said in the metric's meaning: a column of numbers has no room for them.
    return (1.0, " /s") if unit.endswith("/s") else (1.0, "")


def _decimals(largest: float, significant: int) -> int:
    if largest == 0:
        return 0
    return min(max(significant - 1 - floor(log10(largest)), 0), 9)


def _number(number: float, decimals: int, *, signed: bool) -> str:
    rounded = round(number, decimals)
    if rounded == 0:
        return f"{0:.{decimals}f}"
    return f"{rounded:{'+' if signed else ''},.{decimals}f}".translate(_MINUS)
