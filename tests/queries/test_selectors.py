from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.errors import QueryError
from abkit.queries.selectors import Matcher, parse_selector, written


def test_name_and_matchers() -> None:
    parsed = parse_selector(""" a:b_total { x = "1" , y=~'2|3', z!~`4\\d`, } """)
    assert parsed.matchers == (
        Matcher("__name__", "=", "a:b_total"),
        Matcher("x", "=", "1"),
        Matcher("y", "=~", "2|3"),
        Matcher("z", "!~", "4\\d"),
    )


def test_escapes_are_go_s() -> None:
    assert parse_selector(r'a{x="\"\\\n\t\x41\u00fc"}').matchers[1].value == '"\\\n\tAü'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (r'a{x="\d"}', "no such escape"),
        ('a{x="1" y="2"}', "expected ','"),
        ('a{x="1"} or b', "no functions"),
        ("a{x=1}", "quoted value"),
        ('a{x=~"("}', "RE2"),
        ('a{x=~"(?<=b)c"}', "RE2"),
        ('a{__name__="b"}', "twice"),
        ('{x=""}', "metric's name"),
        ('a{x="1"', "expected"),
        ("a}", "no functions"),
        ('a{x="1\n"}', "quoted value"),
    ],
)
def test_what_is_not_a_selector(text: str, why: str) -> None:
    with pytest.raises(QueryError, match=why):
        parse_selector(text)


def test_an_unclosed_brace_ends() -> None:
    with pytest.raises(QueryError):
        parse_selector("a{" + 'x="1",' * 1000)


def test_a_regular_expression_can_not_run_away() -> None:
    matcher = parse_selector('a{x=~"(a*)*b"}').matchers[1]
    assert not matcher.matches("a" * 5_000)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True),
            st.sampled_from(["=", "!="]),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read_the_same(conditions: list[tuple[str, str, str]]) -> None:
    matchers = (Matcher("__name__", "=", "a_total"), *(Matcher(*condition) for condition in conditions))
    assert parse_selector(written(matchers)).matchers == matchers
