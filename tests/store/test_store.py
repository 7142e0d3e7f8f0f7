"""The file: locks, versions, damage, full disks, and verdicts."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from abkit.errors import StoreError, StoreLocked, StoreUnusable, StoreVersion
from abkit.evidence import Evaluation, Provenance, Reason, Verdict, WindowModel
from abkit.pipeline.collect import collect
from abkit.spec import Strategy
from abkit.store import Store
from abkit.window import Window
from tests.factories import health, result
from tests.sources.data import MemorySource
from tests.store.rows import START, counter, experiment, process, tables

WINDOW = Window(START, START + 60_000)
SERIES = [counter([(second, float(second)) for second in range(0, 60, 15)]), process([(0, 0.0), (45, 0.0)])]


def pull(store: Store) -> None:
    collect(experiment(), MemorySource(SERIES), store, start_ms=START, end_ms=WINDOW.end_ms, now_ms=WINDOW.end_ms)


def questions(store: Store) -> list[Callable[[], object]]:
    """A reader's and a writer's."""
    return [lambda: store.span("x"), lambda: pull(store)]


def evaluation() -> Evaluation:
    """A verdict with two metrics, and one without a number."""
    return Evaluation(
        experiment="a",
        strategy=Strategy.AB,
        verdict=Verdict.SHIP,
        reasons=(Reason(code="primary-better", message="It is better."),),
        as_of=None,
        window=WindowModel(start=None, end=None),
        confidence=0.95,
        looks="always-valid",
        health=health(),
        metrics=(result(), result("click-rate", lift=None, p=None)),
        split=(),
        provenance=Provenance(abkit_version="0.1.0", spec_hash="0123", inputs="4567", source=None, queries={}),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "x.duckdb", wait=0.3)
    pull(made)
    return made


@contextmanager
def locked(path: Path, *, read_only: bool = False) -> Iterator[int]:
    """Another process that has the file open."""
    code = (
        "import duckdb, sys\n"
        f"connection = duckdb.connect({str(path)!r}, read_only={read_only})\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    try:
        yield process.pid
    finally:
        process.communicate(timeout=10)


class TestLock:
    def test_held_by_another_process(self, store: Store) -> None:
        before = tables(store.path)
        with locked(store.path) as pid:
            for question in questions(store):
                start = time.monotonic()
                with pytest.raises(StoreLocked, match=f"locked by process {pid} for more than 0.3 s") as raised:
                    question()
                assert 0.2 < time.monotonic() - start < 3
                assert str(store.path) in str(raised.value)
                assert raised.value.exit_code == 4
        assert tables(store.path) == before

    def test_readers_get_along_and_lock_a_writer_out(self, store: Store) -> None:
        with locked(store.path, read_only=True):
            assert store.span("x") == WINDOW
            with pytest.raises(StoreLocked):
                pull(store)

    def test_waiting_helps(self, store: Store) -> None:
        patient = Store(store.path, wait=20)
        with locked(store.path):
            found: list[Window | None] = []
            reader = threading.Thread(target=lambda: found.append(patient.span("x")))
            reader.start()
            time.sleep(0.2)
            assert not found
        reader.join(timeout=20)
        assert found == [WINDOW]

    def test_another_connection_of_this_process_has_it(self, store: Store) -> None:
        with duckdb.connect() as other:
            other.execute(f"ATTACH '{store.path}' AS other")
            for question in questions(store):
                with pytest.raises(StoreLocked, match="another connection of this process"):
                    question()
        assert store.span("x") == WINDOW

    def test_threads_of_one_process(self, store: Store) -> None:
        patient = Store(store.path, wait=20)
        errors: list[BaseException] = []

        def work(task: int) -> None:
            try:
                for _ in range(3):
                    pull(patient) if task == 0 else patient.span("x")
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(task,)) for task in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert errors == []


class TestUnusable:
    def test_missing_for_a_reader(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnusable, match="run abkit pull first"):
            Store(tmp_path / "nobody.duckdb").span("x")
        assert not (tmp_path / "nobody.duckdb").exists()

    @pytest.mark.parametrize("content", [b"hello" * 9_999, b"", b"SQLite format 3\x00" + bytes(9_999)])
    def test_not_duckdb(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "x.duckdb"
        path.write_bytes(content)
        for question in questions(Store(path)):
            with pytest.raises(StoreUnusable, match="not a DuckDB file") as raised:
                question()
            assert str(path) in str(raised.value)
        assert path.read_bytes() == content

    def test_cut(self, store: Store) -> None:
        store.path.write_bytes(store.path.read_bytes()[: store.path.stat().st_size // 2])
        with pytest.raises(StoreUnusable, match="damaged"):
            store.totals("x", WINDOW)

    def test_flipped_bits(self, store: Store) -> None:
        content = bytearray(store.path.read_bytes())
        for offset in range(13_000, len(content), 4_096):
            content[offset] ^= 0xFF
        store.path.write_bytes(content)
        with pytest.raises(StoreUnusable):
            store.totals("x", WINDOW)

    def test_somebody_else_s_database(self, tmp_path: Path) -> None:
        path = tmp_path / "theirs.duckdb"
        with duckdb.connect(path) as connection:
            connection.execute("CREATE TABLE precious AS SELECT 1 AS one")
        for question in questions(Store(path)):
            with pytest.raises(StoreUnusable, match="not abkit's"):
                question()
        with duckdb.connect(path) as connection:
            assert connection.execute("SHOW TABLES").fetchall() == [("precious",)]

    @pytest.mark.parametrize("path", ["/proc/x.duckdb", "/dev/null/x.duckdb", "/nobody/x.duckdb", "/tmp"])
    def test_no_place_to_write(self, path: str) -> None:
        with pytest.raises(StoreUnusable, match=path):
            pull(Store(path))

    @pytest.mark.parametrize("path", ["", ".", "/"])
    def test_a_path_that_names_no_file(self, path: str) -> None:
        for question in questions(Store(path)):
            with pytest.raises(StoreUnusable, match="is a folder"):
                question()
        with pytest.raises(StoreUnusable, match="is a folder"):
            pull(Store(path))

    def test_a_full_disk_leaves_what_was_there(self, store: Store, tmp_path: Path) -> None:
        # A limit on the size of files is a full disk that a test can have.
        before = tables(store.path)
        code = f"""
