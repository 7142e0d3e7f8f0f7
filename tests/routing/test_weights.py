from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.errors import RoutingError
from abkit.routing import parse_weights, resolve_split, resolve_splits
from tests.routing.specs import experiment, split

THREE = {"variants": split(control=8_000, v2=1_000, v3=1_000), "assignment": {}}
CANARY = {"strategy": "canary", "variants": {"stable": "v1", "canary": "v2"}, "assignment": {}}


def test_named_versions_get_their_percentage_and_the_control_the_rest() -> None:
    assert resolve_split(experiment(), {"v2": 25}) == {"control": 7_500, "treatment": 2_500}
    assert resolve_split(experiment(), {"v2": 0.01}) == {"control": 9_999, "treatment": 1}
    assert resolve_split(experiment(), {"v2": 100}) == {"control": 0, "treatment": 10_000}
    assert resolve_split(experiment(), {"v2": 0}) == {"control": 10_000, "treatment": 0}
    assert resolve_split(experiment(), {"v1": 60, "v2": 40}) == {"control": 6_000, "treatment": 4_000}
    assert resolve_split(experiment(**THREE), {"v3": 10, "v2": 33.33}) == {"control": 5_667, "v2": 3_333, "v3": 1_000}
    assert resolve_split(experiment(**THREE), {"v3": 10}) == {"control": 9_000, "v2": 0, "v3": 1_000}


def test_order_is_the_files() -> None:
    assert list(resolve_split(experiment(**THREE), {"v3": 10, "v2": 20})) == ["control", "v2", "v3"]


def test_without_weights_the_specs_split() -> None:
    assert resolve_split(experiment()) == {"control": 5_000, "treatment": 5_000}
    assert resolve_split(experiment(), {}) == {"control": 5_000, "treatment": 5_000}
    assert resolve_split(experiment(**CANARY)) == {"stable": 9_500, "canary": 500}


def test_steps_of_a_canary() -> None:
    spec = experiment(**CANARY, canary={"steps": [1, 12.5, 100]})
    shares = [resolve_split(spec, step=step)["canary"] for step in (1, 2, 3)]
    assert shares == [100, 1_250, 10_000]


@given(st.integers(0, 10_000))
def test_every_basis_point_can_be_said_in_percent(points: int) -> None:
    weights = parse_weights([f"v2={points / 100:.2f}"])
    assert resolve_split(experiment(), weights) == {"control": 10_000 - points, "treatment": points}


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"v22": 5}, "has no version 'v22': did you mean 'v2'? Valid: v1, v2"),
        ({"zzz": 5}, "has no version 'zzz': valid: v1, v2"),
        ({"treatment": 5}, "'treatment' is a variant; name its version: 'v2'"),
        ({"v2": -1}, "'v2=-1': should be a percentage from 0 to 100"),
        ({"v2": 100.5}, "'v2=100.5': should be a percentage from 0 to 100"),
        ({"v2": float("nan")}, "'v2=nan': should be a percentage"),
        ({"v2": float("inf")}, "'v2=inf': should be a percentage"),
        ({"v2": 33.333}, "'v2=33.333': should have two decimals at most, such as 33.33"),
        ({"v1": 60, "v2": 50}, "v1 60 + v2 50 sum to 110 percent: must be 100 at most"),
        ({"v1": 60}, "the sum is 60 percent, not 100: leave out the control, 'v1' gets what the others leave"),
    ],
)
def test_wrong_weights(weights: dict[str, float], words: str) -> None:
    with pytest.raises(RoutingError) as raised:
        resolve_split(experiment(), weights)
    assert words in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_version_of_two_variants_is_ambiguous() -> None:
    spec = experiment(variants={"control": "v1", "treatment": "v1"}, assignment={})
    with pytest.raises(RoutingError, match="'v1' belongs to the variants control and treatment"):
        resolve_split(spec, {"v1": 10})


@pytest.mark.parametrize("step", [0, 6, -1])
def test_wrong_step(step: int) -> None:
    with pytest.raises(RoutingError, match=r"has the steps 1 \(5 %\), 2 \(10 %\), 3 \(25 %\), 4 \(50 %\), 5 \(100 %\)"):
        resolve_split(experiment(**CANARY), step=step)


def test_steps_are_a_canarys_and_stand_alone() -> None:
    with pytest.raises(RoutingError, match="strategy 'ab' and so no steps"):
        resolve_split(experiment(), step=1)
    with pytest.raises(RoutingError, match="not both"):
        resolve_split(experiment(**CANARY), {"v2": 5}, step=1)


def test_parse() -> None:
    assert parse_weights([]) == {}
    assert parse_weights(["v2=25", "1.4.2=0.5"]) == {"v2": 25, "1.4.2": 0.5}
    assert parse_weights(["v2=25, v3=10"]) == {"v2": 25, "v3": 10}


@pytest.mark.parametrize("option", ["v2", "v2=", "=5", "v2=x", "v2=25%", "v2=nan", "", "v2=1,"])
def test_parse_refuses(option: str) -> None:
    with pytest.raises(RoutingError, match="should be VERSION=PERCENT, such as v2=25"):
        parse_weights([option])


def test_parse_refuses_a_version_named_twice() -> None:
    with pytest.raises(RoutingError, match="'v2' is named twice"):
        parse_weights(["v2=1", "v2=2"])


def test_several_experiments_take_options_by_name() -> None:
    one, two = experiment(metadata={"name": "one"}), experiment(metadata={"name": "two"}, **CANARY)
    assert resolve_splits([one, two], ["one:v2=25"], ["two:3"]) == {
        "one": {"control": 7_500, "treatment": 2_500},
        "two": {"stable": 7_500, "canary": 2_500},
    }
    assert resolve_splits([one, two])["one"] == {"control": 5_000, "treatment": 5_000}
    assert resolve_splits([two], steps=["2"])["two"]["canary"] == 1_000


@pytest.mark.parametrize(
    ("weights", "steps", "words"),
    [
        (["v2=25"], [], "which experiment"),
        ([], ["2"], "Write --step one:N"),
        (["tow:v2=25"], [], "did you mean 'two'"),
        ([], ["two:first"], "one step's number"),
        ([], ["two:1", "two:2"], "one step's number"),
        (["two:v2=5"], ["two:1"], "not both"),
        ([], ["one:1"], "has strategy 'ab'"),
    ],
)
def test_options_of_several_experiments_that_are_wrong(weights: list[str], steps: list[str], words: str) -> None:
    one, two = experiment(metadata={"name": "one"}), experiment(metadata={"name": "two"}, **CANARY)
    with pytest.raises(RoutingError, match=words):
        resolve_splits([one, two], weights, steps)
