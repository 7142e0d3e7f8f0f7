"""The catalogue on the command line, and what a real Prometheus has of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runner import Ran, abkit
from tests.servers import backfill, free_port, prometheus

SPEC = """\
service: {name: shop, namespace: prod}
variants: {control: v1, treatment: v2}
metrics:
  primary: [conversion]
  guardrails: [error-rate, memory]
  secondary: [latency-p99, bounce-rate]
"""
OWN = """\
# metric: wishes
# meaning: Wishes per second.
# unit: wishes/s
# kind: rate
# direction: increase
# role: numerator
ab_wishes_total{ab_experiment="$experiment"}
"""


def exposed() -> dict[str, list[dict[str, str]]]:
    """Family → labels of its series, as a shop in trouble has them."""
    views = [
        {"ab_experiment": "shop", "ab_variant": variant, "ab_replicate": str(number), "ab_assignment": "hash"}
        for variant in ("control", "treatment")
        for number in range(4)
    ]
    views = [labels | {"version": "v1" if labels["ab_variant"] == "control" else "v2"} for labels in views]
    istio = {"reporter": "destination", "destination_service_name": "shop", "destination_service_namespace": "prod"}
    return {
        "ab_page_views_total": views,
        "ab_purchases_total": views[:6],
        "ab_exposed_users_total": [{name: value for name, value in one.items() if name != "version"} for one in views],
        # The canary's pods are labelled v3.
        "istio_requests_total": [
            istio | {"destination_version": version, "response_code": code}
            for version in ("v1", "v3")
            for code in ("200", "503")
        ],
        # In another namespace than the file says.
        "container_memory_working_set_bytes": [
            {"namespace": "production", "pod": f"shop-{version}-7d9c5b8f6d-x2x5v", "container": "shop"}
            for version in ("v1", "v2")
        ],
    }


def openmetrics() -> Iterator[str]:
    now = time.time()
    for family, series in exposed().items():
        yield f"# TYPE {family.removesuffix('_total')} {'counter' if family.endswith('_total') else 'gauge'}\n"
        for labels in series:
            text = ",".join(
                f'{name}="{value}"' for name, value in (labels | {"job": "shop", "instance": "a:80"}).items()
            )
            for before in (120, 60):
                yield f"{family}{{{text}}} 7 {now - before:.3f}\n"
    yield "# EOF\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with prometheus(backfill(openmetrics(), folder / "tsdb"), "--query.lookback-delta=1h") as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(SPEC)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "wishes.promql").write_text(OWN)
    return tmp_path


def checked(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran.err
    (found,) = json.loads(ran.out)["servers"]
    return {metric["metric"]: metric for metric in found["metrics"]}


@pytest.mark.prometheus
class TestCheck:
    def test_an_experiment(self, server: str, folder: Path) -> None:
        found = checked(abkit("metrics", "check", "shop.yaml", "--prometheus", server, "--json", cwd=folder))
        assert {name: metric["status"] for name, metric in found.items()} == {
            "conversion": "ok",
            "error-rate": "incomplete",
            "memory": "missing",
            "latency-p99": "missing",
            "bounce-rate": "missing",
            "exposed-users": "incomplete",
        }
        numerator, denominator = found["conversion"]["inputs"]
        assert numerator["variants"] == {"control": 4, "treatment": 2}
        assert denominator["series"] == 8
        errors = found["error-rate"]["inputs"][0]
        assert (errors["variants"], errors["others"]) == ({"control": 1, "treatment": 0}, {"v3": 1})
        (problem,) = errors["problems"]
        assert problem.startswith("no series of treatment (version v2); there is v3: check that it runs")
        (memory,) = found["memory"]["inputs"]
        assert memory["role"] == "value"
        assert 'no series with namespace="prod": there is production' in memory["problems"][0]
        (latency,) = found["latency-p99"]["inputs"]
        (problem,) = latency["problems"]
        assert problem.startswith("the server has no istio_request_duration_milliseconds_bucket now: Istio's proxies ")
        assert "the service counts it (abkit.instrument)" in found["bounce-rate"]["inputs"][0]["problems"][0]
        (users,) = found["exposed-users"]["inputs"]
        assert users["unlabelled"] == {"version": 8}
        assert users["problems"] == ["8 series without the label version: keep it when scraping"]

    def test_as_people_read_it(self, server: str, folder: Path) -> None:
        ran = abkit("metrics", "check", "shop.yaml", "--prometheus", server, "--exit-code", cwd=folder)
        assert ran.code == 30
        assert "1 of 6 metrics are there and labelled" in ran.out
        assert "8 series: control 4, treatment 4" in ran.out
        assert "2 series: control 1, treatment 0, v3 1" in ran.out

    def test_names_without_an_experiment(self, server: str, folder: Path) -> None:
        names = ("conversion", "linkerd/error-rate", "error-rate", "wishes")
        ran = abkit("metrics", "check", *names, "--metrics", "own", "--prometheus", server, "--json", cwd=folder)
        found = checked(ran)
        assert {name: metric["status"] for name, metric in found.items()} == {
            "conversion": "ok",
            "linkerd/error-rate": "missing",
            "istio/error-rate": "ok",
            "wishes": "missing",
        }
        assert found["conversion"]["inputs"][1]["variants"] == {"control": 4, "treatment": 4}
        assert found["istio/error-rate"]["inputs"][1]["variants"] == {"v1": 2, "v3": 2}

    def test_all_that_is_there_ends_with_0(self, server: str, folder: Path) -> None:
        ran = abkit("metrics", "check", "conversion", "--prometheus", server, "--exit-code", cwd=folder)
        assert (ran.code, ran.err) == (0, "")


def test_a_server_that_is_not_there(folder: Path) -> None:
    (folder / "shop.yaml").write_text(SPEC + f"source: {{prometheus: 'http://127.0.0.1:{free_port()}', retries: 0}}\n")
    ran = abkit("metrics", "check", "shop.yaml", cwd=folder)
    assert ran.code == 3
    assert "can't be reached" in ran.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("check", "shop.yaml"), "no server to ask: give --prometheus URL"),
        (("check", "conversation", "--prometheus", "http://127.0.0.1:1"), "did you mean 'conversion'"),
        (("check", "nobody.yaml", "--prometheus", "http://127.0.0.1:1"), "no such file"),
        (
            ("check", "conversion", "shop.yaml", "--prometheus", "http://127.0.0.1:1"),
            "give one experiment file",
        ),
        (("check", "conversion", "--prometheus", "nonsense"), "should be a URL"),
        (("show", "convertion"), "did you mean 'conversion'"),
        (("list", "--metrics", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, arguments: tuple[str, ...], why: str) -> None:
    ran = abkit("metrics", *arguments, cwd=folder)
    assert ran.code == 2
    assert why in ran.err


class TestCatalogue:
    def test_list(self, folder: Path) -> None:
        rows = json.loads(abkit("metrics", "list", "--json", cwd=folder).out)["metrics"]
        assert [row["mesh"] for row in rows if row["metric"] == "error-rate"] == ["envoy", "istio", "linkerd"]
        text = abkit("metrics", "list", cwd=folder, ABKIT_METRICS="own").out
        assert "conversion  proportion, purchases per page view, higher is better" in text
        assert "Wishes per second." in text

    def test_show(self, folder: Path) -> None:
        ran = abkit("metrics", "show", "memory", "--spec", "shop.yaml", cwd=folder)
        assert "# metric: memory" in ran.out
        assert 'pod=~"shop\\\\-v1\\\\-[a-z0-9-]+|shop\\\\-v2\\\\-[a-z0-9-]+"' in ran.out
        found = json.loads(abkit("metrics", "show", "wishes", "--metrics", "own", "--json", cwd=folder).out)
        assert found["selectors"] == {"numerator": 'ab_wishes_total{ab_experiment="$experiment"}'}
        found = json.loads(abkit("metrics", "show", "conversion", "--spec", "shop.yaml", "--json", cwd=folder).out)
        assert found["resolved"]["denominator"] == 'ab_page_views_total{ab_experiment="shop"}'

    def test_other_commands_know_metrics_of_ones_own(self, folder: Path) -> None:
        (folder / "shop.yaml").write_text(SPEC.replace("bounce-rate", "wishes"))
        ran = abkit("validate", "shop.yaml", cwd=folder)
        assert ran.code == 2
        assert "'wishes' is not in the catalogue" in ran.err
        assert abkit("validate", "shop.yaml", "--metrics", "own", cwd=folder).code == 0
        assert abkit("validate", "shop.yaml", cwd=folder, ABKIT_METRICS="own").code == 0
        (folder / "abkit.toml").write_text('metrics = "own"\n')
        assert abkit("validate", "shop.yaml", cwd=folder).code == 0
        (folder / "own" / "wishes.promql").write_text(OWN.replace("# unit", "# units"))
        ran = abkit("validate", "shop.yaml", cwd=folder)
        assert ran.code == 2
        assert "wishes.promql:3: no such key 'units'; did you mean 'unit'?" in ran.err
