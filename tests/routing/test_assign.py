from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.assignment import bucket, replicate, variant_of_bucket
from abkit.errors import RoutingError
from abkit.routing import Assigned, assign, assign_many
from tests.routing.specs import experiment, split


def test_one_by_hash() -> None:
    got = assign(experiment(), "user-42")
    assert got == Assigned("user-42", 8_640, 14, "treatment", "v2", "hash")
    assert (got.bucket, got.replicate) == (bucket("buy-now-button-1", "user-42"), replicate("user-42"))


def test_a_rule_wins_whatever_the_bucket() -> None:
    spec = experiment()
    control = next(unit for unit in map(str, range(100)) if assign(spec, unit).variant == "control")
    ruled = assign(spec, control, headers={"X-User-Type": "vip"})
    assert (ruled.variant, ruled.version, ruled.assignment) == ("treatment", "v2", "rule")
    assert ruled.bucket == bucket("buy-now-button-1", control)
    assert assign(spec, control, headers={"x-user-type": "VIP"}).assignment == "hash"
    assert assign(spec, "", headers={"x-user-type": "vip"}) == Assigned("", None, None, "treatment", "v2", "rule")


def test_without_a_unit() -> None:
    assert assign(experiment(), "") == Assigned("", None, None, "control", "v1", "none")
    other = experiment(assignment={"without-unit": "treatment"})
    assert assign(other, "") == Assigned("", None, None, "treatment", "v2", "none")


def test_number_of_replicates_is_the_specs() -> None:
    spec = experiment(assignment={"replicates": 64})
    assert assign(spec, "user-1").replicate == replicate("user-1", 64)
    assert assign_many(spec, ["user-1"])[0].replicate == replicate("user-1", 64)


@given(
    units=st.lists(st.one_of(st.text(st.characters(codec="utf-8"), max_size=30), st.just("")), max_size=30),
    weights=st.lists(st.integers(0, 100), min_size=1, max_size=6),
)
def test_many_is_one_many_times(units: list[str], weights: list[int]) -> None:
    scaled = [weight * 10 for weight in weights]
    spec = experiment(
        variants=split(control=10_000 - sum(scaled), **{f"v{i}": w for i, w in enumerate(scaled)}),
        assignment={"without-unit": "v0", "salt": "x"},
    )
    many = assign_many(spec, units)
    assert len(many) == len(units)
    assert [many[index] for index in range(len(units))] == [assign(spec, unit) for unit in units]
    for unit, one in zip(units, many, strict=True):
        if unit:
            assert one.variant == variant_of_bucket(bucket("x", unit), spec.split)


def test_many_with_another_split() -> None:
    ids = [f"user-{number}" for number in range(500)]
    many = assign_many(experiment(), ids, split={"control": 10_000, "treatment": 0})
    assert {many.variants[place] for place in many.variant} == {"control"}
    full = assign_many(experiment(), ids, split={"control": 0, "treatment": 10_000})
    assert {full.variants[place] for place in full.variant} == {"treatment"}
    assert assign(experiment(), ids[0], split={"control": 0, "treatment": 10_000}).variant == "treatment"


def test_many_says_missing_plainly() -> None:
    many = assign_many(experiment(), ["user-1", ""])
    assert many.buckets.tolist() == [bucket("buy-now-button-1", "user-1"), -1]
    assert many.replicates.tolist() == [replicate("user-1"), -1]
    assert (many.buckets.dtype, many.replicates.dtype, many.variant.dtype) == (np.dtype(np.int32),) * 3


def test_ids_that_are_not_text() -> None:
    # What a shell hands on for a byte that is not UTF-8.
    with pytest.raises(RoutingError, match=r"id 'user-\\udcff' is not UTF-8 text"):
        assign(experiment(), "user-\udcff")
    with pytest.raises(RoutingError, match=r"id 'user-\\udcff' is not UTF-8 text"):
        assign_many(experiment(), ["user-1", "user-\udcff"])


def test_many_is_much_faster_than_one_by_one() -> None:
    spec = experiment()
    ids = [f"user-{number}" for number in range(30_000)]

    def per_id(run: object, units: list[str]) -> float:
        start = time.process_time()
        run(spec, units)  # type: ignore[operator]
        return (time.process_time() - start) / len(units)

    one = min(per_id(lambda s, units: [assign(s, unit) for unit in units], ids[:1_000]) for _ in range(3))
    many = min(per_id(assign_many, ids) for _ in range(3))
    assert many < one / 3


@pytest.mark.parametrize(
    ("changes", "to"),
    [
        ({"strategy": "blue-green"}, "treatment"),
        ({"strategy": "canary", "canary": {"steps": [100]}}, "treatment"),
        ({"strategy": "canary"}, "control"),
        ({"strategy": "blue-green", "assignment": {"without-unit": "control"}}, "control"),
        ({"strategy": "blue-green", "assignment": {"buckets": {"from": 0, "to": 4_999}}}, "control"),
        (
            {"variants": {"control": {"version": "v1", "weight": 0}, "treatment": {"version": "v2", "weight": 10_000}}},
            "control",
        ),
    ],
)
def test_who_carries_no_id_goes_along_when_a_release_is_through(changes: dict[str, Any], to: str) -> None:
    spec = experiment(**({"variants": {"control": "v1", "treatment": "v2"}, "assignment": {}} | changes))
    assert (assign(spec, "").variant, assign(spec, "").assignment) == (to, "none")
    assert assign_many(spec, [""])[0] == assign(spec, "")
