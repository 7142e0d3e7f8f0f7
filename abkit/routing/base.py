"""What a mesh is to abkit: one protocol, and the manifests that come out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable

from abkit.errors import RoutingError
from abkit.routing.plan import Plan

__all__ = ["JointMesh", "Manifest", "Mesh", "go_duration", "unable"]


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

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """Manifests of a plan, in the order to apply them; the same bytes for the same plan.

        Raises:
            RoutingError: The mesh can't do what the plan asks for.
        """
        ...


@runtime_checkable
class JointMesh(Mesh, Protocol):
    """A mesh some of whose manifests are about several services."""

    def render_together(self, plans: Iterable[Plan]) -> tuple[Manifest, ...]:
        """Manifests of plans that are in force at once, one a service.

        Raises:
            RoutingError: The mesh can't do it, or two services contradict each other.
        """
        ...


def unable(plan: Plan, mesh: str, what: str, able: Iterable[str], instead: str = "") -> RoutingError:
    """The error for what a mesh can't do.

    Args:
        plan: What was asked for.
        mesh: The mesh.
        what: The feature, to follow "can't".
        able: Meshes that can.
        instead: What else would do.
    """
    others = ", ".join(able)
    where = f"; a mesh that can: {others}" if others else ""
    return RoutingError(f"{plan.title}: mesh '{mesh}' can't {what}{where}{f'; {instead}' if instead else ''}")


def go_duration(length: timedelta) -> str:
    """A duration in seconds or milliseconds: what Go, protobuf's JSON for whole seconds, and Gateway API read alike.

    >>> go_duration(timedelta(seconds=5)), go_duration(timedelta(milliseconds=1500))
    ('5s', '1500ms')
    """
    milliseconds = round(length.total_seconds() * 1_000)
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{milliseconds}ms" if rest else f"{seconds}s"
