from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest

from abkit.assignment import bucket, replicate, variant_of_bucket
from abkit.errors import InputError
from abkit.simulate import HOUR, MINUTE, Arm, Effects, Gap, Mesh, Pod, Shop, Users, World, labels_text, run
from abkit.simulate.events import arms_of
from abkit.simulate.population import HASH, NONE, RULE, Clock, Population, draw_population
from tests.simulate.reader import runs, starts_of
from tests.simulate.worlds import START, everything, ramped, simulated, two_arms


def population(world: World) -> Population:
    # The first of the four streams that `run` draws from.
    stream = np.random.SeedSequence(world.seed).spawn(4)[0]
    return draw_population(world, Clock.of(world), np.random.Generator(np.random.PCG64(stream)))


def test_same_world_gives_the_same_bytes_and_another_seed_others() -> None:
    again = run(everything())
    assert again.samples.labels == simulated().samples.labels
    for column in ("series", "timestamps", "values"):
        first, second = getattr(simulated().samples, column), getattr(again.samples, column)
        assert first.tobytes() == second.tobytes()
        assert first.dtype == {"series": np.int32, "timestamps": np.int64, "values": np.float64}[column]
    assert again.truth_json() == simulated().truth_json()
    other = run(dataclasses.replace(everything(), seed=6))
    assert other.truth_json() != simulated().truth_json()


def test_samples_are_sorted_by_series_and_time_and_finite() -> None:
    samples = simulated().samples
    texts = [labels_text(labels) for labels in samples.labels]
    assert texts == sorted(set(texts))
    assert np.array_equal(np.unique(samples.series), np.arange(len(texts)))
    same = np.diff(samples.series) == 0
    assert (np.diff(samples.series) >= 0).all()
    assert (np.diff(samples.timestamps)[same] > 0).all()
    assert np.isfinite(samples.values).all()
    world = simulated().world
    assert world.begin_ms <= samples.timestamps.min() < world.start_ms
    assert samples.timestamps.max() < world.end_ms


def test_users_are_assigned_as_abkit_assignment_does() -> None:
    world = dataclasses.replace(everything(), salt="a-salt")
    people = population(world)
    split = {arm.name: arm.weight for arm in world.arms}
    users = np.arange(len(people.ids))
    arms = arms_of(world, people, users, np.full(len(users), world.start_ms))
    seen = Counter(people.assignment.tolist())
    assert seen[HASH] + seen[RULE] == world.users.count
    assert seen[NONE] == 150
    assert len(set(people.ids[: world.users.count])) == world.users.count
    for user, unit in enumerate(people.ids):
        name = world.names[arms[user]]
        match people.assignment[user]:
            case kind if kind == HASH:
                assert people.buckets[user] == bucket("a-salt", unit)
                assert people.replicates[user] == replicate(unit, world.replicates)
                assert name == variant_of_bucket(bucket("a-salt", unit), split)
            case kind if kind == RULE:
                assert name == "green"
            case _:
                assert (unit, name) == ("", "control")


def test_a_ramp_moves_users_one_way_only() -> None:
    world = ramped()
    people = population(world)
    users = np.arange(len(people.ids))
    arms = np.array([arms_of(world, people, users, np.full(len(users), epoch.from_ms)) for epoch in world.splits])
    assert (np.diff(arms, axis=0) >= 0).all()
    shares = arms.mean(axis=1)
    assert shares == pytest.approx([0.05, 0.1, 0.25, 0.5], abs=0.03)
    for epoch, row in zip(world.splits, arms, strict=True):
        assert all(
            world.names[arm] == variant_of_bucket(int(index), dict(epoch.split))
            for arm, index in zip(row[:200], people.buckets[:200], strict=True)
        )
    # In the samples: the treatment serves little at first, and half at last.
    views = {name: np.zeros(4) for name in world.names}
    for labels, times, values in runs(run(world).samples):
        if labels["__name__"] == "ab_page_views_total":
            at = np.searchsorted(times, [world.start_ms + part * 40 * MINUTE for part in range(1, 5)]) - 1
            views[labels["ab_variant"]] += np.diff(values[at], prepend=0.0)
    assert (views["treatment"] / sum(views.values())) == pytest.approx([0.05, 0.1, 0.25, 0.5], abs=0.06)


