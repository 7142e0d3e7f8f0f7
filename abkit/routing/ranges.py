"""Number range → regular expression: how a mesh that can only match text picks buckets."""

from __future__ import annotations

__all__ = ["range_regex"]


def range_regex(first: int, last: int) -> str:
    """RE2 expression whose full matches are exactly the decimals `first` … `last`.

    Decimals are as the edge writes them: ASCII digits, no sign, no leading zeros. Anything else does not match, so
    `007` or `99999` falls through to the default route instead of into somebody's bucket.

    Args:
        first: Least number, not negative.
        last: Greatest number, `first` or more; included.

    Returns:
        The expression, in a group of its own where it has alternatives; without anchors, since meshes match in full.

    Raises:
        ValueError: The range is empty or negative.

    >>> range_regex(0, 9_999)
    '(?:[0-9]|[1-9][0-9]{1,3})'
    >>> range_regex(9_500, 9_999)
    '9[5-9][0-9]{2}'
    """
    if not 0 <= first <= last:
        msg = f"{first} … {last} is not a range of numbers from 0 on"
        raise ValueError(msg)
    parts: list[str] = []
    for digits in range(len(str(first)), len(str(last)) + 1):
        least = 0 if digits == 1 else 10 ** (digits - 1)
        low, high = max(first, least), min(last, 10**digits - 1)
        parts.extend(_same_length(str(low), str(high)))
    # 10 … 99, 100 … 999 are one pattern where both are whole: the bucket header's full range stays readable.
    parts = _join_whole(parts)
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


def _same_length(low: str, high: str) -> list[str]:
    """Patterns of the numbers `low` … `high`, which have the same number of digits."""
    if low == high:
        return [low]
    head, rest = 0, len(low)
    while low[head] == high[head]:
        head += 1
    prefix, low, high, rest = low[:head], low[head:], high[head:], rest - head
    parts: list[str] = []
    start, end = int(low[0]), int(high[0])
    if low[1:].strip("0"):
        parts += [f"{prefix}{low[0]}{tail}" for tail in _same_length(low[1:], "9" * (rest - 1))]
        start += 1
    upper: list[str] = []
    if high[1:].strip("9"):
        upper = [f"{prefix}{high[0]}{tail}" for tail in _same_length("0" * (rest - 1), high[1:])]
        end -= 1
    if start <= end:
        parts.append(f"{prefix}{_digit(str(start), str(end))}{_any(rest - 1)}")
    return parts + upper


def _digit(low: str, high: str) -> str:
    return low if low == high else f"[{low}-{high}]"


def _any(count: int) -> str:
    return "" if count == 0 else "[0-9]" if count == 1 else f"[0-9]{{{count}}}"


def _join_whole(parts: list[str]) -> list[str]:
    whole = {f"[1-9]{_any(digits)}": digits for digits in range(1, 20)}
    lengths = [whole[part] for part in parts if part in whole]
    if len(lengths) < 2:
        return parts
    joined = f"[1-9][0-9]{{{lengths[0]},{lengths[-1]}}}"
    place = parts.index(f"[1-9]{_any(lengths[0])}")
    return [*parts[:place], joined, *(part for part in parts[place:] if part not in whole)]
