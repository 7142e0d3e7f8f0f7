"""Plan → Litmus: a ChaosEngine for a drill, stopped until somebody starts it.

Reference: https://litmuschaos.github.io/litmus/experiments/categories/pods/common-tunables-for-pod-experiments/.
"""

from __future__ import annotations

from typing import Final

from abkit.errors import RoutingError
from abkit.routing.base import Manifest
from abkit.routing.objects import manifest
from abkit.routing.plan import Plan
from abkit.spec import Chaos, Drill

__all__ = ["Litmus"]

_API_VERSION: Final = "litmuschaos.io/v1alpha1"


class Litmus:
    """Litmus' `ChaosEngine`."""

    name: Final = "litmus"

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """The drills of a plan's experiments.

        Raises:
            RoutingError: No experiment has one.
        """
        drills = [(spec, spec.chaos) for spec in plan.specs if spec.chaos is not None]
        if not drills:
            msg = f"{plan.title}: has no drill: give chaos, such as {{drill: pod-delete, to: treatment}}"
            raise RoutingError(msg)
        return tuple(
            self._engine(plan, f"{spec.name}-{chaos.drill.value}", chaos, spec.variants[chaos.to].version)
            for spec, chaos in drills
        )

    def _engine(self, plan: Plan, name: str, chaos: Chaos, version: str) -> Manifest:
        env = [{"name": key, "value": value} for key, value in _tunables(chaos).items()]
        spec = {
            "engineState": "stop",
            "appinfo": {
                "appns": plan.namespace,
                "applabel": f"app={plan.service},version={version}",
                "appkind": "deployment",
            },
            "chaosServiceAccount": chaos.service_account,
            "jobCleanUpPolicy": "delete",
            "experiments": [{"name": chaos.drill.value, "spec": {"components": {"env": env}}}],
        }
        start = f"kubectl -n {plan.namespace} patch chaosengine {name} --type merge"
        patch = '-p \'{"spec":{"engineState":"active"}}\''
        comments = (
            f"A drill on the pods of version {version}. It does nothing until it is started:",
            f"{start} {patch}",
        )
        return manifest(plan, _API_VERSION, "ChaosEngine", spec, name=name, comments=comments)


def _tunables(chaos: Chaos) -> dict[str, str]:
    found = {
        "TOTAL_CHAOS_DURATION": str(round(chaos.duration.total_seconds())),
        "PODS_AFFECTED_PERC": str(chaos.share),
    }
    if chaos.drill is Drill.POD_DELETE:
        return found | {"CHAOS_INTERVAL": str(max(1, round(chaos.duration.total_seconds() / 6))), "FORCE": "false"}
    if chaos.drill is Drill.NETWORK_LATENCY:
        return found | {"NETWORK_LATENCY": str(round(chaos.latency.total_seconds() * 1_000))}
    return found | {"CPU_CORES": str(chaos.cores)}
