"""The clusters: one a version, its circuit breaker, and who takes over while none of its pods is healthy."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any, Final

from abkit.errors import RoutingError
from abkit.routing.effects import Breaker, breaker
from abkit.routing.envoy.objects import seconds, typed
from abkit.routing.plan import Plan
from abkit.routing.services import service_of
from abkit.spec import CircuitBreaker

__all__ = ["clusters", "meant_for", "name_of"]

_PROTOCOLS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_AGGREGATE: Final = "extensions.clusters.aggregate.v3.ClusterConfig"
_CONNECT: Final = "5s"


def name_of(plan: Plan, version: str) -> str:
    """The cluster of a version's own pods; Prometheus knows the version by it.

    >>> from abkit.routing.building import build_plan
    >>> from abkit.spec import Experiment
    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> name_of(build_plan(spec), "v2")
    'shop-v2'
    """
    return f"{plan.service}-{version}"


def meant_for(plan: Plan, version: str) -> str:
    """The cluster that requests for a version go to: its own, or the one with those who take over behind it."""
    name = name_of(plan, version)
    return f"{name}~or-else" if plan.fallback not in {None, version} else name


def clusters(plan: Plan) -> list[dict[str, Any]]:
    """The clusters of a service.

    Raises:
        RoutingError: Two versions would count under one name.
    """
    counted: dict[str, str] = {}
    for version in plan.versions:
        other = counted.setdefault(version.replace(".", "_"), version)
        if other != version:
            msg = (
                f"{plan.title}: mesh 'envoy' counts the versions '{other}' and '{version}' under one name, since a dot "
                "separates its statistics: give one of them another name"
            )
            raise RoutingError(msg)
    found = [_cluster(plan, version) for version in plan.versions]
    if plan.fallback is not None:
        found += [_taking_over(plan, plan.fallback, version) for version in plan.versions if version != plan.fallback]
    return found


def _cluster(plan: Plan, version: str) -> dict[str, Any]:
    name = name_of(plan, version)
    host, port = _address(plan, version)
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
    limits = plan.breaker
    replaced = plan.fallback not in {None, version}
    if limits is None and replaced:
        # Without ejection no pod is ever known to fail.
        limits = breaker(CircuitBreaker())
    found = _named(name)
    found |= {"type": "STATIC"} if _is_ip(host) else {"type": "STRICT_DNS", "dns_lookup_family": "V4_PREFERRED"}
    found["connect_timeout"] = _CONNECT if limits is None else seconds(limits.connect_timeout)
    found["load_assignment"] = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    # Codes and times count for the cluster that was asked, these for the pod that answered: who took over, too.
    found["track_cluster_stats"] = {"per_endpoint_stats": True}
    if plan.breaker is not None:
        found |= _limits(plan.breaker)
    if limits is not None:
        found["outlier_detection"] = _outliers(limits, replaced=replaced)
        # By default pods that were ejected are used again as soon as half of them are.
        found["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}
        if replaced:
            found["health_checks"] = [_health_check(limits)]
    return found


def _named(name: str) -> dict[str, Any]:
    found = typed("config.cluster.v3.Cluster", name=name)
    # A dot separates the parts of a statistic's name.
    return {**found, "alt_stat_name": name.replace(".", "_")} if "." in name else found


def _address(plan: Plan, version: str) -> tuple[str, int]:
    given = plan.settings.envoy.upstreams.get(version)
    if given is None:
        return f"{service_of(plan, version)}.{plan.namespace}.svc.cluster.local", plan.port
    host, _, port = given.rpartition(":")
    return host, int(port)


def _is_ip(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def _limits(limits: Breaker) -> dict[str, Any]:
    found: dict[str, Any] = {
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": limits.connections,
                    "max_pending_requests": limits.pending,
                    "max_requests": limits.requests,
                    "max_retries": limits.retries,
                }
            ]
        }
    }
    if limits.requests_per_connection is not None:
        options = {
            "common_http_protocol_options": {"max_requests_per_connection": limits.requests_per_connection},
            "explicit_http_config": {"http_protocol_options": {}},
        }
        protocols = typed(_PROTOCOLS.removeprefix("envoy."), **options)
        found["typed_extension_protocol_options"] = {_PROTOCOLS: protocols}
    return found


def _outliers(limits: Breaker, *, replaced: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"consecutive_5xx": limits.consecutive_5xx}
    if limits.consecutive_gateway_errors is not None:
        # Envoy only counts them where it isn't told to act.
        found["consecutive_gateway_failure"] = limits.consecutive_gateway_errors
        found["enforcing_consecutive_gateway_failure"] = 100
    found |= {
        "interval": seconds(limits.interval),
        "base_ejection_time": seconds(limits.ejection),
        # Somebody takes over when all are ejected, and only then.
        "max_ejection_percent": 100 if replaced else limits.max_ejected,
        # Comparison with the other pods is not asked for.
        "enforcing_success_rate": 0,
    }
    if replaced:
        # A pod that takes connections and answers with errors stays out.
        found["successful_active_health_check_uneject_host"] = False
    return found


def _health_check(limits: Breaker) -> dict[str, Any]:
    """Pods that take no connections are found without a user's request."""
    interval = seconds(limits.interval)
    return {
        "timeout": seconds(limits.connect_timeout),
        "interval": interval,
        "no_traffic_interval": interval,
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "tcp_health_check": {},
    }


def _taking_over(plan: Plan, fallback: str, version: str) -> dict[str, Any]:
    pools = [name_of(plan, version), name_of(plan, fallback)]
    return {
        **_named(meant_for(plan, version)),
        "connect_timeout": _CONNECT,
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": typed(_AGGREGATE, clusters=pools)},
    }
