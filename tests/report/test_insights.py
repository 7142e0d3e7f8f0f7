"""Tables beside the scorecard: words and numbers, the same for console and pages."""

from __future__ import annotations

import pytest

from abkit.evidence import Evaluation
from abkit.report import InsightTable, result_page
from tests.report import samples
from tests.report.test_scorecard import rendered


@pytest.fixture(scope="module")
def tables() -> dict[str, InsightTable]:
    return {table.title: table for table in result_page(samples.insightful()).insights}


def test_every_kind_has_its_table(tables: dict[str, InsightTable]) -> None:
    assert list(tables) == [
        "What can be found",
        "Bayesian view",
        "Pre-period (CUPED)",
        "By device",
        "Do the segments differ?",
        "Now against the same hours a week before",
        "Does the lift fade?",
        "Unusual hours",
        "Proposed weights (conversion)",
    ]
    for table in tables.values():
        assert table.note
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert all(place < len(table.columns) for place in table.numeric)


def test_power_says_what_recurring_users_cap(tables: dict[str, InsightTable]) -> None:
    assert tables["What can be found"].rows == (
        (
            "conversion", "3.40 %", "41.0 % for 2.00 %", "31.2",
            "Users come back: no longer run finds less than 2.4 %.",
        ),
    )  # fmt: skip


def test_a_segment_without_a_result_says_why(tables: dict[str, InsightTable]) -> None:
    mobile, _, tv = tables["By device"].rows
    assert mobile[2:5] == ("+12.0 %", "[+7.0 %, +17.0 %]", "0.020")
    assert tv[2:] == ("—", "—", "—", "under 8 effective hash replicates")


def test_an_evaluation_without_insights_has_no_tables() -> None:
    assert result_page(samples.no_data()).insights == ()


def test_planned_looks_are_said() -> None:
    page = result_page(samples.insightful())
    assert page.looks.startswith("to be read at 5 planned looks (O'Brien–Fleming), 3 of them taken, the next on 13 Nov")
    assert (page.sequence_decides, page.sequence_name) == (True, "planned looks")
    assert page.metrics[0].lift.deciding == page.metrics[0].lift.sequence


@pytest.mark.parametrize("width", [80, 120])
def test_terminal_leaves_time_to_its_own_command(width: int) -> None:
    text = rendered(samples.insightful(), width)
    assert "What can be found" in text
    assert "Proposed weights" in text
    assert "Unusual hours" not in text
    assert "planned looks" in text
    assert max(map(len, text.splitlines())) <= width


def test_insights_survive_json() -> None:
    evaluation = samples.insightful()
    assert Evaluation.from_json(evaluation.to_json()) == evaluation


def test_nothing_is_told_as_certain_or_as_zero(tables: dict[str, InsightTable]) -> None:
    assert tables["Bayesian view"].rows == (("conversion", "99.1 %", "[+2.1 %, +13.1 %]", "< 0.01 %", "7.50 %"),)
