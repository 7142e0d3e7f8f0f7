"""Decodes XOR chunks, the form in which Prometheus stores samples.

A chunk is a stream of bits, each sample told by how it differs from the one before: no sample can be read before all
earlier ones of its chunk. But chunks are independent, so all of them are decoded side by side: each step reads the
next sample of every chunk at once, with numpy. Where numba is there (the extra `fast`) and the work is worth it, the
same is done chunk by chunk in machine code (`xor_compiled`).

Facebook's Gorilla paper (Pelkonen et al., VLDB 2015) has the idea, Prometheus' `tsdb/chunkenc/xor.go` the form:

* two bytes: how many samples;
* the first sample: time as a zigzag varint, value as 64 bits;
* the second: the step in time as a varint, then a value;
* each further one: how much the step changed (0; 10 and 14 bits; 110, 17; 1110, 20; 1111, 64), then a value;
* a value: 0 for the same as before, else its XOR with that one: 10 and as many bits as the last XOR had, at the same
  place; or 11, 5 bits for how many leading zeros it has, 6 for how many bits follow (0 is 64), and these.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abkit.errors import SourceAnswer

__all__ = ["Decoded", "decode_xor", "worth_compiling"]

_COMPILED: Final = "abkit.sources.remote_read.xor_compiled"
_WORTH: Final = 4_000_000  # samples: to load the compiled form takes about a second

_SIDE_BY_SIDE: Final = 4096  # what is worked on stays in the processor's cache
_MOST_AT_ONCE: Final = 1 << 21
_HEADER: Final = 2

U = np.uint64
_CONTROL_BITS: Final = np.array([1, 1, 2, 13], np.int64)  # by a value's first two bits
_STEP_BITS: Final = np.array([14, 17, 20, 64], np.int64)  # by how many ones follow the first


class Decoded(NamedTuple):
    """Samples of chunks, those of each chunk in turn.

    Attributes:
        lengths: Samples of each chunk.
        timestamps: Milliseconds.
        values: As stored; their bits too, so that a stale marker can be told.
    """

    lengths: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    values: NDArray[np.float64]


def decode_xor(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    *,
    compiled: bool = False,
) -> Decoded:
    """Decode chunks.

    Args:
        data: Bytes that hold all of them.
        starts: Where each begins.
        stops: Where it ends: two bytes later, or more.
        compiled: Whether numba does it; the result is the same.

    Raises:
        SourceAnswer: A chunk breaks off, or is none.

    >>> chunk = np.frombuffer(bytes.fromhex("0002d00f3ff0000000000000d00f") + bytes([0b0_0000000]), np.uint8)
    >>> found = decode_xor(chunk, np.array([0]), np.array([15]))
    >>> found.timestamps.tolist(), found.values.tolist()
    ([1000, 3000], [1.0, 1.0])
    """
    lengths = data[starts].astype(np.int64) << 8 | data[starts + 1]
    # A sample takes two bits, and the first one nine bytes: what claims more would only fill the memory.
    if (lengths > np.maximum((stops - starts - _HEADER - 9) * 4 + 1, 0)).any():
        raise _broken()
    if compiled:
        from abkit.sources.remote_read.xor_compiled import decode_compiled

        timestamps, bits, whole = decode_compiled(data, starts, stops, lengths)
        if not whole:
            raise _broken()
        return Decoded(lengths, timestamps, bits.view(np.float64))
    timestamps, bits = _decode(data, starts, stops, lengths)
    return Decoded(lengths, timestamps, bits.view(np.float64))


def worth_compiling(samples: int) -> bool:
    """Whether the compiled form is there, and pays for being loaded.

    Args:
        samples: How many there are to decode.
    """
    return _COMPILED in sys.modules or (samples >= _WORTH and find_spec("numba") is not None)


def _broken() -> SourceAnswer:
    return SourceAnswer("answers a chunk that breaks off or is damaged")


def _decode(
    data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    stream = _Bits(data)
    timestamps = np.empty(int(lengths.sum()), np.int64)
    bits = np.empty(len(timestamps), U)
    places = np.cumsum(lengths) - lengths
    # The longest first: who still has samples at a step is a run from the start.
    order = np.argsort(-lengths, kind="stable")
    done = 0
    while done < len(order):
        longest = int(lengths[order[done]])
        if longest == 0:
            break
        mine = order[done : done + max(1, min(_SIDE_BY_SIDE, _MOST_AT_ONCE // longest))]
        done += len(mine)
        block = _Block(stream, starts[mine] + _HEADER, lengths[mine])
        block.run()
        if (block.position > stops[mine] * 8).any():
            raise _broken()
        _place(block, places[mine], timestamps, bits)
    return timestamps, bits


def _place(block: _Block, places: NDArray[np.int64], timestamps: NDArray[np.int64], bits: NDArray[np.uint64]) -> None:
    """Put a block's samples where they belong: its rows are steps."""
    lengths, steps = block.lengths, len(block.times)
    first = int(places[0])
    even = bool(lengths[-1] == steps)
    if even and bool((np.diff(places) == steps).all()):
        run = slice(first, first + steps * len(lengths))
        timestamps[run].reshape(-1, steps)[:] = block.times.T
        bits[run].reshape(-1, steps)[:] = block.bits.T
        return
    inside = np.arange(steps)[None, :] < lengths[:, None]
    where = (places[:, None] + np.arange(steps)[None, :])[inside]
    timestamps[where] = block.times.T[inside]
    bits[where] = block.bits.T[inside]


