"""Expressions that split users by the decimal digits of an id that isn't decimal: whom they lose.

The expressions are not read but tried, on every ending (or beginning) of one to three hexadecimal digits, behind
several stems: the shares are exact counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import re2

from abkit.routing.lint.patterns import compiled

__all__ = ["Lost", "is_id_header", "lost"]

_HEX: Final = "0123456789abcdef"
# Ids as md5 and UUID write them, with edges of digits and of letters: whatever an expression asks of the rest.
_EDGES: Final = ("0000", "ffff", "7c7c", "c7c7")
_FAMILIES: Final = (
    tuple(f"{edge}9e107d9d372bb6826bd81d35{edge}" for edge in _EDGES),
    tuple(f"{edge}8400-e29b-41d4-a716-4466554a{edge}" for edge in _EDGES),
)
_DECIMAL_STEMS: Final = ("1234567", "90210", "8", "31415926535")
_HEXADECIMAL: Final = tuple(one[:-1] + digit for family in _FAMILIES for one in family for digit in _HEX)
_MAX_PATTERNS: Final = 12
_ID: Final = re.compile(
    r"(?:^|.*[-_.])(?:id|uid|uuid|guid|sid|userid|user|visitor|visitorid|session|sessionid|device|deviceid|clientid|"
    r"customer|customerid|account|accountid|member|memberid|login|token|hash|cookie)"
)
_COOKIE: Final = re.compile(r"([A-Za-z0-9_.-]+)\\?=")


@dataclass(frozen=True, slots=True)
class Lost:
    """Expressions that overlook the letters of hexadecimal ids.

    Attributes:
        patterns: The expressions.
        share: Share of hexadecimal ids that none of them can speak of: a letter stands where they want a digit.
        shares: Share of hexadecimal ids that each takes.
        decimal: Share of decimal ids that they take together.
        tail: Number of characters that decide; 0 where all do.
        sure: Whether they make no sense for hexadecimal ids; else they might be meant so, as `[0-7]` for a half.
    """

    patterns: tuple[str, ...]
    share: float
    shares: tuple[float, ...]
    decimal: float
    tail: int
    sure: bool


def is_id_header(name: str) -> bool:
    """Whether a header's name says that it carries an id.

    >>> [name for name in ("x-user-id", "cookie", "uid", "x-user-type", "user-agent", "x-ab-bucket-user")
    ...  if is_id_header(name)]
    ['x-user-id', 'cookie', 'uid']
    """
    return "bucket" not in name and _ID.fullmatch(name) is not None


def lost(header: str, texts: Sequence[str]) -> Iterator[Lost]:
    """The expressions of a header that overlook letters, together where the same characters decide.

    Args:
        header: The header's name, in lower case; of cookies only those whose own name says that they carry an id.
        texts: Valid expressions that are matched against it, in full.

    >>> (found,) = lost("x-user-id", [".*[02468]$", ".*[13579]$"])
    >>> found.share, found.shares, found.decimal
    (0.375, (0.3125, 0.3125), 1.0)
    >>> list(lost("x-user-id", [".*[0-9a-f]"]))
    []
    """
    groups: dict[tuple[int, bool], list[tuple[str, frozenset[str]]]] = {}
    for text in texts[:_MAX_PATTERNS]:
        matches = _matcher(header, text)
        if matches is None:
            continue
        decided = _decided(matches)
        if decided is not None:
            length, at_end, taken = decided
            groups.setdefault((length, at_end), []).append((text, taken))
        elif any(map(matches, _DECIMAL_STEMS)) and not any(map(matches, _HEXADECIMAL)):
            yield Lost((text,), 1.0, (0.0,), 1.0, 0, sure=True)
    for (length, _), members in groups.items():
        taken = frozenset().union(*(one for _, one in members))
        if any(not ending.isdecimal() for ending in taken):
            continue  # somebody thought of letters
        shares = tuple(len(one) / 16**length for _, one in members)
        sure = any(100 * share != int(100 * share) for share in shares) or len(taken) == 10**length
        share = 1 - (10 / 16) ** length
        yield Lost(tuple(text for text, _ in members), share, shares, len(taken) / 10**length, length, sure)


def _matcher(header: str, text: str) -> Callable[[str], bool] | None:
    expression: Any = compiled(text)
    if isinstance(expression, str):
        return None
    lead = ""
    if header == "cookie":
        named = _COOKIE.search(text)
        if named is None or not is_id_header(named[1].lower()):
            return None
        lead = f"{named[1]}="
    return lambda value: re2.fullmatch(expression, lead + value) is not None


def _decided(matches: Callable[[str], bool]) -> tuple[int, bool, frozenset[str]] | None:
    """How many characters, of which end, and which of their values match; None where no few decide, or none matches."""
    for family, at_end, length in product(_FAMILIES, (True, False), (1, 2, 3)):
        taken = _taken(matches, family, length, at_end)
        if taken is not None and len(taken) == 16**length:
            return None
        if taken:
            return length, at_end, taken
    return None


def _taken(matches: Callable[[str], bool], family: Sequence[str], length: int, at_end: bool) -> frozenset[str] | None:
    """The endings that match whatever stands before them; None where that decides too."""
    taken = set()
    for letters in product(_HEX, repeat=length):
        piece = "".join(letters)
        answers = {matches(one[:-length] + piece if at_end else piece + one[length:]) for one in family}
        if len(answers) > 1:
            return None
        if answers == {True}:
            taken.add(piece)
    return frozenset(taken)
