"""The samples and the truth are two accounts of the same events: they must agree to the last bit."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict

import numpy as np
import pytest

from abkit.simulate import MINUTE, Pod, Simulation, Total, Users, run
from tests.simulate.reader import read, runs
from tests.simulate.worlds import simulated, two_arms

Key = tuple[str, str, str, str, str, str]


def key_of(labels: dict[str, str]) -> Key:
    version = labels.get("version") or labels["destination_version"]
    rest = (labels.get(name, "") for name in ("ab_variant", "ab_assignment", "response_code", "le"))
    return (labels["__name__"], version, *rest)  # type: ignore[return-value]


def totals_read(simulation: Simulation) -> dict[Key, float]:
    found: dict[Key, float] = defaultdict(float)
    world = simulation.world
    for labels, value in read(simulation.samples, world.start_ms, world.end_ms).items():
        found[key_of(dict(labels))] += value
    return found


def key(total: Total) -> Key:
    return (total.family, total.version, total.variant, total.assignment, total.response_code, total.le)


def test_every_total_read_back_from_the_samples_is_the_visible_one_exactly() -> None:
    found = totals_read(simulated())
    assert {key(total) for total in simulated().truth.totals if total.visible} <= set(found)
    for total in simulated().truth.totals:
        assert found.get(key(total), 0.0) == total.visible, total


def test_visible_is_true_without_what_was_lost_or_came_too_late() -> None:
    totals = simulated().truth.totals
    for total in totals:
        assert total.visible == total.true - total.lost - total.pending + total.carried_in, total
    assert sum(total.lost for total in totals if total.family == "ab_page_views_total") > 0
    assert sum(total.pending for total in totals if total.family == "ab_page_views_total") > 0
    assert sum(total.carried_in for total in totals if total.family == "istio_requests_total") > 0
    assert all(total.carried_in == 0 for total in totals if total.family.startswith("ab_"))


def test_families_agree_with_one_another() -> None:
    truth = simulated().truth
    for variant in simulated().world.names:
        views = truth.total("ab_page_views_total", variant=variant).true
        assert views == truth.total("ab_page_load_seconds_count", variant=variant).true
        assert views == truth.total("ab_page_load_seconds_bucket", variant=variant, le="+Inf").true
        purchases = truth.total("ab_purchases_total", variant=variant).true
        assert 0 < purchases < truth.total("ab_orders_total", variant=variant).true < 2 * purchases
        assert purchases < views
    for version in simulated().world.versions:
        duration = "istio_request_duration_milliseconds"
        requests = truth.total("istio_requests_total", version=version).true
        assert requests == truth.total(f"{duration}_count", version=version).true
        assert requests == truth.total(f"{duration}_bucket", version=version, le="+Inf").true


def test_buckets_are_cumulative_in_every_scrape() -> None:
    histograms: dict[tuple[tuple[str, str], ...], dict[str, tuple[list[int], list[float]]]] = defaultdict(dict)
    for labels, times, values in runs(simulated().samples):
        if labels["__name__"].endswith("_bucket"):
            rest = tuple(sorted((name, value) for name, value in labels.items() if name != "le"))
            histograms[rest][labels["le"]] = (times.tolist(), values.tolist())
    assert histograms
    for buckets in histograms.values():
        ordered = sorted(buckets, key=lambda le: float(le.replace("+Inf", "inf")))
        assert ordered[-1] == "+Inf"
        assert all(buckets[le][0] == buckets["+Inf"][0] for le in ordered)
        assert (np.diff([buckets[le][1] for le in ordered], axis=0) >= 0).all()


def test_what_a_restart_masks_is_what_a_reader_of_values_alone_misses() -> None:
    # Restarts one after the other, and few events: many counters come back as high as they were.
    world = two_arms(users=Users(count=60, views=30))
    restarts = tuple(world.start_ms + minute * MINUTE + 10_000 for minute in range(10, 170, 10))
    pods = (
        Pod("a-0", "v1", "10.0.0.1:80", restarts=restarts),
        Pod("a-1", "v1", "10.0.0.2:80"),
        Pod("b-0", "v2", "10.0.0.3:80"),
    )
    simulation = run(dataclasses.replace(world, pods=pods))
    naive: dict[Key, float] = defaultdict(float)
    for labels, times, values in runs(simulation.samples):
        if labels["__name__"] not in {"up", "process_start_time_seconds"}:
            steps = np.diff(values, prepend=0.0)
            steps = np.where(steps >= 0, steps, values)
            if labels["__name__"].startswith("istio") and times[0] < world.start_ms:
                steps[0] = 0
            naive[key_of(dict(labels))] += float(steps[(times >= world.start_ms)].sum())
    masked = 0.0
    for total in simulation.truth.totals:
        assert naive.get(key(total), 0.0) == total.visible - total.masked, total
        masked += total.masked
    assert masked > 0


def test_truth_as_json_holds_the_same_numbers() -> None:
    truth = simulated().truth
    document = json.loads(simulated().truth_json())
    assert document["seed"] == simulated().world.seed
    assert [Total(**total) for total in document["totals"]] == list(truth.totals)
    assert {lift["metric"] for lift in document["lifts"]} == {lift.metric for lift in truth.lifts}


def test_truth_knows_what_it_is_asked_for() -> None:
    with pytest.raises(KeyError, match="ab_nothing_total"):
        simulated().truth.total("ab_nothing_total")
    with pytest.raises(KeyError, match="conversion of red"):
        simulated().truth.lift("conversion", "red")
