from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from abkit.errors import InputError
from abkit.simulate import HOUR, run, world_from_spec
from abkit.spec import Experiment


def spec(**fields: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "service": {"name": "shop-front", "namespace": "shop"},
            "variants": {"control": "v1", "treatment": "v2"},
            "metrics": ["conversion"],
        }
        | fields
    )


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_the_world_is_the_experiments() -> None:
    experiment = spec(
        metadata={"name": "exp"},
        variants={"control": {"version": "v1", "weight": 9_000}, "treatment": {"version": "v2", "weight": 1_000}},
        assignment={"salt": "s-1", "replicates": 16},
        analysis={"start": "2026-12-01", "end": "2026-12-02"},
    )
    world = world_from_spec(experiment, seed=7, users=300, lifts={"conversion": 0.1, "error-rate": -0.2})
    assert (world.experiment, world.service, world.namespace, world.salt) == ("exp", "shop-front", "shop", "s-1")
    assert [(arm.name, arm.version, arm.weight) for arm in world.arms] == [
        ("control", "v1", 9_000),
        ("treatment", "v2", 1_000),
    ]
    assert (world.start_ms, world.end_ms) == (ms("2026-12-01"), ms("2026-12-02"))
    assert (world.seed, world.users.count, world.replicates) == (7, 300, 16)
    assert (world.arms[1].effects.conversion, world.arms[1].effects.error_rate) == (0.1, -0.2)
    assert world.arms[0].effects.conversion == 0
    assert run(world).truth.lift("error-rate", "treatment").lift == pytest.approx(-0.2)


def test_lifts_may_name_a_variant() -> None:
    experiment = spec(variants={"control": "v1", "blue": "v2", "green": "v3"})
    world = world_from_spec(experiment, lifts={"click-rate": 0.1, "green.click-rate": 0.3})
    assert [arm.effects.click_rate for arm in world.arms] == [0, 0.1, 0.3]


def test_window_may_be_shortened() -> None:
    world = world_from_spec(spec(analysis={"start": "2026-12-01", "end": "2026-12-15"}), hours=2)
    assert world.end_ms - world.start_ms == 2 * HOUR


def test_rules_bring_vips_and_troubles_bring_troubles() -> None:
    rules = [{"when": {"header": {"x-user-type": {"exact": "vip"}}}, "to": "treatment"}]
    world = world_from_spec(spec(assignment={"rules": rules}), hours=3, troubles=True)
    assert (world.vip_arm, world.users.vip_share) == ("treatment", 0.05)
    assert world.gaps
    assert any(pod.restarts for pod in world.pods)
    assert world_from_spec(spec()).users.vip_share == 0


def test_a_ramp_becomes_epochs() -> None:
    ramp = [
        {"from": "2026-11-30", "split": {"control": 9_500, "treatment": 500}},
        {"from": "2026-12-01T06:00:00Z", "split": {"control": 5_000, "treatment": 5_000}},
    ]
    world = world_from_spec(spec(ramp=ramp, analysis={"start": "2026-12-01", "end": "2026-12-02"}))
    assert [dict(epoch.split) for epoch in world.splits] == [step["split"] for step in ramp]
    assert world.splits[1].from_ms == ms("2026-12-01T06:00:00")
    assert world.splits[0].from_ms <= world.start_ms


@pytest.mark.parametrize(
    ("lifts", "words"),
    [
        ({"convertion": 0.1}, "did you mean 'conversion'"),
        ({"traffic": 0.1}, "no effect moves a metric 'traffic'"),
        ({"treatmen.conversion": 0.1}, "did you mean 'treatment'"),
        ({"conversion": -1.5}, "effect -1.5 on conversion"),
    ],
)
def test_a_lift_that_makes_no_sense_is_refused(lifts: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        world_from_spec(spec(), lifts=lifts)
