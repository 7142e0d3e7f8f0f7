"""Experiments → bundles: the manifests that are exported together, because they are about one service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from abkit.routing import Manifest, render_many
from abkit.spec import Experiment

__all__ = ["Bundle", "bundle_name", "bundles"]

# Kinds that no other mesh's manifests have: what a bundle may have left where no history tells.
_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "argo-rollouts": frozenset({"rollout"}),
    "envoy": frozenset({"envoy"}),
    "flagger": frozenset({"canary"}),
    "istio": frozenset({"destinationrule", "envoyfilter", "telemetry", "virtualservice"}),
    "kubernetes": frozenset({"deployment"}),
    "litmus": frozenset({"chaosengine"}),
    "smi": frozenset({"trafficsplit"}),
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """The manifests of the experiments on one service.

    Attributes:
        name: What it is called: the manifests' file names begin with it and a dot.
        mesh: The mesh.
        splits: Experiment → variant → basis points.
        manifests: In the order to apply them.
    """

    name: str
    mesh: str
    splits: Mapping[str, Mapping[str, int]]
    manifests: tuple[Manifest, ...]

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of objects, in lower case, that are its mesh's alone: what it does not want of them is left over."""
        return _KINDS.get(self.mesh, frozenset())

    def kind_of(self, filename: str) -> str:
        """The kind of object that a manifest's file is called after, in lower case."""
        return filename.removeprefix(f"{self.name}.").removesuffix(".yaml").split("-")[0]

    @property
    def experiments(self) -> tuple[str, ...]:
        """The experiments' names."""
        return tuple(self.splits)


def bundle_name(experiment: Experiment, mesh: str) -> str:
    """The bundle that an experiment belongs to: its service's, or that of the Envoy that several services share.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> bundle_name(spec, "istio")
    'shop.default'
    """
    shared = experiment.mesh.envoy.name if mesh == "envoy" else None
    return shared or f"{experiment.service.name}.{experiment.service.namespace}"


def bundles(
    experiments: Sequence[Experiment], mesh: str, splits: Mapping[str, Mapping[str, int]], folder: str = ""
) -> tuple[Bundle, ...]:
    """The bundles of experiments, by name.

    Args:
        experiments: The experiments.
        mesh: The mesh's name.
        splits: Experiment → variant → basis points, for each.
        folder: The folder that Envoy reads its files from, from the root on; for experiments that name none.

    Raises:
        RoutingError: Two experiments contradict each other, or the mesh can't do it.
    """
    placed = [_placed(experiment, folder) for experiment in experiments]
    # Once all together: services may contradict each other where they share a gateway.
    render_many(placed, mesh, splits)
    groups: dict[str, list[Experiment]] = {}
    for experiment in placed:
        groups.setdefault(bundle_name(experiment, mesh), []).append(experiment)
    return tuple(
        Bundle(
            name=name,
            mesh=mesh,
            splits={one.name: dict(splits[one.name]) for one in sorted(group, key=lambda one: one.name)},
            manifests=render_many(group, mesh, splits),
        )
        for name, group in sorted(groups.items())
    )


def _placed(experiment: Experiment, folder: str) -> Experiment:
    """The experiment with the folder of its Envoy's files, which name each other by it."""
    settings = experiment.mesh.envoy
    if not folder or "config_path" in settings.model_fields_set:
        return experiment
    placed = settings.model_copy(update={"config_path": folder})
    return experiment.model_copy(update={"mesh": experiment.mesh.model_copy(update={"envoy": placed})})
