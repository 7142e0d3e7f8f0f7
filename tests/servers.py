"""Real servers for tests: a Prometheus on a free loopback port, its storage filled by promtool."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

__all__ = ["backfill", "binary", "free_port", "prometheus"]


def binary(name: str) -> str:
    """Path of a program of Debian's package prometheus; the test fails by name where it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: apt-get install prometheus")
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def backfill(openmetrics: Path | Iterable[str], tsdb: Path) -> Path:
    """Make a storage folder from OpenMetrics text that has timestamps.

    Args:
        openmetrics: A file, or the text's pieces.
        tsdb: The folder; is made.
    """
    tsdb.mkdir(parents=True, exist_ok=True)
    if isinstance(openmetrics, Path):
        file = openmetrics
    else:
        file = tsdb.parent / f"{tsdb.name}.om"
        with file.open("w", encoding="utf-8") as handle:
            handle.writelines(openmetrics)
    done = subprocess.run(
        [binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(file), str(tsdb)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode != 0:
        pytest.fail(f"promtool does not take {file.name}: {done.stderr[-500:]}")
    return tsdb


@contextmanager
def prometheus(tsdb: Path, *flags: str) -> Iterator[str]:
    """A Prometheus over a storage folder, until the block ends.

    Args:
        tsdb: The storage.
        flags: Further flags.

    Yields:
        Its URL.
    """
    program = binary("prometheus")
    config = tsdb.parent / f"{tsdb.name}.yml"
    config.write_text("scrape_configs: []\n")
    port = free_port()
    with (tsdb.parent / f"{tsdb.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={tsdb}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
                *flags,
            ],
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, Path(log.name))
            yield url
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"Prometheus ended with {process.returncode}: {log.read_text(errors='replace')[-800:]}")
        try:
            if requests.get(f"{url}/-/ready", timeout=1).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    pytest.fail(f"Prometheus was not ready within 60 s: {log.read_text(errors='replace')[-800:]}")
