"""A server that misbehaves in every way: a typed error or success after a retry, in bounded time, without secrets."""

from __future__ import annotations

import base64
import gzip
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from abkit.errors import AbkitError, InputError, SourceAnswer, SourceRefused, SourceUnreachable
from abkit.sources.base import Samples
from abkit.sources.prometheus import PrometheusSource
from abkit.spec import Source as SourceSettings
from abkit.window import Window
from tests.servers import free_port

WINDOW = Window(1_700_000_000_000, 1_700_000_060_000)
T = 1_700_000_000


def answer(values: str = f'[[{T},"1"],[{T + 15}.5,"2"]]', more: str = "") -> bytes:
    series = f'{{"metric":{{"__name__":"a"}},"values":{values}}}'
    return f'{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}{more}}}'.encode()


class Server(ThreadingHTTPServer):
    """Answers each request with the next step of its script; the last one again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Callable[[_Handler], None]] = []
        self.requests: list[tuple[dict[str, str], dict[str, list[str]]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.requests.append((dict(self.headers), form))
        index = min(len(self.server.requests), len(self.server.script)) - 1
        self.server.script[index](self)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""

    def reply(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def replies(status: int, body: bytes = b"", length: int | None = None, **headers: str) -> Callable[[_Handler], None]:
    return lambda handler: handler.reply(status, body, length, **headers)


def error(status: int, text: str) -> Callable[[_Handler], None]:
    return replies(status, json.dumps({"status": "error", "errorType": "x", "error": text}).encode())


def hangs_up(handler: _Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def stalls(handler: _Handler) -> None:
    time.sleep(1.5)


def drips(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(30):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


OK = replies(200, answer())


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def fetch(server: Server | str, **settings: Any) -> list[Samples]:
    url = server if isinstance(server, str) else server.url
    fields = {"prometheus": url, "timeout": "700ms", "retries": 2} | settings
    source = PrometheusSource(SourceSettings.model_validate(fields), backoff=0.01, ways=["range-vector"])
    try:
        return list(source.fetch("a", WINDOW))
    finally:
        source.close()


class TestRetried:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_a_passing_failure_passes(self, server: Server, status: int) -> None:
        server.script = [error(status, "later"), error(status, "later"), OK]
        assert fetch(server)[0].values.tolist() == [1, 2]
        assert len(server.requests) == 3

    @pytest.mark.parametrize("fault", [hangs_up, stalls, replies(200, answer()[:-20], len(answer()))])
    def test_a_broken_connection_is_made_again(self, server: Server, fault: Callable[[_Handler], None]) -> None:
        server.script = [fault, OK]
        assert fetch(server)[0].timestamps.tolist() == [T * 1000, T * 1000 + 15_500]

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_it_ends(self, server: Server, status: int) -> None:
        server.script = [error(status, "no\x1b[31m rest\n")]
        with pytest.raises(SourceRefused, match=rf"HTTP {status}, no \[31m rest:") as raised:
            fetch(server)
        assert raised.value.http_status == status
        assert len(server.requests) == 3

    def test_retry_after_is_heeded(self, server: Server) -> None:
        server.script = [replies(429, b"", Retry_After="1"), OK]
        start = time.monotonic()
        fetch(server)
        assert 1.0 <= time.monotonic() - start < 3.0

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
    def test_not_what_will_not_change(self, server: Server, status: int) -> None:
        server.script = [error(status, "bad thing"), OK]
        with pytest.raises(SourceRefused, match="bad thing") as raised:
            fetch(server)
        assert raised.value.http_status == status
        assert len(server.requests) == 1

    def test_none_asked_for_none_made(self, server: Server) -> None:
        server.script = [error(503, "later"), OK]
        with pytest.raises(SourceRefused):
            fetch(server, retries=0)


class TestTime:
    def test_nobody_listens(self) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(SourceUnreachable, match="refused") as raised:
            fetch(url)
        assert url in str(raised.value)

    def test_no_such_host(self) -> None:
        with pytest.raises(SourceUnreachable, match=r"nobody\.invalid"):
            fetch("http://nobody.invalid:9090", retries=0)

    @pytest.mark.parametrize("fault", [stalls, drips])
    def test_slowness_is_bounded(self, server: Server, fault: Callable[[_Handler], None]) -> None:
        server.script = [fault]
        start = time.monotonic()
        with pytest.raises(SourceUnreachable, match=r"within 0\.3 s"):
            fetch(server, timeout="300ms", retries=1)
        assert time.monotonic() - start < 2.5


class TestAnswers:
    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"<!DOCTYPE html><html><body>Log in</body></html>", "HTML, not JSON"),
            (b"", "not JSON"),
            (b"hello", "not JSON"),
            (answer()[:-3], "breaks off"),
            (b"[1,2]", "not Prometheus'"),
            (b"{}", "not Prometheus'"),
            (b'{"status":"error","error":"out of sorts"}', "out of sorts"),
            (b'{"status":"success","data":{"resultType":"vector","result":[]}}', "vector"),
            (b'{"status":"success","data":{"resultType":"matrix","result":null}}', "matrix"),
            (b'{"status":"success","data":null}', "None"),
            (answer("[[1]]"), "pairs"),
            (answer('[[null,"1"]]'), "pairs"),
            (answer('[["NaN","1"]]'), "no time"),
            (answer(f'[[{T},"one"]]'), "pairs"),
            (answer().replace(b'"a"', b"1"), "labels"),
            (
                answer().replace(b'"values":[[', b'"histograms":[['),
                "native histograms",
            ),
            (b"[" * 100_000, "not JSON"),
        ],
    )
    def test_nonsense_is_an_error(self, server: Server, body: bytes, why: str) -> None:
        server.script = [replies(200, body)]
        with pytest.raises(SourceAnswer, match=why) as raised:
            fetch(server)
        assert server.url in str(raised.value)

    def test_a_body_that_always_breaks_off(self, server: Server) -> None:
        server.script = [replies(200, answer()[:-20], len(answer()))]
        with pytest.raises(SourceAnswer, match="breaks off"):
            fetch(server)
        assert len(server.requests) == 3

    def test_nothing_is_no_error(self, server: Server) -> None:
        server.script = [replies(200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}')]
        assert fetch(server) == []

    @pytest.mark.parametrize("space", ["", " "])
    def test_nan_and_infinities(self, server: Server, space: str) -> None:
        values = ",".join(f'[{T + i},{space}"{text}"]' for i, text in enumerate(["NaN", "+Inf", "-Inf", "1e300"]))
        body = answer(f"[{values}]").replace(b'"status":', f'"status":{space}'.encode())
        server.script = [replies(200, body)]
        found = fetch(server)[0].values.tolist()
        assert math.isnan(found[0])
        assert found[1:] == [math.inf, -math.inf, 1e300]

    def test_samples_outside_the_window_or_twice_are_left_out(self, server: Server) -> None:
        values = f'[[{T - 1},"1"],[{T},"2"],[{T},"3"],[{T + 59}.999,"4"],[{T + 60},"5"]]'
        server.script = [replies(200, answer(values))]
        (found,) = fetch(server)
        assert found.timestamps.tolist() == [T * 1000, T * 1000 + 59_999]
        assert found.values.tolist() == [3, 4]

    def test_gzip_that_nobody_asked_for(self, server: Server) -> None:
        server.script = [replies(200, gzip.compress(answer()), Content_Encoding="gzip")]
        assert fetch(server)[0].values.tolist() == [1, 2]

    def test_a_gzip_bomb_does_not_fill_the_memory(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("abkit.sources.transport._MOST_BYTES", 1 << 20)
        server.script = [replies(200, gzip.compress(b" " * (1 << 26)), Content_Encoding="gzip")]
        with pytest.raises(SourceRefused, match="more than 1 MB"):
            fetch(server)

    def test_warnings_are_kept_once(self, server: Server) -> None:
        server.script = [replies(200, answer(more=',"warnings":["partial\\u0007 answer"]'))]
        source = PrometheusSource(SourceSettings.model_validate({"prometheus": server.url}), ways=["range-vector"])
        list(source.fetch("a", WINDOW))
        list(source.fetch("a", WINDOW))
        assert source.warnings == ("partial  answer",)

    def test_a_limit_halves_the_window(self, server: Server) -> None:
        limit = error(422, "query processing would load too many samples into memory in query execution")
        empty = replies(200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}')
        server.script = [limit, limit, OK, empty]
        assert fetch(server)[0].values.tolist() == [1]
        ranges = [form["query"][0] for _, form in server.requests]
        assert ranges[:3] == ["a[60000ms]", "a[30000ms]", "a[15000ms]"]

    def test_a_limit_that_nothing_meets(self, server: Server) -> None:
        server.script = [error(422, "too many samples")]
        with pytest.raises(SourceRefused, match="too many samples"):
            fetch(server)
        assert len(server.requests) < 10


class TestRedirects:
    def test_are_not_followed(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOKEN", "s3cret")
        server.script = [replies(302, b"", Location="http://elsewhere.invalid/login?next=s3cret"), OK]
        with pytest.raises(SourceRefused, match=r"redirects .*http://elsewhere\.invalid/login: name") as raised:
            fetch(server, **{"bearer-token-env": "TOKEN"})
        assert "s3cret" not in str(raised.value)
        assert len(server.requests) == 1


class TestWhatIsSent:
    def test_form(self, server: Server) -> None:
        server.script = [OK]
        fetch(server)
        headers, form = server.requests[0]
        assert headers["Accept-Encoding"] == "identity"
        assert form == {"query": ["a[60000ms]"], "time": ["1700000059.999"]}
        assert "Authorization" not in headers

    def test_bearer_from_the_environment(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOKEN", " abc\n")
        server.script = [OK]
        fetch(server, headers={"X-Scope-OrgID": "shop"}, **{"bearer-token-env": "TOKEN"})
        assert server.requests[0][0]["Authorization"] == "Bearer abc"
        assert server.requests[0][0]["X-Scope-OrgID"] == "shop"

    def test_bearer_from_a_file(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("abc\n")
        server.script = [OK]
        fetch(server, **{"bearer-token-file": str(tmp_path / "token")})
        assert server.requests[0][0]["Authorization"] == "Bearer abc"

    def test_basic(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PASSWORD", "pä:ss")
        server.script = [OK]
        fetch(server, **{"basic-auth": {"username": "me", "password-env": "PASSWORD"}})
        sent = server.requests[0][0]["Authorization"].removeprefix("Basic ")
        assert base64.b64decode(sent) in {"me:pä:ss".encode(), "me:pä:ss".encode("latin-1")}

    def test_no_password_from_netrc(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password netrc\n")
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        server.script = [OK]
        fetch(server)
        assert "Authorization" not in server.requests[0][0]

    def test_a_secret_that_the_server_repeats_is_not_shown(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOKEN", "s3cret")
        server.script = [error(401, "bad token s3cret")]
        with pytest.raises(SourceRefused, match=r"bad token \*\*\*: give bearer-token-env"):
            fetch(server, **{"bearer-token-env": "TOKEN"})

    @pytest.mark.parametrize(
        ("settings", "why"),
        [
            ({"bearer-token-env": "ABKIT_NOBODY"}, "ABKIT_NOBODY is not set"),
            ({"bearer-token-file": "/nobody"}, "no such file"),
            ({"basic-auth": {"username": "x", "password-env": "ABKIT_NOBODY"}}, "password-env"),
            ({"tls": {"ca-file": "/nobody"}}, "ca-file"),
            ({"headers": {"X": "a\r\nEvil: b"}}, "line breaks"),
            ({"headers": {"X Y": "a"}}, "no spaces"),
        ],
    )
    def test_what_is_missing_is_said_before_anything_is_sent(
        self, server: Server, settings: dict[str, Any], why: str
    ) -> None:
        with pytest.raises(InputError, match=why):
            fetch(server, **settings)
        assert server.requests == []

    def test_tls_where_there_is_none(self, server: Server) -> None:
        with pytest.raises(AbkitError, match="TLS"):
            fetch(server.url.replace("http:", "https:"))
