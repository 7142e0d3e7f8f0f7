"""The catalogue's names of Envoy's statistics are those that a real Envoy exposes."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from abkit.pipeline.attribution import describe
from abkit.queries import resolve
from abkit.queries.selectors import parse_selector
from abkit.spec import Experiment
from tests.servers import envoy, free_port

pytestmark = pytest.mark.envoy

VERSIONS = {"control": "v1", "treatment": "v1.1"}
SPEC = Experiment.model_validate(
    {
        "service": "shop",
        "variants": VERSIONS,
        "metrics": {
            "mesh": "envoy",
            "primary": ["error-rate", "success-rate", "traffic", "latency-p50", "latency-p95"],
            "guardrails": ["latency-p99", "latency-mean"],
        },
    }
)


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(500 if self.path.endswith("/fail") else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing: pytest shows what fails."""


def configuration(port: int, admin: int, shop: int) -> dict[str, object]:
    def address(number: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    # As Envoy's names of statistics take a dot for a separator, a version's is written as '_' there.
    names = {version: f"shop-{version}" for version in VERSIONS.values()}
    clusters: list[dict[str, object]] = [
        {
            "name": name,
            "alt_stat_name": name.replace(".", "_"),
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(shop)}}]}],
            },
        }
        for name in names.values()
    ]
    # Where another version takes over, requests go to a cluster that has both.
    asked, behind = names["v1.1"], [names["v1.1"], names["v1"]]
    aggregate = {
        "@type": "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig",
        "clusters": behind,
    }
    clusters.append(
        {
            "name": f"{asked}~or-else",
            "alt_stat_name": f"{asked}~or-else".replace(".", "_"),
            "connect_timeout": "1s",
            "lb_policy": "CLUSTER_PROVIDED",
            "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": aggregate},
        }
    )
    names["or-else"] = f"{asked}~or-else"
    routes = [{"match": {"prefix": f"/{version}/"}, "route": {"cluster": name}} for version, name in names.items()]
    types = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "shop",
        "route_config": {"virtual_hosts": [{"name": "shop", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{types}.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"name": "shop", "address": address(port), "filter_chains": [{"filters": filters}]}
    return {
        "admin": {"address": address(admin)},
        "stats_flush_interval": "0.2s",
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[dict[str, str], float]]]:
    """What Envoy exposes after 5 requests for one version, and 3 for the other of which one fails."""
    folder = tmp_path_factory.mktemp("envoy")
    shop = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    port, admin = free_port(), free_port()
    config = folder / "envoy.json"
    config.write_text(json.dumps(configuration(port, admin, shop.server_address[1])))
    try:
        with envoy(config) as url:
            with closing(requests.Session()) as session:
                for path in ["v1/ok"] * 5 + ["v1.1/ok", "or-else/ok", "or-else/fail"]:
                    session.get(f"http://127.0.0.1:{port}/{path}", timeout=5)
            yield exposed(f"{url}/stats/prometheus")
    finally:
        shop.shutdown()
        shop.server_close()


def exposed(url: str) -> list[tuple[dict[str, str], float]]:
    """Labels and values, once the histograms have been merged: they lag behind the counters."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = []
        for line in requests.get(url, timeout=5).text.splitlines():
            if sample := re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line):
                found.append(
                    ({"__name__": sample[1], **dict(re.findall(r'(\w+)="([^"]*)"', sample[2]))}, float(sample[3]))
                )
        counts = [value for labels, value in found if labels["__name__"] == "envoy_cluster_upstream_rq_time_count"]
        if sum(counts) == 8:
            return found
        time.sleep(0.05)
    pytest.fail("Envoy did not merge its histograms within 30 s")


def counted(series: list[tuple[dict[str, str], float]], metric: str, role: str, le: str = "") -> dict[str, float]:
    (found,) = (each for each in resolve(SPEC) if each.name == metric)
    selector = parse_selector(next(data.selector for each, data in found.inputs.items() if each == role))
    sums: dict[str, float] = {}
    for labels, value in series:
        if selector.matches(labels) and labels.get("le", "") == le:
            variant = describe(1, "x", labels, SPEC).variant
            sums[variant] = sums.get(variant, 0.0) + value
    return sums


def test_requests_by_version(series: list[tuple[dict[str, str], float]]) -> None:
    assert counted(series, "traffic", "numerator") == {"control": 5, "treatment": 3}
    assert counted(series, "error-rate", "numerator") == {"treatment": 1}
    assert counted(series, "error-rate", "denominator") == {"control": 5, "treatment": 3}
    assert counted(series, "success-rate", "numerator") == {"control": 5, "treatment": 2}


def test_latency_by_version(series: list[tuple[dict[str, str], float]]) -> None:
    for metric in ("latency-p50", "latency-p95", "latency-p99"):
        assert counted(series, metric, "bucket", "+Inf") == {"control": 5, "treatment": 3}
    assert counted(series, "latency-mean", "denominator") == {"control": 5, "treatment": 3}
    assert counted(series, "latency-mean", "numerator").keys() == {"control", "treatment"}
