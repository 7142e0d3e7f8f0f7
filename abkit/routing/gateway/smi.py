"""Plan → SMI TrafficSplit, for a Linkerd that still runs the extension: legacy, by lot, no users."""

from __future__ import annotations

from typing import Final

from abkit.routing.base import Manifest, unable
from abkit.routing.effects import NO_EFFECTS
from abkit.routing.objects import manifest
from abkit.routing.plan import Plan, Stage
from abkit.routing.services import service_of, version_service
from abkit.spec import Strategy

__all__ = ["Smi"]

_API_VERSION: Final = "split.smi-spec.io/v1alpha2"
_ABLE: Final = ("istio", "envoy", "linkerd", "gateway-api")


class Smi:
    """SMI's `TrafficSplit`: weights alone, drawn anew for each request."""

    name: Final = "smi"

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """Manifests of a plan: the Services before the split that names them.

        Raises:
            RoutingError: It asks for more than weights, or for users that stay where they are.
        """
        if Strategy.AB in plan.strategies:
            raise unable(plan, self.name, "split users: it draws a version for each request", _ABLE)
        asked = {route.stage for route in plan.routes} - {Stage.SPLIT, Stage.DEFAULT}
        if asked:
            raise unable(plan, self.name, "route by anything but weights", _ABLE)
        if plan.breaker is not None or plan.fallback is not None or any(r.effects != NO_EFFECTS for r in plan.routes):
            raise unable(plan, self.name, "do anything beside weights", ["istio", "envoy"])
        weights = dict.fromkeys(plan.versions, 0)
        for share in plan.splits[0].shares:
            weights[share.target.version] += share.weight
        spec = {
            "service": plan.service,
            "backends": [
                {"service": service_of(plan, version), "weight": weight} for version, weight in weights.items()
            ],
        }
        comments = (
            "LEGACY: needs the deprecated linkerd-smi extension; take --mesh linkerd, its HTTPRoute, where you can.",
            "It draws a version for each request, so that users go to and fro: what is counted is no A/B test.",
        )
        services = sorted((version_service(plan, version) for version in plan.versions), key=lambda one: one.filename)
        return (*services, manifest(plan, _API_VERSION, "TrafficSplit", spec, comments=comments))
