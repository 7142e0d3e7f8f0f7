"""Kubernetes Services: the one of all versions, and one of each version, which routes of Gateway API name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from abkit.routing.base import Manifest
from abkit.routing.istio.destinationrule import subset_names
from abkit.routing.objects import manifest
from abkit.routing.plan import Plan

__all__ = ["service_of", "version_service"]

_MAX_NAME: Final = 63


def service_of(plan: Plan, version: str) -> str:
    """Name of a version's Service: `service-version`, a DNS label.

    >>> from abkit.routing.building import build_plan
    >>> from abkit.spec import Experiment
    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> service_of(build_plan(spec), "v2")
    'shop-v2'
    """
    name = subset_names(plan.versions)[version]
    return f"{plan.service[: _MAX_NAME - len(name) - 1].rstrip('-')}-{name}" if len(name) < _MAX_NAME - 1 else name


def version_service(plan: Plan, version: str, annotations: Mapping[str, str] | None = None) -> Manifest:
    """The Service of a version's pods.

    Args:
        plan: The plan.
        version: The version.
        annotations: What a mesh reads on it.
    """
    containers = plan.specs[0].deployment
    spec = {
        "selector": {"app": plan.service, "version": version},
        "ports": [{"name": "http", "port": plan.port, "targetPort": containers.container_port or plan.port}],
    }
    name = service_of(plan, version)
    labels = {"app": plan.service, "version": version}
    # Before the routes that name it, in the alphabet.
    return manifest(
        plan, "v1", "Service", spec, name=name, stem=f"backend-{name}", labels=labels, annotations=annotations
    )