import random, resource, signal, sys
from abkit.errors import StoreUnusable
from abkit.pipeline.collect import collect
from abkit.store import Store
from tests.sources.data import MemorySource
from tests.store.rows import START, counter, experiment
many = [counter([(s, random.random()) for s in range(0, 9000, 3)], instance=str(i)) for i in range(60)]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    collect(experiment(), MemorySource(many), Store({str(store.path)!r}), start_ms=START, end_ms=START + 9_000_000,
            now_ms=START + 9_000_000)
except StoreUnusable as error:
    print(error)
    sys.exit(4)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (4, "")
        assert str(store.path) in done.stdout
        assert tables(store.path) == before
        pull(store)


class TestVersion:
    def test_written_by_a_newer_abkit(self, store: Store) -> None:
        with duckdb.connect(store.path) as connection:
            connection.execute("INSERT INTO schema_version VALUES (999, '7.0')")
        before = tables(store.path)
        for question in questions(store):
            with pytest.raises(StoreVersion, match=r"abkit 7\.0 .*upgrade"):
                question()
        assert tables(store.path) == before

    def test_an_empty_database_becomes_a_store(self, tmp_path: Path) -> None:
        duckdb.connect(tmp_path / "x.duckdb").close()
        pull(Store(tmp_path / "x.duckdb"))
        assert Store(tmp_path / "x.duckdb").span("x") == WINDOW

    def test_an_older_store_is_brought_up_to_date_by_a_reader(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
    ) -> None:
        from abkit.queries.sql import migrations

        more = (*migrations(), (len(migrations()) + 1, "CREATE TABLE later (one INTEGER);"))
        monkeypatch.setattr("abkit.store.schema.migrations", lambda: more)
        assert store.span("x") == WINDOW
        with duckdb.connect(store.path, read_only=True) as connection:
            assert connection.execute("SELECT max(version) FROM schema_version").fetchall() == [(len(more),)]
            assert connection.execute("SELECT count(*) FROM later").fetchall() == [(0,)]

    @pytest.mark.parametrize(("has", "gets"), [("9 GiB", "1.0 GiB"), ("700 MiB", "700.0 MiB")])
    def test_memory_is_bounded_and_a_lower_bound_stays(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, has: str, gets: str
    ) -> None:
        from abkit.store import connection

        monkeypatch.setattr(connection, "CONFIG", {"memory_limit": has})
        with connection.connected(store.path, read_only=True, wait=0) as opened:
            assert opened.execute("SELECT current_setting('memory_limit')").fetchall() == [(gets,)]

    def test_no_extension_is_ever_fetched(self, store: Store) -> None:
        from abkit.store.connection import connected

        with (
            pytest.raises(StoreError, match=r"spatial|st_point"),
            connected(store.path, read_only=True, wait=0) as connection,
        ):
            connection.execute("SELECT st_point(1, 2)")


class TestVerdicts:
    def test_kept_once(self, store: Store) -> None:
        given = evaluation()
        assert store.append_verdict(given)
        assert not store.append_verdict(given)
        other = given.model_copy(update={"owner": "somebody else"})
        assert store.append_verdict(other)
        assert store.append_verdict(given)
        kept = store.verdicts(given.experiment)
        assert [row.document for row in kept] == [each.to_json() for each in (given, other, given)]
        assert kept[0].verdict == str(given.verdict)
        assert kept[0].spec_hash == given.provenance.spec_hash
        assert store.verdicts(given.experiment, limit=1) == kept[:1]

    def test_the_newest_of_each_experiment(self, store: Store) -> None:
        given = evaluation()
        others = [given.model_copy(update={"experiment": name, "owner": owner}) for name, owner in ("ba", "ab", "ac")]
        for other in others:
            store.append_verdict(other)
        assert store.latest_documents() == [others[2].to_json(), others[0].to_json()]
        assert store.experiments() == ["a", "b", "x"]

    def test_its_numbers_are_rows(self, store: Store) -> None:
        given = evaluation()
        store.append_verdict(given)
        with duckdb.connect(store.path, read_only=True) as connection:
            found = connection.execute("SELECT metric, variant FROM results").fetchall()
        assert sorted(found) == sorted((metric.metric, metric.variant) for metric in given.metrics)
        assert found
