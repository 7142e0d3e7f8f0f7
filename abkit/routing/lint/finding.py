"""What the lint says about one place of a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Severity"]


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """It doesn't do what is written, or is refused."""
    WARNING = "warning"
    """It may well do something else than was meant."""
    NOTE = "note"
    """It works today; there is a better form."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect of a manifest.

    Attributes:
        file: The file's name as it was given.
        line: 1-based line.
        object: Kind and name, such as `VirtualService shop/reviews`; what kind of file it is where it has no object.
        field: Path of the field, such as `spec.http[0].fault`; empty for the whole object.
        check: Short name of what was checked; the same for every finding of its sort.
        severity: How bad it is.
        why: What is wrong, with the values that make it so.
        correct: The correct form.
    """

    file: str
    line: int
    object: str
    field: str
    check: str
    severity: Severity
    why: str
    correct: str

    def __post_init__(self) -> None:
        # What stands in a manifest reaches terminals and logs: as text, never as control characters.
        for name in ("object", "field", "why", "correct"):
            object.__setattr__(self, name, "".join(map(_printable, getattr(self, name))))

    def __str__(self) -> str:
        where = f"{self.object}: {self.field}" if self.field else self.object
        return f"{self.file}:{self.line}: {self.severity}: {where}: {self.why} [{self.check}]; correct: {self.correct}"


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape", "replace").decode()
