"""A lift that fades is seen to fade; one that stays is not said to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from abkit import spec
from abkit.evidence import Novelty, StatusCode
from abkit.pipeline.novelty import daily_trends
from abkit.queries import resolve
from tests.pipeline.buckets import Row, totals
from tests.pipeline.people import Crowd

SPEC = spec.loads(
    "{service: shop, variants: {control: v1, treatment: v2}, metrics: [conversion], analysis: {start: 2026-11-01}}"
)
CONVERSION = resolve(SPEC)[0]
IDS = {role: data.id for role, data in CONVERSION.inputs.items()}
FADING = [0.6 * 0.5**day for day in range(8)]


def days(seed: int, lifts: Sequence[float]) -> list[Row]:
    crowd = Crowd(seed, 3_000)
    return [row for day, lift in enumerate(lifts) for row in crowd.rows(IDS, 10.0, lift, look=day)]


def trend(rows: Sequence[Row], count: int = 8) -> Novelty:
    (found,) = daily_trends(SPEC, [CONVERSION], totals(rows, looks=count))
    return found


def test_a_novelty_fades() -> None:
    found = trend(days(1, FADING))
    assert found.slope is not None
    assert found.slope < 0
    assert found.slope_ci is not None
    assert (found.slope_ci[1] or 0) < 0
    assert found.p_value is not None
    assert found.p_value < 0.01
    assert found.early is not None
    assert found.late is not None
    assert found.early > found.late + 0.1


def test_what_is_learnt_grows() -> None:
    found = trend(days(2, FADING[::-1]))
    assert found.slope is not None
    assert found.slope > 0
    assert (found.late or 0) > (found.early or 0)


def test_a_lift_that_stays_is_not_said_to_move() -> None:
    p_values = np.array([trend(days(seed, [0.3] * 5), 5).p_value for seed in range(100)], dtype=float)
    assert (p_values <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p_values))


def test_a_day_in_which_the_split_changed_is_left_out() -> None:
    rows = days(3, [0.3] * 8)
    later = [replace(row, epoch=1) if row.look >= 3 else row for row in rows]
    # Of day 3 the first half belongs to the split before, and there the treatment was bad luck's.
    mixed = [*later, *(replace(row, total=row.total * 9, epoch=0) for row in later if row.look == 3)]
    assert trend(mixed) == trend([row for row in later if row.look != 3])
    assert trend(later) != trend(mixed)


def test_counters_without_replicates() -> None:
    found = trend([replace(row, replicate=-1, instance="a") for row in days(1, FADING)])
    assert found.status.code is StatusCode.NOT_USER_LEVEL
    assert (found.slope, found.early, found.p_value) == (None, None, None)


def test_without_events_there_is_no_trend() -> None:
    views = [row for row in days(1, FADING) if row.input != IDS[next(iter(IDS))] or row.variant == "control"]
    found = trend(views)
    assert found.status.code is StatusCode.TOO_FEW
    assert found.slope is None
