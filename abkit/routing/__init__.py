"""Experiment → plan → manifests of a mesh, and the same answer for one id: `assign`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from abkit.errors import RoutingError, did_you_mean
from abkit.routing.advice import advice
from abkit.routing.assign import Assigned, AssignedMany, assign, assign_many
from abkit.routing.base import JointMesh, Manifest, Mesh
from abkit.routing.building import build_plan
from abkit.routing.conditions import Request
from abkit.routing.document import content_hash, join, to_yaml
from abkit.routing.envoy import Envoy
from abkit.routing.gateway import GatewayApi, Linkerd, Smi
from abkit.routing.istio import Istio
from abkit.routing.kubernetes import Kubernetes
from abkit.routing.litmus import Litmus
from abkit.routing.merging import merge_plans
from abkit.routing.plan import Plan
from abkit.routing.rollouts import ArgoRollouts, Flagger
from abkit.routing.weights import parse_weights, resolve_split, resolve_splits
from abkit.routing.withdrawal import withdrawn_plan
from abkit.spec import Experiment

__all__ = [
    "Assigned",
    "AssignedMany",
    "Manifest",
    "Mesh",
    "Plan",
    "Request",
    "advice",
    "assign",
    "assign_many",
    "build_plan",
    "content_hash",
    "join",
    "merge_plans",
    "meshes",
    "parse_weights",
    "render",
    "render_many",
    "resolve_split",
    "resolve_splits",
    "to_yaml",
    "withdrawn_plan",
]

_MESHES: Final[tuple[Mesh, ...]] = (
    Istio(),
    Envoy(),
    Linkerd(),
    GatewayApi(),
    Smi(),
    Flagger(),
    ArgoRollouts(),
    Kubernetes(),
    Litmus(),
)


def meshes() -> Mapping[str, Mesh]:
    """The meshes that abkit writes manifests for, by name.

    >>> "istio" in meshes()
    True
    """
    return {mesh.name: mesh for mesh in _MESHES}


def render(
    experiment: Experiment,
    mesh: str = "istio",
    weights: Mapping[str, float] | None = None,
    step: int | None = None,
) -> tuple[Manifest, ...]:
    """Manifests that route an experiment.

    Args:
        experiment: The experiment.
        mesh: The mesh's name.
        weights: Version → percent of the users, the control gets the rest; the experiment's own split where left out.
        step: A canary's step, from 1 on; instead of weights.

    Returns:
        The manifests, in the order to apply them; the same bytes for the same arguments.

    Raises:
        RoutingError: The mesh is unknown or can't do it, or the weights are wrong.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> [manifest.filename for manifest in render(spec, weights={"v2": 25})][0]
    'shop.default.destinationrule.yaml'
    """
    return _mesh(mesh).render(build_plan(experiment, resolve_split(experiment, weights, step)))


def render_many(
    experiments: Iterable[Experiment],
    mesh: str = "istio",
    splits: Mapping[str, Mapping[str, int]] | None = None,
    *,
    withdrawn: bool = False,
) -> tuple[Manifest, ...]:
    """Manifests of several experiments; those on one service are merged.

    Args:
        experiments: The experiments.
        mesh: The mesh's name.
        splits: Experiment → variant → basis points, as `resolve_splits` makes them; its own split where left out.
        withdrawn: Send all requests to the control instead, whatever rules and wishes say.

    Raises:
        RoutingError: Two experiments contradict each other, or the mesh can't do it.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> render_many([spec]) == render(spec)
    True
    """
    renderer, given = _mesh(mesh), splits or {}
    plans = [withdrawn_plan(one) if withdrawn else build_plan(one, given.get(one.name)) for one in experiments]
    merged = merge_plans(plans)
    if isinstance(renderer, JointMesh):
        return renderer.render_together(merged)
    return tuple(found for plan in merged for found in renderer.render(plan))


def _mesh(name: str) -> Mesh:
    known = meshes()
    if name not in known:
        msg = f"no mesh is called '{name}': {did_you_mean(name, known)}"
        raise RoutingError(msg)
    return known[name]
