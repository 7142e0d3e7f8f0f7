"""Ways to read raw samples from a server, and what each of them hands over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from abkit.sources.base import Samples
from abkit.window import Window

__all__ = ["NotOffered", "Reading", "Way"]


class NotOffered(Exception):
    """The server does not offer this way, or an answer of it is not clear: another way is. It says why."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A window that was read.

    Attributes:
        samples: How many it has, about.
        batches: They themselves: all came whole, and are decoded as they are asked for.
    """

    samples: int
    batches: Iterator[Samples]


class Way(Protocol):
    """How samples are read."""

    @property
    def name(self) -> str:
        """What it is called in the store."""
        ...

    @property
    def first_ms(self) -> int:
        """How long the first window should be: nobody knows yet how much it holds."""
        ...

    @property
    def aim(self) -> int:
        """How many samples a window should have."""
        ...

    def read(self, selector: str, window: Window) -> Reading:
        """Read a window.

        Args:
            selector: A PromQL vector selector.
            window: Half-open.

        Raises:
            NotOffered: There is no such way here.
            TooMuch: A shorter window may do.
            SourceError: The source fails.
        """
        ...
