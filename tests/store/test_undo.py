"""A checkpoint that is cut short by a kill: without what was kept aside DuckDB can't open the file again."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import duckdb
import pytest

from abkit.errors import StoreLocked, StoreUnusable
from abkit.store import Store, connection
from abkit.store.undo import keep, undo_path
from tests.pipeline.pulls import pull
from tests.store.rows import tables, ticking

_BLOCK = 12_288
_HEADERS = 3 * 4_096


@dataclass(frozen=True)
class Moments:
    """A store before a checkpoint and after it, with log and undo file."""

    log: bytes
    undo: bytes
    before: bytes
    after: bytes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "x.duckdb", wait=0.3)
    pull(made, [ticking(-300, 600)], 600)
    return made


@pytest.fixture
def moments(store: Store, monkeypatch: pytest.MonkeyPatch) -> Moments:
    """What lay on the disk around the checkpoint of a pull; the store is as after it."""
    kept: dict[str, bytes] = {}
    log = store.path.with_name("x.duckdb.wal")

    def aside(path: Path, file: BinaryIO, blocks: Sequence[int]) -> None:
        keep(path, file, blocks)
        kept.update(log=log.read_bytes(), undo=undo_path(path).read_bytes(), before=_bytes(path))

    with monkeypatch.context() as patch:
        patch.setattr(connection, "keep", aside)
        pull(store, [ticking(-300, 900)], 900)
    return Moments(**kept, after=store.path.read_bytes())


def _bytes(path: Path) -> bytes:
    """In a process of its own: a handle that is closed here would give up DuckDB's lock."""
    return subprocess.run(["cat", str(path)], check=True, capture_output=True).stdout


def _torn(moments: Moments, at: int) -> bytes:
    """New blocks are written, the block of metadata up to here, and the header not yet."""
    content = moments.before[:_HEADERS] + moments.after[_HEADERS:]
    return content[: _BLOCK + at] + moments.before[_BLOCK + at : _BLOCK + 262_144] + content[_BLOCK + 262_144 :]


def _lay(store: Store, content: bytes, moments: Moments, *, undo: bool = True) -> None:
    store.path.write_bytes(content)
    store.path.with_name("x.duckdb.wal").write_bytes(moments.log)
    if undo:
        undo_path(store.path).write_bytes(moments.undo)


@pytest.mark.parametrize("at", [4_096, 8_192, 131_072])
class TestCutShort:
    def test_a_reader_finds_what_was_committed(self, store: Store, moments: Moments, at: int) -> None:
        after = tables(store.path)
        _lay(store, _torn(moments, at), moments)
        assert store.known("x").series
        assert tables(store.path) == after
        assert not undo_path(store.path).exists()

    def test_a_writer_goes_on(self, store: Store, moments: Moments, at: int) -> None:
        after = tables(store.path)
        _lay(store, _torn(moments, at), moments)
        pull(store, [ticking(-300, 900)], 900)
        assert tables(store.path) == after
        assert [path.name for path in store.path.parent.glob("x*")] == ["x.duckdb"]

    def test_killed_again_while_it_is_put_back(self, store: Store, moments: Moments, at: int) -> None:
        after = tables(store.path)
        torn = bytearray(_torn(moments, at))
        torn[_BLOCK : _BLOCK + 100] = moments.before[_BLOCK : _BLOCK + 100]
        _lay(store, bytes(torn), moments)
        store.known("x")
        assert tables(store.path) == after


class TestWhy:
    def test_duckdb_alone_can_t_open_it(self, store: Store, moments: Moments) -> None:
        _lay(store, _torn(moments, 4_096), moments, undo=False)
        for read_only in (True, False):
            with pytest.raises(duckdb.Error, match="block at location 12288"):
                duckdb.connect(store.path, read_only=read_only).execute("SELECT count(*) FROM samples").fetchall()
        with pytest.raises(StoreUnusable, match="damaged"):
            store.known("x")


class TestKeptForNothing:
    def test_the_new_header_is_in_place(self, store: Store, moments: Moments) -> None:
        after = tables(store.path)
        undo_path(store.path).write_bytes(moments.undo)
        store.known("x")
        assert store.path.read_bytes() == moments.after
        assert tables(store.path) == after
        assert not undo_path(store.path).exists()

    def test_half_a_header_is_none(self, store: Store, moments: Moments) -> None:
        after = tables(store.path)
        slot = next(at for at in (4_096, 8_192) if moments.before[at : at + 4_096] != moments.after[at : at + 4_096])
        torn = bytearray(_torn(moments, 262_144))
        torn[slot : slot + 20] = moments.after[slot : slot + 20]
        _lay(store, bytes(torn), moments)
        store.known("x")
        assert tables(store.path) == after

    def test_half_written_it_says_that_no_checkpoint_had_begun(self, store: Store, moments: Moments) -> None:
        after = tables(store.path)
        _lay(store, moments.before, moments)
        undo_path(store.path).write_bytes(moments.undo[:-1_000])
        store.known("x")
        assert tables(store.path) == after

    def test_of_another_file(self, store: Store, moments: Moments, tmp_path: Path) -> None:
        other = Store(tmp_path / "other.duckdb")
        pull(other, [ticking(-300, 300)], 300)
        undo_path(other.path).write_bytes(moments.undo)
        content = other.path.read_bytes()
        other.known("x")
        assert other.path.read_bytes() == content


class TestLocks:
    def test_a_checkpoint_that_goes_on_is_waited_for(self, store: Store, moments: Moments) -> None:
        _lay(store, _torn(moments, 4_096), moments)
        code = f"import fcntl, sys\nfile = open({str(store.path)!r}, 'r+b')\nfcntl.lockf(file, {fcntl.LOCK_EX})\n"
        command = [sys.executable, "-c", code + "print('locked', flush=True)\nsys.stdin.read()"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"locked\n"
            with pytest.raises(StoreLocked):
                store.known("x")
            process.communicate()
        assert undo_path(store.path).exists()
        assert store.known("x").series

    def test_a_reader_beside_a_writer_of_this_process_keeps_others_out(self, store: Store) -> None:
        code = f"import duckdb\nduckdb.connect({str(store.path)!r})"
        with connection.connected(store.path, read_only=False, wait=0):
            with pytest.raises(StoreLocked, match="another connection of this process"):
                store.known("x")
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "Could not set lock" in done.stderr

    def test_a_folder_without_rights_says_so(
        self, store: Store, moments: Moments, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _lay(store, _torn(moments, 4_096), moments)

        def recover(path: Path) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(connection, "recover", recover)
        with pytest.raises(StoreUnusable, match=r"a job was killed .* x\.duckdb\.undo"):
            store.known("x")


def test_a_copy_of_the_file_alone_is_whole(store: Store, tmp_path: Path) -> None:
    shutil.copy(store.path, tmp_path / "copy.duckdb")
    assert tables(tmp_path / "copy.duckdb") == tables(store.path)
