"""Plan → Flagger's Canary."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from abkit.routing.base import Manifest, go_duration, unable
from abkit.routing.conditions import Alternative, HeaderMatch
from abkit.routing.istio.destinationrule import connection_pool, outlier_detection
from abkit.routing.objects import manifest
from abkit.routing.plan import Plan, Stage
from abkit.spec import Canary, Strategy

__all__ = ["Flagger"]

_API_VERSION: Final = "flagger.app/v1beta1"
_FAILED_CHECKS: Final = 5
_ITERATIONS: Final = 10
_KNOWN_LIMITS: Final = {"error-rate", "success-rate", "latency-p99"}


class Flagger:
    """Flagger's `Canary`, with Istio as its mesh."""

    name: Final = "flagger"

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """The Canary of a plan.

        Raises:
            RoutingError: Flagger can't do it: users by hash, several versions, a holdout, faults, a fallback.
        """
        if len(plan.specs) > 1:
            raise unable(plan, self.name, "run several experiments on one service", ["istio", "envoy"])
        self._check(plan)
        [spec] = plan.specs
        stages = spec.canary or Canary()
        service: dict[str, Any] = {"name": plan.service, "port": plan.port}
        if spec.deployment.container_port is not None:
            service["targetPort"] = spec.deployment.container_port
        service |= self._policies(plan)
        way = self._way(plan, stages)
        # With more failures allowed than there are checks, a bad canary would outlive a good one.
        failures = min(_FAILED_CHECKS, way.get("iterations") or len(way["stepWeights"]))
        document: dict[str, Any] = {
            "provider": "istio",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": plan.service},
            "service": service,
            "analysis": {
                "interval": _minutes(stages.interval),
                # The number of failed checks that take the canary back, not of good ones before the next step.
                "threshold": failures,
                **way,
                "metrics": _metrics(stages),
            },
        }
        comments = [
            "Flagger owns the weights of this service: don't write abkit's own routes beside it.",
            f"threshold: {failures} failed checks take the canary back; no data is a failed check to Flagger.",
            "Flagger draws a version for each request: what it counts is no A/B test of users.",
        ]
        if plan.breaker is not None:
            comments.append("Flagger has no limits of connections: requests and ejection alone break circuits.")
        if unknown := sorted(set(stages.limits) - _KNOWN_LIMITS):
            comments.append(f"Flagger does not know the limits of {', '.join(unknown)}: abkit verdict judges them.")
        return (manifest(plan, _API_VERSION, "Canary", document, comments=comments),)

    def _check(self, plan: Plan) -> None:
        others = {Stage.ANSWER: "answer by itself", Stage.HOLDOUT: "hold users out", Stage.OUTSIDE: "split a layer"}
        for stage, what in others.items():
            if plan.stage(stage):
                raise unable(plan, self.name, what, ["istio", "envoy"])
        if len(plan.versions) > 2:
            raise unable(plan, self.name, "compare more than two versions", ["istio", "envoy", "linkerd"])
        if plan.specs[0].without_unit != plan.specs[0].control:
            raise unable(plan, self.name, "tell requests without an id apart", ["istio", "envoy"])
        if any(route.effects.trial is not None for route in plan.routes):
            raise unable(plan, self.name, "inject faults", ["istio", "envoy"])
        if plan.fallback is not None:
            raise unable(plan, self.name, "fall back to another version", ["istio", "envoy"])
        if Strategy.AB not in plan.strategies and (plan.stage(Stage.RULE) or plan.stage(Stage.FORCED)):
            raise unable(plan, self.name, "have rules beside a canary's weights", ["istio", "envoy", "argo-rollouts"])

    def _way(self, plan: Plan, stages: Canary) -> dict[str, Any]:
        [strategy] = plan.strategies
        copies = next((route.effects.copies for route in plan.routes if route.effects.copies is not None), None)
        if strategy is Strategy.BLUE_GREEN:
            return {"iterations": _ITERATIONS}
        if strategy is Strategy.AB:
            return {"iterations": _ITERATIONS, "match": self._matches(plan)}
        if any(percent != round(percent) for percent in stages.steps):
            raise unable(plan, self.name, "move by parts of a percent", ["istio", "envoy", "argo-rollouts"])
        if copies is not None and copies.share != round(copies.share):
            raise unable(plan, self.name, "mirror parts of a percent", ["istio", "envoy", "gateway-api"])
        weights = {"stepWeights": [round(percent) for percent in stages.steps]}
        if copies is None:
            return weights
        return {"mirror": True, "mirrorWeight": round(copies.share), **weights}

    def _matches(self, plan: Plan) -> list[dict[str, Any]]:
        """Its A/B test goes by headers and cookies, and has no percentage of users."""
        treatments = {variant for spec in plan.specs for variant in spec.treatments}
        served = {share.target.variant for split in plan.splits for share in split.shares}
        if served & treatments:
            what = "give a percentage of the users a version: its A/B test goes by headers and cookies alone"
            raise unable(plan, self.name, what, ["istio", "envoy", "linkerd", "gateway-api"])
        rules = [*plan.stage(Stage.FORCED), *plan.stage(Stage.RULE)]
        before = ""
        for rule in rules:
            if _to(rule.then) not in treatments:
                before = rule.name
            elif before and rule.stage is Stage.RULE:
                # What matches goes to the new version, and all else to the old one: there is no order.
                what = f"have a rule for the control ({before}) before another"
                raise unable(plan, self.name, what, ["istio", "envoy"])
        return [self._match(plan, way) for rule in rules for way in rule.when if _to(rule.then) in treatments]

    def _match(self, plan: Plan, way: Alternative) -> dict[str, Any]:
        headers: dict[str, Any] = {}
        for condition in way:
            if not isinstance(condition, HeaderMatch) or condition.header in headers:
                raise unable(plan, self.name, "match by anything but one header or cookie", ["istio", "envoy"])
            headers[condition.header] = {condition.way.value: condition.value}
        return {"headers": headers}

    def _policies(self, plan: Plan) -> dict[str, Any]:
        found: dict[str, Any] = {}
        effects = plan.routes[-1].effects
        if effects.timeout is not None:
            found["timeout"] = go_duration(effects.timeout)
        again = effects.retrying
        if again is not None:
            if not again.attempts:
                what = "try only idempotent methods again"
                raise unable(plan, self.name, what, ["istio", "envoy"], "set policies.retries.non-idempotent")
            tries = {"attempts": again.attempts, "retryOn": ",".join(again.on)}
            found["retries"] = tries | ({"perTryTimeout": go_duration(again.per_try)} if again.per_try else {})
        limits = plan.breaker
        if limits is not None:
            asked = plan.specs[0].policies.circuit_breaker
            if asked is not None and (asked.connections or asked.connect_timeout):
                what = "limit connections or the time that making one takes"
                raise unable(plan, self.name, what, ["istio", "envoy"], "leave them to the tier")
            http = connection_pool(limits)["http"]
            found["trafficPolicy"] = {"connectionPool": {"http": http}, "outlierDetection": outlier_detection(limits)}
        return found


def _to(then: object) -> str:
    return getattr(then, "variant", "")


def _minutes(length: timedelta) -> str:
    seconds = round(length.total_seconds())
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def _metrics(stages: Canary) -> list[dict[str, Any]]:
    """The limits that take a canary back, in Flagger's built-in metrics: percent and milliseconds."""
    interval = _minutes(max(stages.interval, timedelta(minutes=1)))
    limits = stages.limits
    success = limits.get("success-rate")
    errors = limits.get("error-rate")
    lowest = None if success is None else success.rollback
    if errors is not None and errors.rollback is not None:
        lowest = max(1 - errors.rollback, lowest or 0.0)
    slowest = limits["latency-p99"].rollback if "latency-p99" in limits else None
    found: list[dict[str, Any]] = []
    if lowest is not None:
        least = round(100 * lowest, 4)
        found.append({"name": "request-success-rate", "interval": interval, "thresholdRange": {"min": least}})
    if slowest is not None:
        most = round(1_000 * slowest, 3)
        found.append({"name": "request-duration", "interval": interval, "thresholdRange": {"max": most}})
    return found
