"""What the project is for: on A/A worlds with sticky users, replicates keep their word and events do not.

And the small version of `make calibrate`: fixed seeds, fewer worlds, the rows that are quick.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.calibration import SEEDS, SPLITS, Rates, command, false_winners, powers, table
from tests.benchmarks.calibration.findings import Row, limit


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


SEED = 11
FEW = 250

WRONG = {
    "sticky users, 50/50, 8,000": ("two-proportion z on events", "days, paired"),
    "pods differ by 10 %, 3 a side, no user effect": ("jackknife across arms", "two-proportion z on events"),
    "sticky users, pods alike, 3 a side": ("pods alone",),
    "both, 5 pods a side": ("pods alone", "jackknife across arms", "two-proportion z on events"),
    "counts, φ = 5 in the treatment, 1,344 events an arm": (
        "exact counts, taken for independent",
        "sequential counts, taken for independent, 28 looks",
    ),
    "ramp 5→10→25→50 %, base rate swings": ("pooled over the ramp", "pooled over the ramp, events"),
    "5 % arm, 200 users": ("jackknife, without the small-arm rule",),
    "5 % arm, 200 users, base rate swings by the minute, 480 minutes": (
        "minutes as strata, Cochran–Mantel–Haenszel",
        "minutes, paired",
    ),
    "right split, 8,000 users": ("χ² on requests",),
    "28 daily looks, 400 new users a day": ("fixed-horizon test at every look",),
    "1,440 looks, each minute of a day, 1,000 users, 50% : 50%": ("fixed-horizon test at every look",),
}
"""What has to come out wrong, by situation."""

SITUATIONS = (
    *WRONG,
    "both, 1 pod a side",
    "both, 2 pods a side",
    "counts, φ = 1 in the treatment, 1,344 events an arm",
    "counts, φ = 2 in the treatment, 1,344 events an arm",
    "low counts: 5 and 5 independent events",
    "5 % arm, 2,000 users",
    "3 variants, 8,000 sticky users, any winner",
    "28 daily looks, 5 % arm, 400 recurring users",
    "24 looks, sticky users, 3 pods a side that differ by 10 %",
)


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], Row]:
    found = command.examined(SITUATIONS, SEED, FEW, coverage=False)
    return {(row.situation, row.method): row for row in found}


def test_what_is_called_valid_keeps_its_rate(rows: dict[tuple[str, str], Row]) -> None:
    assert {row.worlds for row in rows.values()} == {FEW}
    assert {key: row.rates for key, row in rows.items() if row.broken} == {}
    assert sum(row.valid and row.answered > 0.9 for row in rows.values()) > 25


def test_what_is_wrong_is_shown_wrong(rows: dict[tuple[str, str], Row]) -> None:
    for situation, methods in WRONG.items():
        for method in methods:
            row = rows[situation, method]
            assert (row.valid, row.verdict) == (False, "wrong"), (situation, method, row.rates)


def test_exact_counts_are_refused_where_one_arm_varies_more(rows: dict[tuple[str, str], Row]) -> None:
    calm, wild = (
        rows[f"counts, φ = {phi} in the treatment, 1,344 events an arm", "exact counts, φ measured"] for phi in (1, 5)
    )
    assert (calm.verdict, wild.verdict) == ("ok", "refused")
    assert rows["both, 1 pod a side", "two-way"].verdict == "refused"


def test_intervals_cover_the_effect() -> None:
    row = command.examined(["5 % arm, 2,000 users"], SEED, FEW)[0]
    assert len(row.coverages) == 2
    assert min(row.coverages) >= 1 - limit(0.05, FEW)


def test_worlds_do_not_depend_on_how_they_are_cut() -> None:
    name = "5 % arm, 200 users"
    whole = command.findings((name, False, SEED, 0, 20))[1]
    parts = [command.findings((name, False, SEED, first, first + 10))[1] for first in (0, 10)]
    assert isinstance(whole, list)
    for place, found in enumerate(whole):
        assert found.plain is not None
        cut = np.concatenate([part[place].scales[0].rejected for part in parts if isinstance(part, list)])
        assert (cut == found.plain.rejected).all()


def test_a_rate_beyond_chance_breaks_the_promise(rows: dict[tuple[str, str], Row]) -> None:
    good = rows["5 % arm, 2,000 users", "jackknife across arms"]
    bad = dataclasses.replace(good, rates=(0.02, 0.12))
    assert (bad.broken, bad.verdict) == (True, "wrong")
    assert not dataclasses.replace(bad, valid=False).broken
    assert dataclasses.replace(good, coverages=(0.88,), effects=FEW, covered_of=FEW).broken
    assert not dataclasses.replace(good, coverages=(0.88,), effects=FEW, covered_of=10).broken
    assert limit(0.05, 1_000) == pytest.approx(0.05 + 3 * math.sqrt(0.05 * 0.95 / 1_000))


def test_looks_cost_no_more_than_they_may() -> None:
    found = {cost.design: cost for cost in powers.costs(powers.drawn(SEED, range(300)))}
    always = found["always valid, every day"]
    assert 1.4 < always.information < 2.0
    assert 0.9 < always.average < 1.2
    assert 0.9 < found["obrien-fleming, 5 looks"].information < 1.25
    assert not any(cost.broken for cost in found.values())
    assert dataclasses.replace(always, information=3.0).broken


def test_command_prints_the_table_and_says_what_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--only", "low counts: 5 and 5", "--worlds", "50", "--seed", "3", "--processes", "1"]
    assert command.main(arguments) == 0
    out = capsys.readouterr().out
    assert "seed 3" in out
    lines = [line for line in out.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1
