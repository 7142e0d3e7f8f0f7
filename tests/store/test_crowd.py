"""Many processes at one store."""

from __future__ import annotations

from pathlib import Path

from tests.torture.crowd import crowd


def test_a_writer_every_second_and_four_readers(tmp_path: Path) -> None:
    waits = crowd(tmp_path / "x.duckdb", 20)
    for each in waits:
        print(each)
    print(f"longest wait {max(each.longest_wait for each in waits):.3f} s")
    assert [each.error for each in waits] == [""] * 5
    assert all(each.turns for each in waits)
