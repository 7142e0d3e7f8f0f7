"""Envoy's dynamic files: a running Envoy takes each as it is renamed into its place."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from abkit.export.folder import Folder

__all__ = ["EnvoyFiles"]

PAUSE_S: Final = 0.5
"""How long Envoy gets to take new routes before clusters that only the old ones named are removed."""


class EnvoyFiles(Folder):
    """Writes Envoy's files in an order in which no request is lost.

    Clusters come in before the routes that name them and go out after them. Envoy watches the folder and takes what is
    renamed into it within milliseconds; a change of its bootstrap needs a restart.

    Args:
        folder: The folder that Envoy watches.
        pause_s: How long it gets to take new routes before what only the old ones named is removed, in seconds.
    """

    gradual = True

    def __init__(self, folder: Path, pause_s: float = PAUSE_S) -> None:
        super().__init__(folder)
        self._pause_s = pause_s

    def pause(self) -> None:
        """Wait."""
        time.sleep(self._pause_s)
