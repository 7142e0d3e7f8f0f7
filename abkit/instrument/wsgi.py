"""WSGI middleware (PEP 3333): Flask, Django, Bottle and their kin."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from abkit.instrument.context import CONTEXT_KEY, Context
from abkit.instrument.edge import Edge

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

__all__ = ["WSGIMiddleware"]

_PREFIX = "HTTP_"


class WSGIMiddleware:
    """Gives each request its unit, buckets and replicate; the application reads them with `current(environ)`.

    Args:
        app: The application.
        edge: How requests are read.
    """

    def __init__(self, app: WSGIApplication, edge: Edge) -> None:
        self._app = app
        self._edge = edge

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        # Servers write '-' as '_', so x_ab_bucket and x-ab-bucket are one key here: what came under it is replaced.
        headers = {key: _name(key) for key in environ if key.upper().startswith(_PREFIX)}
        context = self._edge.receive((name, environ[key]) for key, name in headers.items())
        for key, name in headers.items():
            if self._edge.drops(name, context):
                del environ[key]
        for name, value in context.headers.items():
            environ[_PREFIX + name.upper().replace("-", "_")] = value
        environ[CONTEXT_KEY] = context
        return self._app(environ, self._start(context, start_response, https=environ.get("wsgi.url_scheme") == "https"))

    def _start(self, context: Context, start_response: StartResponse, *, https: bool) -> StartResponse:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            context.start()
            cookies = [("Set-Cookie", value) for value in self._edge.set_cookies(context, https=https)]
            return start_response(status, [*headers, *cookies], exc_info)

        return start


def _name(key: str) -> str:
    return key[len(_PREFIX) :].lower().replace("_", "-")
