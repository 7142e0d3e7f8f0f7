"""Manifests to where they are in force: a folder, a git work tree, Envoy's files, a cluster; and back."""

from __future__ import annotations

from pathlib import Path

from abkit.errors import InputError
from abkit.export.base import Change, Item, Live, Status, Target
from abkit.export.bundles import Bundle, bundle_name, bundles
from abkit.export.engine import Exporter, Planned, Who
from abkit.export.history import Version

__all__ = [
    "Bundle",
    "Change",
    "Exporter",
    "Item",
    "Live",
    "Planned",
    "Status",
    "Target",
    "Version",
    "Who",
    "bundle_name",
    "bundles",
    "open_target",
]


def open_target(to: str, *, state: Path = Path("~/.local/state/abkit"), context: str | None = None) -> Target:
    """The target that a text names.

    Args:
        to: `DIR`, `git` or `git:DIR`, `envoy:DIR`, `cluster`.
        state: Where the histories of clusters lie; the others' lie at the target.
        context: The context of kubeconfig, for a cluster; the current one where left out.

    Raises:
        InputError: It names none.

    >>> open_target("manifests").place
    'manifests'
    """
    kind, separator, rest = to.partition(":")
    if to in {"", "envoy"} or (kind in {"git", "envoy"} and separator and not rest):
        msg = f"--to '{to}': should be DIR, git, git:DIR, envoy:DIR or cluster"
        raise InputError(msg)
    if to == "cluster":
        from abkit.export.cluster import Cluster
        from abkit.export.cluster_api import ClusterApi

        return Cluster(ClusterApi(context), state.expanduser())
    if context is not None:
        msg = f"--context {context}: --to {to} is no cluster: leave it out"
        raise InputError(msg)
    if kind == "git" and (separator or to == "git"):
        from abkit.export.git import GitTree

        return GitTree(Path(rest or "."))
    if kind == "envoy":
        from abkit.export.envoy import EnvoyFiles

        return EnvoyFiles(Path(rest))
    from abkit.export.folder import Folder

    return Folder(Path(to))
