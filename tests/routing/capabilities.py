"""What each mesh can do, tried, an experiment a feature: `python -m tests.routing.capabilities` prints the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abkit.errors import RoutingError
from abkit.routing import render
from tests.routing.specs import experiment

MESHES = ("istio", "envoy", "gateway-api", "linkerd", "flagger", "argo-rollouts", "smi")
_VERSIONS = {"control": "v1", "treatment": "v2"}


def _ruled(**when: Any) -> dict[str, Any]:
    rules = [{"when": when, "to": "treatment"}]
    by_rule = {"control": {"version": "v1", "weight": 10_000}, "treatment": {"version": "v2", "weight": 0}}
    return {"variants": by_rule, "assignment": {"rules": rules}}


def _canary(**changes: Any) -> dict[str, Any]:
    return {"strategy": "canary", "variants": _VERSIONS, "assignment": {}, **changes}


FEATURES: Mapping[str, dict[str, Any]] = {
    "A/B/n by user hash, layers, holdout": {"assignment": {"holdout": {"share": 500}, "layer": "checkout"}},
    "A/B by header or cookie": _ruled(header={"x-user-type": "vip"}),
    "… by path, query, device": _ruled(path={"prefix": "/new"}, query={"beta": "1"}, device="mobile"),
    "… by calling workload": _ruled(source={"labels": {"app": "web"}}),
    "canary steps": _canary(),
    "blue-green": _canary(strategy="blue-green"),
    "mirroring": _canary(strategy="mirror"),
    "faults": _canary(policies={"faults": [{"abort": {"status": 503, "share": 5}}]}),
    "timeouts": _canary(policies={"timeout": "api"}),
    "retries of idempotent methods": _canary(policies={"retries": "api"}),
    "circuit breaking": _canary(policies={"circuit-breaker": "normal"}),
    "fallback to another version": _canary(policies={"fallback": {"to": "control"}}),
    "static answers": _canary(policies={"answers": [{"when": {"path": {"prefix": "/tips"}}, "body": "[]"}]}),
}


def able(changes: Mapping[str, Any], mesh: str) -> bool:
    """Whether a mesh takes an experiment."""
    try:
        render(experiment(**changes), mesh)
    except RoutingError:
        return False
    return True


def table() -> list[str]:
    """The lines of the table."""
    lines = [f"| | {' | '.join(MESHES)} |", f"|---|{'---|' * len(MESHES)}"]
    for name, changes in FEATURES.items():
        marks = " | ".join("✓" if able(changes, mesh) else "–" for mesh in MESHES)
        lines.append(f"| {name} | {marks} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
