from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import MutableMapping
from http.client import HTTPConnection
from typing import Any

import pytest
import uvicorn

from abkit.assignment import replicate
from abkit.instrument import ASGIMiddleware, Edge, current, outgoing
from abkit.instrument.asgi import App, Message, Receive, Send

EDGE = Edge({"checkout": "buy-now-button-1"})
Headers = list[tuple[bytes, bytes]]


def _run(app: App, scope: MutableMapping[str, Any]) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(ASGIMiddleware(app, EDGE)(scope, receive, send))
    return sent


def _http(headers: Headers, **more: Any) -> dict[str, Any]:
    return {"type": "http", "scheme": "http", "method": "GET", "path": "/", "headers": headers, **more}


class _Echo:
    """Remembers its scope; answers with a cookie of its own."""

    def __init__(self) -> None:
        self.scope: MutableMapping[str, Any] = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.scope = scope
        await send({"type": "http.response.start", "status": 200, "headers": [(b"set-cookie", b"mine=1")]})
        await send({"type": "http.response.body", "body": b"ok"})


def test_a_newcomer() -> None:
    app = _Echo()
    scope = _http([(b"host", b"shop")])
    start, body = _run(app, scope)
    context = current(app.scope)
    assert context.unit is not None
    assert dict(app.scope["headers"]) == {b"host": b"shop"} | {
        name.encode(): value.encode() for name, value in context.headers.items()
    }
    assert start["headers"][0] == (b"set-cookie", b"mine=1")
    [(name, value)] = start["headers"][1:]
    assert (name, value.split(b";")[0]) == (b"set-cookie", f"ab_uid={context.unit}".encode())
    assert body == {"type": "http.response.body", "body": b"ok"}
    # The server's scope is the server's.
    assert scope == _http([(b"host", b"shop")])


def test_spoofed_headers_do_not_reach_the_application() -> None:
    app = _Echo()
    _run(
        app,
        _http(
            [
                (b"x-user-id", b"somebody"),
                (b"x_user_id", b"somebody"),
                (b"X-Ab-Bucket-Checkout", b"1"),
                (b"x-ab-bucket-checkout", b"2"),
                (b"x-ab-bucket-checkout", b"3"),
                (b"x_ab_replicate", b"4"),
                (b"x-ab-variant-checkout", b"treatment"),
                (b"x-ab-\xff", b"\xff"),
                (b"x-other", b"\xe4"),
                (b"cookie", b"ab_uid=user-42"),
            ]
        ),
    )
    assert sorted(app.scope["headers"]) == [
        (b"cookie", b"ab_uid=user-42"),
        (b"x-ab-bucket-checkout", b"8640"),
        (b"x-ab-replicate", b"14"),
        (b"x-other", b"\xe4"),
        (b"x-user-id", b"user-42"),
    ]


def test_cookies_in_several_headers() -> None:
    app = _Echo()
    _run(app, _http([(b"cookie", b"a=1"), (b"cookie", b"ab_uid=user-42")]))
    assert current(app.scope).unit == "user-42"


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_cookies_are_secure_where_the_request_was(scheme: str, secure: bool) -> None:
    start, _ = _run(_Echo(), _http([], scheme=scheme))
    assert start["headers"][1][1].endswith(b"; Secure") is secure


@pytest.mark.parametrize(
    ("answer", "scheme"),
    [
        ({"type": "websocket.accept"}, "wss"),
        ({"type": "websocket.http.response.start", "status": 403, "headers": []}, "ws"),
    ],
)
def test_websocket(answer: dict[str, Any], scheme: str) -> None:
    seen: dict[str, Any] = {}

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        seen.update(scope)
        await send(dict(answer))
        await send({"type": "websocket.close"})

    opening, closing = _run(app, {"type": "websocket", "scheme": scheme, "headers": [(b"x-ab-replicate", b"1")]})
    context = current(seen)
    [(name, value)] = opening["headers"]
    assert (name, value.split(b";")[0]) == (b"set-cookie", f"ab_uid={context.unit}".encode())
    assert value.endswith(b"Secure") is (scheme == "wss")
    assert dict(seen["headers"])[b"x-ab-replicate"] == str(context.replicate).encode()
    assert closing == {"type": "websocket.close"}


def test_lifespan_passes_untouched() -> None:
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    got: list[Any] = []

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        got.extend([scope, await receive()])
        await send({"type": "lifespan.startup.complete"})

    assert _run(app, scope) == [{"type": "lifespan.startup.complete"}]
    assert got[0] is scope


def test_the_applications_errors_pass() -> None:
    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        raise RuntimeError("handler")

    with pytest.raises(RuntimeError, match="handler"):
        _run(app, _http([]))


def test_requests_side_by_side_keep_to_themselves() -> None:
    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        context = current(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-unit", str(context.unit).encode())]})

    async def visit(number: int) -> bytes:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {}

        await ASGIMiddleware(app, EDGE)(_http([(b"cookie", f"ab_uid=user-{number}".encode())]), receive, send)
        return bytes(dict(sent[0]["headers"])[b"x-unit"])

    async def all_visits() -> list[bytes]:
        return await asyncio.gather(*(visit(number) for number in range(50)))

    assert asyncio.run(all_visits()) == [f"user-{number}".encode() for number in range(50)]


def test_a_visit_through_a_real_server() -> None:
    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = json.dumps(outgoing(scope)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(ASGIMiddleware(app, EDGE), log_level="critical", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started and time.monotonic() < deadline:
                time.sleep(0.01)
            connection = HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=10)
            connection.request("GET", "/", headers={"X-Ab-Bucket-Checkout": "1", "X-User-Id": "somebody"})
            response = connection.getresponse()
            headers = json.loads(response.read())
            unit = headers["x-user-id"]
            assert response.headers["set-cookie"].startswith(f"ab_uid={unit}; ")
            assert headers["x-ab-replicate"] == str(replicate(unit))

            connection.request("GET", "/", headers={"Cookie": f"ab_uid={unit}"})
            response = connection.getresponse()
            assert json.loads(response.read()) == headers
            assert response.headers["set-cookie"] is None
            connection.close()
        finally:
            server.should_exit = True
            thread.join()
