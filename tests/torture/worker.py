"""Pulls in processes of their own that may be killed: everything is imported once, then each is a fork.

    python -m tests.torture.worker

Reads one JSON document a line (`path`, `now`: seconds after the start of the world), prints the process' id when it
begins, and how it ended: 0, or the negative number of the signal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from abkit.pipeline.collect import collect
from abkit.store import Store
from tests.sources.data import MemorySource
from tests.store.rows import START, experiment, living, ticking

__all__ = ["Pulls", "pulls"]

_SERIES = 4
_SECONDS = 30_000


class Pulls:
    """Starts pulls, one after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, path: Path, now: int, meanwhile: Callable[[int], None] | None = None) -> int:
        """Pull until now.

        Args:
            path: The store.
            now: Seconds after the start of the world, up to 30,000.
            meanwhile: Called with the process' id when the pull begins.

        Returns:
            How it ended: 0, or the negative number of the signal that ended it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"path": str(path), "now": now}) + "\n")
        self._process.stdin.flush()
        process = int(self._process.stdout.readline())
        if meanwhile is not None:
            meanwhile(process)
        return int(self._process.stdout.readline())


@contextmanager
def pulls() -> Iterator[Pulls]:
    """A process that starts pulls; ended at the end."""
    command = [sys.executable, "-m", "tests.torture.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Pulls(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def main() -> None:
    """Pull as told on stdin."""
    series = [ticking(-300, _SECONDS, instance=str(i), ab_replicate=str(i)) for i in range(_SERIES)]
    series += [living(-300, _SECONDS, instance=str(i)) for i in range(_SERIES)]
    spec, source = experiment(analysis={"start": "2026-11-01"}), MemorySource(series)
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                collect(spec, source, Store(task["path"]), now_ms=START + 1_000 * task["now"])
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
