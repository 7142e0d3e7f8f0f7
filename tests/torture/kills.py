"""Pulls that are killed at random moments, and run again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from abkit.store import Store
from tests.store.rows import differences
from tests.torture.worker import Pulls, pulls

__all__ = ["Toll", "kill_pulls"]

_FIRST = 3_000
_STEP = 240
_LAST = 30_000
_CHECKPOINT_S = 0.03


@dataclass(frozen=True, slots=True)
class Toll:
    """What came of the kills.

    Attributes:
        killed: Pulls that were killed before they ended.
        through: Pulls that were through before the kill.
        kept: Of the killed ones, those whose rows were in the store.
        undone: Killed ones that left a checkpoint to undo.
    """

    killed: int
    through: int
    kept: int
    undone: int


def kill_pulls(folder: Path, kills: int, seed: int) -> Toll:
    """Kill pulls at random moments, each of another stretch of time; then the same pull again.

    Half of the kills come at any moment, the other half right after the log or the file of a checkpoint appears: there
    a kill of a writer hurts most. After each, the store that a reader finds is the one before or the one after; after
    the next try it equals one that was never disturbed, row for row.

    Args:
        folder: An empty folder.
        kills: How many.
        seed: Of the moments.

    Raises:
        AssertionError: A store differs.
    """
    chance = random.Random(seed)
    path, right, before = folder / "killed.duckdb", folder / "undisturbed.duckdb", folder / "before.duckdb"
    killed = through = kept = undone = 0
    with pulls() as run:
        length = _begin(run, path, right)
        now = _FIRST
        for number in range(kills):
            if now + _STEP > _LAST:
                path.unlink()
                right.unlink()
                length = _begin(run, path, right)
                now = _FIRST
            now += _STEP
            before.write_bytes(right.read_bytes())
            assert run.run(right, now) == 0
            ended = run.run(path, now, _killer(path, chance, length))
            where = f"seed {seed}, kill {number}"
            undone += path.with_name(f"{path.name}.undo").exists()
            Store(path).known("x")
            if ended == 0:
                through += 1
            else:
                assert ended == -signal.SIGKILL, where
                killed += 1
                found = differences(path, right)
                kept += not found
                assert not found or differences(path, before) == {}, where
            assert run.run(path, now) == 0, where
            assert differences(path, right) == {}, where
    return Toll(killed, through, kept, undone)


def _begin(run: Pulls, path: Path, right: Path) -> float:
    """Two equal stores; seconds that a pull takes."""
    assert run.run(path, _FIRST) == 0
    begun = time.monotonic()
    assert run.run(right, _FIRST) == 0
    return time.monotonic() - begun


def _killer(path: Path, chance: random.Random, length: float) -> Callable[[int], None]:
    sought = [None, f"{path.name}.wal", f"{path.name}.undo"][chance.choice([0, 0, 1, 2])]
    pause = chance.uniform(0, length if sought is None else _CHECKPOINT_S)

    def kill(process: int) -> None:
        late = time.monotonic() + 2 * length + 1
        with suppress(ProcessLookupError):  # through already
            while sought is not None and not path.with_name(sought).exists() and time.monotonic() < late:
                os.kill(process, 0)
            time.sleep(pause)
            os.kill(process, signal.SIGKILL)

    return kill
