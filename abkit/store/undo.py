"""Makes DuckDB's checkpoint safe against a kill: what it overwrites in place is kept aside until it is through.

A checkpoint writes what is new into free blocks, and one header of 4 KiB, written last, makes it valid. Only blocks of
metadata, which hold 64 parts each, are written again in place while the old header still points into them. A process
that is killed within that write of 256 KiB leaves a block that is half old and half new: its checksum is wrong, and
neither a reader nor a writer can open the file any more (measured with DuckDB 2.0; Linux ends a write between two
pages). So the writer copies headers and blocks of metadata to a file beside the store, checkpoints, and removes it.
Whoever opens a store with such a file beside it puts the blocks back first, unless the new header is in place. The log
(`.wal`) still holds what was committed since, so nothing is lost.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

__all__ = ["keep", "recover", "sync_folder", "undo_path"]

_MAGIC: Final = b"abkit undo 1\n"
_DIGEST: Final = 32
_SLOT: Final = 4096
_HEADERS: Final = 3 * _SLOT
"""A main header and two slots for the database's header, used in turns."""
_FIRST_SUM: Final = 5381
_FACTOR: Final = 0xBF58476D1CE4E5B9
"""Of DuckDB's checksum."""


@dataclass(frozen=True, slots=True)
class _Kept:
    headers: bytes
    blocks: tuple[tuple[int, bytes], ...]


def undo_path(path: Path) -> Path:
    """Where a checkpoint of this store keeps what it overwrites.

    >>> undo_path(Path("abkit.duckdb"))
    PosixPath('abkit.duckdb.undo')
    """
    return path.with_name(f"{path.name}.undo")


def keep(path: Path, file: BinaryIO, blocks: Sequence[int]) -> None:
    """Copy headers and blocks aside, down to the disk.

    Args:
        path: The store.
        file: The store, open for reading. Closing it would give up DuckDB's lock: that is the caller's to do.
        blocks: Numbers of the blocks.

    Raises:
        OSError: There is no room, for example.
    """
    headers = _read(file, 0, _HEADERS)
    size = _block_size(headers)
    parts = [_MAGIC, struct.pack("<QQ", size, len(blocks)), headers]
    for block in blocks:
        parts += [struct.pack("<Q", block), _read(file, _HEADERS + block * size, size)]
    digest = hashlib.sha256()
    with undo_path(path).open("wb") as undo:
        for part in parts:
            digest.update(part)
            undo.write(part)
        undo.write(digest.digest())
        undo.flush()
        os.fsync(undo.fileno())
    sync_folder(path.parent)


def recover(path: Path) -> None:
    """Undo what a checkpoint that was killed has overwritten; nothing where none was.

    No connection of this process may have the file open: DuckDB's locks belong to the process.

    Raises:
        BlockingIOError: Another process has the file open: perhaps its checkpoint is just going on.
        OSError: The file can't be written.
    """
    undo = undo_path(path)
    if not undo.exists():
        return
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        kept = _kept(undo)
        if kept is not None and _unfinished(_read(file, 0, _HEADERS), kept.headers):
            for offset, content in kept.blocks:
                file.seek(offset)
                file.write(content)
            file.seek(0)
            file.write(kept.headers)
            file.flush()
            os.fsync(file.fileno())
        undo.unlink(missing_ok=True)


def _kept(undo: Path) -> _Kept | None:
    """What is in the file; None where it was not written to its end: then the checkpoint had not begun."""
    try:
        content = undo.read_bytes()
    except FileNotFoundError:
        return None
    body, digest = content[:-_DIGEST], content[-_DIGEST:]
    if not body.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
        return None
    at = len(_MAGIC)
    size, count = struct.unpack_from("<QQ", body, at)
    at += 16
    headers = body[at : at + _HEADERS]
    at += _HEADERS
    blocks = []
    for _ in range(count):
        (block,) = struct.unpack_from("<Q", body, at)
        blocks.append((_HEADERS + block * size, body[at + 8 : at + 8 + size]))
        at += 8 + size
    return _Kept(headers, tuple(blocks))


def _unfinished(now: bytes, before: bytes) -> bool:
    """Whether the file is the one that was kept, and no new header is in place.

    Args:
        now: The file's headers.
        before: Those that were kept.
    """
    slots = [(now[at : at + _SLOT], before[at : at + _SLOT]) for at in (_SLOT, 2 * _SLOT)]
    same = now[:_SLOT] == before[:_SLOT] and any(new == old for new, old in slots)
    return same and all(new == old or not _is_valid(new) for new, old in slots)


def _block_size(headers: bytes) -> int:
    """Bytes of a block, as the header in force says."""
    slots = [headers[at : at + _SLOT] for at in (_SLOT, 2 * _SLOT)]
    newest = max(slots, key=lambda slot: struct.unpack_from("<Q", slot, 8)[0] if _is_valid(slot) else 0)
    # Checksum, iteration, root of the metadata, list of free blocks, number of blocks, size of a block.
    return int(struct.unpack_from("<6Q", newest)[5])


def _is_valid(slot: bytes) -> bool:
    """Whether a header's checksum, its first 8 bytes, is that of the others."""
    words = np.frombuffer(slot, "<u8")
    return int(words[0]) == _FIRST_SUM ^ int(np.bitwise_xor.reduce(words[1:] * np.uint64(_FACTOR)))


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    content = os.pread(file.fileno(), length, offset)
    if len(content) < length:
        msg = f"{length} bytes at {offset} can't be read"
        raise OSError(msg)
    return content


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder down to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
