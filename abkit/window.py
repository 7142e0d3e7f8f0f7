"""A span of time, as sources, store and pipeline share it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, `start_ms` <= t < `end_ms`, in milliseconds since the epoch.

    >>> Window(0, 60_000).length_ms
    60000
    """

    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is, in milliseconds."""
        return self.end_ms - self.start_ms
