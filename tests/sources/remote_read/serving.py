"""A server on loopback that answers remote_read as a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

__all__ = ["MATRIX", "STREAMED", "WHOLE", "Reply", "Scripted", "scripted"]

STREAMED = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
WHOLE = "application/x-protobuf"
_SERIES = '{"metric":{"__name__":"a"},"values":[[1700000001,"7"]]}'
MATRIX = f'{{"status":"success","data":{{"resultType":"matrix","result":[{_SERIES}]}}}}'.encode()


@dataclass(frozen=True)
class Reply:
    """An answer: status, body, its type and how long it claims to be."""

    status: int = 200
    body: bytes = b""
    kind: str = STREAMED
    length: int | None = None
    wait: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


class Scripted(ThreadingHTTPServer):
    """Answers each remote_read with the next reply, the last one again and again; queries with `matrix`."""

    daemon_threads = True

    def __init__(self, replies: Sequence[Reply | Callable[[bytes], Reply]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = list(replies)
        self.listed: list[Mapping[str, str]] = [{"__name__": "a"}]
        self.matrix = MATRIX
        self.reads: list[tuple[dict[str, str], bytes]] = []
        self.queries: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        if self.path == "/api/v1/read":
            server.reads.append((dict(self.headers), body))
            reply = server.replies[min(len(server.reads), len(server.replies)) - 1]
            self._answer(reply if isinstance(reply, Reply) else reply(body))
        elif self.path == "/api/v1/series":
            document = json.dumps({"status": "success", "data": server.listed})
            self._answer(Reply(body=document.encode(), kind="application/json"))
        else:
            server.queries += parse_qs(body.decode())["query"]
            self._answer(Reply(body=server.matrix, kind="application/json"))

    def _answer(self, reply: Reply) -> None:
        time.sleep(reply.wait)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def scripted(*replies: Reply | Callable[[bytes], Reply]) -> Iterator[Scripted]:
    """The server, until the block ends."""
    server = Scripted(replies)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
