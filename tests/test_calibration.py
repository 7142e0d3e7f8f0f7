"""What the project is for: on A/A worlds with sticky users, replicates keep their word and events do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.calibration import SEEDS, SPLITS, Rates, false_winners, table


@pytest.fixture(scope="module")
def rates() -> dict[tuple[int, str], Rates]:
    return {(seed, split): false_winners(seed, split) for seed in SEEDS for split in SPLITS}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", SEEDS)
def test_hash_replicates_call_few_false_winners(rates: dict[tuple[int, str], Rates], seed: int, split: str) -> None:
    assert rates[seed, split].worlds == 200
    assert 0.01 <= rates[seed, split].replicates <= 0.09


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", SEEDS)
def test_events_call_a_false_winner_more_often_than_not(
    rates: dict[tuple[int, str], Rates], seed: int, split: str
) -> None:
    assert rates[seed, split].events > 0.5


def test_days_are_no_way_out(rates: dict[tuple[int, str], Rates]) -> None:
    assert min(rate.days for rate in rates.values()) > 0.3


def test_table_has_each_method_split_and_seed(rates: dict[tuple[int, str], Rates]) -> None:
    lines = list(table(list(rates.values())))
    assert lines[0].count("|") == lines[1].count("|") == 7
    assert len(lines) == 2 + 3 * len(SPLITS)
    shown = f"{rates[2, '95/5'].events:.1%}"
    assert [cell.strip() for cell in lines[3].split("|")][4] == shown
    assert "±" in lines[3]


def test_the_readme_shows_this_very_table(rates: dict[tuple[int, str], Rates]) -> None:
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text()
    assert "\n".join(table(list(rates.values()))) in readme, "print it with make calibrate"
