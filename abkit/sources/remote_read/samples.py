"""Decodes the samples of a `ReadResponse`: all records of all series at once.

A record is a message in a message: `12 LL`, then `09` and the value's 8 bytes (left out where it is 0), then `10` and
the time as a varint (left out where it is 0). Where records may begin is looked for in the whole text, and held to
account: each must begin where the one before ends. A text in which other bytes look like a record's beginning, or with
fields in another order, is read record by record.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from abkit.errors import SourceAnswer
from abkit.sources.remote_read.wire import fields
from abkit.sources.remote_read.xor import Decoded

__all__ = ["decode_samples"]

_RECORD: Final = 0x12
_VALUE: Final = 0x09
_TIME: Final = 0x10
_LONGEST: Final = 20  # a value, and a time of ten bytes
_VALUE_BYTES: Final = 9


def decode_samples(data: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Decoded:
    """Decode the samples of series.

    Args:
        data: The records of all series, one series after the other without gaps.
        starts: Where each series begins.
        stops: Where it ends.

    Raises:
        SourceAnswer: They are no samples.

    >>> records = bytes.fromhex("120b09000000000000f03f1005" "12021006")
    >>> found = decode_samples(records, np.array([0]), np.array([17]))
    >>> found.timestamps.tolist(), found.values.tolist()
    ([5, 6], [1.0, 0.0])
    """
    text = np.frombuffer(data, np.uint8)
    records = _records(text)
    if records is None or not np.isin(starts[starts < stops], records).all():
        return _one_by_one(data, starts, stops)
    ends = np.append(records[1:], len(text))
    padded = np.zeros(len(text) + 2 * _LONGEST, np.uint8)
    padded[: len(text)] = text
    times = records + 2
    valued = padded[times] == _VALUE
    bits = np.zeros(len(records), np.uint64)
    places = times[valued, None] + np.arange(1, _VALUE_BYTES)
    bits[valued] = padded[places].view("<u8")[:, 0]
    times = times + _VALUE_BYTES * valued
    timed = times < ends
    number = np.zeros(len(records), np.uint64)
    going = timed.copy()
    at = times + 1
    if not (padded[times[timed]] == _TIME).all():
        return _one_by_one(data, starts, stops)
    for index in range(10):
        byte = padded[at].astype(np.uint64)
        number |= np.where(going, (byte & np.uint64(127)) << np.uint64(7 * index), np.uint64(0))
        at += going
        going &= byte >= 128
        if not going.any():
            break
    if going.any() or (at[timed] != ends[timed]).any():
        return _one_by_one(data, starts, stops)
    bounds = np.searchsorted(records, np.stack([starts, stops]))
    return Decoded(bounds[1] - bounds[0], number.view(np.int64), bits.view(np.float64))


def _records(text: NDArray[np.uint8]) -> NDArray[np.int64] | None:
    """Where records begin; None where that can't be told at a glance."""
    if len(text) < 2:
        return np.zeros(0, np.int64) if len(text) == 0 else None
    likely = (text[:-1] == _RECORD) & (text[1:] <= _LONGEST)
    if len(text) > 2:
        likely[:-1] &= (text[2:] == _VALUE) | (text[2:] == _TIME)
    found = np.flatnonzero(likely)
    ends = found + 2 + text[found + 1]
    if len(found) == 0 or found[0] != 0 or ends[-1] != len(text) or (ends[:-1] != found[1:]).any():
        return None
    return found


def _one_by_one(data: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Decoded:
    lengths: list[int] = []
    times: list[int] = []
    bits: list[int] = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        before = len(times)
        for record in fields(data, start, stop):
            time = value = 0
            for found in fields(data, record.start, record.stop):
                if found.number == 1:
                    if found.stop - found.start != 8:
                        raise SourceAnswer("answers a sample whose value is no double")
                    value = int.from_bytes(data[found.start : found.stop], "little")
                elif found.number == 2:
                    time = found.value
            times.append(time)
            bits.append(value)
        lengths.append(len(times) - before)
    return Decoded(
        np.array(lengths, np.int64),
        np.array(times, np.uint64).view(np.int64),
        np.array(bits, np.uint64).view(np.float64),
    )
