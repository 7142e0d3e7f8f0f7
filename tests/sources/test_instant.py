"""Small questions to a server, and servers that answer nonsense."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from abkit.errors import SourceAnswer, SourceRefused
from abkit.sources.instant import InstantQueries, Point
from abkit.spec import Source

HEAD = '{"status":"success","data":{"resultType":"vector","result":['


@contextmanager
def answering(body: str, status: int = 200) -> Iterator[InstantQueries]:
    """Questions to a server that always says the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings = Source.model_validate({"prometheus": f"http://127.0.0.1:{server.server_address[1]}", "retries": 0})
    try:
        with closing(InstantQueries(settings, backoff=0.01)) as questions:
            yield questions
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_vector() -> None:
    body = HEAD + '{"metric":{"version":"v1"},"value":[1.5,"3"]},{"metric":{},"value":[1.5,"4"]}]}}'
    with answering(body) as questions:
        assert questions.query("count by (version) (up)") == (Point({"version": "v1"}, 3.0), Point({}, 4.0))
    with answering(HEAD + "]}}") as questions:
        assert questions.query("count(up)") == ()


@pytest.mark.parametrize(
    "body",
    [
        "<html>login</html>",
        HEAD,
        "[]",
        '{"status":"success","data":{"resultType":"matrix","result":[]}}',
        HEAD + '{"metric":{"a":"b"}}]}}',
        HEAD + '{"metric":[],"value":[1,"2"]}]}}',
        HEAD + '{"metric":{},"value":[1,"many"]}]}}',
        HEAD + '{"metric":{},"value":[1,"NaN"]}]}}',
        "[" * 100_000,
    ],
)
def test_nonsense(body: str) -> None:
    with answering(body) as questions, pytest.raises(SourceAnswer, match=r"127\.0\.0\.1:\d+: answers"):
        questions.query("up")


def test_refused() -> None:
    with answering('{"status":"error","error":"parse error"}', 400) as questions, pytest.raises(SourceRefused):
        questions.query("up{")
