"""Runs the command line as a user does: another process, its stdout, stderr and exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ran", "abkit"]


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


def abkit(*args: object, cwd: Path, timeout: float = 120, **environment: str) -> Ran:
    """Run `abkit` with arguments, in a folder."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ABKIT_")}
    done = subprocess.run(
        [sys.executable, "-m", "abkit", *map(str, args)],
        cwd=cwd,
        env=inherited | {"COLUMNS": "100"} | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "Traceback" not in done.stdout
    return Ran(done.returncode, done.stdout, done.stderr)
