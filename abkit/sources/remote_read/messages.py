"""The messages of remote_read: what is asked, and where in an answer the chunks and samples lie.

Nothing is decoded here that is not needed to find them: a chunk is where its bytes are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from abkit.errors import SourceAnswer
from abkit.queries.selectors import Matcher
from abkit.sources.answers import Unclear, native_histograms, plain
from abkit.sources.remote_read.wire import encoded, fields, packed, uvarint
from abkit.window import Window

__all__ = ["SAMPLES", "STREAMED_XOR_CHUNKS", "Part", "parse_chunks", "parse_samples", "read_request"]

SAMPLES: Final = 0
STREAMED_XOR_CHUNKS: Final = 1

_OPERATORS: Final = {"=": 0, "!=": 1, "=~": 2, "!~": 3}
_XOR: Final = 1
_XOR_BYTE: Final = b"\x01"
_SHORTEST: Final = 2  # bytes of a chunk: how many samples it has
_ENCODINGS: Final = {2: "HISTOGRAM", 3: "FLOAT_HISTOGRAM"}

_LABELS: Final = 0x0A
_CONTENT: Final = 0x12
# A chunk as every server writes it: its length, first and last time, encoding, and last its data.
_CHUNK: Final = re.compile(
    rb"\x12([\x80-\xff]{0,4}[\x00-\x7f])"
    rb"(?:\x08[\x80-\xff]{0,9}[\x00-\x7f])?(?:\x10[\x80-\xff]{0,9}[\x00-\x7f])?"
    rb"(?:\x18([\x01-\x7f]))?\x22([\x80-\xff]{0,4}[\x00-\x7f])",
    re.DOTALL,
)
_LABEL: Final = re.compile(rb"\x0a([\x00-\x7f])\x0a([\x00-\x7f])", re.DOTALL)
# What numbers of one and two bytes mean: to look it up is faster than to reckon.
_NUMBERS: Final = {bytes([low]): low for low in range(128)} | {
    bytes([low | 0x80, high]): high << 7 | low for high in range(128) for low in range(128)
}


@dataclass(slots=True)
class Part:
    """Some series of an answer, whole ones: what is decoded at a time.

    Attributes:
        labels: One mapping a series.
        payloads: Bytes of the answer; positions count through all of them.
        size: Bytes in all.
        starts: Where each chunk, or each series' samples, begin.
        stops: Where they end.
        series: Index into `labels`, one a chunk.
        samples: How many the chunks say they have; of samples, how many there can be at most.
    """

    labels: list[Mapping[str, str]] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    size: int = 0
    starts: list[int] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)
    series: list[int] = field(default_factory=list)
    samples: int = 0


def read_request(matchers: Sequence[Matcher], window: Window, kinds: Sequence[int]) -> bytes:
    """Ask for all samples of a window.

    Args:
        matchers: All must hold.
        window: Half-open; the protocol's own includes both ends.
        kinds: Kinds of answer that are understood, the best first.

    >>> read_request([], Window(0, 1), [SAMPLES]).hex()
    '0a0408001000120100'
    """
    query = encoded(1, window.start_ms) + encoded(2, window.end_ms - 1)
    for matcher in matchers:
        inner = encoded(1, _OPERATORS[matcher.operator]) + encoded(2, matcher.label) + encoded(3, matcher.value)
        query += encoded(3, inner)
    return encoded(1, query) + packed(2, list(kinds))


def parse_chunks(messages: Iterator[bytes], batch: int) -> Iterator[Part]:
    """Find the chunks of a streamed answer.

    Args:
        messages: Of type `ChunkedReadResponse`, one a frame.
        batch: Samples that a part should have, about.

    Yields:
        Parts as they get full. Frames of one series follow each other.

    Raises:
        SourceAnswer: They are no such messages, or hold native histograms.
    """
    part = Part()
    last: bytes | None = None
    seen: set[bytes] = set()
    for message in messages:
        for found in fields(message, 0, len(message)):
            if found.number != 1:
                continue
            content = _behind(message, found.start, found.stop, _LABELS)
            key = message[found.start : content]
            if key != last:
                _once(key, seen)
                last = key
                if part.samples >= batch:
                    if part.stops and part.stops[-1] > part.size:
                        part.payloads.append(message)
                    yield part
                    part = Part()
                part.labels.append(_labels(key))
            _chunks(message, content, found.stop, part)
        part.payloads.append(message)
        part.size += len(message)
    if part.labels:
        yield part


def parse_samples(message: bytes, batch: int) -> Iterator[Part]:
    """Find the samples of an answer of type `ReadResponse`; a series' samples count as one chunk.

    Args:
        message: The whole answer.
        batch: Samples that a part should have, at least.

    Raises:
        SourceAnswer: It is no such message, or holds native histograms.
    """
    part = Part()
    seen: set[bytes] = set()
    for result in fields(message, 0, len(message)):
        if result.number != 1:
            continue
        for found in fields(message, result.start, result.stop):
            if found.number != 1:
                continue
            content = _behind(message, found.start, found.stop, _LABELS)
            stop = _behind(message, content, found.stop, _CONTENT)
            key = message[found.start : content]
            if any(other.number == 4 for other in fields(message, stop, found.stop)):
                raise native_histograms(_labels(key))
            if stop == content:
                # So an older Prometheus answers of a series of native histograms.
                raise Unclear(f"answers {plain(dict(_labels(key)))} without samples")
            _once(key, seen)
            if part.samples >= batch:
                yield part
                part = Part()
            part.payloads.append(message[content:stop])
            part.starts.append(part.size)
            part.size += stop - content
            part.stops.append(part.size)
            part.series.append(len(part.labels))
            part.labels.append(_labels(key))
            part.samples += (stop - content) // 9
    if part.labels:
        yield part


def _chunks(message: bytes, position: int, end: int, part: Part) -> None:
    """Note the chunks of a series, which is the part's last one."""
    series, base, samples = len(part.labels) - 1, part.size, 0
    match, numbers = _CHUNK.match, _NUMBERS
    while position < end:
        usual = match(message, position, end)
        start = -1
        if usual is not None:
            length, encoding, size = usual.groups()
            if encoding == _XOR_BYTE and length in numbers and size in numbers:
                start = usual.end()
                stop = start + numbers[size]
                behind = usual.end(1) + numbers[length]
        if start < 0 or stop != behind or stop > end:
            start, stop, behind = _any_chunk(message, position, end, part.labels[series])
        position = behind
        if start < 0:
            continue
        if stop - start < _SHORTEST:
            raise SourceAnswer("answers a chunk that is too short to be one")
        samples += message[start] << 8 | message[start + 1]
        part.starts.append(base + start)
        part.stops.append(base + stop)
        part.series.append(series)
    part.samples += samples


