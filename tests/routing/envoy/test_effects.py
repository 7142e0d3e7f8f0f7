"""A real Envoy with real traffic: what is done with requests beside sending them somewhere."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from abkit.routing import assign
from tests.routing.envoy.lab import Lab, lab
from tests.routing.envoy.upstreams import Ask, ask_at_once, upstreams
from tests.servers import free_port

pytestmark = pytest.mark.envoy

IDS = [f"user-{number}" for number in range(400)]
ALL_NEW = {"control": {"version": "v1", "weight": 0}, "treatment": {"version": "v2", "weight": 10_000}}
ALL_OLD = {"control": {"version": "v1", "weight": 10_000}, "treatment": {"version": "v2", "weight": 0}}
DRILL: list[dict[str, Any]] = [
    {"when": {"header": {"x-drill": "both"}}, "delay": {"time": "150ms"}, "abort": {"status": 503}},
    {"when": {"header": {"x-drill": "delay"}}, "delay": {"time": "300ms"}},
    {"when": {"header": {"x-drill": "abort"}}, "abort": {"status": 418, "share": 30}},
    {"when": {"path": {"prefix": "/slow"}}, "delay": {"time": "150ms"}},
]
OUTLIERS = {"consecutive-5xx": 3, "interval": "100ms", "ejection": "1s", "max-ejected": 100}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Envoy with a service for each effect."""
    with upstreams("v1", "v2") as versions, lab(tmp_path_factory.mktemp("effects"), versions) as made:
        made.spec("copies", variants=ALL_OLD, policies={"mirror": {"to": "treatment"}})
        made.spec("some-copies", policies={"mirror": {"to": "treatment", "share": 50}})
        made.spec("drill", variants=ALL_OLD, policies={"faults": DRILL, "timeout": "2s", "retries": "fast"})
        made.spec("breaker", policies={"circuit-breaker": {"tier": "best-effort", "outliers": OUTLIERS}})
        made.spec(
            "limits",
            variants=ALL_OLD,
            policies={"circuit-breaker": {"connections": 1, "pending": 1, "requests-per-connection": 2}},
        )
        made.spec(
            "fallback",
            policies={"fallback": {"to": "control"}, "circuit-breaker": {"outliers": {**OUTLIERS, "max-ejected": 10}}},
        )
        gone = {"upstreams": {"v1": f"127.0.0.1:{versions.ports['v1']}", "v2": f"127.0.0.1:{free_port()}"}}
        made.spec(
            "gone",
            variants=ALL_NEW,
            policies={"preset": "promotion-day", "circuit-breaker": {"outliers": {"interval": "100ms"}}},
            mesh={"envoy": gone},
        )
        made.spec("again", variants=ALL_NEW, policies={"timeout": "2s", "retries": {"attempts": 2, "per-try": "500ms"}})
        made.spec(
            "always",
            variants=ALL_NEW,
            policies={"retries": {"attempts": 2, "per-try": "500ms", "non-idempotent": True}},
        )
        made.spec("late", variants=ALL_NEW, policies={"timeout": "200ms"})
        tips = {"when": {"path": {"prefix": "/tips"}}, "body": '{"tips": []}'}
        closed = {"when": {"method": "POST"}, "status": 503, "body": "é" * 3_000, "content-type": "text/plain"}
        made.spec("answers", policies={"answers": [tips, closed]})
        made.write()
        made.start()
        yield made


def _eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_copies_of_all_and_of_some(shop: Lab) -> None:
    answers = shop.users("copies", IDS, x_case="copies")
    assert {(one.status, one.version) for one in answers} == {(200, "v1")}
    _eventually(lambda: len(shop.versions.of("copies")) == 2 * len(IDS))
    seen = shop.versions.of("copies")
    assert {(one.version, one.host) for one in seen} == {("v1", "copies"), ("v2", "copies-shadow")}
    answers = shop.users("some-copies", IDS, x_case="some")
    old = sum(one.version == "v1" for one in answers)
    _eventually(lambda: len(shop.versions.of("some")) > len(IDS) + old / 4)
    time.sleep(0.3)
    copies = [one for one in shop.versions.of("some") if one.host.endswith("-shadow")]
    # Nobody's own requests are copied to them.
    assert {one.version for one in copies} == {"v2"}
    assert abs(len(copies) - old / 2) < 4 * math.sqrt(old / 4)


