"""Experiment → plan → manifests of a mesh, and the same answer for one id: `assign`."""

from __future__ import annotations

from collections.abc import Mapping

from abkit.errors import RoutingError, did_you_mean
from abkit.routing.assign import Assigned, AssignedMany, assign, assign_many
from abkit.routing.base import Manifest, Mesh
from abkit.routing.document import content_hash, join, to_yaml
from abkit.routing.istio import Istio
from abkit.routing.plan import Plan, build_plan
from abkit.routing.weights import parse_weights, resolve_split
from abkit.spec import Experiment

__all__ = [
    "Assigned",
    "AssignedMany",
    "Manifest",
    "Mesh",
    "Plan",
    "assign",
    "assign_many",
    "build_plan",
    "content_hash",
    "join",
    "meshes",
    "parse_weights",
    "render",
    "resolve_split",
    "to_yaml",
]

# Meshes that the plan leaves room for and nothing renders yet.
_TO_COME = ("envoy", "flagger", "gateway-api", "linkerd")


def meshes() -> Mapping[str, Mesh]:
    """The meshes that abkit writes manifests for, by name.

    >>> sorted(meshes())
    ['istio']
    """
    return {mesh.name: mesh for mesh in (Istio(),)}


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
    >>> [manifest.filename for manifest in render(spec, weights={"v2": 25})]
    ['shop.default.destinationrule.yaml', 'shop.default.virtualservice.yaml']
    """
    known = meshes()
    if mesh in known:
        if experiment.strategy not in known[mesh].strategies:
            raise _no_strategy(experiment, known[mesh])
        return known[mesh].render(build_plan(experiment, resolve_split(experiment, weights, step)))
    if mesh in _TO_COME:
        msg = f"mesh '{mesh}': no manifests are rendered for it yet; a mesh that can: {', '.join(sorted(known))}"
        raise RoutingError(msg)
    msg = f"no mesh is called '{mesh}': {did_you_mean(mesh, known)}"
    raise RoutingError(msg)


def _no_strategy(experiment: Experiment, mesh: Mesh) -> RoutingError:
    able = sorted(other.name for other in meshes().values() if experiment.strategy in other.strategies)
    where = f"a mesh that can: {', '.join(able)}" if able else "no mesh is so far"
    return RoutingError(
        f"{experiment.name}: mesh '{mesh.name}' is not rendered for strategy '{experiment.strategy}', only for "
        f"{', '.join(sorted(mesh.strategies))}; {where}"
    )