def test_activity_has_a_heavy_tail() -> None:
    rate = np.sort(population(two_arms(users=Users(count=20_000))).rate)[::-1]
    assert rate.mean() == pytest.approx(20, rel=0.03)
    # Gamma with shape 0.5: the busiest tenth makes 44 % of the views, the lazier half 7 %.
    assert rate[:2_000].sum() / rate.sum() == pytest.approx(0.44, abs=0.02)
    assert rate[10_000:].sum() / rate.sum() == pytest.approx(0.07, abs=0.02)


def test_users_come_and_go_and_follow_the_day() -> None:
    world = two_arms(
        end_ms=START + 48 * HOUR, scrape_interval_ms=10 * MINUTE, users=Users(residents=0.5, day_swing=0.6)
    )
    people = population(world)
    assert 0.3 < np.mean(people.last - people.first < 1) < 0.6
    assert people.first.max() > 0.9
    total = np.zeros(48)
    for labels, times, values in runs(run(world).samples):
        if labels["__name__"] == "ab_page_views_total":
            at = np.searchsorted(times, START + np.arange(1, 49) * HOUR) - 1
            total += np.diff(values[at], prepend=0.0)
    sunday, monday = total[:24], total[24:]
    assert sunday[12:16].sum() > 2 * sunday[0:4].sum()
    assert sunday.sum() / monday.sum() == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize(
    ("effect", "numerator", "denominator"),
    [
        ("conversion", "ab_purchases_total", "ab_page_views_total"),
        ("click_rate", "ab_clicks_total", "ab_page_views_total"),
        ("page_load_time", "ab_page_load_seconds_sum", "ab_page_load_seconds_count"),
        ("revenue", "ab_revenue_total", "ab_orders_total"),
        ("error_rate", "istio_requests_total", "istio_requests_total"),
        ("latency", "istio_request_duration_milliseconds_sum", "istio_request_duration_milliseconds_count"),
        ("activity", "ab_page_views_total", "ab_exposed_users_total"),
    ],
)
def test_each_effect_moves_its_own_metric_by_its_size(effect: str, numerator: str, denominator: str) -> None:
    def lift(effects: Effects) -> float:
        world = two_arms(
            effects,
            users=Users(count=6_000, views=40, shape=50, residents=1),
            shop=Shop(conversion_users=1e4, click_users=1e4, page_load_users=0.01),
            mesh=Mesh(error_rate=0.05, pods=0),
            scrape_interval_ms=20 * MINUTE,
        )
        truth = run(world).truth
        ratios = []
        for arm in world.arms:
            over = truth.total(denominator, version=arm.version).true
            if effect == "error_rate":
                ratios.append(
                    sum(truth.total(numerator, version=arm.version, response_code=c).true for c in ("500", "503"))
                )
            else:
                ratios.append(truth.total(numerator, version=arm.version).true)
            ratios[-1] /= over
        return ratios[1] / ratios[0] - 1

    # 120,000 views an arm: the least of these has a standard error of 1.9 %.
    assert lift(Effects()) == pytest.approx(0, abs=0.06)
    assert lift(Effects(**{effect: 0.4})) == pytest.approx(0.4, abs=0.08)
    others = {"conversion", "click_rate", "page_load_time", "error_rate", "latency"} - {effect}
    assert lift(Effects(**dict.fromkeys(others, 0.4))) == pytest.approx(0, abs=0.06)


def test_true_lifts_are_the_effects_and_say_what_pods_did() -> None:
    world = two_arms(
        Effects(conversion=0.08, click_rate=-0.1, revenue=0.5, error_rate=0.3, page_load_time=0.2),
        mesh=Mesh(pods=0.2),
        shop=Shop(page_load_users=0.01),
    )
    truth = run(world).truth
    assert truth.lift("conversion", "treatment").lift == pytest.approx(0.08)
    assert truth.lift("click-rate", "treatment").lift == pytest.approx(-0.1)
    assert truth.lift("revenue-per-user", "treatment").lift == pytest.approx(1.08 * 1.5 - 1)
    assert truth.lift("success-rate", "treatment").lift == pytest.approx((1 - 0.008 * 1.3) / (1 - 0.008) - 1)
    load = truth.lift("page-load-time", "treatment")
    sums = [truth.total("ab_page_load_seconds_sum", variant=name).true for name in world.names]
    counts = [truth.total("ab_page_load_seconds_count", variant=name).true for name in world.names]
    assert load.lift == pytest.approx(0.2)
    assert load.lift_given_pods is not None
    assert abs(load.lift_given_pods - load.lift) > 0.02
    assert (sums[1] / counts[1]) / (sums[0] / counts[0]) - 1 == pytest.approx(load.lift_given_pods, abs=0.02)
    assert {lift.metric for lift in run(ramped()).truth.lifts}.isdisjoint({"revenue-per-user", "page-views-per-user"})


