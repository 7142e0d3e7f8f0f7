"""Which way is taken, and what comes of answers that are not what they should be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import cramjam
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit.errors import AbkitError, SourceAnswer, SourceError, SourceRefused, SourceUnreachable
from abkit.sources.base import Samples
from abkit.sources.prometheus import WAYS, PrometheusSource
from abkit.sources.remote_read import way as module
from abkit.sources.remote_read.framing import frames
from abkit.sources.remote_read.messages import Part, parse_chunks, parse_samples
from abkit.sources.remote_read.wire import fields
from abkit.sources.remote_read.xor import Decoded
from abkit.spec import Source as SourceSettings
from abkit.window import Window
from tests.sources.remote_read.encoding import chunk, chunked_series, field, frame, labels, series_of_samples, uvarint
from tests.sources.remote_read.serving import WHOLE, Reply, scripted

T = 1_700_000_000_000
WINDOW = Window(T, T + 60_000)
NAME = {"__name__": "a"}
POINTS = [(T + 15_000 * i, float(i)) for i in range(4)]
FRAMES = frame(chunked_series(NAME, [chunk(POINTS)]))
OK = Reply(body=FRAMES)
JSON = "application/json"


def settings_of(url: str, **more: Any) -> SourceSettings:
    return SourceSettings.model_validate({"prometheus": url, "timeout": "700ms", "retries": 2} | more)


def read(url: str, selector: str = "a", **more: Any) -> tuple[list[Samples], str]:
    source = PrometheusSource(settings_of(url, **more), backoff=0.01)
    try:
        return list(source.fetch(selector, WINDOW)), source.way
    finally:
        source.close()


def whole(*series: bytes) -> Reply:
    return Reply(body=bytes(cramjam.snappy.compress_raw(field(1, b"".join(series)))), kind=WHOLE)


class TestWhichWay:
    def test_chunks_where_they_are_offered(self) -> None:
        with scripted(OK) as server:
            (found,), way = read(server.url)
        assert found.values.tolist() == [0, 1, 2, 3]
        assert way == "remote-read-chunks"

    def test_samples_where_they_are_not(self) -> None:
        with scripted(whole(series_of_samples(NAME, POINTS))) as server:
            (found,), way = read(server.url)
        assert found.timestamps.tolist() == [t for t, _ in POINTS]
        assert way == "remote-read-samples"

    @pytest.mark.parametrize("status", [400, 404, 405, 406, 415, 422, 501])
    def test_queries_where_the_path_is_not_known(self, status: int) -> None:
        with scripted(Reply(status, b"404 page not found", "text/plain")) as server:
            (found,), way = read(server.url)
            assert len(server.reads) == 1
        assert found.values.tolist() == [7]
        assert way == "range-vector"

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(body=b"<html>Thanos</html>", kind="text/html; charset=utf-8"),
            Reply(body=b'{"status":"error"}', kind=JSON),
            Reply(body=b"", kind=""),
        ],
    )
    def test_queries_where_the_answer_is_of_another_kind(self, reply: Reply) -> None:
        with scripted(reply) as server:
            _, way = read(server.url)
        assert way == "range-vector"

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refusal_is_none_of_the_way(self, status: int) -> None:
        with scripted(Reply(status, b"no", "text/plain")) as server, pytest.raises(SourceRefused) as raised:
            read(server.url)
        assert raised.value.http_status == status
        assert server.queries == []

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_a_failure_is_none_of_the_way(self, status: int) -> None:
        with scripted(Reply(status, b"later", "text/plain")) as server, pytest.raises(SourceRefused, match="later"):
            read(server.url)
        assert len(server.reads) == 3
        assert server.queries == []

    def test_slowness_is_none_of_the_way(self) -> None:
        with scripted(Reply(wait=1.0)) as server, pytest.raises(SourceUnreachable, match=r"within 0\.3 s"):
            read(server.url, timeout="300ms", retries=0)
        assert server.queries == []

    def test_what_was_once_offered_is_not_given_up(self) -> None:
        with scripted(OK, Reply(404, b"gone", "text/plain")) as server:
            source = PrometheusSource(settings_of(server.url), backoff=0.01)
            list(source.fetch("a", WINDOW))
            with pytest.raises(SourceRefused, match="gone"):
                list(source.fetch("a", WINDOW))
            source.close()

    def test_it_is_asked_once(self) -> None:
        with scripted(Reply(404)) as server:
            source = PrometheusSource(settings_of(server.url))
            list(source.fetch("a", WINDOW))
            list(source.fetch("a", WINDOW))
            source.close()
            assert len(server.reads) == 1
            assert len(server.queries) == 2

    def test_what_is_sent(self) -> None:
        with scripted(OK) as server:
            read(server.url, 'a{code=~"5..",job!="x"}')
            headers, body = server.reads[0]
        assert headers["Content-Encoding"] == "snappy"
        assert headers["Accept-Encoding"] == "identity"
        request = bytes(cramjam.snappy.decompress_raw(body))
        query, kinds = list(fields(request, 0, len(request)))
        assert request[kinds.start : kinds.stop] == b"\x01\x00"  # chunks, else samples
        inner = list(fields(request, query.start, query.stop))
        assert [each.value for each in inner[:2]] == [WINDOW.start_ms, WINDOW.end_ms - 1]
        assert [request[each.start : each.stop] for each in inner[2:]] == [
            field(1, 0) + field(2, b"__name__") + field(3, b"a"),
            field(1, 2) + field(2, b"code") + field(3, b"5.."),
            field(1, 1) + field(2, b"job") + field(3, b"x"),
        ]


class TestWholeOrNothing:
    def test_a_stream_that_breaks_off_is_asked_for_again(self) -> None:
        with scripted(Reply(body=FRAMES[:-5], length=len(FRAMES)), OK) as server:
            (found,), _ = read(server.url)
        assert found.values.tolist() == [0, 1, 2, 3]

    @pytest.mark.parametrize("cut", [1, 5, len(FRAMES) - 3])
    def test_a_stream_that_ends_too_soon_is_an_error(self, cut: int) -> None:
        with (
            scripted(Reply(body=FRAMES + FRAMES[:-cut])) as server,
            pytest.raises(SourceAnswer, match="breaks off") as it,
        ):
            read(server.url)
        assert server.url in str(it.value)

    def test_nothing_is_handed_over_before_all_has_come(self) -> None:
        other = frame(chunked_series({"__name__": "b"}, [chunk(POINTS)]))
        with scripted(Reply(body=FRAMES + other[:-1])) as server:
            source = PrometheusSource(settings_of(server.url), batch=1)
            with pytest.raises(SourceAnswer):
                next(source.fetch("a", WINDOW))
            source.close()

    def test_what_the_server_says_in_the_middle_of_a_stream(self) -> None:
        with scripted(Reply(body=FRAMES + b"query timed out\n")) as server, pytest.raises(SourceAnswer):
            read(server.url)

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (frame(b"\xff\xff"), "breaks off"),
            (frame(field(1, labels(NAME) + field(2, field(3, 1) + field(4, b"\x00")))), "too short"),
            (frame(chunked_series(NAME, [chunk(POINTS)], 9)), "encoding that abkit does not know: 9"),
            (frame(chunked_series(NAME, [chunk(POINTS)], 2)), "native histograms"),
            (frame(chunked_series(NAME, [chunk(POINTS)], 3)), "native histograms"),
            (frame(chunked_series(NAME, [chunk(POINTS)[:-3]])), "breaks off"),
            (frame(chunked_series({}, [chunk(POINTS)])), "without labels"),
            (frame(field(1, field(1, field(1, b"\xff") + field(2, b"x")))), "UTF-8"),
            (uvarint(1 << 33) + FRAMES, "no Prometheus"),
            (b"\xff" * 30, "a number"),
            (FRAMES[:5] + b"\x00" + FRAMES[6:], "checksum"),
        ],
    )
    def test_nonsense_is_an_error(self, body: bytes, why: str) -> None:
        with scripted(Reply(body=body)) as server, pytest.raises(SourceAnswer, match=why) as raised:
            read(server.url)
        assert server.url in str(raised.value)

    @pytest.mark.parametrize(
        "body", [b"", b"\xff" * 20, b"hello", bytes(cramjam.snappy.compress_raw(b"\xff\xff")), b"\xff\xff\xff\xff\x7f"]
    )
    def test_nonsense_for_samples(self, body: bytes) -> None:
        with scripted(Reply(body=body, kind=WHOLE)) as server, pytest.raises(SourceError):
            read(server.url)
        assert server.queries == []

    def test_a_bomb_of_snappy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_LONGEST_WHOLE", 1 << 16)
        bomb = Reply(body=bytes(cramjam.snappy.compress_raw(bytes(1 << 20))), kind=WHOLE)
        with scripted(bomb) as server, pytest.raises(SourceRefused, match="at once"):
            read(server.url)


class TestAnswers:
    def test_samples_outside_the_window_stale_markers_and_twins_are_left_out(self) -> None:
        stale = 0x7FF0000000000002
        one = chunk([(T - 1, 1.0), (T, 2.0), (T + 5, 3.0), (T + 7, stale)])
        two = chunk([(T + 3, 2.5), (T + 5, 3.0), (T + 59_999, 4.0), (T + 60_000, 5.0)])
        only_stale = chunked_series({"__name__": "a", "x": "2"}, [chunk([(T + 1, stale)])])
        body = frame(chunked_series(NAME, [one])) + frame(chunked_series(NAME, [two])) + frame(only_stale)
        with scripted(Reply(body=body)) as server:
            (found,), _ = read(server.url)
        assert found.labels == (NAME,)
        assert found.timestamps.tolist() == [T, T + 3, T + 5, T + 59_999]
        assert found.values.tolist() == [2, 2.5, 3, 4]

    def test_many_frames_in_small_batches(self) -> None:
        names = [{"__name__": "a", "pod": f"p{i}"} for i in range(30)]
        body = b"".join(frame(chunked_series(each, [chunk(POINTS)] * (i % 2 + 1))) for i, each in enumerate(names))
        with scripted(Reply(body=body)) as server:
            server.listed = list(names)
            source = PrometheusSource(settings_of(server.url), batch=50)
            found = list(source.fetch("a", WINDOW))
            source.close()
        assert len(found) > 1
        assert [each for batch in found for each in batch.labels] == names
        assert np.concatenate([batch.timestamps for batch in found]).tolist() == [t for t, _ in POINTS] * 30

    def test_one_series_in_two_places_is_read_by_queries(self) -> None:
        other = frame(chunked_series({"__name__": "b"}, [chunk(POINTS)]))
        with scripted(Reply(body=FRAMES + other + FRAMES)) as server:
            (found,), way = read(server.url)
        assert (found.values.tolist(), way) == ([7], "range-vector")

    def test_fields_in_another_order_and_unknown_ones(self) -> None:
        text = field(4, chunk(POINTS)) + field(9, b"new") + field(3, 1) + field(2, T) + field(1, T)
        pair = field(2, b"a") + field(1, b"__name__")
        message = field(1, field(1, pair) + field(7, b"new") + field(2, text)) + field(2, 0)
        with scripted(Reply(body=frame(message))) as server:
            (found,), _ = read(server.url)
        assert found.values.tolist() == [0, 1, 2, 3]

    def test_too_much_halves_the_window(self) -> None:
        limit = Reply(400, b"exceeded sample limit (50000000)", "text/plain")
        with scripted(limit, limit, OK) as server:
            found, way = read(server.url)
        assert sum(len(batch.values) for batch in found) == 4 * 1
        assert way == "remote-read-chunks"

    def test_more_samples_than_may_be_held_halve_the_window(self) -> None:
        def answer(body: bytes) -> Reply:
            request = bytes(cramjam.snappy.decompress_raw(body))
            query = next(fields(request, 0, len(request)))
            start, end = (each.value for each in list(fields(request, query.start, query.stop))[:2])
            inside = [(t, float(t - T)) for t in range(T, T + 60_000, 100) if start <= t <= end]
            return Reply(body=frame(chunked_series(NAME, [chunk(inside)])))

        with scripted(answer) as server:
            source = PrometheusSource(settings_of(server.url), batch=5)
            found = list(source.fetch("a", WINDOW))
            source.close()
        assert np.concatenate([batch.timestamps for batch in found]).tolist() == list(range(T, T + 60_000, 100))

    def test_zero_and_the_first_of_january_1970(self) -> None:
        points = [(0, 0.0), (5, 0.0), (7, 1.5)]
        with scripted(whole(series_of_samples(NAME, points))) as server:
            source = PrometheusSource(settings_of(server.url), ways=WAYS[1:])
            (found,) = source.fetch("a", Window(0, 10))
            source.close()
        assert list(zip(found.timestamps.tolist(), found.values.tolist(), strict=True)) == points

    def test_total_time_is_bounded(self) -> None:
        with scripted(Reply(body=FRAMES[:9], length=1 << 20, wait=0.2)) as server:
            begin = time.monotonic()
            with pytest.raises(SourceError):
                read(server.url, timeout="300ms", retries=1)
        assert time.monotonic() - begin < 3


BODY = b"".join(
    frame(
        chunked_series({"__name__": "a", "pod": str(pod)}, [chunk(POINTS), chunk([(t + 60_000, v) for t, v in POINTS])])
    )
    for pod in range(3)
)
SAMPLES = field(1, b"".join(series_of_samples({"__name__": "a", "pod": str(pod)}, POINTS) for pod in range(3)))


Form = tuple[bytes, Callable[[bytes], Iterator[Part]], Callable[[Part, bool], Decoded]]
FORMS: list[Form] = [
    (next(frames([BODY])), lambda text: parse_chunks(iter([text]), 100), module._decoded_chunks),
    (SAMPLES, lambda text: parse_samples(text, 100), module._decoded_samples),
]


class TestFuzzed:
    @settings(max_examples=300, deadline=None)
    @given(at=st.integers(0, len(BODY) - 1), bit=st.integers(0, 7))
    def test_no_flipped_bit_passes(self, at: int, bit: int) -> None:
        text = bytearray(BODY)
        text[at] ^= 1 << bit
        with pytest.raises(SourceAnswer):
            list(parse_chunks(frames([bytes(text)]), 100))

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_cut_anywhere_it_is_the_same(self, data: st.DataObject) -> None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(BODY)), max_size=20)))
        edges = [0, *cuts, len(BODY)]
        pieces = [BODY[a:b] for a, b in pairwise(edges)]
        assert list(frames(pieces)) == list(frames([BODY]))

    @settings(max_examples=300, deadline=None)
    @given(at=st.integers(0, 400), junk=st.binary(max_size=12), gone=st.integers(0, 12))
    def test_damaged_messages_with_a_right_checksum(self, at: int, junk: bytes, gone: int) -> None:
        """What a broken server might send: an error of ours or samples, and nothing else."""
        for message, parse, decode in FORMS:
            place = at % len(message)
            damaged = message[:place] + junk + message[place + gone :]
            try:
                for part in parse(damaged):
                    found = decode(part, False)
                    assert int(found.lengths.sum()) == len(found.timestamps) == len(found.values)
            except AbkitError:
                pass
