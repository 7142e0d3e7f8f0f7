"""Reviewed manifests of the example experiments: `make snapshots` writes them again, `git diff` shows what changed.

A file an example and a mesh; a mesh that can't do what an example asks for has its error there instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from abkit.errors import RoutingError
from abkit.resources import folder
from abkit.routing import join, meshes, render
from abkit.spec import load

__all__ = ["FOLDER", "snapshots", "write"]

FOLDER = Path(__file__).parent


def snapshots() -> Iterator[tuple[str, str]]:
    """File name → text, of every example on every mesh."""
    for path in sorted((folder("data") / "experiments").glob("*.yaml")):
        refused: list[str] = []
        for mesh in sorted(meshes()):
            try:
                yield f"{path.stem}.{mesh}.yaml", join(render(load(path), mesh))
            except RoutingError as error:
                refused.append(f"{error}\n")
        yield f"{path.stem}.refused.txt", "".join(refused)


def write() -> None:
    """Write them, and remove those of examples that are gone."""
    texts = dict(snapshots())
    for old in FOLDER.iterdir():
        if old.suffix in {".yaml", ".txt"} and old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
