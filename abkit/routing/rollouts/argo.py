"""Plan → Argo's Rollout, over the service's Deployment, with a VirtualService of Istio's for its traffic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from abkit.routing.base import Manifest, go_duration, unable
from abkit.routing.conditions import Alternative, HeaderMatch
from abkit.routing.effects import NO_EFFECTS
from abkit.routing.objects import manifest
from abkit.routing.plan import Plan, Route, Stage, Target
from abkit.spec import Canary, Strategy

__all__ = ["ArgoRollouts"]

_API_VERSION: Final = "argoproj.io/v1alpha1"


class ArgoRollouts:
    """Argo's `Rollout`."""

    name: Final = "argo-rollouts"

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """The Rollout of a plan, and the Services that it points at.

        Raises:
            RoutingError: Argo can't do it: users by hash, several versions, policies.
        """
        if len(plan.specs) > 1:
            raise unable(plan, self.name, "run several experiments on one service", ["istio", "envoy"])
        [spec] = plan.specs
        [strategy] = plan.strategies
        self._check(plan, strategy)
        stages = spec.canary or Canary()
        comments = [
            "Argo Rollouts owns the weights of this service: don't write abkit's own routes beside it.",
            f"The pods are those of the Deployment {plan.service}: change its image, and the Rollout begins.",
        ]
        document: dict[str, Any] = {
            "replicas": spec.variants[spec.control].replicas,
            "selector": {"matchLabels": {"app": plan.service}},
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": plan.service},
        }
        if strategy is Strategy.BLUE_GREEN:
            document["strategy"] = {
                "blueGreen": {
                    "activeService": f"{plan.service}-active",
                    "previewService": f"{plan.service}-preview",
                    "autoPromotionEnabled": False,
                }
            }
            names = ("active", "preview")
        else:
            document["strategy"] = {"canary": self._canary(plan, stages)}
            names = ("stable", "canary")
            comments.append(f"It changes the routes of the VirtualService {plan.service}: one route named primary.")
        services = [self._service(plan, name) for name in names]
        return (*services, manifest(plan, _API_VERSION, "Rollout", document, comments=comments))

    def _check(self, plan: Plan, strategy: Strategy) -> None:
        if strategy is Strategy.AB:
            raise unable(plan, self.name, "split users", ["istio", "envoy", "linkerd", "gateway-api"])
        if len(plan.versions) > 2:
            raise unable(plan, self.name, "compare more than two versions", ["istio", "envoy", "linkerd"])
        for stage in (Stage.ANSWER, Stage.FORCED, Stage.HOLDOUT, Stage.OUTSIDE):
            if plan.stage(stage):
                raise unable(plan, self.name, "route by more than rules and weights", ["istio", "envoy"])
        if plan.specs[0].without_unit != plan.specs[0].control:
            raise unable(plan, self.name, "tell requests without an id apart", ["istio", "envoy"])
        others = any(replace(route.effects, copies=None) != NO_EFFECTS for route in plan.routes)
        if plan.breaker is not None or plan.fallback is not None or others:
            raise unable(plan, self.name, "do anything beside routing", ["istio", "envoy"])

    def _canary(self, plan: Plan, stages: Canary) -> dict[str, Any]:
        steps: list[dict[str, Any]] = []
        managed: list[dict[str, str]] = []
        for rule in plan.stage(Stage.RULE):
            if self._is_treatment(plan, rule):
                for way in rule.when:
                    managed.append({"name": f"{rule.name}-{len(managed) + 1}"})
                    step = {"name": managed[-1]["name"], "match": self._match(plan, way)}
                    steps.append({"setHeaderRoute": step})
        copies = next((route.effects.copies for route in plan.routes if route.effects.copies is not None), None)
        bake = {"pause": {"duration": go_duration(stages.bake)}}
        if copies is not None:
            managed.append({"name": "mirror"})
            any_path = [{"path": {"prefix": "/"}}]
            if copies.share != round(copies.share):
                raise unable(plan, self.name, "mirror parts of a percent", ["istio", "envoy", "gateway-api"])
            share = round(copies.share)
            steps += [{"setMirrorRoute": {"name": "mirror", "percentage": share, "match": any_path}}, bake]
            steps.append({"setMirrorRoute": {"name": "mirror"}})
        for percent in stages.steps:
            if percent != round(percent):
                raise unable(plan, self.name, "move by parts of a percent", ["istio", "envoy"])
            steps += [{"setWeight": round(percent)}, bake]
        traffic: dict[str, Any] = {"istio": {"virtualService": {"name": plan.service, "routes": ["primary"]}}}
        if managed:
            traffic = {"managedRoutes": managed, **traffic}
        return {
            "stableService": f"{plan.service}-stable",
            "canaryService": f"{plan.service}-canary",
            "trafficRouting": traffic,
            "steps": steps,
        }

    def _is_treatment(self, plan: Plan, rule: Route) -> bool:
        if isinstance(rule.then, Target) and rule.then.variant in plan.specs[0].treatments:
            return True
        raise unable(plan, self.name, f"have a rule for the control ({rule.name})", ["istio", "envoy"])

    def _match(self, plan: Plan, way: Alternative) -> list[dict[str, Any]]:
        if not all(isinstance(condition, HeaderMatch) for condition in way):
            raise unable(plan, self.name, "match by anything but headers", ["istio", "envoy"])
        if len(way) > 1:
            # Of several matches in a header route, one that fits is enough.
            raise unable(plan, self.name, "ask for two headers at once", ["istio", "envoy"])
        [condition] = way
        if not isinstance(condition, HeaderMatch) or not condition.value:
            raise unable(plan, self.name, "compare with an empty value", ["istio", "envoy"])
        return [{"headerName": condition.header, "headerValue": {condition.way.value: condition.value}}]

    def _service(self, plan: Plan, name: str) -> Manifest:
        container = plan.specs[0].deployment.container_port or plan.port
        # The Rollout adds the hash of the pods to the selector by itself.
        ports = [{"name": "http", "port": plan.port, "targetPort": container}]
        spec = {"selector": {"app": plan.service}, "ports": ports}
        called = f"{plan.service}-{name}"
        return manifest(plan, "v1", "Service", spec, name=called, stem=f"backend-{called}")
