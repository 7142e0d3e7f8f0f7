"""Numbers, times and foreign text as people read them; one place for console and pages.

A number that does not exist is `MISSING`; why it does not is the row's status, shown beside it.
"""

from __future__ import annotations

import html
import re
import unicodedata
from datetime import UTC, datetime, timedelta

from abkit.wording import MISSING, count, effects, interval, lift, lift_interval, p_value, percent, values

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

# Markdown's own punctuation, and Streamlit's additions: $ starts a formula, : starts a colour, an icon or an emoji.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&=^])")


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
