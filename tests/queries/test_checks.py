from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.errors import QueryError
from abkit.queries.checks import question
from abkit.queries.selectors import Matcher, written


def test_questions() -> None:
    assert question("series", "up") == "count(up)"
    assert question("series-by", "up", ["job", "le"]) == "count by (job, le) (up)"
    assert question("values", 'up{a="1"}', ["job"]) == 'topk(5, count by (job) (up{a="1"}))'


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_value_stays_within_its_selector(value: str) -> None:
    selector = written([Matcher("__name__", "=", "up"), Matcher("job", "=", value)])
    assert question("series", selector) == f"count({selector})"


@pytest.mark.parametrize("selector", ["up) or vector(1", "rate(up[5m])", "", "up or up"])
def test_only_selectors(selector: str) -> None:
    with pytest.raises(QueryError, match="not a PromQL vector selector"):
        question("series", selector)


@pytest.mark.parametrize("label", ["a)", "", "a b", "é"])
def test_only_labels(label: str) -> None:
    with pytest.raises(QueryError, match="is no label's name"):
        question("series-by", "up", [label])
