"""What is exposed can be read: by the client's own parsers, by promtool, by a real Prometheus, from many processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from abkit.instrument import Edge, ExperimentMetrics

EDGE = Edge({"buy-now": "buy-now"})


def _used_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    metrics = ExperimentMetrics(
        "buy-now",
        {"control": "v1", "treatment": "v2"},
        "v2",
        split={"control": 5_000, "treatment": 5_000},
        counters={"wishlist": "Items put on the wish list."},
        registry=registry,
    )
    for number in range(40):
        context = EDGE.receive([("cookie", f"ab_uid=user-{number}")])
        metrics.expose(context)
        metrics.page_view(context)
        metrics.revenue(context, 0.25)
        metrics.page_load(context, number / 10)
    return registry


def _read(families: Iterable[Any]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for metric in families
        for sample in metric.samples
    }


def test_both_formats_are_valid_and_say_the_same() -> None:
    registry = _used_registry()
    held = _read(registry.collect())
    text = generate_latest(registry).decode()
    modern = openmetrics.generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    # The second parser is strict: a histogram with a replicate on its _sum alone does not pass it.
    assert _read(parse_text(text)) == held == _read(parse_openmetrics(modern))  # type: ignore[no-untyped-call]
    for line in (
        "# TYPE ab_exposed_users_total counter",
        "# TYPE ab_page_load_seconds_sum untyped",
        "# TYPE ab_page_load_seconds_bucket untyped",
        'ab_page_load_seconds_bucket{ab_assignment="hash",ab_experiment="buy-now",ab_variant="control",le="+Inf",version="v2"}',
    ):
        assert line in text


@pytest.mark.prometheus
def test_promtool_has_nothing_against_it() -> None:
    text = generate_latest(_used_registry()).decode()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _prometheus(folder: Path, target: int) -> Iterator[str]:
    """A real Prometheus that scrapes a port of this machine; yields its address."""
    port = _free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n",
        encoding="utf-8",
    )
    log = (folder / "log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=log,
        stderr=log,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


def _query(address: str, query: str) -> list[Any]:
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            result: list[Any] = json.load(response)["data"]["result"]
            return result
    except OSError:
        return []  # it starts


@pytest.mark.prometheus
def test_a_real_prometheus_scrapes_every_series(tmp_path: Path) -> None:
    registry = _used_registry()
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with _prometheus(tmp_path, server.server_port) as address:
            deadline = time.monotonic() + 30
            while not _query(address, "up == 1") and time.monotonic() < deadline:
                time.sleep(0.1)
            found = _query(address, '{job="shop", __name__=~"ab_.*|abkit_.*"}')
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    scraped = {
        (
            labels.pop("__name__"),
            tuple(sorted((k, v) for k, v in labels.items() if k not in {"job", "instance"})),
        ): float(one["value"][1])
        for one in found
        if (labels := dict(one["metric"]))
    }
    assert _as_kept(scraped) == _as_kept(_read(registry.collect()))
    clicks = [dict(pairs) for name, pairs in scraped if name == "ab_clicks_total"]
    assert {one["ab_assignment"] for one in clicks if "ab_replicate" not in one} == {"rule", "none"}


def _as_kept(samples: dict[Any, float]) -> dict[Any, float]:
    """As a server keeps them: without empty labels; Prometheus 3 writes le="1.0" where 2 writes le="1"."""
    return {
        (name, tuple((key, str(float(value)) if key == "le" else value) for key, value in labels if value)): number
        for (name, labels), number in samples.items()
    }


WORKER = """
from prometheus_client import CollectorRegistry
from abkit.instrument import Assigned, ExperimentMetrics
metrics = ExperimentMetrics("buy-now", {"control": "v1"}, "v1", registry=CollectorRegistry())
who = Assigned("control", "hash", 3)
metrics.click(who); metrics.page_load(who, 0.3)
"""


def test_multiprocess_mode_adds_the_processes_up(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", WORKER], env=environment, check=True)
    reader = (
        "from prometheus_client import CollectorRegistry, generate_latest, multiprocess\n"
        "registry = CollectorRegistry(); multiprocess.MultiProcessCollector(registry)\n"
        "print(generate_latest(registry).decode())"
    )
    done = subprocess.run([sys.executable, "-c", reader], env=environment, check=True, capture_output=True, text=True)
    got = {key: value for key, value in _read(parse_text(done.stdout)).items() if value}
    place = {"ab_experiment": "buy-now", "ab_variant": "control", "ab_assignment": "hash", "version": "v1"}
    with_replicate = tuple(sorted({**place, "ab_replicate": "3"}.items()))
    buckets = {
        ("ab_page_load_seconds_bucket", tuple(sorted({**place, "le": le}.items()))): 2.0
        for le in ("0.5", "0.75", "1.0", "1.5", "2.0", "3.0", "5.0", "10.0", "+Inf")
    }
    assert got == buckets | {
        ("ab_clicks_total", with_replicate): 2.0,
        ("ab_page_load_seconds_count", with_replicate): 2.0,
        ("ab_page_load_seconds_sum", with_replicate): 0.6,
    }
