"""`abkit store`: is it sound, could it be smaller, and a copy of it, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from abkit.store import Store
from tests.cli.runner import abkit
from tests.pipeline.pulls import pull
from tests.store.rows import living, ticking


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store(tmp_path / "abkit.duckdb")
    for now in (600, 1_200):
        pull(store, [ticking(-300, 1_200), living(-300, 1_200)], now)
    return tmp_path


def test_a_sound_store_is_checked_copied_and_written_anew(folder: Path) -> None:
    found = abkit("store", "check", cwd=folder)
    assert (found.code, found.err) == (0, "")
    assert "abkit.duckdb: sound" in found.out
    document = json.loads(abkit("store", "check", "--json", cwd=folder).out)
    assert (document["sound"], document["faults"]) == (True, [])
    assert document["rows"]["samples"] > 100
    copied = abkit("store", "backup", "copy.duckdb", "--json", cwd=folder)
    assert json.loads(copied.out)["bytes"] == (folder / "copy.duckdb").stat().st_size
    smaller = json.loads(abkit("store", "compact", "--json", cwd=folder).out)
    assert smaller["bytes"] == (folder / "abkit.duckdb").stat().st_size < smaller["bytes_before"]
    assert abkit("store", "check", "--db", "copy.duckdb", cwd=folder).code == 0


def test_a_damaged_one_is_said_with_the_remedy(folder: Path) -> None:
    with duckdb.connect(folder / "abkit.duckdb") as connection:
        connection.execute("DELETE FROM facts")
    for more in ((), ("--json",)):
        found = abkit("store", "check", *more, cwd=folder)
        assert found.code == 4
        assert "restore it from a backup, or pull into a new store" in found.err
        assert "facts of x" in found.err
    assert json.loads(found.out)["sound"] is False


def test_a_file_that_is_cut_short(folder: Path) -> None:
    path = folder / "abkit.duckdb"
    path.write_bytes(path.read_bytes()[:1_000_000])
    for command in ("check", "compact"):
        found = abkit("store", command, cwd=folder)
        assert (found.code, found.out) == (4, "")
        assert "is damaged: restore it from a backup" in found.err


def test_there_is_something_already(folder: Path) -> None:
    found = abkit("store", "backup", "abkit.duckdb", cwd=folder)
    assert found.code == 2
    assert "exists already" in found.err


@pytest.mark.parametrize("command", ["check", "compact", "backup"])
def test_help_has_examples(command: str, tmp_path: Path) -> None:
    found = abkit("store", command, "--help", cwd=tmp_path)
    assert found.code == 0
    assert f"abkit store {command}" in found.out.split("Examples:")[1]
