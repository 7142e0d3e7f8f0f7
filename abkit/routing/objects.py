"""What the objects of all meshes have in common: names, labels, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from abkit.routing.base import Manifest
from abkit.routing.document import labelled, to_yaml
from abkit.routing.plan import Plan

__all__ = ["manifest"]


def manifest(
    plan: Plan,
    api_version: str,
    kind: str,
    spec: Mapping[str, Any],
    *,
    name: str = "",
    namespace: str = "",
    stem: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    comments: Iterable[str] = (),
) -> Manifest:
    """One object as a file.

    Args:
        plan: What it is for.
        api_version: Its group and version.
        kind: Its kind.
        spec: What it says.
        name: Its name; the service's where left out: one object a host.
        namespace: Where it lies; the service's where left out.
        stem: What the file is called after the service; the kind where left out. Its alphabet is the order to apply in.
        labels: Beside those that say whose it is.
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
                **({"labels": dict(labels)} if labels else {}),
                **({"annotations": dict(annotations)} if annotations else {}),
            },
            "spec": spec,
        },
    )
    several = "experiments" if len(plan.experiments) > 1 else "experiment"
    origin = f"Written by abkit from the {several} {plan.title}: change that file, not this one."
    return Manifest(
        f"{plan.service}.{plan.namespace}.{stem or kind.lower()}.yaml", to_yaml(document, [origin, *comments])
    )
