"""The decoder of `xor` in machine code, chunk by chunk; needs numba.

Everything is an unsigned number of 64 bits: numba would make a float of one that is mixed with a signed one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["decode_compiled"]

_PADDING: Final = 32

U = np.uint64
_TOP: Final = U(1 << 63)


def decode_compiled(
    data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64], bool]:
    """Decode chunks.

    Args:
        data: Bytes that hold all of them.
        starts: Where each begins.
        stops: Where it ends.
        lengths: Samples of each.

    Returns:
        Times in milliseconds, bits of values, and whether all chunks were whole.
    """
    padded = np.zeros(len(data) + _PADDING, np.uint8)
    padded[: len(data)] = data
    count = int(lengths.sum())
    times, bits = np.empty(count, np.int64), np.empty(count, np.uint64)
    whole = _chunks(padded, starts.astype(np.uint64), stops.astype(np.uint64), lengths, times, bits)
    return times, bits, bool(whole)


def _compile(function: Callable[..., Any]) -> Any:
    """Machine code of a function, kept on disk where there is a folder to keep it in."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


def _word_(data: NDArray[np.uint8], bit: Any) -> Any:
    """64 bits from a bit on."""
    byte = bit >> U(3)
    shift = bit & U(7)
    word = U(0)
    for index in range(8):
        word = word << U(8) | U(data[byte + U(index)])
    if shift:
        word = word << shift | U(data[byte + U(8)]) >> (U(8) - shift)
    return word


_word = _compile(_word_)


def _chunks_(
    data: NDArray[np.uint8],
    starts: NDArray[np.uint64],
    stops: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    times: NDArray[np.int64],
    bits: NDArray[np.uint64],
) -> bool:
    place = 0
    for chunk in range(len(starts)):
        position = (starts[chunk] + U(2)) << U(3)
        end = stops[chunk] << U(3)
        time, step, value = U(0), U(0), U(0)
        width, trailing = U(64), U(0)
        for index in range(lengths[chunk]):
            if position >= end:
                return False
            word = _word(data, position)
            if index < 2:
                number, shift = U(0), U(0)
                while True:
                    byte = word >> U(56)
                    if shift < U(64):
                        number |= (byte & U(127)) << shift
                    shift += U(7)
                    position += U(8)
                    if byte < U(128):
                        break
                    if shift >= U(70) or position >= end:
                        return False
                    word = _word(data, position)
                if index == 0:
                    time = number >> U(1) ^ (U(0) - (number & U(1)))
                    value = _word(data, position)
                    position += U(64)
                    times[place] = np.int64(time)
                    bits[place] = value
                    place += 1
                    continue
                step = number
            elif word < _TOP:
                position += U(1)
            else:
                if not word >> U(62) & U(1):
                    prefix, size = U(2), U(14)
                elif not word >> U(61) & U(1):
                    prefix, size = U(3), U(17)
                elif not word >> U(60) & U(1):
                    prefix, size = U(4), U(20)
                else:
                    prefix, size = U(4), U(64)
                position += prefix
                if position + size > end:
                    return False
                change = _word(data, position) >> (U(64) - size)
                if size < U(64) and change > U(1) << (size - U(1)):
                    change -= U(1) << size
                step += change
                position += size
            time += step
            if position >= end:
                return False
            word = _word(data, position)
            if word < _TOP:
                position += U(1)
            else:
                if word >> U(62) & U(1):
                    leading = word >> U(57) & U(31)
                    width = word >> U(51) & U(63)
                    if width == U(0):
                        width = U(64)
                    if leading + width > U(64):
                        return False
                    trailing = U(64) - leading - width
                    position += U(13)
                else:
                    position += U(2)
                if position + width > end:
                    return False
                value ^= (_word(data, position) >> (U(64) - width)) << trailing
                position += width
            times[place] = np.int64(time)
            bits[place] = value
            place += 1
        if position > end:
            return False
    return True


_chunks = _compile(_chunks_)