def test_vips_buy_more_and_are_labelled_rule() -> None:
    world = two_arms(users=Users(count=4_000, views=40, vip_share=0.2), shop=Shop(conversion_users=1e3))
    truth = run(world).truth

    def conversion(variant: str, assignment: str) -> float:
        labels = {"variant": variant, "assignment": assignment}
        return truth.total("ab_purchases_total", **labels).true / truth.total("ab_page_views_total", **labels).true

    assert conversion("treatment", "rule") == pytest.approx(0.15, rel=0.1)
    assert conversion("treatment", "hash") == pytest.approx(conversion("control", "hash"), rel=0.1)
    with pytest.raises(KeyError):
        truth.total("ab_page_views_total", variant="control", assignment="rule")


def test_a_user_is_exposed_once_and_one_without_an_id_never() -> None:
    truth, world = simulated().truth, simulated().world
    exposed = {
        name: truth.total("ab_exposed_users_total", variant=name, assignment="hash").true for name in world.names
    }
    assert all(0 < exposed[name] <= truth.users[name] for name in world.names)
    assert sum(exposed.values()) > 0.5 * world.users.count
    assert truth.total("ab_exposed_users_total", variant="control", assignment="none").true == 0
    assert truth.total("ab_page_views_total", variant="control", assignment="none").true > 0


def test_labels_are_those_of_the_services_and_of_istio() -> None:
    target = {"job", "instance", "namespace", "pod"}
    ab = target | {"ab_experiment", "ab_variant", "ab_assignment", "version"}
    istio = target | {
        *("reporter", "destination_service_name", "destination_service_namespace", "destination_version"),
        "response_code",
    }
    for labels in simulated().samples.labels:
        name = labels["__name__"]
        if name in {"up", "process_start_time_seconds"}:
            wanted = target
        elif name.startswith("ab_"):
            wanted = ab | ({"le"} if name.endswith("_bucket") else {"ab_replicate"})
        else:
            wanted = istio | ({"le"} if name.endswith("_bucket") else set())
        assert set(labels) == wanted | {"__name__"}
    without = {
        labels["ab_replicate"]
        for labels in simulated().samples.labels
        if labels.get("ab_assignment") == "none" and "ab_replicate" in labels
    }
    assert without == {"none"}


def test_children_are_there_from_the_start_and_istios_when_first_used() -> None:
    world = two_arms(users=Users(count=300, views=10), mesh=Mesh(error_rate=0.001))
    names = Counter()  # type: ignore[var-annotated]
    first: dict[str, list[int]] = {"ab_page_views_total": [], "istio_requests_total": []}
    for labels, times, values in runs(run(world).samples):
        names[labels["__name__"], labels["pod"]] += 1
        if labels["__name__"] in first:
            first[labels["__name__"]].append(int(times[0]))
            if labels["__name__"] == "ab_page_views_total":
                assert values[0] == 0
            else:
                assert values[0] > 0
    assert all(names["ab_purchases_total", pod.name] == world.replicates for pod in world.pods)
    assert max(first["ab_page_views_total"]) < world.start_ms
    assert max(first["istio_requests_total"]) > world.start_ms


def test_troubles_are_in_the_samples() -> None:
    world = simulated().world
    starts = starts_of(simulated().samples)
    restarted = next(pod for pod in world.pods if pod.restarts)
    born = next(pod for pod in world.pods if pod.born_ms is not None)
    died = next(pod for pod in world.pods if pod.died_ms is not None)
    scrapes = {pod.name: np.array(sorted(starts[pod.instance])) for pod in world.pods}
    assert len(set(starts[restarted.instance].values())) == 2
    assert {len(set(starts[pod.instance].values())) for pod in world.pods if pod is not restarted} == {1}
    assert born.born_ms is not None
    assert died.died_ms is not None
    assert scrapes[born.name].min() > born.born_ms > world.start_ms + HOUR
    assert starts[born.instance][int(scrapes[born.name][0])] * 1000 == born.born_ms
    assert scrapes[died.name].max() < died.died_ms < world.end_ms - HOUR / 2
    fell = [
        labels
        for labels, _, values in runs(simulated().samples)
        if labels["__name__"] != "up" and (np.diff(values) < 0).any()
    ]
    assert {labels["pod"] for labels in fell} == {restarted.name}
    failing, away = world.gaps
    for pod in world.pods:
        at = scrapes[pod.name]
        assert not ((at >= away.start_ms) & (at < away.end_ms)).any()
    up = {
        labels["pod"]: (times, values)
        for labels, times, values in runs(simulated().samples)
        if labels["__name__"] == "up"
    }
    times, values = up[str(failing.pod)]
    inside = (times >= failing.start_ms) & (times < failing.end_ms)
    assert inside.sum() == 6
    assert not values[inside].any()
    assert not ((scrapes[str(failing.pod)] >= failing.start_ms) & (scrapes[str(failing.pod)] < failing.end_ms)).any()


