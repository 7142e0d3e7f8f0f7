"""The listener, and the configuration that Envoy is started with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from abkit.routing.envoy.objects import FILTERS, typed
from abkit.routing.envoy.routes import ROUTES
from abkit.spec import EnvoySettings

__all__ = ["bootstrap", "listener"]

_MANAGER: Final = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def listener(settings: EnvoySettings, routes: str, *, edge: bool) -> dict[str, Any]:
    """Where requests come in.

    Args:
        settings: Address and port.
        routes: The file of the route configuration.
        edge: Whether it takes requests from outside: then it computes the buckets, and trusts no header that a proxy
            would set.
    """
    lua = [_filter("lua", "extensions.filters.http.lua.v3.Lua")] if edge else []
    manager = typed(
        _MANAGER,
        stat_prefix="abkit",
        **({"use_remote_address": True} if edge else {}),
        normalize_path=True,
        rds={"route_config_name": ROUTES, "config_source": _source(settings, routes)},
        http_filters=[
            *lua,
            _filter("fault", "extensions.filters.http.fault.v3.HTTPFault"),
            _filter("router", "extensions.filters.http.router.v3.Router"),
        ],
    )
    return typed(
        "config.listener.v3.Listener",
        name="abkit",
        address=_socket(settings.address, settings.listen),
        filter_chains=[
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    )


def bootstrap(settings: EnvoySettings, name: str, clusters: str, listeners: str) -> Mapping[str, Any]:
    """What Envoy is started with: `envoy -c FILE`. All else it reads from the other files, and again when they change.

    Args:
        settings: The port of its own statistics.
        name: What the Envoy is called.
        clusters: The file of the clusters.
        listeners: The file of the listener.
    """
    return {
        "node": {"id": name, "cluster": name},
        "admin": {"address": _socket("127.0.0.1", settings.admin)},
        "dynamic_resources": {
            "cds_config": _source(settings, clusters),
            "lds_config": _source(settings, listeners),
        },
    }


def _filter(name: str, kind: str) -> dict[str, Any]:
    return {"name": f"{FILTERS}.{name}", "typed_config": typed(kind)}


def _socket(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}


def _source(settings: EnvoySettings, file: str) -> dict[str, Any]:
    folder = settings.config_path
    return {
        # The folder is watched: a file that is put in another's place counts, and so does a ConfigMap's link.
        "path_config_source": {"path": f"{folder}/{file}", "watched_directory": {"path": folder}},
        "resource_api_version": "V3",
    }
