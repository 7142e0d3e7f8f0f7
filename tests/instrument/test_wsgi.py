from __future__ import annotations

import http.client
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from prometheus_client import CollectorRegistry

from abkit.assignment import replicate
from abkit.instrument import Edge, ExperimentMetrics, WSGIMiddleware, current

EDGE = Edge({"checkout": "buy-now-button-1"})


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def _echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers with the headers that the application sees."""
    body = json.dumps({key: value for key, value in environ.items() if key.startswith("HTTP_")}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Set-Cookie", "mine=1")]
    start_response("200 OK", headers)
    return [body]


Get = Callable[..., tuple[http.client.HTTPResponse, dict[str, str]]]


@contextmanager
def _served(app: Any) -> Iterator[Get]:
    """A real server on a free loopback port; `get` sends headers as given, with their duplicates and spelling."""
    with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def get(*headers: tuple[str, str]) -> tuple[http.client.HTTPResponse, dict[str, str]]:
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
            try:
                connection.putrequest("GET", "/")
                for name, value in headers:
                    connection.putheader(name, value)
                connection.endheaders()
                response = connection.getresponse()
                return response, json.loads(response.read())
            finally:
                connection.close()

        try:
            yield get
        finally:
            server.shutdown()
            thread.join()


def _cookies(response: http.client.HTTPResponse) -> dict[str, str]:
    pairs = (value.split(";")[0].partition("=") for value in response.headers.get_all("Set-Cookie", []))
    return {name: value for name, _, value in pairs}


def test_a_visit_through_a_real_server() -> None:
    with _served(validator(WSGIMiddleware(validator(_echo), EDGE))) as get:
        response, seen = get()
        cookies = _cookies(response)
        unit = cookies["ab_uid"]
        assert cookies["mine"] == "1"
        assert seen["HTTP_X_USER_ID"] == unit
        assert seen["HTTP_X_AB_REPLICATE"] == str(replicate(unit))

        again, seen_again = get(("Cookie", f"ab_uid={unit}"))
        assert _cookies(again) == {"mine": "1"}
        assert {key: value for key, value in seen_again.items() if key != "HTTP_COOKIE"} == seen
        assert seen_again["HTTP_COOKIE"] == f"ab_uid={unit}"


def test_spoofed_headers_do_not_reach_the_application() -> None:
    with _served(WSGIMiddleware(_echo, EDGE)) as get:
        _, seen = get(
            ("Cookie", "ab_uid=user-42"),
            ("X-User-Id", "somebody"),
            ("X_User_Id", "somebody"),
            ("x-ab-bucket-checkout", "1"),
            ("x-ab-bucket-checkout", "2"),
            ("X_AB_BUCKET_CHECKOUT", "3"),
            ("x-ab_replicate", "4"),
            ("X-Ab-Variant-Checkout", "treatment"),
            ("x-ab-forced", "treatment"),
            ("x-other", "stays"),
        )
    ours = {key: value for key, value in seen.items() if key.startswith("HTTP_X_")}
    assert ours == {
        "HTTP_X_USER_ID": "user-42",
        "HTTP_X_AB_BUCKET_CHECKOUT": "8640",
        "HTTP_X_AB_REPLICATE": "14",
        "HTTP_X_OTHER": "stays",
    }


def test_a_trusted_header() -> None:
    with _served(WSGIMiddleware(_echo, Edge({"checkout": "buy-now-button-1"}, trust_header=True))) as get:
        response, seen = get(("X-User-Id", "user-42"))
        assert (seen["HTTP_X_USER_ID"], seen["HTTP_X_AB_BUCKET_CHECKOUT"]) == ("user-42", "8640")
        assert _cookies(response) == {"mine": "1"}


def test_behind_the_mesh_headers_stay() -> None:
    with _served(WSGIMiddleware(_echo, Edge({}, behind_mesh=True))) as get:
        sent = [
            ("x-user-id", "user-42"),
            ("x-ab-replicate", "14"),
            ("x-ab-bucket-checkout", "8640"),
            ("x-ab-variant-checkout", "treatment"),
            ("x-ab-assignment-checkout", "hash"),
        ]
        response, seen = get(*sent)
        assert _cookies(response) == {"mine": "1"}
    for name, value in sent:
        assert seen["HTTP_" + name.upper().replace("-", "_")] == value


def _call(app: Any, **environ: Any) -> list[str]:
    """Call an application in this thread; returns its cookies."""
    setup_testing_defaults(environ)
    started: list[list[tuple[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        started.append(headers)
        return lambda data: None

    result = app(environ, start_response)
    list(result)
    return [value for name, value in started[-1] if name == "Set-Cookie"]


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_cookies_are_secure_where_the_request_was(scheme: str, secure: bool) -> None:
    cookies = _call(WSGIMiddleware(_echo, EDGE), **{"wsgi.url_scheme": scheme})
    assert cookies[0] == "mine=1"
    assert cookies[1].endswith("; Secure") is secure


def test_the_applications_errors_pass_and_its_second_start_keeps_the_cookies() -> None:
    def failing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            raise RuntimeError("template")
        except RuntimeError:
            start_response("500 Oops", [], sys.exc_info())
        return [b""]

    assert len(_call(WSGIMiddleware(failing, EDGE))) == 1

    def raising(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise RuntimeError("handler")

    with pytest.raises(RuntimeError, match="handler"):
        _call(WSGIMiddleware(raising, EDGE))


def test_first_exposure_is_counted_once_and_marked() -> None:
    registry = CollectorRegistry()
    metrics = ExperimentMetrics(
        "buy-now",
        {"control": "v1", "treatment": "v2"},
        "v1",
        layer="checkout",
        split={"control": 10_000},
        registry=registry,
    )
    counted: list[bool] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        context = current(environ)
        counted.append(metrics.expose(context))
        counted.append(metrics.expose(context))
        start_response("200 OK", [])
        return [b""]

    wrapped = WSGIMiddleware(app, EDGE)
    uid, seen = (cookie.split(";")[0] for cookie in _call(wrapped))
    assert _call(wrapped, HTTP_COOKIE=f"{uid}; {seen}") == []
    assert counted == [True, False, False, False]
    unit = uid.partition("=")[2]
    labels = {
        "ab_experiment": "buy-now",
        "ab_variant": "control",
        "ab_replicate": str(replicate(unit)),
        "ab_assignment": "hash",
        "version": "v1",
    }
    assert registry.get_sample_value("ab_exposed_users_total", labels) == 1
    # Another user of the same browser is a user too.
    other = _call(wrapped, HTTP_COOKIE=f"ab_uid=somebody-else; {seen}")
    assert [cookie.split("=")[0] for cookie in other] == ["ab_seen"]
    assert counted[-2:] == [True, False]


def test_an_exposure_after_the_start_is_not_counted_but_said() -> None:
    registry = CollectorRegistry()
    metrics = ExperimentMetrics(
        "buy-now", {"control": "v1"}, "v1", layer="checkout", split={"control": 10_000}, registry=registry
    )

    def late(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        assert not metrics.expose(current(environ))
        yield b""

    assert [cookie.split("=")[0] for cookie in _call(WSGIMiddleware(late, EDGE))] == ["ab_uid"]
    labels = {"ab_experiment": "buy-now", "version": "v1", "reason": "exposed-too-late"}
    assert registry.get_sample_value("abkit_uncounted_events_total", labels) == 1
