"""Protocol Buffers' wire format: as much of it as remote_read needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from abkit.errors import SourceAnswer

__all__ = ["Field", "encoded", "fields", "packed", "uvarint"]

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
_LONGEST_VARINT: Final = 10
_MASK: Final = (1 << 64) - 1


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: Which one.
        value: Of a varint; 0 for all others.
        start: Where the content begins: a text, bytes, an inner message, or a number of fixed size.
        stop: Where it ends.
    """

    number: int
    value: int
    start: int
    stop: int


def uvarint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Read a number of variable length.

    Args:
        data: What it lies in.
        position: Where it begins.
        end: Where it must have ended.

    Returns:
        The number, within 64 bits, and the position behind it.

    Raises:
        SourceAnswer: It breaks off, or is longer than one can be.

    >>> uvarint(bytes([0xAC, 0x02]), 0, 2)
    (300, 2)
    """
    number = 0
    for index in range(_LONGEST_VARINT):
        if position + index >= end:
            raise SourceAnswer("answers a message that breaks off within a number")
        byte = data[position + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number & _MASK, position + index + 1
    raise SourceAnswer("answers a message with a number that never ends")


def fields(data: bytes, position: int, end: int) -> Iterator[Field]:
    """The fields of a message, in turn; unknown ones too.

    Args:
        data: What it lies in.
        position: Where it begins.
        end: Where it ends.

    Raises:
        SourceAnswer: It is no message.

    >>> [(each.number, each.value) for each in fields(encoded(3, 7) + encoded(4, "x"), 0, 5)]
    [(3, 7), (4, 0)]
    """
    while position < end:
        tag, position = uvarint(data, position, end)
        number, kind, value = tag >> 3, tag & 7, 0
        start = position
        if kind == _VARINT:
            value, stop = uvarint(data, position, end)
        elif kind == _BYTES:
            length, start = uvarint(data, position, end)
            stop = start + length
        elif kind in {_FIXED64, _FIXED32}:
            stop = start + (8 if kind == _FIXED64 else 4)
        else:
            raise SourceAnswer(f"answers a message with a field of an unknown kind ({kind})")
        if stop > end or number == 0:
            raise SourceAnswer("answers a message that breaks off within a field")
        yield Field(number, value, start, stop)
        position = stop


def encoded(number: int, value: int | bytes | str) -> bytes:
    """Write a field; whole numbers as varints, negative ones as 64 bits.

    >>> encoded(1, 150).hex()
    '089601'
    """
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value & _MASK)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def packed(number: int, values: list[int]) -> bytes:
    """Write a repeated number.

    >>> packed(2, [1, 0]).hex()
    '12020100'
    """
    return encoded(number, b"".join(_varint(value) for value in values))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
