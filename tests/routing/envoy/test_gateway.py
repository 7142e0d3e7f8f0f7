"""A gateway runs the filters of all its services, one after the other: each writes what its own requests need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from abkit.assignment import bucket, replicate
from abkit.routing import render
from abkit.routing.document import to_yaml
from abkit.spec import Experiment
from tests.routing.envoy.upstreams import Ask, ask, upstreams
from tests.routing.specs import experiment
from tests.servers import envoy, free_port

pytestmark = pytest.mark.envoy

_TYPES = "type.googleapis.com/envoy.extensions.filters"


def _service(name: str, unit: dict[str, str]) -> Experiment:
    return experiment(
        metadata={"name": name},
        service={"name": name, "namespace": "shop"},
        assignment={"unit": unit, "layer": name},
        mesh={"istio": {"hosts": [f"{name}.example.com", f"*.{name}.example.org"]}},
    )


BY_HEADER, BY_COOKIE = _service("cart", {"header": "x-user-id"}), _service("front", {"cookie": "uid"})


def _filter(spec: Experiment) -> dict[str, Any]:
    text = next(one.text for one in render(spec) if "envoyfilter" in one.filename)
    [patch] = yaml.safe_load(text)["spec"]["configPatches"]
    value: dict[str, Any] = patch["patch"]["value"]
    return value


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of an Envoy with both filters, as Istio would put them before its router."""
    port, admin = free_port(), free_port()
    with upstreams("v1") as versions:
        address = {"address": "127.0.0.1", "port_value": versions.ports["v1"]}
        endpoint = {"endpoint": {"address": {"socket_address": address}}}
        cluster = {
            "name": "shop",
            "load_assignment": {"cluster_name": "shop", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }
        router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"}}
        host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "shop"}}]}
        manager = {
            "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "gateway",
            "route_config": {"virtual_hosts": [host]},
            "http_filters": [_filter(BY_HEADER), _filter(BY_COOKIE), router],
        }
        chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        listener = {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [chain],
        }
        document = {
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
            "static_resources": {"listeners": [listener], "clusters": [cluster]},
        }
        file: Path = tmp_path_factory.mktemp("gateway") / "envoy.yaml"
        file.write_text(to_yaml(document))
        with envoy(file):
            yield port


def _sent(port: int, host: str, **headers: str) -> dict[str, str]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(port, Ask(given, host=host)).sent


@pytest.mark.parametrize("host", ["cart.example.com", "CART.example.com:80", "a.cart.example.org"])
def test_the_unit_of_the_requests_own_service_counts(gateway: int, host: str) -> None:
    sent = _sent(gateway, host, x_user_id="ann", cookie="uid=bob", x_ab_replicate="1", x_ab_bucket_cart="7")
    assert sent["x-ab-bucket-cart"] == str(bucket(BY_HEADER.salt, "ann"))
    assert sent["x-ab-replicate"] == str(replicate("ann"))


def test_so_does_the_other_services(gateway: int) -> None:
    sent = _sent(gateway, "front.example.com", x_user_id="ann", cookie="a=1; uid=bob", x_ab_variant_front="treatment")
    assert sent["x-ab-bucket-front"] == str(bucket(BY_COOKIE.salt, "bob"))
    assert sent["x-ab-replicate"] == str(replicate("bob"))
    assert "x-ab-variant-front" not in sent


def test_other_hosts_are_nobodys(gateway: int) -> None:
    assert "x-ab-bucket-cart" not in _sent(gateway, "notcart.example.com", x_user_id="ann")
    assert "x-ab-bucket-cart" not in _sent(gateway, "cart.example.com.evil.org", x_user_id="ann")
