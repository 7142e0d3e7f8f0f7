"""Plan → Istio: subsets, the filter that computes buckets, the tags of the request count, the routes.

Istio's pilot emits weighted clusters without a hash policy, so a plain percentage there is drawn anew for every
request. The split is therefore by ranges of the bucket header, which the edge computes: RE2, matched in full, so a
malformed bucket falls to the default route.

References: https://istio.io/latest/docs/reference/config/networking/ (virtual-service, destination-rule,
envoy-filter), https://istio.io/latest/docs/reference/config/telemetry/.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from abkit.routing.base import Manifest
from abkit.routing.istio.destinationrule import API_VERSION, destination_rule, subset_names
from abkit.routing.istio.envoyfilter import check_gateways, edge, native_hash
from abkit.routing.istio.telemetry import telemetry
from abkit.routing.istio.virtualservice import virtual_service
from abkit.routing.plan import Plan
from abkit.spec import Edge

__all__ = ["API_VERSION", "Istio", "subset_names"]


class Istio:
    """Istio's `DestinationRule`, `EnvoyFilter`, `Telemetry` and `VirtualService`."""

    name: Final = "istio"

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """Manifests of a plan: the subsets before the routes that name them.

        Raises:
            RoutingError: Istio can't do it, or Envoy would refuse a condition.
        """
        settings = plan.settings
        manifests = [destination_rule(plan), virtual_service(plan)]
        if settings.edge is Edge.GATEWAY:
            manifests.append(edge(plan))
        if settings.istio.native_hash:
            manifests.append(native_hash(plan))
        if settings.istio.telemetry:
            manifests.append(telemetry(plan))
        return tuple(sorted(manifests, key=lambda manifest: manifest.filename))

    def render_together(self, plans: Iterable[Plan]) -> tuple[Manifest, ...]:
        """Manifests of several services.

        Raises:
            RoutingError: Istio can't do it, or two services contradict each other at their gateway.
        """
        services = tuple(plans)
        check_gateways(services)
        return tuple(found for plan in services for found in self.render(plan))
