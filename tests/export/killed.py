"""Exports in processes of their own that are killed at a chosen step: everything is imported once, then each is a fork.

    python -m tests.export.killed

Reads one JSON document a line (`to`, `at`), exports the new experiment, and prints how it ended: 0, or the negative
number of the signal. A step is anything that others can see: a file that is opened for writing, renamed or removed, a
folder that is made, a command that is started, a request that is sent.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from tests.export.sites import NEW, export, opened

__all__ = ["Exports", "exports"]

_STEPS = frozenset({"os.rename", "os.remove", "os.mkdir", "subprocess.Popen", "http.client.send"})


class Exports:
    """Starts exports, one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.export.killed"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)

    def run(self, to: str, at: int, **environment: str) -> bool:
        """Export, killed before its step of that number, from 1 on.

        Returns:
            Whether it was killed: False once it has no step of that number.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"to": to, "at": at, "environment": environment}) + "\n")
        self._process.stdin.flush()
        ended = int(self._process.stdout.readline())
        assert ended in {0, -signal.SIGKILL}, ended
        return ended != 0


@contextmanager
def exports() -> Iterator[Exports]:
    """A process that starts exports; ended at the end."""
    with Exports() as run:
        yield run


def _kill_at(number: int) -> None:
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in _STEPS or (writes and arguments[0] != os.devnull):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    """Export as told on stdin."""
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.environ.update(task["environment"])
                target = opened(task["to"])
                _kill_at(task["at"])
                export(target, NEW)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