def test_delay_and_abort_by_header_share_and_path(shop: Lab) -> None:
    def timed(**asked: str) -> tuple[int, float]:
        start = time.monotonic()
        return shop.ask("drill", **asked).status, time.monotonic() - start

    # Timers count whole milliseconds, and may fire within the last one.
    status, seconds = timed(x_drill="delay")
    assert (status, seconds >= 0.29) == (200, True)
    status, seconds = timed(path="/slow/1")
    assert (status, seconds >= 0.14) == (200, True)
    status, seconds = timed(x_drill="both", x_case="both")
    assert (status, seconds >= 0.14) == (503, True)
    assert shop.versions.of("both") == []
    number = 1_000
    asks = (Ask({"x-drill": "abort", "x-case": "abort"}, host="drill") for _ in range(number))
    answers = shop.ask_all(asks, deep=1)
    aborted = sum(one.status == 418 for one in answers)
    assert abs(aborted - 0.3 * number) < 4 * math.sqrt(0.3 * 0.7 * number)
    # An abort reaches no version, and no version's statistics.
    assert len(shop.versions.of("abort")) == number - aborted
    assert not [name for name in shop.counters("cluster.drill-v1.upstream_rq_4") if "4xx" in name]
    assert {one.status for one in shop.ask_all([Ask(host="drill")] * 50)} == {200}


def test_three_errors_in_a_row_eject_and_time_heals(shop: Lab) -> None:
    spec = shop.specs["breaker"]
    new = [unit for unit in IDS if assign(spec, unit).version == "v2"]
    old = [unit for unit in IDS if assign(spec, unit).version == "v1"]
    failing = [shop.ask("breaker", x_user_id=unit, x_fail="v2", x_case="breaker") for unit in new[:20]]
    # Three are enough; on a busy machine some more come before the word of it has reached those that route.
    errors = sum(one.status == 500 for one in failing)
    assert 3 <= errors < 20
    assert [one.status for one in failing] == [500] * errors + [503] * (20 - errors)
    assert "no healthy upstream" in failing[-1].body
    assert len(shop.versions.of("breaker")) == errors
    # The other version knows nothing of it.
    assert {one.status for one in shop.users("breaker", old[:20])} == {200}
    _eventually(lambda: shop.ask("breaker", x_user_id=new[0]).status == 200)


def test_limits_turn_requests_away_and_close_connections(shop: Lab) -> None:
    slow = Ask({"x-sleep": "0.5", "x-case": "limits"}, host="limits")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask_at_once, shop.port, [slow])
        # Until it has its connection it waits for one, too.
        _eventually(lambda: len(shop.versions.of("limits")) == 1)
        answers = [*ask_at_once(shop.port, [slow] * 4), *first.result()]
    assert sorted(one.status for one in answers) == [200, 200, 503, 503, 503]
    assert all("overflow" in one.body for one in answers if one.status == 503)
    before = shop.versions.connections["v1"]
    assert {shop.ask("limits").status for _ in range(10)} == {200}
    assert shop.versions.connections["v1"] - before >= 4


def _answered(shop: Lab, service: str) -> dict[tuple[str, str], int]:
    """Requests by the version that answered and by outcome, as Prometheus sees them."""
    text = requests.get(f"{shop.url}/stats/prometheus", timeout=5).text
    wanted = rf'envoy_cluster_endpoint_rq_(success|error)\{{envoy_cluster_name="{service}-(v[12])",.*?\}} (\d+)'
    return {(version, outcome): int(number) for outcome, version, number in re.findall(wanted, text)}


