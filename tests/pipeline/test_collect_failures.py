"""What fails or is killed midway leaves the store as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
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
from tests.store.rows import START, differences, experiment, tables, ticking


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
        code = """
import sys
from pathlib import Path
from abkit.evidence import Quality as QualityModel
from abkit.pipeline.health import quality_of
from abkit.pipeline.collect import collect
from abkit.store import Store
from tests.sources.data import MemorySource
from tests.store.rows import START, experiment, living, ticking
series = [ticking(-300, 20_000, instance=str(i), ab_replicate=str(i)) for i in range(12)]
series += [living(-300, 20_000, instance=str(i)) for i in range(12)]
spec, source = experiment(analysis={"start": "2026-11-01"}), MemorySource(series)
print("go", flush=True)
collect(spec, source, Store(sys.argv[1]), now_ms=START + int(sys.argv[2]))
"""

        def start(path: Path, now: int) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-c", code, str(path), str(now)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert process.stdout is not None
            with process.stdout as said:
                assert said.readline() == b"go\n"
            return process

        path = tmp_path / "x.duckdb"
        assert start(path, 9_000_000).wait(timeout=60) == 0
        before, after = tmp_path / "before.duckdb", tmp_path / "after.duckdb"
        before.write_bytes(path.read_bytes())
        after.write_bytes(path.read_bytes())
        begun = time.monotonic()
        assert start(after, 20_000_000).wait(timeout=60) == 0
        length = time.monotonic() - begun
        killed = 0
        for part in (0.5, 0.85):
            process = start(path, 20_000_000)
            time.sleep(length * part * 0.6)
            process.send_signal(signal.SIGKILL)
            killed += process.wait(timeout=60) == -signal.SIGKILL
            assert {} in (differences(path, before), differences(path, after))
        assert killed
        assert start(path, 20_000_000).wait(timeout=60) == 0
        assert differences(path, after) == {}


# ---- against a known truth ------------------------------------------------------------------------------------------
