"""When looks are due, and what they have spent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from abkit import spec, stats
from abkit.pipeline.planned_looks import look_plan, planned_moments
from tests.pipeline.test_looks import HOUR, TEXT, experiment


def test_looks_are_evenly_spaced_from_start_to_end() -> None:
    given = experiment("pocock")
    assert [(at - planned_moments(given)[0]) / HOUR for at in planned_moments(given)] == [0, 84, 168, 252]
    assert planned_moments(given)[-1] == datetime(2026, 11, 15, tzinfo=UTC).timestamp() * 1000
    assert planned_moments(experiment("always-valid")) == ()
    odd = spec.loads(TEXT.replace("LOOKS", "pocock").replace("planned-looks: 4", "planned-looks: 5"))
    assert all(at % HOUR == 0 for at in planned_moments(odd))
    assert len(planned_moments(odd)) == 5


def test_the_plan_says_which_look_stands_and_when_the_next_is() -> None:
    given = experiment("obrien-fleming")
    moments = planned_moments(given)
    before, between, after = (look_plan(given, moments, at) for at in (moments[0] - 1, moments[1] + 1, moments[-1]))
    assert before is not None
    assert between is not None
    assert after is not None
    assert (before.taken, before.last, before.spent) == (0, None, None)
    assert (between.taken, between.fraction) == (2, 0.5)
    assert between.spent == pytest.approx(2 * float(stats.sequential.spent(0.5, 0.025)))
    assert (after.taken, after.next) == (4, None)
    assert after.spent == pytest.approx(0.05)
    assert look_plan(experiment("fixed"), (), 0) is None
