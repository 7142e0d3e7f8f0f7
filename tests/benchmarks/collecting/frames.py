"""A server of any number of samples: it streams chunks that it makes up, and knows nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import cramjam
import numpy as np

from abkit.sources.remote_read.wire import fields
from tests.sources.remote_read.encoding import chunk, field, frame, labels, zigzag

__all__ = ["SCRAPE_MS", "SERIES", "START_MS", "serving"]

SERIES = 2_000
SCRAPE_MS = 15_000
START_MS = 1_793_491_200_000
_POINTS = 120
_CHUNK_MS = _POINTS * SCRAPE_MS
_KINDS = 40


def _templates() -> list[bytes]:
    """Chunks that start at 0, without their count and first time: counters of calm and of busy services."""
    rng = np.random.default_rng(1)
    found = []
    for kind in range(_KINDS):
        values = np.cumsum(rng.poisson(0.2 * 1.3**kind, _POINTS)) + 1_000.0 * kind
        if kind % 5 == 0:
            values = values * 0.37
        late = rng.integers(0, 3, _POINTS) * (rng.random(_POINTS) < 0.05)
        text = chunk([(int(i * SCRAPE_MS + late[i] * (i > 0)), float(values[i])) for i in range(_POINTS)])
        found.append(text[2 + len(zigzag(0)) :])
    return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.templates = _templates()
        self.names = [
            {"__name__": "a_total", "instance": f"10.0.{i // 250}.{i % 250}:8080", "pod": f"shop-{i}", "code": "200"}
            for i in range(SERIES)
        ]
        self.labels = [labels(names) for names in self.names]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that have enough hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/api/v1/read":
            parse_qs(body)
            self._answer("application/json", [json.dumps({"status": "success", "data": self.server.names}).encode()])
            return
        request = bytes(cramjam.snappy.decompress_raw(body))
        query = next(each for each in fields(request, 0, len(request)) if each.number == 1)
        times = {each.number: each.value for each in fields(request, query.start, query.stop)}
        self._answer("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse", self._frames(times))

    def _frames(self, times: dict[int, int]) -> Iterator[bytes]:
        starts = range(times[1] // _CHUNK_MS * _CHUNK_MS, times[2] + 1, _CHUNK_MS)
        bodies = []
        for text in self.server.templates:
            head = _POINTS.to_bytes(2, "big")
            bodies.append(
                b"".join(
                    field(2, field(1, at) + field(2, at + _CHUNK_MS) + field(3, 1) + field(4, head + zigzag(at) + text))
                    for at in starts
                )
            )
        for index, names in enumerate(self.server.labels):
            yield frame(field(1, names + bodies[index % _KINDS]))

    def _answer(self, kind: str, pieces: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def serving() -> Iterator[str]:
    """The server, until the block ends.

    Yields:
        Its URL.
    """
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
