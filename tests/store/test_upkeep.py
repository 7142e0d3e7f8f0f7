"""Is the store sound, could it be smaller, and a copy of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import duckdb
import pytest

from abkit.errors import InputError, StoreLocked, StoreUnusable, StoreVersion
from abkit.store import Store, backup, check, compact
from tests.pipeline.pulls import pull
from tests.store.rows import differences, living, tables, ticking

_SERIES = [ticking(-300, 9_000), living(-300, 9_000)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "x.duckdb", wait=0.3)
    for now in (600, 1_200, 1_800):
        pull(made, _SERIES, now)
    return made


def change(store: Store, statement: str) -> None:
    with duckdb.connect(store.path) as connection:
        connection.execute(statement)


class TestCheck:
    def test_a_sound_store(self, store: Store) -> None:
        found = check(store.path, wait=1)
        assert found.faults == ()
        assert found.size == store.path.stat().st_size
        assert found.rows["samples"] == len(tables(store.path)["samples"])
        assert set(tables(store.path)) <= set(found.rows)

    def test_before_the_first_pull(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnusable, match="no store here"):
            check(tmp_path / "nobody.duckdb", wait=0)

    @pytest.mark.parametrize(
        ("statement", "fault"),
        [
            (
                "UPDATE facts SET total = total + 1e-9 WHERE start_ms = (SELECT min(start_ms) FROM facts)",
                "2 facts of x",
            ),
            ("DELETE FROM facts WHERE start_ms = (SELECT min(start_ms) FROM facts)", "1 facts of x"),
            ("INSERT INTO samples SELECT * FROM samples LIMIT 3", "3 samples that lie twice"),
            ("INSERT INTO increments SELECT * FROM increments LIMIT 1", "1 increments that lie twice"),
            ("INSERT INTO samples VALUES (1, 1, 1)", "1 samples of a series that is not known"),
            ("INSERT INTO increments VALUES (1, 1, 1, 1, 0)", "1 increments of a series that is not known"),
            ("UPDATE watermarks SET start_ms = end_ms + 1", "2 watermarks that end before they start"),
            ("INSERT INTO watermarks SELECT * FROM watermarks LIMIT 1", "1 inputs with more than one watermark"),
            ("UPDATE samples SET ts = ts + 9000000", "samples from beyond the watermark"),
            ("UPDATE increments SET previous_ts = ts + 1", "increments that end before they begin"),
            ("UPDATE facts SET end_ms = start_ms", "facts whose end is not after their start"),
        ],
    )
    def test_what_is_wrong_is_said(self, store: Store, statement: str, fault: str) -> None:
        change(store, statement)
        assert fault in "; ".join(check(store.path, wait=1).faults)

    def test_a_broken_block(self, store: Store) -> None:
        content = bytearray(store.path.read_bytes())
        content[12_288 + 262_144 + 100] ^= 1
        store.path.write_bytes(content)
        with pytest.raises(StoreUnusable, match="is damaged: restore it from a backup"):
            check(store.path, wait=1)

    def test_of_a_newer_abkit(self, store: Store) -> None:
        change(store, "INSERT INTO schema_version VALUES (999, '7.0')")
        for look in (check, compact):
            with pytest.raises(StoreVersion, match=r"abkit 7\.0"):
                look(store.path, wait=1)


class TestCompact:
    def test_the_same_rows_in_less_room(self, store: Store, tmp_path: Path) -> None:
        backup(store.path, tmp_path / "before.duckdb", wait=1)
        for now in range(2_000, 9_000, 1_000):
            pull(store, _SERIES, now)
        backup(store.path, tmp_path / "full.duckdb", wait=1)
        done = compact(store.path, wait=1)
        assert done.after < done.before
        assert done.after == store.path.stat().st_size
        assert differences(store.path, tmp_path / "full.duckdb") == {}
        assert check(store.path, wait=1).faults == ()
        pull(store, _SERIES, 9_000)
        assert sorted(path.name for path in tmp_path.glob("*x.duckdb*")) == [".x.duckdb.lock", "x.duckdb"]

    def test_what_a_killed_job_left_in_the_log(self, store: Store) -> None:
        code = (
            f"import duckdb, os\nc = duckdb.connect({str(store.path)!r})\nc.execute('DELETE FROM facts')\nos._exit(0)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        assert store.path.with_name("x.duckdb.wal").exists()
        compact(store.path, wait=1)
        assert tables(store.path)["facts"] == []

    def test_killed_at_any_moment(self, store: Store) -> None:
        before = tables(store.path)
        code = "from pathlib import Path\nfrom abkit.store import compact\nprint('go', flush=True)\n"
        code += f"while True: compact(Path({str(store.path)!r}), wait=1)"
        for pause in (0.05, 0.15, 0.25):
            process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
            with process.stdout as said:  # type: ignore[union-attr]
                assert said.readline() == b"go\n"
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
            process.wait()
            store.known("x")
            assert tables(store.path) == before
        compact(store.path, wait=1)
        assert not store.path.with_name(".x.duckdb.compact").exists()

    def test_others_wait_and_find_the_new_file(self, store: Store) -> None:
        before = store.path.stat().st_ino
        patient = Store(store.path, wait=20)
        errors: list[BaseException] = []

        def read() -> None:
            try:
                for _ in range(10):
                    patient.known("x")
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        compact(store.path, wait=20)
        for thread in threads:
            thread.join(timeout=60)
        assert errors == []
        assert store.path.stat().st_ino != before

    def test_while_another_process_reads(self, store: Store) -> None:
        code = f"import duckdb, sys\nc = duckdb.connect({str(store.path)!r}, read_only=True)\n"
        command = [sys.executable, "-c", code + "print('go', flush=True)\nsys.stdin.read()"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"go\n"
            with pytest.raises(StoreLocked, match=f"process {process.pid}"):
                compact(store.path, wait=0.2)
            process.communicate()


class TestBackup:
    def test_the_same_rows(self, store: Store, tmp_path: Path) -> None:
        size = backup(store.path, tmp_path / "copy.duckdb", wait=1)
        assert size == (tmp_path / "copy.duckdb").stat().st_size
        assert differences(store.path, tmp_path / "copy.duckdb") == {}
        assert list(tmp_path.glob("*.wal")) == []
        assert list(tmp_path.glob(".*begun*")) == []

    def test_with_what_a_killed_job_left_in_the_log(self, store: Store, tmp_path: Path) -> None:
        code = (
            f"import duckdb, os\nc = duckdb.connect({str(store.path)!r})\nc.execute('DELETE FROM facts')\nos._exit(0)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        backup(store.path, tmp_path / "copy.duckdb", wait=1)
        assert tables(tmp_path / "copy.duckdb")["facts"] == []
        assert list(tmp_path.glob(".*begun*")) == []

    def test_while_another_process_reads(self, store: Store, tmp_path: Path) -> None:
        code = f"import duckdb, sys\nc = duckdb.connect({str(store.path)!r}, read_only=True)\n"
        command = [sys.executable, "-c", code + "print('go', flush=True)\nsys.stdin.read()"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"go\n"
            backup(store.path, tmp_path / "copy.duckdb", wait=0.2)
            process.communicate()
        assert differences(store.path, tmp_path / "copy.duckdb") == {}

    def test_nothing_is_overwritten(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "copy.duckdb").write_text("mine")
        with pytest.raises(InputError, match=r"copy\.duckdb: exists already"):
            backup(store.path, tmp_path / "copy.duckdb", wait=1)
        assert (tmp_path / "copy.duckdb").read_text() == "mine"

    def test_no_such_folder(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="can't be written"):
            backup(store.path, tmp_path / "nowhere" / "copy.duckdb", wait=1)


class TestLinks:
    """DuckDB follows a link and keeps its log beside the file; so must abkit, or the log is not moved nor copied."""

    @pytest.fixture
    def link(self, store: Store, tmp_path: Path) -> Path:
        (tmp_path / "links").mkdir()
        link = tmp_path / "links" / "link.duckdb"
        link.symlink_to(store.path)
        return link

    def test_a_pull_lies_in_the_file(self, store: Store, link: Path, tmp_path: Path) -> None:
        pull(Store(link), _SERIES, 2_400)
        assert not store.path.with_name("x.duckdb.wal").exists()
        backup(link, tmp_path / "copy.duckdb", wait=1)
        assert tables(tmp_path / "copy.duckdb") == tables(store.path)
        assert [path.name for path in link.parent.iterdir()] == ["link.duckdb"]

    def test_what_a_killed_pull_left_in_the_log_is_copied(self, store: Store, link: Path, tmp_path: Path) -> None:
        script = """
            import os, sys
            from pathlib import Path
            from abkit.store import Store, connection
            from tests.pipeline.pulls import pull
            from tests.store.test_upkeep import _SERIES
            connection.keep = lambda *_: os._exit(0)
            pull(Store(Path(sys.argv[1])), _SERIES, 2_400)
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(link)], check=True, timeout=60)
        assert store.path.with_name("x.duckdb.wal").exists()
        backup(link, tmp_path / "copy.duckdb", wait=1)
        assert tables(tmp_path / "copy.duckdb") == tables(store.path)

    def test_compact_leaves_the_link(self, store: Store, link: Path) -> None:
        before = tables(store.path)
        compact(link, wait=1)
        assert link.is_symlink()
        assert tables(store.path) == before

    def test_a_store_that_is_not_there_yet(self, link: Path, tmp_path: Path) -> None:
        ahead = link.with_name("ahead.duckdb")
        ahead.symlink_to(tmp_path / "new.duckdb")
        pull(Store(ahead), _SERIES, 600)
        assert ahead.is_symlink()
        assert tables(tmp_path / "new.duckdb")["samples"]
