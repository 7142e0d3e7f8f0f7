from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.instrument.cookies import (
    MAX_SEEN_BYTES,
    format_cookie,
    parse_cookies,
    read_seen,
    valid_id,
    valid_unit,
    write_seen,
)


@pytest.mark.parametrize(
    ("header", "pairs"),
    [
        ("", []),
        ("a=1", [("a", "1")]),
        (" a = 1 ", [("a ", " 1")]),
        ("a=1;b=2;; ;c", [("a", "1"), ("b", "2")]),
        ("a=x=y", [("a", "x=y")]),
        ("=1; a=", [("a", "")]),
        ('a="q"; b="', [("a", "q"), ("b", '"')]),
        ("a=1; a=2", [("a", "1"), ("a", "2")]),
    ],
)
def test_parse(header: str, pairs: list[tuple[str, str]]) -> None:
    assert list(parse_cookies(header)) == pairs


@given(st.text())
def test_parse_takes_anything(header: str) -> None:
    assert all(name for name, _ in parse_cookies(header))


@pytest.mark.parametrize("value", ["a", "0" * 128, "6f9619ff-8b86-d011", "A.b_c~d"])
def test_ids(value: str) -> None:
    assert valid_id(value)
    assert valid_unit(value)


@pytest.mark.parametrize("value", ["", "0" * 129, "a b", "a\nb", "a\n", "a;b", "a,b", 'a"', "ä", "\x00", "a\\b"])
def test_what_is_no_id(value: str) -> None:
    assert not valid_id(value)
    assert not valid_unit(value)


def test_a_trusted_unit_may_look_like_an_address() -> None:
    everything = [chr(code) for code in range(256)]
    assert "".join(filter(valid_unit, everything)) == "".join(
        chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\'
    )


def test_format() -> None:
    options = {"max_age": 31_536_000, "same_site": "Lax", "secure": False, "domain": None}
    assert format_cookie("a", "1", **options) == "a=1; Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax"  # type: ignore[arg-type]
    text = format_cookie("a", "1", max_age=60, same_site="None", secure=True, domain="example.org")
    assert text == "a=1; Max-Age=60; Path=/; HttpOnly; SameSite=None; Secure; Domain=example.org"


def test_seen_comes_back_for_its_unit_alone() -> None:
    value = write_seen("user-1", ["one", "two_rule"])
    assert read_seen(value, "user-1") == ("one", "two_rule")
    assert read_seen(value, "user-2") == ()


def test_seen_stays_small_and_forgets_the_oldest() -> None:
    names = [f"experiment-{number:04}" for number in range(500)]
    value = write_seen("user-1", names)
    assert len(value) <= MAX_SEEN_BYTES
    kept = read_seen(value, "user-1")
    assert kept == tuple(names[-len(kept) :])
    assert len(kept) > 50


@pytest.mark.parametrize("value", ["", "x", "zzzzzzzz.a", "00000000", "00000000.UPPER", "00000000..a", "0" * 5_000])
def test_seen_that_is_malformed_holds_nothing(value: str) -> None:
    assert read_seen(value, "user-1") == ()


def test_seen_of_the_right_unit_but_malformed_names() -> None:
    tag = write_seen("user-1", [])
    assert read_seen(tag + ".good", "user-1") == ("good",)
    assert read_seen(tag + ".<script>", "user-1") == ()
    assert read_seen(tag + ".a" * 800, "user-1") == ()
    assert read_seen(tag + ".a.a", "user-1") == ("a",)
