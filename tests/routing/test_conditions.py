from __future__ import annotations

from collections.abc import Mapping

import pytest

from abkit.routing import Request
from abkit.routing.conditions import MethodMatch, Way, both, cookie_match, from_spec, fulfils
from abkit.spec import Match


def holds(when: Mapping[str, object], request: Request) -> bool:
    return fulfils(from_spec(Match.model_validate(when)), request)


@pytest.mark.parametrize(
    ("cookies", "holds"),
    [
        ("beta=1", True),
        ("a=2; beta=1", True),
        ("beta=1; a=2", True),
        ("a=2;beta=1;b=3", True),
        ("beta=10", False),
        ("xbeta=1", False),
        ("a=beta=1", False),
        ("beta=", False),
        ("BETA=1", False),
        ("", False),
    ],
)
def test_cookies(cookies: str, holds: bool) -> None:
    assert cookie_match("beta", Way.EXACT, "1").holds(Request({"cookie": cookies})) is holds


def test_a_cookies_value_is_no_pattern() -> None:
    assert not cookie_match("a", Way.EXACT, ".*").holds(Request({"cookie": "a=x"}))
    assert cookie_match("a", Way.EXACT, ".*").holds(Request({"cookie": "a=.*"}))
    assert cookie_match("a", Way.PREFIX, "x(").holds(Request({"cookie": "a=x(y; b=1"}))
    assert not cookie_match("a", Way.PREFIX, "x").holds(Request({"cookie": "a=y; b=x"}))


def test_and_or() -> None:
    when = {
        "path": {"prefix": "/cart"},
        "any": [{"header": {"x-a": "1"}}, {"all": [{"query": {"b": "2"}}, {"method": ["POST", "PUT"]}]}],
    }
    assert holds(when, Request({"x-a": "1"}, "/cart/1"))
    assert not holds(when, Request({"x-a": "1"}, "/"))
    assert holds(when, Request({}, "/cart", "PUT", {"b": "2"}))
    assert not holds(when, Request({}, "/cart", "GET", {"b": "2"}))


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148", "mobile"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36", "mobile"),
        ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15", "tablet"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36", "desktop"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "desktop"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
    ],
)
def test_devices(agent: str, device: str) -> None:
    request = Request({"user-agent": agent})
    for other in ("mobile", "tablet", "desktop", "bot"):
        assert holds({"device": other}, request) is (other == device)


def test_numbers_and_callers() -> None:
    year = {"header": {"x-year": {"range": {"from": 2020, "to": 2023}}}}
    assert [holds(year, Request({"x-year": text})) for text in ("2019", "2020", "2023", "2024", "02021", "2021.5")] == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    caller = {"source": {"labels": {"app": "web"}, "namespace": "shop"}}
    assert holds(caller, Request(labels={"app": "web", "x": "1"}, namespace="shop"))
    assert not holds(caller, Request(labels={"app": "web"}, namespace="other"))
    assert not holds(caller, Request(namespace="shop"))


def test_methods_that_exclude_each_other_fall_away() -> None:
    get, post = ((MethodMatch(("GET",)),),), ((MethodMatch(("POST",)),),)
    assert both(get, post) == ()
    assert both(get, (*post, *get)) == get
