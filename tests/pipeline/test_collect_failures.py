"""What fails or is killed midway leaves the store as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abkit.errors import SourceUnreachable
from abkit.pipeline.collect import collect
from abkit.sources.base import Samples
from abkit.store import Store
from abkit.window import Window
from tests.pipeline.pulls import FROM, pull
from tests.sources.data import MemorySource
from tests.store.rows import START, experiment, tables, ticking
from tests.torture.kills import kill_pulls


class TestFailures:
    def test_a_source_that_breaks_leaves_the_store_alone(self, tmp_path: Path) -> None:
        class Breaking(MemorySource):
            def fetch(self, selector: str, window: Window) -> Iterator[Samples]:
                yield from super().fetch(selector, window)
                if "exposed" in selector:
                    msg = "gone"
                    raise SourceUnreachable(msg)

        store = Store(tmp_path / "x.duckdb")
        pull(store, [ticking(-300, 600)], 600)
        before = tables(store.path)
        with pytest.raises(SourceUnreachable):
            collect(experiment(analysis=FROM), Breaking([ticking(-300, 900)]), store, now_ms=START + 900_000)
        assert tables(store.path) == before

    @pytest.mark.parametrize("step", ["store/insert_samples", "store/replace_facts", "quality", "store/record_pull"])
    def test_all_or_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        import abkit.store.writing as writing

        store = Store(tmp_path / "x.duckdb")
        pull(store, [ticking(-300, 600)], 600)
        before = tables(store.path)
        right = writing.run

        def run(connection: Any, name: str, **values: Any) -> list[tuple[Any, ...]]:
            found = right(connection, name, **values)
            if name == step:
                raise KeyboardInterrupt
            return found

        monkeypatch.setattr(writing, "run", run)
        with pytest.raises(KeyboardInterrupt):
            pull(store, [ticking(-300, 900)], 900)
        monkeypatch.undo()
        assert tables(store.path) == before
        pull(store, [ticking(-300, 900)], 900)
        assert tables(store.path) != before

    def test_killed_at_any_moment(self, tmp_path: Path) -> None:
        seed = random.SystemRandom().randrange(1 << 32)
        toll = kill_pulls(tmp_path, 15, seed)
        print(f"seed {seed}: {toll}")
        assert toll.killed + toll.through == 15
        assert toll.killed
