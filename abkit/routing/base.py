"""What a mesh is to abkit: one protocol, and the manifests that come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from abkit.routing.plan import Plan
from abkit.spec import Strategy

__all__ = ["Manifest", "Mesh"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One file that a mesh is configured with.

    Attributes:
        filename: Its name, without a folder; unique among the manifests of a service. The alphabet is the order to
            apply them in.
        text: Its content, ending with a line break.
    """

    filename: str
    text: str


class Mesh(Protocol):
    """Turns a plan into the manifests of one mesh.

    What the mesh can't do is an error that names the mesh, the feature and a mesh that can; nothing is left out in
    silence.
    """

    @property
    def name(self) -> str:
        """What the mesh is called on the command line."""
        ...

    @property
    def strategies(self) -> frozenset[Strategy]:
        """The strategies that are rendered for it."""
        ...

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """Manifests of a plan, in the order to apply them.

        Raises:
            RoutingError: The mesh can't do what the plan asks for.
        """
        ...
