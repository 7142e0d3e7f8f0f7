"""Families that are asked for: payments, visits, time on a page, users a day."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from abkit.errors import InputError
from abkit.instrument import Assigned, Context, Edge, ExperimentMetrics
from abkit.queries import entries
from abkit.queries.selectors import parse_selector

VARIANTS = {"control": "v1", "treatment": "v2"}
ALL = ["payments", "visits", "dwell", "activity"]
EDGE = Edge({"buy-now": "salt"})
DAY = 86_400.0
WHO = Assigned("control", "hash", 3)


def _metrics(registry: CollectorRegistry, **options: Any) -> ExperimentMetrics:
    split = {"control": 5_000, "treatment": 5_000}
    return ExperimentMetrics("buy-now", VARIANTS, "v1", split=split, registry=registry, **options)


def _names(registry: CollectorRegistry) -> set[str]:
    return {sample.name for metric in registry.collect() for sample in metric.samples}


def _counted(registry: CollectorRegistry) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.value:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def _visit(unit: str = "user-42") -> Context:
    return EDGE.receive([("cookie", f"ab_uid={unit}")])


def test_all_that_the_catalogue_names_is_exposed() -> None:
    registry = CollectorRegistry()
    _metrics(registry, more=ALL)
    wanted = {
        parse_selector(selector.replace("$experiment", "x")).matchers[0].value
        for entry in entries()
        if entry.group == "product"
        for selector in entry.definition.roles.values()
    }
    exposed = {name for name in _names(registry) if name.startswith("ab_")}
    assert wanted == exposed


def test_nothing_of_it_is_there_unasked() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry)
    assert not {name for name in _names(registry) if "pay" in name or "visit" in name or "dwell" in name}
    for call, group in (
        (lambda: metrics.payment(WHO, succeeded=True), "payments"),
        (lambda: metrics.visit(WHO), "visits"),
        (lambda: metrics.bounce(WHO), "visits"),
        (lambda: metrics.dwell(WHO, 3.0), "dwell"),
        (lambda: metrics.active(_visit()), "activity"),
    ):
        with pytest.raises(InputError, match=rf"'{group}' is not counted: ask for it, more=\['{group}'\]"):
            call()
    with pytest.raises(InputError, match="nothing is called 'visit': did you mean 'visits'"):
        _metrics(CollectorRegistry(), more=["visit"])
    with pytest.raises(InputError, match="'visits' is built in"):
        _metrics(CollectorRegistry(), counters={"visits": "Ours."})


def test_events_count() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry, more=ALL)
    metrics.payment(WHO, succeeded=True)
    metrics.payment(WHO, succeeded=False)
    metrics.visit(WHO)
    metrics.bounce(WHO)
    metrics.dwell(WHO, 12.5)
    metrics.dwell(WHO, 2.5)
    assert _counted(registry) == {
        "ab_payment_attempts_total": 2,
        "ab_payments_total": 1,
        "ab_visits_total": 1,
        "ab_bounces_total": 1,
        "ab_dwell_seconds_sum": 15,
        "ab_dwell_seconds_count": 2,
    }
    for bad in (-1.0, float("nan")):
        with pytest.raises(InputError, match="dwell: should be a number from 0 on"):
            metrics.dwell(WHO, bad)
    with pytest.raises(InputError, match="counted by active"):
        metrics.count("active_users", WHO)


def test_a_user_is_active_once_a_day() -> None:
    registry = CollectorRegistry()
    now = [20_000 * DAY + 5]
    metrics = _metrics(registry, more=["activity"], clock=lambda: now[0])
    first = _visit()
    assert metrics.active(first)
    assert not metrics.active(first)
    assert first.seen == ("buy-now_d20000",)
    assert not metrics.active(_visit()), "a request side by side carries no marker yet"
    now[0] += DAY - 6
    assert not metrics.active(_visit())
    now[0] += 1
    again = _visit()
    again.mark_seen("buy-now")
    again.mark_seen("buy-now_d20000")
    assert metrics.active(again)
    assert again.seen == ("buy-now", "buy-now_d20001"), "the marker keeps the newest day alone"
    assert metrics.active(_visit(unit="user-7"))
    assert _counted(registry) == {"ab_active_users_total": 3}


def test_whoever_has_no_id_is_no_user() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry, more=["activity"])
    assert not metrics.active(Edge({}, behind_mesh=True).receive([]))
    assert _counted(registry) == {}


def test_a_response_that_has_begun_can_carry_no_marker() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry, more=["activity"])
    context = _visit()
    context.start()
    assert not metrics.active(context)
    assert _counted(registry) == {"abkit_uncounted_events_total": 1}
