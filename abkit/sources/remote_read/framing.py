"""The frames of a streamed answer: length, checksum, message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import google_crc32c

from abkit.errors import SourceAnswer
from abkit.sources.remote_read.wire import uvarint

__all__ = ["frames"]

_LONGEST: Final = 50_000_000  # what Prometheus' own reader takes; its writer ends a frame at 1 MB
_HEAD: Final = 5 + 4  # the longest length that is allowed, and the checksum


def frames(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream into messages, each checked.

    Args:
        pieces: The stream, cut anywhere.

    Raises:
        SourceAnswer: A checksum is wrong, a length absurd, or the stream ends within a frame.

    >>> list(frames([bytes([9]), bytes.fromhex("e3069283") + b"1234", b"56789"]))
    [b'123456789']
    """
    held = b""
    wanted = 0
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size < wanted:
            continue
        held, waiting = b"".join(waiting), []
        position = 0
        while (found := _frame(held, position)) is not None:
            start, stop = found
            wanted = stop - position
            if stop > len(held):
                break
            message = held[start:stop]
            if google_crc32c.value(message) != int.from_bytes(held[start - 4 : start], "big"):
                raise SourceAnswer("answers a frame whose checksum is wrong: it was damaged on its way, or is no frame")
            yield message
            position, wanted = stop, 0
        waiting = [held[position:]]
        size = len(waiting[0])
    if size:
        raise SourceAnswer("answers a stream that breaks off within a frame")


def _frame(held: bytes, position: int) -> tuple[int, int] | None:
    """Where the next message starts and stops; None where too little has come to tell."""
    end = len(held)
    if end - position < _HEAD and not any(byte < 0x80 for byte in held[position:end]):
        return None
    length, start = uvarint(held, position, min(end, position + _HEAD - 4))
    if length > _LONGEST:
        raise SourceAnswer(f"answers a frame of {length:,} bytes: no Prometheus sends more than {_LONGEST:,}")
    return start + 4, start + 4 + length
