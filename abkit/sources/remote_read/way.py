"""Reads by remote_read: chunks as they are stored, where the server streams them, else samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import cramjam
import numpy as np

from abkit.errors import SourceAnswer, SourceRefused
from abkit.queries.selectors import parse_selector
from abkit.sources.answers import Unclear
from abkit.sources.base import Samples
from abkit.sources.reading import NotOffered, Reading
from abkit.sources.remote_read.framing import frames
from abkit.sources.remote_read.labels import Labels
from abkit.sources.remote_read.messages import (
    SAMPLES,
    STREAMED_XOR_CHUNKS,
    Part,
    parse_chunks,
    parse_samples,
    read_request,
)
from abkit.sources.remote_read.samples import decode_samples
from abkit.sources.remote_read.xor import Decoded, decode_xor, worth_compiling
from abkit.sources.tidy import tidied
from abkit.sources.transport import Answer, Connection, TooMuch
from abkit.window import Window

__all__ = ["RemoteRead"]

_STREAMED: Final = "application/x-streamed-protobuf"
_WHOLE: Final = "application/x-protobuf"
_NAMES: Final = {STREAMED_XOR_CHUNKS: "remote-read-chunks", SAMPLES: "remote-read-samples"}
# What servers answer that don't know the path, the method or the request: no refusal of the reader, no failure.
_NOT_OFFERED: Final = {400, 404, 405, 406, 415, 422, 501}
_HEADERS: Final = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Read-Version": "0.1.0",
    "Accept": f"{_STREAMED}, {_WHOLE}",
}
_LONGEST_WHOLE: Final = 1 << 28
_OK: Final = 200


class RemoteRead:
    """Reads by remote_read.

    A window's answer is decoded while it comes, and kept until all of it has come: 20 bytes a sample.

    Args:
        connection: To the server.
        batch: Samples of a batch, about.
        warn: Told what the server says beside its answers.
        kinds: Kinds of answer to ask for, the best first.
    """

    first_ms: Final = 4 * 3_600_000

    def __init__(
        self,
        connection: Connection,
        batch: int,
        warn: Callable[[Iterable[str]], None],
        kinds: Sequence[int] = (STREAMED_XOR_CHUNKS, SAMPLES),
    ) -> None:
        self._connection = connection
        self._batch = batch
        self._kinds = kinds
        self._labels = Labels(connection, warn)
        self._kind = kinds[0]
        self._proven = False
        self._decoded = 0

    @property
    def name(self) -> str:
        """By what the server last answered with."""
        return _NAMES[self._kind]

    @property
    def aim(self) -> int:
        """Samples that a window should have: of a streamed answer more, which costs little before it is decoded."""
        return self._batch * (4 if self._kind == STREAMED_XOR_CHUNKS else 2)

    def read(self, selector: str, window: Window) -> Reading:
        """See `abkit.sources.reading.Way.read`."""
        request = read_request(parse_selector(selector).matchers, window, self._kinds)
        body = bytes(cramjam.snappy.compress_raw(request))
        try:
            batches = self._connection.ask("/api/v1/read", body, lambda answer: self._take(answer, window), _HEADERS)
        except TooMuch:
            raise
        except SourceRefused as error:
            if not self._proven and error.http_status in _NOT_OFFERED:
                raise NotOffered(str(error)) from None
            raise
        self._proven = True
        named = self._named(selector, window, batches)
        return Reading(sum(len(batch.timestamps) for batch in named), _handed_over(named))

    def _take(self, answer: Answer, window: Window) -> list[Samples]:
        kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
        try:
            if kind == _STREAMED:
                self._kind = STREAMED_XOR_CHUNKS
                return self._samples(parse_chunks(frames(answer.pieces), self._batch), _decoded_chunks, window)
            if kind == _WHOLE:
                self._kind = SAMPLES
                return self._samples(parse_samples(self._whole(answer), self._batch), _decoded_samples, window)
        except Unclear:
            raise
        except SourceAnswer as error:
            msg = f"{self._connection.place}: {error}"
            raise SourceAnswer(msg) from None
        msg = f"{self._connection.place}: answers to remote_read with '{kind[:60]}'"
        if not self._proven:
            raise NotOffered(msg)
        raise SourceAnswer(msg)

    def _samples(self, parts: Iterator[Part], decode: Callable[[Part, bool], Decoded], window: Window) -> list[Samples]:
        batches: list[Samples] = []
        held = 0
        for part in parts:
            self._decoded += part.samples
            found = decode(part, worth_compiling(self._decoded))
            series = np.repeat(np.array(part.series, np.int32), found.lengths)
            batch = tidied(part.labels, series, found.timestamps, found.values, window)
            held += len(batch.timestamps)
            if held > 4 * self.aim:
                msg = f"{self._connection.place}: answers with more than {4 * self.aim:,} samples at once"
                raise TooMuch(msg, _OK)
            if len(batch.timestamps):
                batches.append(batch)
        return batches

    def _whole(self, answer: Answer) -> bytes:
        pieces: list[bytes] = []
        held = 0
        for piece in answer.pieces:
            held += len(piece)
            pieces.append(piece)
            if held > _LONGEST_WHOLE:
                break
        text = b"".join(pieces)
        del pieces
        try:
            size = cramjam.snappy.decompress_raw_len(text)
        except cramjam.DecompressionError:
            raise SourceAnswer("answers to remote_read with something that is not compressed by snappy") from None
        if max(size, held) > _LONGEST_WHOLE:
            msg = f"{self._connection.place}: answers with more than {_LONGEST_WHOLE >> 20} MB at once"
            raise TooMuch(msg, _OK)
        try:
            return bytes(cramjam.snappy.decompress_raw(text))
        except cramjam.DecompressionError:
            raise SourceAnswer("answers to remote_read with text that snappy can't decompress") from None

    def _named(self, selector: str, window: Window, batches: list[Samples]) -> list[Samples]:
        """With the labels that queries show."""
        answered = [labels for batch in batches for labels in batch.labels]
        names = iter(self._labels.look_up(selector, window, answered))
        return [
            Samples(tuple(next(names) for _ in batch.labels), batch.series, batch.timestamps, batch.values)
            for batch in batches
        ]


def _decoded_chunks(part: Part, compiled: bool) -> Decoded:
    data = np.frombuffer(b"".join(part.payloads), np.uint8)
    return decode_xor(data, np.array(part.starts, np.int64), np.array(part.stops, np.int64), compiled=compiled)


def _decoded_samples(part: Part, compiled: bool) -> Decoded:  # noqa: ARG001 -- there is one form
    return decode_samples(b"".join(part.payloads), np.array(part.starts, np.int64), np.array(part.stops, np.int64))


def _handed_over(batches: list[Samples]) -> Iterator[Samples]:
    """Each batch in turn, and let go of."""
    batches.reverse()
    while batches:
        yield batches.pop()
