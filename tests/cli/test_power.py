"""`abkit power` and `abkit bandit`: from data, from assumptions, and what they say where neither is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.runner import abkit
from tests.pipeline.test_evaluate import AB, BIG
from tests.worlds import pulled


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("power")
    text = AB.replace("{mde: 0.2}", "{mde: 0.2, bandit: {floor: 0.1}}")
    (made / "shop.yaml").write_text(text)
    (made / "plain.yaml").write_text(AB)
    pulled(made, BIG, text)
    return made


def test_power_is_reckoned_from_what_was_pulled(folder: Path) -> None:
    ran = abkit("power", "shop.yaml", "--db", "world.duckdb", "--json", cwd=folder)
    assert ran.code == 0, ran.err
    plan = json.loads(ran.out)
    assert (plan["basis"], plan["decides"]) == ("data", "always-valid")
    conversion = next(row for row in plan["metrics"] if row["metric"] == "conversion")
    assert 0 < conversion["mde"] < 1
    assert 0 < conversion["achieved"] <= 1
    users = [need["users"] for need in conversion["needs"]]
    assert users == sorted(users)
    shown = abkit("power", "shop.yaml", "--db", "world.duckdb", cwd=folder)
    assert "read at any time (this experiment)" in shown.out
    assert conversion["note"] in " ".join(shown.out.split("\n"))


def test_power_without_data_wants_assumptions(folder: Path) -> None:
    ran = abkit("power", "shop.yaml", "--db", "nothing.duckdb", cwd=folder)
    assert ran.code == 2
    assert "pull first (abkit pull shop.yaml)" in ran.err
    assert "--baseline" in ran.err
    assumed = abkit("power", "shop.yaml", "--baseline", "0.1", "--users-per-day", "500", cwd=folder)
    assert assumed.code == 0, assumed.err
    assert "from assumptions" in assumed.out
    wrong = abkit("power", "shop.yaml", "--baseline", "7", cwd=folder)
    assert (wrong.code, "--baseline: 'conversion' is a proportion" in wrong.err) == (2, True)


def test_bandit_proposes_and_says_how_to_apply_it(folder: Path) -> None:
    ran = abkit("bandit", "shop.yaml", "--db", "world.duckdb", cwd=folder)
    assert ran.code == 0, ran.err
    command = ran.out.split("by hand: abkit ")[1].split()
    assert command[:2] == ["routes", "shop.yaml"]
    routed = abkit(*command, cwd=folder)
    assert routed.code == 0, routed.err
    refused = abkit("bandit", "plain.yaml", "--db", "world.duckdb", cwd=folder)
    assert refused.code == 2
    assert "bandit: {floor: 0.1}" in refused.err
