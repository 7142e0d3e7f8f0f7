"""Tiny HTTP servers that say which version they are and what they were sent, and a client that pipelines.

Both speak just as much HTTP/1.1 as Envoy does with them. What a request asks for by its headers happens:

- `x-fail: VERSION`: that version answers 500;
- `x-fail-times: N`: the first N requests of the same `x-case` are answered 503;
- `x-sleep: SECONDS`: the answer takes that long.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BufferedReader

__all__ = ["Answer", "Ask", "Seen", "Upstreams", "ask", "ask_all", "ask_at_once", "upstreams"]

LANES, DEEP = 8, 32


@dataclass(frozen=True)
class Ask:
    """A request."""

    headers: Mapping[str, str | bytes] = field(default_factory=dict)
    path: str = "/"
    method: str = "GET"
    host: str = "shop"

    def wire(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1".encode(), b"host: " + self.host.encode()]
        for name, value in self.headers.items():
            lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()))
        if self.method in {"POST", "PUT"}:
            lines.append(b"content-length: 0")
        return b"\r\n".join(lines) + b"\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """What came back; `sent` are the headers with which the request reached the version, names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def version(self) -> str:
        return self.body.partition("\n")[0]

    @property
    def sent(self) -> dict[str, str]:
        return _headers(self.body.partition("\n")[2])


@dataclass(frozen=True)
class Seen:
    """A request that reached a version."""

    version: str
    host: str
    case: str


class Upstreams:
    """Servers by version, and what reached them."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self.seen: list[Seen] = []
        self.failed: Counter[str] = Counter()
        self.connections: Counter[str] = Counter()
        self.open: set[asyncio.Transport] = set()

    def of(self, case: str) -> list[Seen]:
        """What reached any version of a case."""
        return [one for one in list(self.seen) if one.case == case]


@contextmanager
def upstreams(*versions: str) -> Iterator[Upstreams]:
    """Servers on loopback, one a version, until the block ends."""
    found = Upstreams()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="upstreams")
    thread.start()

    async def start() -> list[asyncio.Server]:
        servers = []
        for version in versions:
            server = await loop.create_server(partial(_Server, version, found), "127.0.0.1", 0)
            found.ports[version] = server.sockets[0].getsockname()[1]
            servers.append(server)
        return servers

    async def stop(servers: Sequence[asyncio.Server]) -> None:
        for server in servers:
            server.close()
        for transport in list(found.open):
            transport.abort()
        await asyncio.sleep(0)

    servers = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield found
    finally:
        asyncio.run_coroutine_threadsafe(stop(servers), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class _Server(asyncio.Protocol):
    def __init__(self, version: str, found: Upstreams) -> None:
        self.version, self.found = version, found
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.found.open.add(transport)
        self.found.connections[self.version] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.found.open.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            self._answer(head.decode(errors="surrogateescape").partition("\r\n")[2])

    def _answer(self, head: str) -> None:
        status, sleep = 200, 0.0
        if "x-case: " in head or "x-fail: " in head:
            headers = _headers(head)
            case = headers.get("x-case", "")
            self.found.seen.append(Seen(self.version, headers["host"], case))
            if headers.get("x-fail") == self.version:
                status = 500
            if self.found.failed[case] < int(headers.get("x-fail-times", "0")):
                self.found.failed[case] += 1
                status = 503
            sleep = float(headers.get("x-sleep", "0"))
        body = f"{self.version}\n{head}".encode(errors="surrogateescape")
        message = b"HTTP/1.1 %d OK\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body
        if sleep:
            asyncio.get_running_loop().call_later(sleep, self._write, message)
        else:
            self._write(message)

    def _write(self, message: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(message)


def _headers(head: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        found[name.lower()] = value.strip(" ")
    return found


def ask(port: int, request: Ask) -> Answer:
    """One request."""
    return ask_all(port, [request])[0]


def ask_all(port: int, requests: Iterable[Ask], deep: int = DEEP) -> list[Answer]:
    """Requests over a few connections, many on their way at a time.

    Args:
        port: Where to.
        requests: What to ask.
        deep: How many are sent on a connection before the first is answered. Envoy closes a connection on which others
            wait behind one that it answers itself.
    """
    wanted = list(requests)
    answers: list[Answer] = []
    with ExitStack() as stack:
        lanes: list[tuple[socket.socket, BufferedReader]] = []
        for _ in range(min(LANES, len(wanted))):
            lane = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            lanes.append((lane, stack.enter_context(lane.makefile("rb"))))
        for start in range(0, len(wanted), LANES * deep):
            batch = wanted[start : start + LANES * deep]
            parts = [batch[number * deep : (number + 1) * deep] for number in range(len(lanes))]
            for (lane, _), part in zip(lanes, parts, strict=True):
                lane.sendall(b"".join(one.wire() for one in part))
            for (_, reader), part in zip(lanes, parts, strict=True):
                answers += [_read(reader, one.method) for one in part]
    return answers


def ask_at_once(port: int, requests: Sequence[Ask]) -> list[Answer]:
    """Requests over a connection each, all at the same time."""
    connections = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in requests]
    try:
        for connection, one in zip(connections, requests, strict=True):
            connection.sendall(one.wire())
        answers = []
        for connection, one in zip(connections, requests, strict=True):
            with connection.makefile("rb") as reader:
                answers.append(_read(reader, one.method))
        return answers
    finally:
        for connection in connections:
            connection.close()


def _read(reader: BufferedReader, method: str) -> Answer:
    status = reader.readline()
    assert status, "the connection was closed"
    lines = []
    while (line := reader.readline()) not in {b"\r\n", b""}:
        lines.append(line.decode(errors="surrogateescape").strip())
    headers = _headers("\r\n".join(lines))
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(reader.readline(), 16):
            body += reader.read(size)
            reader.readline()
        reader.readline()
    else:
        body = b"" if method == "HEAD" else reader.read(int(headers.get("content-length", "0")))
    return Answer(int(status.split()[1]), headers, body.decode(errors="surrogateescape"))
