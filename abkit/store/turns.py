"""Who may open a store when.

DuckDB's lock on the file tells processes apart, not threads, and whoever asks first again has it: readers in a loop can
keep a writer out for ever. So the threads of a process wait for each other here, and processes take turns at a small
lock file: a writer holds it while it waits for the file, a reader only while it opens the file. Readers that come after
a waiting writer wait for it; the ones before it end.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Place", "TooLate", "place_of", "turn"]

_PAUSE: Final = 0.005


class TooLate(Exception):
    """Another one had it for longer than one may wait; says which process, where known."""

    def __init__(self, process: int | None = None) -> None:
        super().__init__()
        self.process = process


@dataclass(slots=True)
class Place:
    """What this process' threads do with one file.

    Attributes:
        condition: Held while a connection is opened or closed.
        connections: How many of them are open.
    """

    condition: threading.Condition = field(default_factory=threading.Condition)
    connections: int = 0
    _readers: int = 0
    _writing: bool = False
    _waiting: int = 0

    @contextmanager
    def taken(self, *, read_only: bool, deadline: float) -> Iterator[None]:
        """Alone in this process, or together with other readers.

        Args:
            read_only: Together with other readers.
            deadline: Until when to wait, by the monotonic clock.

        Raises:
            TooLate: Others still have it.
        """
        with self.condition:
            self._enter(read_only, deadline)
        try:
            yield
        finally:
            with self.condition:
                if read_only:
                    self._readers -= 1
                else:
                    self._writing = False
                self.condition.notify_all()

    def _enter(self, read_only: bool, deadline: float) -> None:
        left = deadline - time.monotonic()
        if read_only:
            if not self.condition.wait_for(lambda: not self._writing and not self._waiting, left):
                raise TooLate(os.getpid())
            self._readers += 1
            return
        self._waiting += 1
        try:
            if not self.condition.wait_for(lambda: not self._writing and not self._readers, left):
                raise TooLate(os.getpid())
            self._writing = True
        finally:
            self._waiting -= 1
            self.condition.notify_all()


_PLACES: Final[dict[str, Place]] = {}
_GUARD: Final = threading.Lock()


def place_of(path: Path) -> Place:
    """The place of a file: the same for every way to write its path."""
    with _GUARD:
        return _PLACES.setdefault(os.path.realpath(path), Place())


@contextmanager
def turn(path: Path, *, read_only: bool, deadline: float) -> Iterator[None]:
    """A turn at the lock file beside a store; without one where no such file can be made.

    Args:
        path: The store.
        read_only: Together with others that read.
        deadline: Until when to wait, by the monotonic clock.

    Raises:
        TooLate: Another process still has it.
    """
    try:
        handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        # A folder that can't be written to: there is no writer to be fair to.
        yield
        return
    try:
        _wait(handle, fcntl.LOCK_SH if read_only else fcntl.LOCK_EX, deadline)
        if not read_only:
            with suppress(OSError):
                os.pwrite(handle, f"{os.getpid():<10}".encode(), 0)
        yield
    finally:
        os.close(handle)


def _wait(handle: int, kind: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(handle, 10, 0).decode(errors="replace").strip()
                raise TooLate(int(holder) if holder.isdigit() else None) from None
        except OSError:
            return  # a file system without such locks
        else:
            return
        time.sleep(_PAUSE)
