"""Plan → Linkerd: a Service a version and HTTPRoutes, with timeouts, retries and circuit breaking by annotations."""

from __future__ import annotations

from typing import Final

from abkit.routing.base import Manifest, go_duration, unable
from abkit.routing.effects import Breaker, Retrying
from abkit.routing.gateway.httproute import Dialect, Rule, rules_of, written
from abkit.routing.objects import manifest
from abkit.routing.plan import Plan
from abkit.routing.services import version_service

__all__ = ["Linkerd"]

_API_VERSION: Final = "policy.linkerd.io/v1beta3"
_DIALECT: Final = Dialect("linkerd", 8, mirrors=False)
# What Linkerd tries again, in its words: it knows statuses, and connections that fail before a request is sent.
_STATUSES: Final = {"gateway-error": "gateway-error", "5xx": "5xx"}
_UNSEEN: Final = {"connect-failure", "refused-stream"}


class Linkerd:
    """Linkerd's `HTTPRoute` (policy.linkerd.io), attached to the service."""

    name: Final = "linkerd"

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """Manifests of a plan: the Services before the routes that name them.

        Raises:
            RoutingError: Linkerd can't do what the plan asks for.
        """
        if plan.fallback is not None:
            raise unable(plan, self.name, "fall back to another version", ["istio", "envoy"])
        rules = rules_of(plan, _DIALECT)
        ejection = None if plan.breaker is None else _ejection(plan, plan.breaker)
        services = [version_service(plan, version, ejection) for version in plan.versions]
        # Annotations hold for a whole route: rules with other timeouts or retries make another one.
        groups: dict[tuple[object, Retrying | None], list[Rule]] = {}
        for rule in rules:
            groups.setdefault((rule.effects.timeout, rule.effects.retrying), []).append(rule)
        routes = [self._route(plan, number, group) for number, group in enumerate(groups.values(), start=1)]
        return (*sorted(services, key=lambda one: one.filename), *routes)

    def _route(self, plan: Plan, number: int, rules: list[Rule]) -> Manifest:
        annotations: dict[str, str] = {}
        effects = rules[0].effects
        if effects.timeout is not None:
            annotations["timeout.linkerd.io/request"] = go_duration(effects.timeout)
        again = effects.retrying
        if again is not None and again.attempts:
            annotations |= _retries(plan, again)
        spec = {
            "parentRefs": [{"group": "core", "kind": "Service", "name": plan.service, "port": plan.port}],
            "rules": written(plan, rules, _DIALECT, timeouts=False),
        }
        comments = [
            f"The split reads the request header {plan.splits[0].header} (0 to 9999), which the edge computes from the",
            f"{plan.layers[0].unit} and never takes from a client (abkit.instrument does).",
            "The most specific match wins: some rules repeat conditions of later ones.",
        ]
        if plan.breaker is not None:
            comments.append("Circuits break by ejection alone (on the Services); Linkerd has no limits of connections.")
        return manifest(
            plan,
            _API_VERSION,
            "HTTPRoute",
            spec,
            name=f"{plan.service}-{number}",
            stem=f"httproute-{number}",
            annotations=annotations,
            comments=comments,
        )


def _retries(plan: Plan, again: Retrying) -> dict[str, str]:
    statuses = [_STATUSES[reason] for reason in again.on if reason in _STATUSES]
    rest = set(again.on) - set(_STATUSES) - _UNSEEN
    if rest:
        raise unable(plan, "linkerd", f"try again on {', '.join(sorted(rest))}", ["istio", "envoy"])
    if not statuses:
        what = "try again on connect-failure and refused-stream alone (it always does)"
        raise unable(plan, "linkerd", what, ["istio", "envoy"], "add gateway-error or 5xx to policies.retries.on")
    return {
        "retry.linkerd.io/http": ",".join(statuses),
        "retry.linkerd.io/limit": str(again.attempts),
        **({} if again.per_try is None else {"retry.linkerd.io/timeout": go_duration(again.per_try)}),
    }


def _ejection(plan: Plan, limits: Breaker) -> dict[str, str]:
    if limits.consecutive_gateway_errors is not None:
        raise unable(plan, "linkerd", "tell gateway errors from other 5xx", ["istio", "envoy"])
    prefix = "balancer.linkerd.io/failure-accrual"
    return {
        prefix: "consecutive",
        f"{prefix}-consecutive-max-failures": str(limits.consecutive_5xx),
        f"{prefix}-consecutive-min-penalty": go_duration(limits.ejection),
        f"{prefix}-consecutive-max-penalty": go_duration(limits.ejection * 10),
    }