def _any_chunk(message: bytes, position: int, end: int, labels: Mapping[str, str]) -> tuple[int, int, int]:
    """A chunk, its fields in any order: where its data start (-1: it is none) and stop, and where it ends."""
    outer = next(iter(fields(message, position, end)))
    if outer.number != 2:
        # Something that a newer server adds to a series: no chunk, and nothing in it.
        return -1, -1, outer.stop
    encoding, start, stop = 0, outer.stop, outer.stop
    for found in fields(message, outer.start, outer.stop):
        if found.number == 3:
            encoding = found.value
        elif found.number == 4:
            start, stop = found.start, found.stop
    if encoding in _ENCODINGS:
        raise native_histograms(labels)
    if encoding != _XOR:
        raise SourceAnswer(
            f"answers chunks of {plain(dict(labels))} in an encoding that abkit does not know: {encoding}"
        )
    return start, stop, outer.stop


def _once(key: bytes, seen: set[bytes]) -> None:
    if key in seen:
        raise Unclear(f"answers {plain(dict(_labels(key)))} in two places")
    seen.add(key)


def _behind(message: bytes, position: int, end: int, tag: int) -> int:
    """Past all fields with a tag, which are of bytes."""
    while position < end and message[position] == tag:
        length, start = uvarint(message, position + 1, end)
        position = start + length
    if position > end:
        raise SourceAnswer("answers a message that breaks off within a field")
    return position


def _labels(message: bytes) -> Mapping[str, str]:
    found: dict[str, str] = {}
    position, end = 0, len(message)
    try:
        while position < end:
            usual = _LABEL.match(message, position)
            if usual is not None:
                name, value = usual.end(), usual.end() + usual[2][0]
                # As every server writes it: 0A, length, 0A, length, name, 12, length, value.
                if message[value : value + 1] == b"\x12":
                    stop = value + 2 + message[value + 1]
                    if stop <= end and stop == usual.end(1) + usual[1][0] and message[value + 1] < 0x80:
                        found[message[name:value].decode()] = message[value + 2 : stop].decode()
                        position = stop
                        continue
            label = next(iter(fields(message, position, end)))
            texts = {part.number: message[part.start : part.stop] for part in fields(message, label.start, label.stop)}
            found[texts.get(1, b"").decode()] = texts.get(2, b"").decode()
            position = label.stop
    except UnicodeDecodeError:
        raise SourceAnswer("answers labels that are not UTF-8 text") from None
    if not found:
        raise SourceAnswer("answers a series without labels")
    return found
