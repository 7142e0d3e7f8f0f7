"""ASGI middleware (specification 3.0): Starlette, FastAPI, Django, Quart and their kin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from abkit.instrument.context import CONTEXT_KEY, Context
from abkit.instrument.edge import Edge

__all__ = ["ASGIMiddleware"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# The messages that carry response headers: of HTTP, of a websocket that is accepted, of one that is refused.
_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class ASGIMiddleware:
    """Gives each request its unit, buckets and replicate; the application reads them with `current(scope)`.

    Scopes other than `http` and `websocket`, such as `lifespan`, pass through untouched.

    Args:
        app: The application.
        edge: How requests are read.
    """

    def __init__(self, app: App, edge: Edge) -> None:
        self._app = app
        self._edge = edge

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
        context = self._edge.receive(_text(headers))
        kept = [(name, value) for name, value in headers if not self._edge.drops(name.decode("latin-1"), context)]
        ours = [(name.encode(), value.encode()) for name, value in context.headers.items()]
        https = scope.get("scheme") in {"https", "wss"}
        await self._app(
            {**scope, "headers": [*kept, *ours], CONTEXT_KEY: context}, receive, self._send(context, send, https=https)
        )

    def _send(self, context: Context, send: Send, *, https: bool) -> Send:
        async def send_with_cookies(message: Message) -> None:
            if message["type"] in _STARTS:
                context.start()
                cookies = self._edge.set_cookies(context, https=https)
                added = [(b"set-cookie", value.encode()) for value in cookies]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        return send_with_cookies


def _text(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[str, str]]:
    return ((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
