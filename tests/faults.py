"""A proxy on loopback before a real server, which spoils what passes through it; and certificates of our own."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from tests.servers import binary

__all__ = ["BOMB", "FAULTS", "FaultProxy", "Passing", "certificate", "fault_proxy"]

BOMB = 1 << 27
"""Bytes that a gzip bomb unpacks to."""

Fault = Callable[["Passing"], None]


class FaultProxy(ThreadingHTTPServer):
    """Hands requests on to a server, and answers those that `spoiled` picks with a fault.

    Attributes:
        upstream: URL of the real server.
        fault: What happens to a spoiled request.
        spoiled: Which requests are, by their number; the first one is 0.
        requests: How many came.
        token: The only bearer token that passes; any where None.
    """

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.upstream = upstream
        self.fault: Fault | None = None
        self.spoiled: Callable[[int], bool] = lambda _: True
        self.requests = 0
        self.token: str | None = None
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens."""
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the game."""


class Passing(BaseHTTPRequestHandler):
    """One request that passes through."""

    server: FaultProxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass()

    def do_POST(self) -> None:
        self._pass()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""

    def _pass(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            number = self.server.requests
            self.server.requests += 1
        if self.server.token is not None and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self.reply(401, b'{"status":"error","error":"token expired"}')
        elif self.server.fault is not None and self.server.spoiled(number):
            self.close_connection = True
            self.server.fault(self)
        else:
            self.reply(*self.upstream())

    def upstream(self) -> tuple[int, bytes, dict[str, str]]:
        """What the real server answers."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        answer = requests.request(
            self.command, self.server.upstream + self.path, data=self.body, headers=headers, timeout=30, stream=True
        )
        kept = ("Content-Type", "Content-Encoding")
        body = answer.raw.read(decode_content=False)
        return answer.status_code, body, {name: answer.headers[name] for name in kept if name in answer.headers}

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        """Answer; the length that is told may be another one."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def reset(self) -> None:
        """End the connection with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _reset(passing: Passing) -> None:
    passing.reset()


def _reset_midway(passing: Passing) -> None:
    status, body, headers = passing.upstream()
    passing.reply(status, body[: len(body) // 2], headers, len(body))
    passing.reset()


def _stalled(passing: Passing) -> None:
    time.sleep(1.6)


def _stalled_midway(passing: Passing) -> None:
    status, body, headers = passing.upstream()
    passing.reply(status, body[: len(body) // 2], headers, len(body))
    time.sleep(1.6)


def _truncated(passing: Passing) -> None:
    status, body, headers = passing.upstream()
    passing.reply(status, body[: len(body) // 2], headers, len(body))


def _truncated_in_silence(passing: Passing) -> None:
    """Cut, and the length told is that of the part: only what is in it can tell."""
    status, body, headers = passing.upstream()
    passing.reply(status, body[: len(body) - 7], headers)


def _drips(passing: Passing) -> None:
    status, body, headers = passing.upstream()
    passing.reply(status, b"", headers, len(body))
    for index in range(20):
        passing.wfile.write(body[index : index + 1])
        passing.wfile.flush()
        time.sleep(0.1)


def _too_many(passing: Passing) -> None:
    passing.reply(429, b"slow down", {"Retry-After": "0"})


def _internal(passing: Passing) -> None:
    passing.reply(500, b'{"status":"error","error":"out of sorts"}', {"Content-Type": "application/json"})


def _unavailable(passing: Passing) -> None:
    passing.reply(503, b"try later")


def _login_page(passing: Passing) -> None:
    passing.reply(200, b"<!DOCTYPE html><html><body>Log in</body></html>", {"Content-Type": "text/html"})


def _wrong_type(passing: Passing) -> None:
    body = b'{"status":"success","data":{"resultType":"vector","result":[]}}'
    passing.reply(200, body, {"Content-Type": "application/json"})


@cache
def _packed() -> bytes:
    return gzip.compress(b'{"metric":{"a":"' + b" " * BOMB)


def _bomb(passing: Passing) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    passing.reply(200, _packed(), headers)


def _redirect(passing: Passing) -> None:
    # To itself: whoever follows is counted.
    passing.reply(307, b"", {"Location": f"{passing.server.url}/elsewhere"})


def _forbidden(passing: Passing) -> None:
    passing.reply(401, b'{"status":"error","error":"token expired"}')


FAULTS: dict[str, tuple[Fault, bool]] = {
    "reset": (_reset, True),
    "reset midway": (_reset_midway, True),
    "stalled": (_stalled, True),
    "stalled midway": (_stalled_midway, True),
    "truncated": (_truncated, True),
    "truncated in silence": (_truncated_in_silence, False),
    "slow drip": (_drips, True),
    "429": (_too_many, True),
    "500": (_internal, True),
    "503": (_unavailable, True),
    "login page": (_login_page, False),
    "wrong type": (_wrong_type, False),
    "gzip bomb": (_bomb, False),
    "redirect": (_redirect, False),
    "expired token": (_forbidden, False),
}
"""Name → the fault, and whether another try helps."""


@contextmanager
def fault_proxy(upstream: str, tls: tuple[Path, Path] | None = None) -> Iterator[FaultProxy]:
    """A proxy until the block ends.

    Args:
        upstream: URL of the real server.
        tls: Certificate and key, to be reached by https.
    """
    proxy = FaultProxy(upstream)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


def certificate(folder: Path, address: str, days: int = 2) -> tuple[Path, Path, Path]:
    """A server's certificate, its key, and that of the authority of our own which signed it.

    Args:
        folder: Where they go; is made.
        address: The server's IP address.
        days: How long it holds; less than 0 for one that has expired.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = {name: folder / name for name in ("ca.pem", "ca.key", "server.pem", "server.key", "server.csr", "more")}
    names["more"].write_text(f"subjectAltName=IP:{address}\nbasicConstraints=CA:FALSE\n")

    def openssl(*arguments: str | Path) -> None:
        subprocess.run([binary("openssl"), *map(str, arguments)], check=True, capture_output=True, timeout=60)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req", "-x509", *key, "-days", "9", "-subj", "/CN=test", "-keyout", names["ca.key"], "-out", names["ca.pem"]
    )
    openssl("req", *key, "-subj", "/CN=server", "-keyout", names["server.key"], "-out", names["server.csr"])
    signed = ("-CA", names["ca.pem"], "-CAkey", names["ca.key"], "-CAcreateserial", "-extfile", names["more"])
    openssl("x509", "-req", "-in", names["server.csr"], *signed, "-days", str(days), "-out", names["server.pem"])
    return names["server.pem"], names["server.key"], names["ca.pem"]
