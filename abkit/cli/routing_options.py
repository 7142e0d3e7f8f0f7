"""Options of the commands that render manifests: which mesh, which split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from abkit.routing import meshes

__all__ = ["Mesh", "SpecFiles", "Step", "Weights", "mesh_help"]

mesh_help: Final = f"The mesh: {', '.join(sorted(meshes()))}."

SpecFiles = Annotated[list[Path], typer.Argument(metavar="SPEC", help="Experiment files.", show_default=False)]
Mesh = Annotated[str, typer.Option("--mesh", help=mesh_help)]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="VERSION=PERCENT",
        help="Another split: v2=25; the control takes the rest. With several experiments: NAME:v2=25.",
    ),
]
Step = Annotated[
    list[str] | None,
    typer.Option("--step", metavar="N", help="A canary's step, from 1 on. With several experiments: NAME:N."),
]
