"""What can be found by when, and that recurring users cap it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from abkit import spec, stats
from abkit.errors import InputError
from abkit.evidence import Power, StatusCode, Usage
from abkit.pipeline.compare import compare_all
from abkit.pipeline.looks import Looked
from abkit.pipeline.planning import Assumptions, from_assumptions
from abkit.pipeline.power import question
from abkit.queries import resolve
from abkit.spec import Direction, Experiment
from tests.benchmarks.worlds import Batch, cells, draw_users, stream, visits
from tests.pipeline.arms import by_instance, by_replicate

DAY = 86_400_000
DAYS = 14
TEXT = """\
service: shop
variants: {control: v1, treatment: v2}
metrics: {primary: [conversion], guardrails: [{metric: click-rate, margin: 0.1}]}
analysis: {start: 2026-11-01, end: 2026-11-15, mde: 0.05}
"""


def experiment(text: str = TEXT) -> Experiment:
    return spec.loads(text)


def recurring(number: int, users: int = 4_000, views: float = 140.0) -> Batch:
    """The same users each day."""
    rng = stream(9, "recurring", number)
    people = draw_users(rng, users, views=views)
    return cells(people, *visits(rng, people, DAYS), 2)


def arriving(number: int) -> Batch:
    """Other users each day."""
    rng = stream(9, "arriving", number)
    days = []
    for _ in range(DAYS):
        people = draw_users(rng, 600, views=10.0)
        days.append(cells(people, *visits(rng, people, 1), 2))
    return {name: np.concatenate([day[name] for day in days]) for name in ("num", "den")}


def power_of(sums: Batch, usage: Usage = Usage.PRIMARY, text: str = TEXT) -> Power:
    given = experiment(text)
    name = "conversion" if usage is Usage.PRIMARY else "click-rate"
    metric = next(found for found in resolve(given) if found.name == name)
    totals = by_replicate(metric, ("control", "treatment"), sums["num"], sums["den"], days=DAYS)
    looked = Looked(totals, 0, [DAY * (day + 1) for day in range(DAYS)])
    (result,) = compare_all(given, [(metric, usage)], looked).metrics
    assert result.power is not None
    return result.power


def test_recurring_users_cap_what_more_days_show() -> None:
    found = [power_of(recurring(number)) for number in range(8)]
    assert sum(power.saturates for power in found) >= 7
    capped = next(power for power in found if power.saturates)
    assert capped.reachable is not None
    assert capped.mde is not None
    assert 0.05 < capped.reachable <= capped.mde
    assert capped.days is None
    assert "The same users come back" in capped.note
    assert "out of reach" in capped.note


def test_new_users_are_not_called_recurring() -> None:
    found = [power_of(arriving(number)) for number in range(8)]
    assert sum(power.saturates for power in found) <= 1


@pytest.mark.parametrize("world", [recurring, arriving])
def test_the_smallest_effect_is_found_with_the_power_asked_for(world: Callable[[int], Batch]) -> None:
    power = power_of(world(0))
    assert power.mde is not None
    again = power_of(world(0), text=TEXT.replace("mde: 0.05", f"mde: {power.mde}"))
    assert again.achieved == pytest.approx(0.8, abs=0.01)
    assert again.mde == pytest.approx(power.mde)


def test_other_ways_of_looking_need_what_their_designs_need() -> None:
    power = power_of(arriving(1))
    needs = {need.design: need.information for need in power.needs}
    assert list(needs) == ["fixed", "obrien-fleming", "always-valid"]
    assert needs["fixed"] is not None
    for design in ("obrien-fleming", "always-valid"):
        inflation = stats.power.information(0.05, design=design).inflation
        needed = needs[design]
        assert needed is not None
        assert needed / needs["fixed"] == pytest.approx(inflation, rel=1e-3)


@pytest.mark.parametrize("share", [1000.0, 500.0])
def test_a_handful_of_pods_is_too_few_to_say(share: float) -> None:
    text = TEXT.replace("primary: [conversion]", "primary: [error-rate]").replace("mde:", "confidence: 0.999, mde:")
    given = experiment(text)
    metric = next(found for found in resolve(given) if found.name == "error-rate")
    errors, requests = np.array([[[90.0, 50.0], [60.0, 45.0]]]), np.full((1, 2, 2), 1000.0)
    requests[0, :, 1] = share
    totals = by_instance(metric, ("control", "treatment"), errors, requests)
    (result,) = compare_all(given, [(metric, Usage.PRIMARY)], Looked(totals, 0, [DAY])).metrics
    assert result.status.code is StatusCode.OK
    assert result.power is not None
    assert (result.power.mde, result.power.achieved, result.power.days) == (None, None, None)
    assert result.power.status.code is StatusCode.TOO_FEW


def test_a_guardrail_is_about_its_margin() -> None:
    power = power_of(recurring(1), Usage.GUARDRAIL)
    assert power.planned == 0.1
    assert "below" in power.note
    up = question(experiment(), Direction.DECREASE, 0.1, 1)
    down = question(experiment(), Direction.INCREASE, 0.1, 1)
    assert [up.effect, down.effect] == pytest.approx([math.log(1.1), -math.log(0.9)])
    assert [up.as_share(up.effect), down.as_share(down.effect)] == pytest.approx([0.1, 0.1])


def test_alpha_is_what_a_test_has_among_several() -> None:
    three = experiment(TEXT.replace("treatment: v2", "b: v2, c: v3"))
    assert question(three, Direction.INCREASE, None, 2).confidence == pytest.approx(0.975)
    assert question(three, Direction.INCREASE, 0.1, 2).confidence == pytest.approx(0.975)


def assumed(given: Assumptions, text: str = TEXT) -> Callable[[], object]:
    found = experiment(text)
    return lambda: from_assumptions(found, {metric.name: metric for metric in resolve(found)}, given)


def test_assumptions_give_the_textbook_sample_size() -> None:
    given = experiment(TEXT.replace("mde: 0.05", "mde: 0.02, looks: fixed"))
    metrics = {metric.name: metric for metric in resolve(given)}
    plan = from_assumptions(given, metrics, Assumptions(None, 0.3, users_per_day=10_000.0, design_effect=2.0))
    (metric,) = plan.metrics
    fixed = next(need for need in metric.needs if need.design == "fixed")
    z = stats.power.information(math.log(1.02)).information
    assert fixed.users == math.ceil(z * 2 * 2 * 0.7 / 0.3)
    assert fixed.users is not None
    assert fixed.days == pytest.approx(2 * fixed.users / 10_000, rel=1e-4)
    assert metric.achieved is not None
    assert (metric.achieved >= 0.8) == (2 * fixed.users / 10_000 <= 14)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Assumptions(None, 1.2), "--baseline"),
        (Assumptions(None, 0.1, users_per_day=-3.0), "--users-per-day"),
        (Assumptions("clicks", 0.1), "--metric"),
    ],
)
def test_assumptions_that_make_no_sense_are_named(given: Assumptions, words: str) -> None:
    with pytest.raises(InputError, match=words):
        assumed(given)()
