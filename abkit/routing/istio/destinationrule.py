"""The DestinationRule: a subset a version, circuit breaking, and who takes over for whom."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from abkit.routing.base import Manifest, go_duration, unable
from abkit.routing.effects import Breaker, breaker
from abkit.routing.objects import manifest
from abkit.routing.plan import Plan
from abkit.spec import CircuitBreaker

__all__ = ["API_VERSION", "connection_pool", "destination_rule", "outlier_detection", "subset_names", "subset_of"]

API_VERSION: Final = "networking.istio.io/v1"

_MAX_LABEL: Final = 63


def subset_names(versions: Sequence[str]) -> dict[str, str]:
    """Version → name of its subset, a DNS label; different for different versions, whatever their order.

    >>> subset_names(["v1", "1.4.2", "1-4_2"])
    {'v1': 'v1', '1.4.2': '1-4-2-8ec5a17a', '1-4_2': '1-4-2-6d9e80eb'}
    """
    plain = {version: "".join(c if c.isalnum() else "-" for c in version.lower()) for version in versions}
    digests = {version: hashlib.sha256(version.encode()).hexdigest() for version in versions}
    # A version that is a DNS label keeps its name; two others that fall together carry a piece of their hash.
    for length in (8, 16, 32):
        names: dict[str, str] = {}
        for version, name in plain.items():
            alone = list(plain.values()).count(name) == 1
            if name == version or (alone and length == 8):
                names[version] = name
            else:
                names[version] = f"{name[: _MAX_LABEL - length - 1].rstrip('-')}-{digests[version][:length]}"
        if len(set(names.values())) == len(names):
            return names
    raise AssertionError(versions)  # 32 hex digits of SHA-256 don't fall together


def subset_of(plan: Plan, version: str) -> str:
    """The subset that requests for a version go to: its own, or the one that also has the pods that take over."""
    name = subset_names(plan.versions)[version]
    return f"{name[: _MAX_LABEL - 9]}-or-else" if plan.fallback not in {None, version} else name


def destination_rule(plan: Plan) -> Manifest:
    """The rule.

    Raises:
        RoutingError: Istio can't fall back to just one of several other versions.
    """
    limits = plan.breaker
    spec: dict[str, Any] = {"host": plan.host}
    comments: list[str] = []
    if limits is not None:
        ejection = outlier_detection(limits)
        spec["trafficPolicy"] = {"connectionPool": connection_pool(limits), "outlierDetection": ejection}
        comments.append(f"Circuit breaker of tier {limits.tier}: the limits hold for each version by itself.")
    names = subset_names(plan.versions)
    spec["subsets"] = [{"name": name, "labels": {"version": version}} for version, name in names.items()]
    if plan.fallback is not None:
        spec["subsets"] += _taking_over(plan)
        comments.append(
            f"Subsets that end in -or-else have all pods, those of their version first: while none of them is healthy, "
            f"{plan.fallback} takes over."
        )
    return manifest(plan, API_VERSION, "DestinationRule", spec, comments=comments)


def connection_pool(limits: Breaker) -> dict[str, Any]:
    """Limits of connections and requests, as Istio has them."""
    http: dict[str, Any] = {
        "http1MaxPendingRequests": limits.pending,
        "http2MaxRequests": limits.requests,
        "maxRetries": limits.retries,
    }
    if limits.requests_per_connection is not None:
        http["maxRequestsPerConnection"] = limits.requests_per_connection
    return {
        "tcp": {"maxConnections": limits.connections, "connectTimeout": go_duration(limits.connect_timeout)},
        "http": http,
    }


def outlier_detection(limits: Breaker) -> dict[str, Any]:
    """Ejection of pods that fail, as Istio has it."""
    # `consecutiveErrors` is accepted by the schema and read by nobody.
    found: dict[str, Any] = {"consecutive5xxErrors": limits.consecutive_5xx}
    if limits.consecutive_gateway_errors is not None:
        found["consecutiveGatewayErrors"] = limits.consecutive_gateway_errors
    return found | {
        "interval": go_duration(limits.interval),
        "baseEjectionTime": go_duration(limits.ejection),
        "maxEjectionPercent": limits.max_ejected,
    }


def _taking_over(plan: Plan) -> Iterator[dict[str, Any]]:
    if len(plan.versions) > 2:
        what = f"fall back to {plan.fallback} alone where there are other versions beside it"
        raise unable(plan, "istio", what, ["envoy"])
    limits = plan.breaker or breaker(CircuitBreaker())
    for version in plan.versions:
        if version != plan.fallback:
            yield {
                "name": subset_of(plan, version),
                "trafficPolicy": {
                    # Priorities by locality need outlier detection: without it no pod is ever known to be unhealthy.
                    # All of a version's pods must be able to go: a limit would keep requests on those that fail.
                    "outlierDetection": outlier_detection(replace(limits, max_ejected=100)),
                    "loadBalancer": {
                        "simple": "ROUND_ROBIN",
                        "localityLbSetting": {"enabled": True, "failoverPriority": [f"version={version}"]},
                    },
                },
            }
