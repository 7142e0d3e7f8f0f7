from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.errors import QueryError
from abkit.queries import render
from abkit.queries.selectors import parse_selector


class TestRendering:
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
    def test_no_value_breaks_out_of_its_quotes(self, value: str) -> None:
        selector = parse_selector(render('a_total{x="$experiment",y="1"}', {"experiment": value}, "m"))
        assert [(matcher.label, matcher.value) for matcher in selector.matchers] == [
            ("__name__", "a_total"),
            ("x", value),
            ("y", "1"),
        ]

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
    def test_a_value_is_literal_in_a_regular_expression(self, value: str) -> None:
        selector = parse_selector(render('a_total{x=~"$experiment",y="1"}', {"experiment": value}, "m"))
        assert selector.matches({"__name__": "a_total", "x": value, "y": "1"})
        assert not selector.matches({"__name__": "a_total", "x": value + "!", "y": "1"})

    def test_a_known_attack(self) -> None:
        attack = 'x"} or vector(1) or {a="'
        assert render('a{x="$experiment"}', {"experiment": attack}, "m") == 'a{x="x\\"} or vector(1) or {a=\\""}'

    @pytest.mark.parametrize(
        ("template", "why"),
        [
            ('a{x="$expriment"}', "did you mean 'experiment'"),
            ("a{x=$experiment}", "outside double quotes"),
            ("a{x='$experiment'}", "outside double quotes"),
            ("a{x=`$experiment`}", "outside double quotes"),
            ("$experiment", "outside double quotes"),
            ('a{x="5$"}', "lone"),
        ],
    )
    def test_misuse(self, template: str, why: str) -> None:
        with pytest.raises(QueryError, match=why) as raised:
            render(template, {"experiment": "x", "service": "y"}, "metric 'mine', numerator")
        assert str(raised.value).startswith("metric 'mine', numerator")

    def test_dollar_and_braces(self) -> None:
        assert render("a{x=\"${service}$$\", y='1'}", {"service": "s"}, "m") == "a{x=\"s$\", y='1'}"
