"""Plan → Gateway API: a Service a version and an HTTPRoute, attached to gateways or to the service itself (GAMMA)."""

from __future__ import annotations

from typing import Any, Final

from abkit.routing.base import Manifest, unable
from abkit.routing.gateway.httproute import Dialect, rules_of, written
from abkit.routing.objects import manifest
from abkit.routing.plan import Plan
from abkit.routing.services import version_service

__all__ = ["GatewayApi"]

_API_VERSION: Final = "gateway.networking.k8s.io/v1"
_DIALECT: Final = Dialect("gateway-api", 64, mirrors=True)


class GatewayApi:
    """Gateway API's `HTTPRoute`, standard channel."""

    name: Final = "gateway-api"

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """Manifests of a plan: the Services before the route that names them.

        Raises:
            RoutingError: The standard channel can't do what the plan asks for.
        """
        if any(route.effects.retrying is not None for route in plan.routes):
            raise unable(plan, self.name, "try again: retries are experimental there", ["istio", "envoy", "linkerd"])
        if plan.breaker is not None:
            raise unable(plan, self.name, "break circuits", ["istio", "envoy", "linkerd"])
        if plan.fallback is not None:
            raise unable(plan, self.name, "fall back to another version", ["istio", "envoy"])
        settings = plan.settings.gateway_api
        parents: list[dict[str, Any]] = [
            {
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "name": gateway.name,
                **({"namespace": gateway.namespace} if gateway.namespace else {}),
                **({"sectionName": gateway.section} if gateway.section else {}),
            }
            for gateway in settings.gateways
        ]
        own = {"group": "", "kind": "Service", "name": plan.service, "port": plan.port}
        spec: dict[str, Any] = {"parentRefs": parents or [own]}
        if settings.hosts:
            spec["hostnames"] = list(settings.hosts)
        spec["rules"] = written(plan, rules_of(plan, _DIALECT), _DIALECT, timeouts=True)
        header = plan.splits[0].header
        comments = (
            f"The split reads the request header {header} (0 to 9999), which the edge computes from the",
            f"{plan.layers[0].unit} and never takes from a client: abkit.instrument, or a filter at the gateway.",
            "Header matches by regular expression are up to the implementation; Istio, Envoy Gateway, Cilium, Linkerd",
            "and Kong have them. The most specific match wins there: some rules repeat conditions of later ones.",
        )
        services = [version_service(plan, version) for version in plan.versions]
        route = manifest(plan, _API_VERSION, "HTTPRoute", spec, comments=comments)
        return (*sorted(services, key=lambda one: one.filename), route)
