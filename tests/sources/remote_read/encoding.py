"""What a Prometheus sends to remote_read, written plainly: chunks bit by bit, messages, frames."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import google_crc32c

__all__ = ["bits_of", "chunk", "chunked_series", "field", "frame", "labels", "series_of_samples", "uvarint", "zigzag"]

Point = tuple[int, float]
_64 = (1 << 64) - 1


def bits_of(value: float) -> int:
    return int(struct.unpack(">Q", struct.pack(">d", value))[0])


def uvarint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def zigzag(number: int) -> bytes:
    return uvarint(2 * number if number >= 0 else -2 * number - 1)


class _Bits:
    def __init__(self) -> None:
        self.text = 0
        self.count = 0

    def put(self, number: int, width: int) -> None:
        self.text = self.text << width | number & ((1 << width) - 1)
        self.count += width

    def put_bytes(self, text: bytes) -> None:
        self.put(int.from_bytes(text, "big"), 8 * len(text))

    def bytes(self) -> bytes:
        empty = -self.count % 8
        return (self.text << empty).to_bytes((self.count + empty) // 8, "big")


def chunk(points: Sequence[Point | tuple[int, int]]) -> bytes:
    """An XOR chunk of samples; a value that is a whole number stands for its bits."""
    out = _Bits()
    time = step = value = 0
    leading, trailing = -1, 0
    for index, (moment, given) in enumerate(points):
        bits = given if isinstance(given, int) else bits_of(given)
        if index == 0:
            out.put_bytes(zigzag(moment))
            out.put(bits, 64)
        elif index == 1:
            step = moment - time
            out.put_bytes(uvarint(step & _64))
        else:
            change = moment - time - step
            step += change
            for prefix, length, width in ((0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20), (0b1111, 4, 64)):
                if change == 0:
                    out.put(0, 1)
                    break
                if width == 64 or -(1 << (width - 1)) < change <= 1 << (width - 1):
                    out.put(prefix, length)
                    out.put(change, width)
                    break
        if index > 0:
            leading, trailing = _put_xor(out, bits ^ value, leading, trailing)
        time, value = moment, bits
    return struct.pack(">H", len(points)) + out.bytes()


def _put_xor(out: _Bits, xor: int, leading: int, trailing: int) -> tuple[int, int]:
    if xor == 0:
        out.put(0, 1)
        return leading, trailing
    zeros, behind = min(64 - xor.bit_length(), 31), (xor & -xor).bit_length() - 1
    if leading >= 0 and zeros >= leading and behind >= trailing:
        out.put(0b10, 2)
    else:
        leading, trailing = zeros, behind
        out.put(0b11, 2)
        out.put(leading, 5)
        out.put(64 - leading - trailing, 6)
    out.put(xor >> trailing, 64 - leading - trailing)
    return leading, trailing


def field(number: int, content: int | bytes) -> bytes:
    if isinstance(content, int):
        return uvarint(number << 3) + uvarint(content & _64)
    return uvarint(number << 3 | 2) + uvarint(len(content)) + content


def labels(pairs: Mapping[str, str]) -> bytes:
    return b"".join(
        field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in sorted(pairs.items())
    )


def chunked_series(pairs: Mapping[str, str], chunks: Iterable[bytes], encoding: int = 1) -> bytes:
    """A `ChunkedReadResponse` of one series; chunks without their first and last time, which nobody needs."""
    inner = b"".join(field(2, field(1, 5) + field(2, 7) + field(3, encoding) + field(4, each)) for each in chunks)
    return field(1, labels(pairs) + inner)


def series_of_samples(pairs: Mapping[str, str], points: Sequence[Point]) -> bytes:
    """A series of a result, zeros left out; a `WriteRequest` has the same form."""
    inner = b""
    for moment, value in points:
        inner += field(
            2, (b"\x09" + struct.pack("<d", value) if bits_of(value) else b"") + (field(2, moment) if moment else b"")
        )
    return field(1, labels(pairs) + inner)


def frame(message: bytes) -> bytes:
    return uvarint(len(message)) + int(google_crc32c.value(message)).to_bytes(4, "big") + message
