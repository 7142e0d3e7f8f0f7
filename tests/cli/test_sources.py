"""What the experiment file names as its source is what the commands read."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.runner import abkit

SPEC = """\
metadata: {name: buy-now}
service: {name: shop, namespace: default}
variants: {control: v1, treatment: v2}
metrics: [conversion]
analysis: {start: 2026-11-01, end: 2026-11-02}
"""


def test_what_simulate_writes_is_pulled_and_judged_without_a_server(tmp_path: Path) -> None:
    spec = tmp_path / "shop.yaml"
    spec.write_text(SPEC)
    done = abkit("simulate", "shop.yaml", "-o", "world.om", "--users", "400", "--hours", "2", cwd=tmp_path)
    assert done.code == 0, done.err
    spec.write_text(SPEC + "source: {openmetrics: world.om, labels: {cluster: east}}\n")
    done = abkit("pull", "shop.yaml", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    pulled = json.loads(done.out)
    assert (pulled["source"], pulled["way"]) == ("openmetrics world.om", "openmetrics")
    assert pulled["samples"] > 10_000
    verdict = json.loads(abkit("verdict", "shop.yaml", "--json", cwd=tmp_path).out)
    assert verdict["health"]["srm"]["status"] == "ok"
    assert verdict["health"]["data_quality"]["scrape_interval_ms"] > 0
    lines = (tmp_path / "world.om").read_text().splitlines(keepends=True)
    (tmp_path / "world.om").write_text("".join([*lines[:100], "ab_clicks_total{ 7\n", *lines[100:]]))
    done = abkit("pull", "shop.yaml", "--start", "2026-11-01", cwd=tmp_path)
    assert done.code == 3
    assert "world.om:101: " in done.err
