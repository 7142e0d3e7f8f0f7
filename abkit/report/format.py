"""Numbers, times and foreign text as people read them; one place for console and pages.

A number that does not exist is `MISSING`; why it does not is the row's status, shown beside it.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import floor, log10

from abkit.evidence import Interval
from abkit.spec import Kind

__all__ = [
    "MISSING",
    "age",
    "count",
    "days_left",
    "duration",
    "effects",
    "escape_html",
    "escape_markdown",
    "interval",
    "lift",
    "lift_interval",
    "moment",
    "p_value",
    "percent",
    "plain",
    "title",
    "values",
]

MISSING = "—"
"""What stands for a number that does not exist."""

_SIGNIFICANT = 3
# Markdown's own punctuation, and Streamlit's additions: $ starts a formula, : starts a colour, an icon or an emoji.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&=^])")
_MINUS = str.maketrans("-", "−")


def plain(text: str) -> str:
    r"""Text from a file, safe to put on a screen: no control characters, no escape codes, no change of direction.

    >>> plain("a\x1b[31mb\u202ec\nd")
    'a[31mbc d'
    """
    return "".join(
        " " if character in "\n\r\t" else character
        for character in text
        if character in "\n\r\t" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co"}
    )


def escape_html(text: str) -> str:
    """Text from a file as HTML that shows it.

    >>> escape_html('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(plain(text), quote=True)


def escape_markdown(text: str) -> str:
    r"""Text from a file as Streamlit's Markdown that shows it.

    >>> print(escape_markdown(":red[x] $y$ <b>"))
    \:red\[x\] \$y\$ \<b\>
    """
    return _MARKDOWN.sub(r"\\\1", plain(text))


def title(name: str) -> str:
    """A metric's or variant's name as a heading.

    >>> title("latency-p99"), title("click-rate")
    ('Latency P99', 'Click rate')
    """
    words = [word.upper() if re.fullmatch(r"p\d+", word) else word for word in plain(name).split("-")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


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


def lift_interval(bounds: Interval | None) -> str:
    """An interval of a relative change.

    >>> lift_interval((0.05, 0.112)), lift_interval((None, 0.02)), lift_interval(None)
    ('[+5.0 %, +11.2 %]', '(−∞, +2.0 %]', '—')
    """
    return interval(bounds, _lifts)


def interval(bounds: Interval | None, shown: Callable[..., tuple[str, ...]]) -> str:
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


def moment(at: datetime | None) -> str:
    """A point in time, in UTC.

    >>> moment(datetime(2026, 11, 4, 9, 30, tzinfo=UTC))
    '4 Nov 2026, 09:30 UTC'
    """
    if at is None:
        return MISSING
    utc = at.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def duration(length: timedelta) -> str:
    """A length of time in its largest unit.

    >>> duration(timedelta(days=3, hours=5)), duration(timedelta(minutes=61)), duration(timedelta(seconds=20))
    ('3 days', '1 hour', 'under a minute')
    """
    for size, word in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if length >= size:
            number = length // size
            return f"{number} {word}{'' if number == 1 else 's'}"
    return "under a minute"


def days_left(end: datetime | None, at: datetime | None) -> str:
    """What is left until the planned end; empty where there is no end to speak of.

    >>> days_left(datetime(2026, 11, 8, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC))
    '4 days left'
    """
    if end is None or at is None:
        return ""
    if at < end:
        return f"{duration(end - at)} left"
    return "planned end reached" if at - end < timedelta(hours=1) else f"ended {duration(at - end)} ago"


def age(at: datetime | None, now: datetime) -> str:
    """How old something is.

    >>> age(datetime(2026, 11, 4, tzinfo=UTC), datetime(2026, 11, 6, tzinfo=UTC))
    '2 days ago'
    """
    if at is None:
        return "no data yet"
    return "just now" if now - at < timedelta(minutes=1) else f"{duration(now - at)} ago"


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
