"""The dashboard that a command serves ends with it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest


def ended(address: str) -> bool:
    try:
        urlopen(f"{address}/_stcore/health", timeout=2).close()
    except OSError:
        return True
    return False


def read_until(terminal: int, pattern: str, seconds: float) -> tuple[str, re.Match[str]]:
    """What appears on a terminal, until a pattern does."""
    text, deadline = "", time.monotonic() + seconds
    while time.monotonic() < deadline:
        text += os.read(terminal, 65_536).decode(errors="replace")
        if found := re.search(pattern, text):
            return text, found
    pytest.fail(f"{pattern} did not appear:\n{text}")


def test_on_a_terminal_the_demo_serves_the_dashboard_until_it_is_stopped(tmp_path: Path) -> None:
    # One after the other: both would like to have the same port.
    for stop in (signal.SIGINT, signal.SIGTERM):
        served_until(stop, tmp_path / stop.name)


def served_until(stop: signal.Signals, folder: Path) -> None:
    folder.mkdir()
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "abkit", "demo"],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            text, found = read_until(ours, r"http://127\.0\.0\.1:\d+", 90)
            assert "SHIP" in text
            address = found.group()
            deadline = time.monotonic() + 60
            while ended(address):
                assert time.monotonic() < deadline, "the dashboard didn't come up"
                time.sleep(0.2)
            process.send_signal(stop)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
    os.close(ours)
    assert ended(address), "the server outlived its command"