def test_another_version_takes_over_while_one_fails(shop: Lab) -> None:
    spec = shop.specs["fallback"]
    new = [unit for unit in IDS if assign(spec, unit).version == "v2"]
    assert {one.version for one in shop.users("fallback", new[:20])} == {"v2"}
    failing = [shop.ask("fallback", x_user_id=unit, x_fail="v2") for unit in new[:20]]
    # Three are enough; on a busy machine some more come before the word of it has reached those that route.
    errors = sum(one.status == 500 for one in failing)
    assert 3 <= errors < 20
    assert [(one.status, one.version) for one in failing] == [(500, "v2")] * errors + [(200, "v1")] * (20 - errors)
    # Who they are is not forgotten, and neither is who answered: v1's answers are none of v2's good ones.
    assert {one.sent["x-ab-variant-fallback"] for one in failing} == {"treatment"}
    assert _answered(shop, "fallback") == {
        ("v1", "success"): 20 - errors,
        ("v1", "error"): 0,
        ("v2", "success"): 20,
        ("v2", "error"): errors,
    }
    _eventually(lambda: shop.ask("fallback", x_user_id=new[0]).version == "v2")


def test_another_version_takes_over_where_nobody_listens(shop: Lab) -> None:
    _eventually(lambda: shop.ask("gone", x_user_id="user-1").status == 200)
    answers = shop.users("gone", IDS[:50])
    assert {(one.status, one.version) for one in answers} == {(200, "v1")}
    assert {one.sent["x-ab-variant-gone"] for one in answers} == {"treatment"}


@pytest.mark.parametrize(
    ("service", "method", "times", "status", "tries"),
    [
        ("again", "GET", 1, 200, 2),
        ("again", "PUT", 2, 200, 3),
        ("again", "GET", 9, 503, 3),
        ("again", "POST", 1, 503, 1),
        ("always", "POST", 1, 200, 2),
        ("late", "GET", 1, 503, 1),
    ],
)
def test_only_what_may_be_sent_twice_is(
    shop: Lab, service: str, method: str, times: int, status: int, tries: int
) -> None:
    case = f"{service}-{method}-{times}"
    answer = shop.ask(service, method=method, x_user_id="user-1", x_case=case, x_fail_times=str(times))
    assert (answer.status, len(shop.versions.of(case))) == (status, tries)


def test_clients_cannot_ask_for_retries(shop: Lab) -> None:
    asked = {"x_envoy_retry_on": "5xx", "x_envoy_max_retries": "3", "x_fail_times": "1"}
    answer = shop.ask("again", method="POST", x_user_id="user-1", x_case="asked", **asked)
    assert (answer.status, len(shop.versions.of("asked"))) == (503, 1)


def test_a_late_answer_is_none(shop: Lab) -> None:
    start = time.monotonic()
    answer = shop.ask("late", x_user_id="user-1", x_case="late", x_sleep="3")
    assert (answer.status, "timeout" in answer.body) == (504, True)
    assert time.monotonic() - start < 2.5


def test_static_answers(shop: Lab) -> None:
    tips = shop.ask("answers", "/tips/today", x_case="answers")
    assert (tips.status, tips.body, tips.headers["content-type"]) == (200, '{"tips": []}', "application/json")
    closed = shop.ask("answers", "/", "POST", x_case="answers")
    assert (closed.status, closed.body, closed.headers["content-type"]) == (503, "é" * 3_000, "text/plain")
    assert shop.versions.of("answers") == []
    assert shop.ask("answers").status == 200


def test_each_version_has_statistics_of_its_own(shop: Lab) -> None:
    def counted() -> dict[str, int]:
        text = requests.get(f"{shop.url}/stats/prometheus", timeout=5).text
        wanted = (
            r'envoy_cluster_upstream_rq_xx\{envoy_response_code_class="2",envoy_cluster_name="late-(v[12])"\} (\d+)'
        )
        return {version: int(number) for version, number in re.findall(wanted, text)}

    before = counted()
    shop.users("late", IDS[:25])
    assert counted()["v2"] - before.get("v2", 0) == 25
