"""A folder: a file a manifest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from abkit.errors import TargetError
from abkit.export.base import Item, Live
from abkit.export.bundles import Bundle
from abkit.export.ownership import FOREIGN, owner_of
from abkit.files import replace_text, sync_folder

__all__ = ["Folder", "shown"]

STATE: Final = ".abkit"
"""Where the history lies in a folder."""


def shown(path: Path) -> str:
    """A path for people, whatever bytes it has.

    >>> shown(Path("manifests"))
    'manifests'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Folder:
    """Writes manifests into a folder.

    Args:
        folder: The folder; made when something is written.
        state: Where journal and history lie; `.abkit` in it where left out.
    """

    gradual = False

    def __init__(self, folder: Path, state: Path | None = None) -> None:
        self.folder = folder
        self._state = folder / STATE if state is None else state

    @property
    def place(self) -> str:
        """What it is called in messages."""
        return shown(self.folder)

    @property
    def state(self) -> Path:
        """The folder that journal and history lie in."""
        return self._state

    def items(self, bundle: Bundle) -> tuple[Item, ...]:
        """The manifests as they are."""
        return tuple(Item(manifest.filename, manifest.text) for manifest in bundle.manifests)

    def read(self, keys: Iterable[str]) -> Mapping[str, Live]:
        """The files under these names.

        Raises:
            TargetError: One can't be read.
        """
        return {key: live for key in keys if (live := self._read(key)) is not None}

    def _read(self, key: str) -> Live | None:
        path = self.folder / key
        try:
            if path.is_symlink() or not path.is_file():
                # A link or a folder of that name is somebody's, whatever it leads to.
                return Live(key, "", FOREIGN) if os.path.lexists(path) else None
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            return Live(key, "", FOREIGN)
        except OSError as error:
            msg = f"{shown(path)}: can't be read ({error.strerror})"
            raise TargetError(msg) from None
        return Live(key, text, owner_of(text))

    def belonging(self, bundle: Bundle) -> Sequence[str]:
        """Files that are called as the bundle's and hold the kinds of objects that its mesh has.

        The history tells more; a fresh clone of a work tree has none.
        """
        try:
            names = sorted(name for name in os.listdir(self.folder) if name.startswith(f"{bundle.name}."))  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            msg = f"{self.place}: can't be read ({error.strerror})"
            raise TargetError(msg) from None
        return [name for name in names if name.endswith(".yaml") and bundle.kind_of(name) in bundle.kinds]

    def ready(self, keys: Sequence[str]) -> None:
        """A folder is always ready."""

    def rehearse(self, item: Item) -> None:
        """Nobody is asked."""

    def put(self, item: Item) -> None:
        """Write a file beside its place, and rename it into it.

        Raises:
            TargetError: It can't be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_text(self.folder / item.key, item.text)
        except OSError as error:
            msg = f"{shown(self.folder / item.key)}: can't be written ({error.strerror})"
            raise TargetError(msg) from None

    def remove(self, key: str) -> None:
        """Remove a file.

        Raises:
            TargetError: It can't be removed.
        """
        try:
            (self.folder / key).unlink(missing_ok=True)
            sync_folder(self.folder)
        except OSError as error:
            msg = f"{shown(self.folder / key)}: can't be removed ({error.strerror})"
            raise TargetError(msg) from None

    def pause(self) -> None:
        """Nobody reads between two writes."""

    def finish(self, keys: Sequence[str], message: str) -> None:
        """Files are in force as they are."""

    def abandon(self, keys: Sequence[str]) -> None:
        """Nothing is left to tidy up."""
