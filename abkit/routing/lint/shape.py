"""A small language for which fields an object may have, and of what sort they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Choice", "Fields", "Items", "Length", "Named", "Scalar", "Shape", "choice", "fields"]


class Scalar(StrEnum):
    """A single value."""

    TEXT = "text"
    INTEGER = "whole number"
    NUMBER = "number"
    BOOLEAN = "true or false"
    INTEGER_OR_TEXT = "whole number or text"
    ANY = "anything"


@dataclass(frozen=True, slots=True)
class Length:
    """A length of time in one of the dialects; where `numbers`, also a bare number."""

    dialect: str
    numbers: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    of: Shape


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping with keys of the user's own."""

    of: Shape


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping with known keys.

    Attributes:
        known: Field → its shape.
        required: Fields that must be there.
        one_of: At most one of these may be there.
        open: There may be fields that aren't named here.
    """

    known: Mapping[str, Shape]
    required: frozenset[str] = frozenset()
    one_of: frozenset[str] = frozenset()
    open: bool = False


Shape = Scalar | Length | Choice | Items | Named | Fields


def fields(
    *shared: Mapping[str, Shape] | Fields,
    text: str = "",
    integer: str = "",
    number: str = "",
    boolean: str = "",
    texts: str = "",
    whatever: str = "",
    required: str = "",
    one_of: str = "",
    is_open: bool = False,
    **shapes: Shape,
) -> Fields:
    """A mapping with known keys: names separated by blanks for each sort of scalar, the others by keyword.

    Args:
        shared: Fields that are taken over.
        text: Names of texts.
        integer: Names of whole numbers.
        number: Names of numbers.
        boolean: Names of booleans.
        texts: Names of lists of texts.
        whatever: Names of fields that aren't looked into.
        required: Names of fields that must be there.
        one_of: Names of which at most one may be there.
        is_open: There may be others.
        shapes: Shapes of all other fields; a trailing `_` is left out.
    """
    known: dict[str, Any] = {}
    for one in shared:
        known.update(one.known if isinstance(one, Fields) else one)
    for names, shape in (
        (text, Scalar.TEXT),
        (integer, Scalar.INTEGER),
        (number, Scalar.NUMBER),
        (boolean, Scalar.BOOLEAN),
        (texts, Items(Scalar.TEXT)),
        (whatever, Scalar.ANY),
    ):
        known.update(dict.fromkeys(names.split(), shape))
    known.update({name.removesuffix("_"): shape for name, shape in shapes.items()})
    return Fields(known, frozenset(required.split()), frozenset(one_of.split()), is_open)


def choice(words: str | Iterable[str]) -> Choice:
    """One of these words, separated by blanks."""
    return Choice(frozenset(words.split() if isinstance(words, str) else words))
