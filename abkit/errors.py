"""Everything abkit can complain about, in one tree.

::

    AbkitError                    exit code
    ├── InputError                2   what the user wrote is wrong
    │   ├── SpecError                 the experiment file: all problems, each with file, line, field, value
    │   ├── QueryError                a metric that is not in the catalogue, a query file that is malformed
    │   └── RoutingError              what a mesh can't do
    ├── SourceError               3   a source can't be reached or answers nonsense
    │   ├── SourceUnreachable         no connection, or it broke
    │   ├── SourceRefused             the server answered with an HTTP error
    │   └── SourceAnswer              the answer is not what it should be: HTML, cut JSON, a wrong type
    ├── TargetError               3   where manifests go can't be reached or written, or refuses them
    │   └── TargetDrift           5   what lies there is somebody else's, or was changed since abkit wrote it
    └── StoreError                4   the store is locked or broken
        ├── StoreLocked               another process holds it, longer than we wait
        ├── StoreUnusable             not a DuckDB file, damaged, or no right or room to write
        └── StoreVersion              written by a newer abkit

No data is an outcome, not an error: it is a verdict (`no-data`) or a result's `status`.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "AbkitError",
    "InputError",
    "Problem",
    "QueryError",
    "RoutingError",
    "SourceAnswer",
    "SourceError",
    "SourceRefused",
    "SourceUnreachable",
    "SpecError",
    "StoreError",
    "StoreLocked",
    "StoreUnusable",
    "StoreVersion",
    "TargetDrift",
    "TargetError",
    "did_you_mean",
]


class AbkitError(Exception):
    """The root. `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 1


class InputError(AbkitError):
    """What the user wrote is wrong: a file, an option, a value."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file.

    Attributes:
        file: The file's path as the user gave it.
        line: 1-based line, or None where there is none to name.
        field: Dotted path of the field, such as `variants.treatment.weight`; empty for the whole file.
        value: The bad value as text; None where nothing was given.
        message: What is wrong and what would be right.
    """

    file: str
    line: int | None
    field: str
    value: str | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = [place, *([self.field] if self.field else [])]
        shown = "" if self.value is None else f" (got {self.value})"
        return f"{': '.join(parts)}: {self.message}{shown}"


class SpecError(InputError):
    """The experiment file is wrong; `problems` lists every defect that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class QueryError(InputError):
    """A metric that is not in the catalogue, or a query file that is malformed."""


class RoutingError(InputError):
    """What the chosen mesh can't do; the message names the mesh, the feature and a mesh that can."""


class SourceError(AbkitError):
    """A source of samples can't be reached or answers nonsense."""

    exit_code = 3


class SourceUnreachable(SourceError):
    """No connection to the source, or it broke, after all retries."""


class SourceRefused(SourceError):
    """The server answered with an HTTP error.

    Args:
        message: What happened, where, and the remedy.
        http_status: The HTTP status code.
    """

    def __init__(self, message: str, http_status: int) -> None:
        self.http_status = http_status
        super().__init__(message)


class SourceAnswer(SourceError):
    """The answer is not what it should be: HTML, cut JSON, a wrong type, a damaged file."""


class TargetError(AbkitError):
    """Where manifests go can't be reached or written, or refuses them."""

    exit_code = 3


class TargetDrift(TargetError):
    """What lies at a target is somebody else's, or was changed since abkit wrote it: nothing was overwritten."""

    exit_code = 5


class StoreError(AbkitError):
    """The store is locked or broken; what lay in it before still lies in it."""

    exit_code = 4


class StoreLocked(StoreError):
    """Another process holds the store for longer than we wait."""


class StoreUnusable(StoreError):
    """Not a DuckDB file, damaged, or no right or room to write."""


class StoreVersion(StoreError):
    """The store was written by a newer abkit."""


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Words for an error about an unknown name: the nearest valid one, and all of them.

    >>> did_you_mean("convertion", ["click-rate", "conversion"])
    "did you mean 'conversion'? Valid: click-rate, conversion"
    >>> did_you_mean("zzz", ["a", "b"])
    'valid: a, b'
    """
    names = sorted(valid)
    near = get_close_matches(name, names, n=1)
    listed = ", ".join(names)
    return f"did you mean '{near[0]}'? Valid: {listed}" if near else f"valid: {listed}"
