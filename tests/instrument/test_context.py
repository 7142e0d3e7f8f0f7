from __future__ import annotations

import pytest

from abkit.errors import InputError
from abkit.instrument import CONTEXT_KEY, Edge, current, outgoing


def test_current_is_what_the_middleware_put_there() -> None:
    context = Edge({}).receive([])
    assert current({CONTEXT_KEY: context}) is context


@pytest.mark.parametrize("carrier", [{}, {CONTEXT_KEY: None}, {CONTEXT_KEY: "spoofed"}])
def test_without_middleware_the_remedy_is_named(carrier: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"wrap the application in abkit\.instrument\.WSGIMiddleware"):
        current(carrier)


def test_outgoing_adds_ours_and_replaces_their_twins() -> None:
    context = Edge({"checkout": "s"}).receive([("cookie", "ab_uid=user-42")])
    sent = outgoing(context, {"Accept": "text/html", "X-User-ID": "old", "X-AB-Bucket-Checkout": "1"})
    assert sent == {"Accept": "text/html", **context.headers}
    assert outgoing({CONTEXT_KEY: context}) == dict(context.headers)
    with pytest.raises(InputError):
        outgoing({})


def test_marker() -> None:
    context = Edge({}).receive([("cookie", "ab_uid=user-42")])
    assert (context.seen, context.seen_changed) == ((), False)
    assert context.mark_seen("one")
    assert not context.mark_seen("one")
    assert (context.seen, context.seen_changed) == (("one",), True)