def test_sums_are_exact_binary_fractions() -> None:
    for labels, _, values in runs(simulated().samples):
        quantum = {"ab_page_load_seconds_sum": 2.0**-10, "ab_revenue_total": 0.25}.get(labels["__name__"], 1.0)
        if labels["__name__"] != "process_start_time_seconds":
            assert (values % quantum == 0).all(), labels


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"end_ms": START}, "end must follow start"),
        ({"jitter_ms": MINUTE}, "less than the scrape interval"),
        ({"arms": (Arm("control", "v1", 5_000), Arm("treatment", "v2", 4_000))}, "must sum to 10,000"),
        ({"arms": (Arm("control", "v1", 5_000), Arm("control", "v2", 5_000))}, "'control' is there twice"),
        ({"pods": (Pod("p", "v3", "10.0.0.1:80"),)}, "runs 'v3'"),
        ({"pods": (Pod("p", "v1", "1:1", restarts=(START + 9, START + 5)),)}, "must follow one another"),
        ({"vip_arm": "treatmet"}, "did you mean 'treatment'"),
        (
            {"arms": (Arm("control", "v1", 10_000, Effects(error_rate=-2)), Arm("treatment", "v2", 0))},
            "effect -2 on error_rate",
        ),
        ({"mesh": Mesh(error_rate=0.7)}, "error rate is 0.7"),
        ({"users": Users(count=0)}, "needs a user"),
    ],
)
def test_a_world_that_contradicts_itself_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        two_arms(**fields)


def test_a_version_without_a_pod_is_refused() -> None:
    pods = (Pod("a", "v1", "1:1"), Pod("b", "v2", "1:2", died_ms=START + HOUR))
    with pytest.raises(InputError, match="no pod of version number 2 is up"):
        run(two_arms(pods=pods))


def test_a_gap_of_everything_hides_nothing_for_good() -> None:
    quiet = run(two_arms())
    gappy = run(two_arms(gaps=(Gap(START + HOUR, START + 2 * HOUR),)))
    for total, same in zip(quiet.truth.totals, gappy.truth.totals, strict=True):
        assert (total.true, total.visible) == (same.true, same.visible)


class TestPrePeriod:
    def test_the_control_serves_everyone_and_labels_who_will_be_where(self) -> None:
        quiet = two_arms(Effects(conversion=0.5), lead_ms=2 * HOUR, pre_ms=HOUR, users=Users(count=3_000, views=30.0))
        found = run(quiet)
        shown = {
            (labels["ab_variant"], labels["version"], before): sum(
                found.samples.values[at][-1] - found.samples.values[at][0] if at.any() else 0.0
                for index, other in enumerate(found.samples.labels)
                if other.get("__name__") == "ab_page_views_total"
                and (other["ab_variant"], other["version"]) == (labels["ab_variant"], labels["version"])
                for at in [(found.samples.series == index) & ((found.samples.timestamps < quiet.start_ms) == before)]
            )
            for labels in found.samples.labels
            if labels.get("__name__") == "ab_page_views_total"
            for before in (True, False)
        }
        assert shown["treatment", "v1", True] > 0.8 * shown["control", "v1", True] > 0
        assert shown["treatment", "v2", False] > 0.8 * shown["control", "v1", False] > 0
        # After the start v1 counts nobody of the treatment; before it v2 nobody at all.
        assert shown["treatment", "v1", False] == shown["treatment", "v2", True] == 0

    def test_the_truth_is_that_of_the_window_alone(self) -> None:
        found = run(two_arms(lead_ms=2 * HOUR, pre_ms=HOUR))
        views = found.truth.total("ab_page_views_total")
        users = found.truth.total("ab_exposed_users_total")
        assert views.visible == views.true - views.lost - views.pending + views.carried_in
        assert views.carried_in > 0
        assert users.carried_in == 0

    def test_a_pre_period_longer_than_the_lead(self) -> None:
        with pytest.raises(InputError, match="longer lead"):
            two_arms(pre_ms=HOUR)
