"""`abkit trend`: now and earlier on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abkit.resources import folder
from tests.cli.runner import abkit

RECORDING = folder("data") / "recordings" / "buy-now-button.parquet"
SPEC = """\
metadata: {name: buy-now-button}
service: {name: my-service, namespace: shop, port: 8080}
variants: {control: {version: v1}, treatment: {version: v2}}
metrics: {primary: [conversion], guardrails: [error-rate]}
analysis: {start: 2026-11-02, end: 2026-11-03, HISTORYmde: 0.05}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the recording's second day, the first one as its history."""
    place = tmp_path_factory.mktemp("trend")
    (place / "with.yaml").write_text(SPEC.replace("HISTORY", "history: 24h, "))
    (place / "without.yaml").write_text(SPEC.replace("HISTORY", ""))
    for name in ("with", "without"):
        ran = abkit("pull", f"{name}.yaml", "--recording", RECORDING, "--db", f"{name}.duckdb", cwd=place)
        assert ran.code == 0, ran.err
    return place


def test_yesterday_and_today_as_json(place: Path) -> None:
    ran = abkit("trend", "with.yaml", "--db", "with.duckdb", "--against", "last-period", "--json", cwd=place)
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert set(document) == {"experiment", "as_of", "window", "periods", "novelty", "anomalies", "anomaly_checks"}
    assert document["window"] == {"start": "2026-11-02T00:00:00Z", "end": "2026-11-03T00:00:00Z"}
    assert [(row["metric"], row["variant"], row["against"]) for row in document["periods"]] == [
        (metric, variant, "last-period")
        for metric in ("conversion", "error-rate")
        for variant in ("control", "treatment")
    ]
    for row in document["periods"]:
        assert row["status"] == "ok"
        assert row["change"] == pytest.approx(row["now"] / row["before"] - 1)
        assert row["change_ci"][0] < row["change"] < row["change_ci"][1]
    # The verdict's own document has the same, since the file asks for a history.
    verdict = json.loads(abkit("verdict", "with.yaml", "--db", "with.duckdb", "--json", cwd=place).out)
    assert verdict["periods"] == document["periods"]
    assert verdict["window"] == document["window"]


def test_a_table_for_people(place: Path) -> None:
    ran = abkit("trend", "with.yaml", "--db", "with.duckdb", cwd=place)
    assert ran.code == 0, ran.err
    assert "Now against the time just before" in ran.out
    assert "nothing was randomised between two times" in ran.out
    assert "analysis.history" in ran.out, "two days are too few for hours to be judged"


def test_without_a_history_it_says_how_to_get_one(place: Path) -> None:
    ran = abkit("trend", "without.yaml", "--db", "without.duckdb", cwd=place)
    assert ran.code == 0, ran.err
    assert "Nothing earlier is in the store" in ran.out
    verdict = json.loads(abkit("verdict", "without.yaml", "--db", "without.duckdb", "--json", cwd=place).out)
    assert verdict["periods"] == verdict["anomaly_checks"] == []


def test_an_earlier_time_that_there_is_not(place: Path) -> None:
    ran = abkit("trend", "with.yaml", "--db", "with.duckdb", "--against", "last-year", cwd=place)
    assert ran.code == 2
    assert "last-week" in ran.err
