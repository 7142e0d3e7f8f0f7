"""Where manifests go: one protocol, and what passes between a target and the engine that all targets share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from abkit.export.bundles import Bundle
from abkit.export.ownership import Owner

__all__ = ["Change", "Item", "Live", "Status", "Target"]


@dataclass(frozen=True, slots=True)
class Item:
    """One file or object that should be.

    Attributes:
        key: Its name at the target: a file's name, or an object's API version, kind, namespace and name.
        text: Its content.
    """

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Live:
    """One file or object that is.

    Attributes:
        key: Its name at the target.
        text: Its content, comparable to an item's.
        owner: Whose it is, as it says itself.
    """

    key: str
    text: str
    owner: Owner


class Status(StrEnum):
    """What a file or object is, compared to what it should be."""

    IN_SYNC = "in-sync"
    """As it should be."""
    MISSING = "missing"
    """Not there."""
    DIFFERS = "differs"
    """As abkit wrote it, for another split or from another experiment file."""
    LEFT_OVER = "left-over"
    """As abkit wrote it, and no longer wanted."""
    EDITED = "edited"
    """Written by abkit and changed since: its hash does not agree with its content."""
    NOT_OURS = "not-ours"
    """Somebody else's."""
    OTHERS = "other-experiment"
    """As abkit wrote it, also for an experiment that was not named."""

    @property
    def refused(self) -> bool:
        """Whether abkit leaves it as it is and ends with an error."""
        return self in {Status.EDITED, Status.NOT_OURS, Status.OTHERS}


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be done about one file or object.

    Attributes:
        key: Its name at the target.
        status: What it is now.
        before: What is there; None where nothing is.
        after: What should be there; None where nothing should.
        reason: Why it is refused, and the remedy; empty where it is not.
    """

    key: str
    status: Status
    before: str | None
    after: str | None
    reason: str = ""


class Target(Protocol):
    """A place that manifests are written to, one by one.

    A target reads, writes and removes; what is written in which order, what is refused, what a crash leaves and the way
    back are the engine's (`abkit.export.engine`), the same for all.
    """

    @property
    def place(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def state(self) -> Path:
        """The folder that journal and history lie in."""
        ...

    @property
    def gradual(self) -> bool:
        """Whether somebody reads it between two writes, so that subsets must be there before routes, and go after."""
        ...

    def items(self, bundle: Bundle) -> tuple[Item, ...]:
        """What a bundle's manifests are at this target, in the order to write them."""
        ...

    def read(self, keys: Iterable[str]) -> Mapping[str, Live]:
        """What lies there under these names; a name under which nothing lies is left out.

        Raises:
            TargetError: It can't be read.
        """
        ...

    def belonging(self, bundle: Bundle) -> Sequence[str]:
        """Names of what abkit wrote there for a bundle earlier, as far as it can be told without a history."""
        ...

    def ready(self, keys: Sequence[str]) -> None:
        """Refuse to begin.

        Raises:
            TargetDrift: What is there is not in a state to build on.
        """
        ...

    def rehearse(self, item: Item) -> None:
        """Ask whether an item would be taken, without writing it; does nothing where nobody can be asked.

        Raises:
            TargetError: It would be refused.
        """
        ...

    def put(self, item: Item) -> None:
        """Write one item, whole or not at all.

        Raises:
            TargetError: It can't be written.
            TargetDrift: Somebody else changed it meanwhile.
        """
        ...

    def remove(self, key: str) -> None:
        """Remove one item; nothing where it is gone already.

        Raises:
            TargetError: It can't be removed.
        """
        ...

    def pause(self) -> None:
        """Let who reads the target take what was written so far, before what it replaces is removed."""
        ...

    def finish(self, keys: Sequence[str], message: str) -> None:
        """Make of what was written one whole; nothing where it is already.

        Args:
            keys: What may have changed.
            message: What was done.

        Raises:
            TargetError: It can't be done.
        """
        ...

    def abandon(self, keys: Sequence[str]) -> None:
        """Tidy up after what was written has been undone."""
        ...
