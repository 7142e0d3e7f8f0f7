"""What the lint says about Envoy's configurations, beside what Envoy itself says (`--mode validate`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from abkit.routing.lint import Severity, lint

ENVOY = Path(sys.executable).with_name("envoy")
FILTERS = "type.googleapis.com/envoy.extensions.filters"
MANAGER = f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = f"{FILTERS}.http.router.v3.Router"
LOOKAHEAD = "{safe_regex: {regex: '(?=a)'}}"
CONFIGURATION = """\
static_resources:
  listeners:
    - name: edge
      address: {socket_address: {address: 127.0.0.1, port_value: 0}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": MANAGER
                stat_prefix: edge
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {"@type": ROUTER}
                route_config: {virtual_hosts: [{name: a, domains: ["*"], routes: [%s]}]}
  clusters:
    - {name: v1, type: STATIC, connect_timeout: 1s}
    - {name: v2, type: STATIC, connect_timeout: 1s}
"""


def _split(first: int, second: int, name: str = "v1", more: str = "") -> str:
    clusters = f"[{{name: {name}, weight: {first}}}, {{name: v2, weight: {second}}}]"
    return f"{{match: {{prefix: /}}, route: {{weighted_clusters: {{{more}clusters: {clusters}}}}}}}"


def _action(more: str) -> str:
    return f"{{match: {{prefix: /}}, route: {{{more}}}}}"


@pytest.mark.parametrize(
    ("route", "refused"),
    [
        (_split(1, 9), False),
        (_split(0, 0), True),
        (_split(-1, 9), True),
        (_split(1, 9, name="v3"), True),
        (_split(1, 9, more="total_weight: 7, "), False),
        (_action("cluster: v1, timeout: 0.5s"), False),
        (_action("cluster: v1, timeout: 500ms"), True),
        (_action("cluster: v1, timeout: 5"), True),
        (_action("cluster: v9"), True),
        (_action("cluster: v1, request_mirror_policies: [{cluster: v9}]"), True),
        ("{match: {safe_regex: {regex: '/('}}, route: {cluster: v1}}", True),
        ("{match: {safe_regex: {regex: ''}}, route: {cluster: v1}}", True),
        ("{match: {prefix: /, headers: [{name: a, string_match: {prefix: ''}}]}, route: {cluster: v1}}", True),
        (
            "{match: {prefix: /, headers: [{name: a, string_match: X}]}, route: {cluster: v1}}".replace("X", LOOKAHEAD),
            True,
        ),
    ],
)
def test_errors_are_what_envoy_refuses(route: str, refused: bool, tmp_path: Path) -> None:
    text = CONFIGURATION.replace("MANAGER", MANAGER).replace("ROUTER", ROUTER) % route
    file = tmp_path / "envoy.yaml"
    file.write_text(text)
    ran = subprocess.run([ENVOY, "--mode", "validate", "-c", file], capture_output=True, timeout=60, check=False)
    errors = [str(one) for one in lint([(file.name, text)]) if one.severity is Severity.ERROR]
    assert (ran.returncode != 0, bool(errors)) == (refused, refused), errors
