"""What Istio's objects have in common: names, labels, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from abkit.routing.base import Manifest
from abkit.routing.document import labelled, to_yaml
from abkit.routing.plan import Plan

__all__ = ["API_VERSION", "manifest"]

API_VERSION: Final = "networking.istio.io/v1"


def manifest(
    plan: Plan,
    kind: str,
    spec: Mapping[str, Any],
    *,
    api_version: str = API_VERSION,
    name: str = "",
    namespace: str = "",
    part: str = "",
    annotations: Mapping[str, str] | None = None,
    comments: Iterable[str] = (),
) -> Manifest:
    """One object as a file.

    Args:
        plan: What it is for.
        kind: Its kind.
        spec: What it says.
        api_version: Its group and version.
        name: Its name; the service's where left out: one object a host.
        namespace: Where it lies; the service's where left out.
        part: What tells it apart from another object of its kind, in the file's name.
        annotations: For who reads the object in the cluster.
        comments: For who reads the file.
    """
    document = labelled(
        plan.experiments,
        {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {
                "name": name or plan.service,
                "namespace": namespace or plan.namespace,
                **({"annotations": dict(annotations)} if annotations else {}),
            },
            "spec": spec,
        },
    )
    several = "experiments" if len(plan.experiments) > 1 else "experiment"
    origin = f"Written by abkit from the {several} {plan.title}: change that file, not this one."
    suffix = f"{kind.lower()}-{part}" if part else kind.lower()
    return Manifest(f"{plan.service}.{plan.namespace}.{suffix}.yaml", to_yaml(document, [origin, *comments]))
