"""The newest evaluation of each experiment in a store, for those who only read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from abkit.errors import InputError
from abkit.evidence import Evaluation
from abkit.report.format import plain
from abkit.store import Store

__all__ = ["Loaded", "evaluations", "load"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a store holds.

    Attributes:
        evaluations: The newest of each experiment, by name.
        unreadable: A sentence for each document that another version of abkit wrote and this one can't read.
    """

    evaluations: tuple[Evaluation, ...]
    unreadable: tuple[str, ...]


def load(db_path: Path | str, *, wait: float = 10.0) -> Loaded:
    """Read the newest evaluation of each experiment.

    One document that can't be read doesn't hide the others.

    Args:
        db_path: The store's file.
        wait: Seconds to wait for a writer.

    Raises:
        InputError: There is no such file.
        StoreError: It is locked, damaged or from a newer abkit.
    """
    path = Path(db_path)
    if not path.exists():
        msg = f"{path}: there is no store here yet: run `abkit demo`, or `abkit pull` and `abkit verdict`"
        raise InputError(msg)
    read: list[Evaluation] = []
    unreadable: list[str] = []
    for document in Store(path, wait=wait).latest_documents():
        try:
            read.append(Evaluation.from_json(document))
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError):
            unreadable.append(f"{_name(document)}: written by another version of abkit: run `abkit verdict` again")
    return Loaded(tuple(sorted(read, key=lambda found: found.experiment)), tuple(sorted(unreadable)))


def evaluations(db_path: Path | str) -> tuple[Evaluation, ...]:
    """The newest evaluation of each experiment, by name; see `load` for the errors."""
    return load(db_path).evaluations


def _name(document: str) -> str:
    try:
        return plain(str(json.loads(document)["experiment"]))
    except (ValueError, KeyError, TypeError):
        return "a result"