class _Bits:
    """Bytes as words: 64 bits from each byte on, the first bit on top."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        count = len(data) + 8
        padded = np.zeros(count + 8, np.uint8)
        padded[: len(data)] = data
        self.words = np.empty(count, U)
        for shift in range(8):
            found = (count - shift + 7) // 8
            self.words[shift::8] = padded[shift : shift + 8 * found].view(">u8")[:found]

    def at(self, byte: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The word at a byte."""
        return self.words.take(byte, mode="clip")

    def most(self, position: NDArray[np.int64]) -> NDArray[np.uint64]:
        """From a bit on: at least 57 of them."""
        word = self.words.take(position >> 3, mode="clip")
        word <<= (position & 7).view(U)
        return word

    def all(self, position: NDArray[np.int64]) -> NDArray[np.uint64]:
        """From a bit on: 64 of them."""
        byte, shift = position >> 3, (position & 7).view(U)
        # Shifted by 64, nothing is left: numpy says so, where C would not.
        return (self.at(byte) << shift) | (self.at(byte + 8) >> (U(64) - shift))

    def uvarint(self, byte: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Numbers of variable length at bytes, and how many bytes they take."""
        number = np.zeros(len(byte), U)
        taken = np.zeros(len(byte), np.int64)
        going = np.ones(len(byte), np.bool_)
        for index in range(10):
            found = self.at(byte + index) >> U(56)
            number |= np.where(going, (found & U(127)) << U(7 * index), U(0))
            taken += going
            going &= found >= U(128)
            if not going.any():
                return number, taken
        raise _broken()


class _Block:
    """Chunks that are decoded side by side, the longest first."""

    def __init__(self, stream: _Bits, bytes_: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        count, steps = len(lengths), int(lengths[0])
        self.stream = stream
        self.lengths = lengths
        self.times = np.empty((steps, count), np.int64)
        self.bits = np.empty((steps, count), U)
        self.position = bytes_ * 8
        self.value = np.zeros(count, U)
        self.width = np.full(count, 64, np.int64)
        self.trailing = np.zeros(count, np.int64)

    def run(self) -> None:
        """Fill `times` and `bits`, and leave `position` behind the last sample."""
        stream, steps = self.stream, len(self.times)
        active = np.searchsorted(-self.lengths, -np.arange(steps), side="left")
        with_one = slice(0, int(active[0]))
        zigzag, taken = stream.uvarint(self.position[with_one] >> 3)
        time = (zigzag >> U(1)).view(np.int64) ^ -(zigzag & U(1)).view(np.int64)
        self.position[with_one] += taken * 8
        self.value[with_one] = stream.at(self.position[with_one] >> 3)
        self.position[with_one] += 64
        self.times[0, with_one] = time
        self.bits[0, with_one] = self.value[with_one]
        step = np.zeros(0, np.int64)
        for index in range(1, steps):
            count = int(active[index])
            time, step, position = time[:count], step[:count], self.position[:count]
            if index == 1:
                first, taken = stream.uvarint(position >> 3)
                step = first.view(np.int64)
                position += taken * 8
                word, known = stream.most(position), 57
            else:
                word, known = self._step(position, step), 56
            time = time + step
            self._value(word, known, count)
            self.times[index, :count] = time
            self.bits[index, :count] = self.value[:count]

    def _step(self, position: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Read how steps in time change; returns the 56 bits or more that follow."""
        word = self.stream.most(position)
        changed = np.flatnonzero(word.view(np.int64) < 0)
        word <<= U(1)
        position += 1
        if changed.size:
            rest, mine = word[changed], position[changed]
            ones = (rest >> U(63)).view(np.int64)
            ones += ones & (rest >> U(62)).view(np.int64)
            ones += (ones == 2) & ((rest >> U(61)).view(np.int64) & 1 == 1)
            mine += np.minimum(ones + 1, 3)
            width = _STEP_BITS.take(ones)
            change = (self.stream.all(mine) >> (U(64) - width.view(U))).view(np.int64)
            change -= np.where((width < 64) & (change > 1 << np.minimum(width - 1, 62)), 1 << np.minimum(width, 62), 0)
            step[changed] += change
            mine += width
            position[changed] = mine
            word[changed] = self.stream.most(mine)
        return word

    def _value(self, word: NDArray[np.uint64], known: int, count: int) -> None:
        """Read the next values of the first chunks from bits of which so many are known."""
        width, trailing, position = self.width[:count], self.trailing[:count], self.position[:count]
        control = (word >> U(62)).view(np.int64)
        new = np.flatnonzero(control == 3)
        if new.size:
            head = (word[new] >> U(51)).view(np.int64)
            leading, bits = (head >> 6) & 31, ((head - 1) & 63) + 1
            if (leading + bits > 64).any():
                raise _broken()
            width[new], trailing[new] = bits, 64 - leading - bits
        taken = _CONTROL_BITS.take(control)
        bits = width * (control > 1)
        difference = word << taken.view(U)
        difference >>= (64 - bits).view(U)
        taken += bits
        long = np.flatnonzero(taken > known)
        if long.size:
            kept = bits[long]
            difference[long] = self.stream.all(position[long] + taken[long] - kept) >> (64 - kept).view(U)
        difference <<= trailing.view(U)
        self.value[:count] ^= difference
        position += taken
