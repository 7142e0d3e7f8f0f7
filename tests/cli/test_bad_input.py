"""Bad input ends with a clear message and the contract's exit code, and leaves the store as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from abkit.resources import folder
from tests.cli.runner import abkit

EXAMPLE = folder("data") / "experiments" / "buy-now-button.yaml"
CANARY = "service: s\nstrategy: canary\nvariants: {control: v1, treatment: v2}\n"
MINIMAL = "service: s\nvariants: {control: v1, treatment: v2}\nmetrics: [conversion]\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("service: [", "is not YAML"),
        (MINIMAL.replace("conversion", "convertion"), "did you mean 'conversion'"),
        (MINIMAL.replace("control: v1", "control: {version: v1, weight: 1}"), "needs a weight"),
        (
            MINIMAL.replace("control: v1", "control: {version: v1, weight: 1}").replace(
                "treatment: v2", "treatment: {version: v2, weight: 2}"
            ),
            "must sum to 10,000",
        ),
        (
            CANARY + "canary: {limits: {traffic: {pause: 1}}}\n",
            "make it a guardrail",
        ),
        (
            CANARY + "canary: {limits: {error-rate: {pause: 5}}}\n",
            "between 0 and 1",
        ),
    ],
)
@pytest.mark.parametrize("command", ["validate", "verdict", "pull"])
def test_a_wrong_experiment_file(command: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    ran = abkit(command, "bad.yaml", cwd=tmp_path)
    if command == "validate" or "limits" not in text:
        assert (ran.code, ran.out) == (2, "")
        assert words in ran.err
        assert "bad.yaml" in ran.err or "convertion" in ran.err


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("verdict", "none.yaml"), 2, "no such file"),
        (("verdict", EXAMPLE), 4, "none.duckdb"),
        (("verdict", EXAMPLE, "--at", "yesterday"), 2, "--at: should be a time"),
        (("pull", EXAMPLE, "--start", "-1h", "--end", "-2h"), 2, "not after --start"),
        (("pull", EXAMPLE, "--recording", "none.parquet"), 3, "none.parquet"),
        (("pull", EXAMPLE, "--recording", EXAMPLE), 3, "buy-now-button.yaml"),
        (("pull", EXAMPLE, "--prometheus", "http://127.0.0.1:9"), 3, "127.0.0.1:9"),
        (("pull", EXAMPLE, "--prometheus", "nonsense"), 2, "http://prometheus:9090"),
        (("routes", EXAMPLE, "--mesh", "istoi"), 2, "did you mean 'istio'"),
        (("routes", EXAMPLE, "--mesh", "smi"), 2, "a mesh that can: istio"),
        (("routes", EXAMPLE, "--weights", "v9=25"), 2, "v9"),
        (("run", "."), 2, "no experiment files"),
        (("run", ".", "--every", "soon"), 2, "--every"),
        (("simulate", EXAMPLE, "-o", "w.om", "--lift", "conversion=much"), 2, "--lift"),
        (("dashboard", "--port", "70000"), 2, "70000"),
        (("nonsense",), 2, "nonsense"),
        (("verdict",), 2, "SPEC"),
    ],
)  # fmt: skip
def test_wrong_arguments(args: tuple[object, ...], code: int, words: str, tmp_path: Path) -> None:
    ran = abkit(*args, cwd=tmp_path, ABKIT_DB="none.duckdb", ABKIT_LOCK_WAIT="0.2")
    assert ran.code == code, ran.err
    assert words in ran.err
    assert ran.out == ""


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "abkit.toml").write_text("dbb = 'x'\n")
    ran = abkit("verdict", EXAMPLE, cwd=tmp_path)
    assert (ran.code, "did you mean 'db'" in ran.err) == (2, True), ran.err
    (tmp_path / "abkit.toml").write_text("db = [\n")
    assert abkit("verdict", EXAMPLE, cwd=tmp_path).code == 2
    (tmp_path / "abkit.toml").unlink()
    assert "lock_wait" in abkit("verdict", EXAMPLE, cwd=tmp_path, ABKIT_LOCK_WAIT="long").err


def test_flags_go_before_the_environment_and_the_environment_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "abkit.toml").write_text("db = 'from-file.duckdb'\n")
    assert "from-file.duckdb" in abkit("verdict", EXAMPLE, cwd=tmp_path).err
    assert "from-env.duckdb" in abkit("verdict", EXAMPLE, cwd=tmp_path, ABKIT_DB="from-env.duckdb").err
    flagged = abkit("verdict", EXAMPLE, "--db", "from-flag.duckdb", cwd=tmp_path, ABKIT_DB="from-env.duckdb")
    assert "from-flag.duckdb" in flagged.err


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pulled")
    ran = abkit("pull", EXAMPLE, "--end", "2026-11-01T02:00:00Z", cwd=place)
    assert ran.code == 0, ran.err
    return place / "abkit.duckdb"


def test_a_store_that_another_process_holds(pulled: Path) -> None:
    holder = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(pulled)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        for command in ("verdict", "pull"):
            ran = abkit(command, EXAMPLE, "--db", pulled, cwd=pulled.parent, ABKIT_LOCK_WAIT="0.3")
            assert ran.code == 4
            assert str(process.pid) in ran.err
        process.stdin.close()
    assert abkit("verdict", EXAMPLE, "--db", pulled, cwd=pulled.parent).code == 0


def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.duckdb"
    path.write_text("not a database")
    for command in ("verdict", "pull"):
        ran = abkit(command, EXAMPLE, "--db", path, cwd=tmp_path)
        assert ran.code == 4
        assert "notes.duckdb" in ran.err
    assert path.read_text() == "not a database"


def test_a_store_from_a_newer_version_is_left_as_it_is(pulled: Path, tmp_path: Path) -> None:
    path = tmp_path / "newer.duckdb"
    path.write_bytes(pulled.read_bytes())
    with duckdb.connect(str(path)) as connection:
        (table,) = connection.execute(
            "SELECT table_name FROM duckdb_columns() WHERE column_name = 'version' AND table_name != 'series'"
        ).fetchone() or ("",)
        connection.execute(f"UPDATE {table} SET version = 999")
    before = path.read_bytes()
    for command in ("verdict", "pull"):
        ran = abkit(command, EXAMPLE, "--db", path, cwd=tmp_path)
        assert ran.code == 4
        assert "upgrade abkit" in ran.err
    assert path.read_bytes() == before


def test_a_place_that_can_not_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = abkit("pull", EXAMPLE, "--db", tmp_path / "file" / "abkit.duckdb", cwd=tmp_path)
    assert ran.code == 4
    assert "abkit.duckdb" in ran.err
    ran = abkit("pull", EXAMPLE, "--db", "/proc/abkit.duckdb", cwd=tmp_path)
    assert ran.code == 4


@pytest.mark.parametrize("value", ["1h", "soon"])
def test_samples_are_kept_for_three_days_at_least(value: str, tmp_path: Path) -> None:
    found = abkit("pull", "nobody.yaml", cwd=tmp_path, ABKIT_RETENTION=value)
    assert found.code == 2
    assert "ABKIT_RETENTION" in found.err
