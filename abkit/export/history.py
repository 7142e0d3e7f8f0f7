"""What was exported when and by whom, with the state before and after: the way back, and what a crash is repaired from.

A folder holds a history a bundle, the last 20 versions, and while an export is under way the journal: what it is about
to write, with what was there. Files are JSON; their names end with neither `.json` nor `.yaml`, so that nobody who
applies a folder of manifests takes them for some.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from abkit.errors import TargetError
from abkit.files import replace_text, sync_folder

__all__ = ["KEPT", "Document", "History", "Version"]

KEPT: Final = 20
"""How many versions are kept."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(_Record):
    """A file or object at a target."""

    key: str
    text: str


class Version(_Record):
    """One change of a target.

    Versions are numbered from 1; 0 stands for what was there before the first. A way back is a version as well: its
    `content` is the number of the version whose content it brought back.
    """

    number: int
    action: Literal["export", "rollback"]
    at: datetime
    by: str
    abkit: str
    target: str
    mesh: str
    bundle: str
    splits: dict[str, dict[str, int]]
    content: int
    parent: int
    """The content that a way back from this one leads to."""
    message: str
    before: tuple[Document, ...]
    after: tuple[Document, ...]


class _Journal(_Record):
    versions: tuple[Version, ...]


class History:
    """The versions and the journal of one target.

    Args:
        folder: Where they lie; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def journal(self) -> Path:
        """The journal's file; there while an export is under way, or after it was killed."""
        return self._folder / "journal"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other export away from the target, on this machine.

        Raises:
            TargetError: There is one, or the folder can't be made.
        """
        with self._told("can't be written"):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / "lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                msg = f"{self._folder}: another export to this target is under way: try again when it has ended"
                raise TargetError(msg) from None
            yield

    def unfinished(self) -> tuple[Version, ...]:
        """What an export that was cut off was about to do; empty where none was.

        Raises:
            TargetError: The journal can't be read.
        """
        try:
            text = self.journal.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(self.journal) from error
        try:
            return _Journal.model_validate_json(text).versions
        except ValidationError as error:
            raise self._damaged(self.journal) from error

    def begin(self, versions: Sequence[Version]) -> None:
        """Note what is about to be written, down to the disk."""
        with self._told("can't be written"):
            replace_text(self.journal, _Journal(versions=tuple(versions)).model_dump_json(indent=1))

    def end(self, versions: Sequence[Version]) -> None:
        """Keep versions that are in force now, and take the journal away. Can be done again after a crash."""
        with self._told("can't be written"):
            for version in versions:
                place = self._place(version.mesh, version.bundle)
                place.mkdir(parents=True, exist_ok=True)
                replace_text(place / f"{version.number:06}", version.model_dump_json(indent=1))
                for old in sorted(_numbered(place))[:-KEPT]:
                    old.unlink(missing_ok=True)
            self.drop()

    def drop(self) -> None:
        """Take the journal away."""
        with self._told("can't be written"):
            self.journal.unlink(missing_ok=True)
            sync_folder(self._folder)

    def numbers(self, mesh: str, bundle: str) -> tuple[int, ...]:
        """The numbers of the kept versions of a bundle, the oldest first."""
        return tuple(int(path.name) for path in sorted(_numbered(self._place(mesh, bundle))))

    def version(self, mesh: str, bundle: str, number: int) -> Version | None:
        """A kept version; None where there is none of that number.

        Raises:
            TargetError: Its file can't be read.
        """
        path = self._place(mesh, bundle) / f"{number:06}"
        try:
            return Version.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, ValidationError, json.JSONDecodeError) as error:
            raise self._damaged(path) from error

    def newest(self, mesh: str, bundle: str) -> Version | None:
        """The newest version of a bundle; None where there is none.

        Raises:
            TargetError: Its file can't be read.
        """
        numbers = self.numbers(mesh, bundle)
        return self.version(mesh, bundle, numbers[-1]) if numbers else None

    def held(self, mesh: str, bundle: str) -> frozenset[str]:
        """Names of what was exported for a bundle by other meshes, and is still wanted there.

        Raises:
            TargetError: A version can't be read.
        """
        places = self._folder.iterdir() if self._folder.is_dir() else ()
        others = (self.newest(place.name, bundle) for place in places if place.is_dir() and place.name != mesh)
        return frozenset(one.key for version in others if version is not None for one in version.after)

    def _place(self, mesh: str, bundle: str) -> Path:
        return self._folder / mesh / bundle

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            msg = (
                f"{self._folder}: {what} ({error.strerror}): the history of exports lies there; give it room and rights"
            )
            raise TargetError(msg) from None

    @staticmethod
    def _damaged(path: Path) -> TargetError:
        return TargetError(f"{path}: can't be read as abkit's history of exports: move it away, and export again")


def _numbered(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []
