from __future__ import annotations

import random
import re

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from abkit.routing.ranges import range_regex

EDGES = [0, 1, 9, 10, 99, 100, 101, 1_000, 4_999, 5_000, 9_499, 9_999]


def test_matches_exactly_the_range_for_all_of_0_to_9999() -> None:
    draw = random.Random(20_261_101)
    ranges = [(low, high) for low in EDGES for high in EDGES if low <= high]
    ranges += [tuple(sorted(draw.choices(range(10_000), k=2))) for _ in range(50)]  # type: ignore[misc]
    decimals = "\n".join(map(str, range(10_000)))
    for low, high in ranges:
        pattern = range_regex(low, high)
        # All lines at once: a line matches in full.
        for engine in (re, re2):
            matched = engine.findall(f"(?m)^(?:{pattern})$", decimals)
            assert matched == [str(number) for number in range(low, high + 1)], f"{low} … {high}: {pattern}"


@pytest.mark.parametrize(
    "text",
    ["", " 5", "5 ", "05", "0005", "00012", "+5", "-5", "5.0", "10000", "99999", "abc", "5a", "5\n", "٥", "1e3", "0x1"],
)
def test_matches_nothing_but_plain_decimals(text: str) -> None:
    for low, high in [(0, 9_999), (0, 4_999), (5, 5), (1, 12), (5_000, 9_999)]:
        assert re2.fullmatch(range_regex(low, high), text) is None


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7 + 10))
def test_any_range(one: int, other: int, number: int) -> None:
    low, high = sorted((one, other))
    pattern = range_regex(low, high)
    assert (re.fullmatch(pattern, str(number)) is not None) == (low <= number <= high)
    for edge in (low - 1, low, high, high + 1):
        assert (re.fullmatch(pattern, str(edge)) is not None) == (low <= edge <= high)


@given(st.integers(0, 9_999), st.integers(0, 9_999))
def test_keeps_its_meaning_between_anchors_and_stays_short(one: int, other: int) -> None:
    low, high = sorted((one, other))
    pattern = range_regex(low, high)
    # Tools that search add anchors: an alternation that is not grouped would then match on one side only.
    anchored = re.compile(f"^{pattern}$")
    assert [bool(anchored.search(text)) for text in (f"{low}", f"x{low}", f"{high}", f"{high}x")] == [
        True,
        False,
        True,
        False,
    ]
    assert len(pattern) < 120


@pytest.mark.parametrize(("low", "high"), [(5, 4), (-1, 4), (-3, -1)])
def test_refuses_what_is_no_range(low: int, high: int) -> None:
    with pytest.raises(ValueError, match=f"{low} … {high} is not a range"):
        range_regex(low, high)
