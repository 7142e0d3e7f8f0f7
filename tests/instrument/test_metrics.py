from __future__ import annotations

import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from abkit.assignment import replicate, variant_of_bucket
from abkit.errors import InputError
from abkit.instrument import Assigned, Context, Edge, ExperimentMetrics

VARIANTS = {"control": "v1", "treatment": "v2"}
HALVES = {"control": 5_000, "treatment": 5_000}
EDGE = Edge({"checkout": "buy-now-button-1"})
BEHIND = Edge({}, behind_mesh=True)


def _metrics(registry: CollectorRegistry, **options: Any) -> ExperimentMetrics:
    settings: dict[str, Any] = {"layer": "checkout", "registry": registry}
    return ExperimentMetrics("buy-now", VARIANTS, "v2", **(settings | options))


def _visit(unit: str = "user-42") -> Context:
    return EDGE.receive([("cookie", f"ab_uid={unit}")])


def _marked(variant: str, assignment: str, **headers: str) -> Context:
    marks = {"x-ab-variant-checkout": variant, "x-ab-assignment-checkout": assignment}
    return BEHIND.receive([*marks.items(), *((name.replace("_", "-"), value) for name, value in headers.items())])


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    whole = {"ab_experiment": "buy-now", "version": "v2"} | labels
    return registry.get_sample_value(name, whole)


def _samples(registry: CollectorRegistry) -> list[Any]:
    return [sample for metric in registry.collect() for sample in metric.samples]


def test_all_children_are_there_from_the_start() -> None:
    registry = CollectorRegistry()
    _metrics(registry, counters={"wishlist": "Items put on the wish list."})
    places = {
        (variant, assignment, number)
        for variant in VARIANTS
        for assignment, numbers in {
            "hash": [str(one) for one in range(32)],
            "rule": [*(str(one) for one in range(32)), ""],
            "none": [""],
        }.items()
        for number in numbers
    }
    for name in (
        "ab_exposed_users_total",
        "ab_page_views_total",
        "ab_clicks_total",
        "ab_purchases_total",
        "ab_orders_total",
        "ab_revenue_total",
        "ab_wishlist_total",
        "ab_page_load_seconds_sum",
        "ab_page_load_seconds_count",
    ):
        found = [sample for sample in _samples(registry) if sample.name == name]
        assert {
            (one.labels["ab_variant"], one.labels["ab_assignment"], one.labels["ab_replicate"]) for one in found
        } == places
        assert len(found) == len(places)
        assert {one.value for one in found} == {0.0}
        assert all(one.labels["ab_experiment"] == "buy-now" and one.labels["version"] == "v2" for one in found)
    buckets = [sample for sample in _samples(registry) if sample.name == "ab_page_load_seconds_bucket"]
    assert len(buckets) == len(VARIANTS) * 3 * 11
    assert all("ab_replicate" not in sample.labels for sample in buckets)
    # Nothing but these: the client's _created series would double the lot.
    assert not any(sample.name.endswith("_created") for sample in _samples(registry))


def test_events_count_where_the_unit_belongs() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry, split=HALVES, counters={"wishlist": "Wishes."})
    context = _visit()
    assert metrics.assigned(context) == Assigned("treatment", "hash", 14)
    metrics.page_view(context)
    metrics.page_view(context)
    metrics.click(context)
    metrics.purchase(context)
    metrics.order(context)
    metrics.revenue(context, 19.5)
    metrics.revenue(context, 0)
    metrics.count("wishlist", context, 3)
    metrics.count("clicks", context)
    metrics.page_load(context, 0.3)
    assert metrics.expose(context)
    expected = {
        "ab_page_views_total": 2,
        "ab_clicks_total": 2,
        "ab_purchases_total": 1,
        "ab_orders_total": 1,
        "ab_revenue_total": 19.5,
        "ab_wishlist_total": 3,
        "ab_exposed_users_total": 1,
        "ab_page_load_seconds_sum": 0.3,
        "ab_page_load_seconds_count": 1,
    }
    changed = {
        sample.name: sample.value
        for sample in _samples(registry)
        if sample.value and not sample.name.endswith("_bucket")
    }
    assert changed == expected
    place = {"ab_variant": "treatment", "ab_assignment": "hash", "ab_replicate": "14"}
    assert {name: _value(registry, name, **place) for name in expected} == expected


def test_page_load_buckets_are_cumulative() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry, split=HALVES, page_load_buckets=(0.5, 1, 2))
    for seconds in (0.1, 0.5, 0.51, 1.5, 30.0):
        metrics.page_load(_visit(), seconds)
    place = {"ab_variant": "treatment", "ab_assignment": "hash"}
    counts = {
        le: _value(registry, "ab_page_load_seconds_bucket", le=le, **place) for le in ("0.5", "1.0", "2.0", "+Inf")
    }
    assert counts == {"0.5": 2, "1.0": 3, "2.0": 4, "+Inf": 5}
    assert _value(registry, "ab_page_load_seconds_count", ab_replicate="14", **place) == 5
    assert _value(registry, "ab_page_load_seconds_sum", ab_replicate="14", **place) == pytest.approx(32.61)


def test_the_meshs_mark_counts_before_the_bucket() -> None:
    metrics = _metrics(CollectorRegistry(), split=HALVES)
    unit = {"x_user_id": "user-42"}
    assert metrics.assigned(_marked("control", "rule", x_ab_bucket_checkout="8640", **unit)) == Assigned(
        "control", "rule", 14
    )
    assert metrics.assigned(_marked("control", "hash", x_ab_replicate="3", **unit)) == Assigned("control", "hash", 3)
    assert metrics.assigned(_marked("control", "none")) == Assigned("control", "none", None)
    bucket_alone = BEHIND.receive([("x-ab-bucket-checkout", "4999"), ("x-user-id", "user-42")])
    assert metrics.assigned(bucket_alone) == Assigned("control", "hash", 14)
    assert metrics.assigned(BEHIND.receive([])) == Assigned("control", "none", None)
    other = _metrics(CollectorRegistry(), split=HALVES, without_unit="treatment")
    assert other.assigned(BEHIND.receive([])) == Assigned("treatment", "none", None)


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (BEHIND.receive([("x-user-id", "user-42")]), "not-marked"),
        (_marked("gamma", "hash", x_user_id="user-42"), "unknown-variant"),
        (_marked("treatment", "hash", x_user_id="user-42", x_ab_experiment_checkout="other"), "other-experiment"),
        (_marked("control", "hash"), "no-replicate"),
    ],
)
def test_what_belongs_nowhere_is_counted_with_its_reason(context: Context, reason: str) -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry)
    reasons = ("not-marked", "unknown-variant", "other-experiment", "no-replicate", "exposed-too-late")
    assert [_value(registry, "abkit_uncounted_events_total", reason=one) for one in reasons] == [0] * len(reasons)
    assert metrics.assigned(context) is None
    metrics.click(context)
    metrics.page_load(context, 1)
    assert not metrics.expose(context)
    assert context.seen == ()
    assert _value(registry, "abkit_uncounted_events_total", reason=reason) == 3
    assert [one.name for one in _samples(registry) if one.value] == ["abkit_uncounted_events_total"]


@pytest.mark.parametrize(
    ("context", "assignment", "number"),
    [
        (_marked("control", "none"), "none", ""),
        # A unit that came without its bucket was not randomised: its replicate says nothing.
        (_marked("control", "none", x_user_id="user-42"), "none", ""),
        (_marked("control", "rule"), "rule", ""),
        (_marked("control", "rule", x_user_id="user-42"), "rule", "14"),
        (_marked("control", "forced", x_user_id="user-42"), "forced", "14"),
    ],
)
def test_what_was_not_randomised_is_kept_apart(context: Context, assignment: str, number: str) -> None:
    registry = CollectorRegistry()
    _metrics(registry).click(context)
    place = {"ab_variant": "control", "ab_assignment": assignment, "ab_replicate": number}
    assert _value(registry, "ab_clicks_total", **place) == 1
    assert sum(sample.value for sample in _samples(registry)) == 1


def test_exposure_counts_a_user_once_for_each_way() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry)
    first = _marked("control", "rule", x_user_id="user-42")
    assert metrics.expose(first)
    assert not metrics.expose(first)
    cookie = BEHIND.set_cookies(first, https=False)[0].split(";")[0]
    later = _marked("treatment", "hash", x_user_id="user-42", cookie=cookie)
    assert list(later.seen) == ["buy-now_rule"]
    assert metrics.expose(later)
    assert list(later.seen) == ["buy-now_rule", "buy-now"]
    assert not metrics.expose(_marked("control", "none"))
    hashed = {"ab_variant": "treatment", "ab_assignment": "hash", "ab_replicate": "14"}
    assert _value(registry, "ab_exposed_users_total", **hashed) == 1
    assert sum(sample.value for sample in _samples(registry)) == 2


def test_requests_side_by_side_without_a_marker_count_once() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry, split=HALVES)
    visits = [_visit() for _ in range(5)]
    assert [metrics.expose(visit) for visit in visits] == [True, False, False, False, False]
    # Each of the responses carries the marker: whichever arrives last.
    assert all(visit.seen_changed for visit in visits)


def test_experiments_share_the_families_and_keep_their_counts() -> None:
    registry = CollectorRegistry()
    one = _metrics(registry, split=HALVES)
    other = ExperimentMetrics(
        "banner", {"control": "v2", "loud": "v2"}, "v2", split={"control": 0, "loud": 10_000}, registry=registry
    )
    names = [metric.name for metric in registry.collect()]
    assert len(names) == len(set(names))
    both = Edge({"checkout": "buy-now-button-1", "banner": "banner"}).receive([("cookie", "ab_uid=user-42")])
    one.click(both)
    other.click(both)
    other.click(both)
    counted = {
        (sample.labels["ab_experiment"], sample.labels["ab_variant"]): sample.value
        for sample in _samples(registry)
        if sample.name == "ab_clicks_total" and sample.value
    }
    assert counted == {("buy-now", "treatment"): 1, ("banner", "loud"): 2}
    # Made again, as a reloaded module does, it goes on counting.
    again = _metrics(registry, split=HALVES)
    again.click(both)
    place = {"ab_variant": "treatment", "ab_assignment": "hash", "ab_replicate": "14"}
    assert _value(registry, "ab_clicks_total", **place) == 2


def test_a_place_may_be_given() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry)
    metrics.order(Assigned("treatment", "hash", 31))
    place = {"ab_variant": "treatment", "ab_assignment": "hash", "ab_replicate": "31"}
    assert _value(registry, "ab_orders_total", **place) == 1


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Assigned("treatmnt", "hash", 1), "no variant 'treatmnt': did you mean 'treatment'?"),
        (Assigned("treatment", "hsh", 1), "no assignment 'hsh': did you mean 'hash'?"),
        (Assigned("treatment", "hash", 32), "replicate should be 0 to 31 (got 32)"),
        (Assigned("treatment", "rule", -1), "replicate should be 0 to 31 (got -1)"),
        (Assigned("treatment", "hash", None), "replicate should be 0 to 31 (got None)"),
    ],
)
def test_wrong_places(place: Assigned, words: str) -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry)
    with pytest.raises(InputError) as raised:
        metrics.click(place)
    assert words in str(raised.value)
    assert not any(sample.value for sample in _samples(registry))


def test_wrong_names_and_amounts() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry, split=HALVES, counters={"wishlist": "Wishes."})
    with pytest.raises(InputError, match="no counter 'whishlist': did you mean 'wishlist'"):
        metrics.count("whishlist", _visit())
    with pytest.raises(InputError, match=r"counted by expose\(\)"):
        metrics.count("exposed_users", _visit())
    for amount in (-1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="revenue: should be a number from 0 on"):
            metrics.revenue(_visit(), amount)
        with pytest.raises(InputError, match="page_load: should be a number from 0 on"):
            metrics.page_load(_visit(), amount)
    assert not any(sample.value for sample in _samples(registry))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": {"control": 5_000, "treatment": 4_000}}, "the split sums to 9000, must sum to 10000"),
        ({"split": {"control": 11_000, "treatment": -1_000}}, "must sum to 10000"),
        ({"split": {"control": 5_000, "treatmnt": 5_000}}, "no variant 'treatmnt': did you mean 'treatment'"),
        ({"without_unit": "nobody"}, "no variant 'nobody': valid: control, treatment"),
        ({"replicates": 0}, "replicates should be a number from 8 to 256 (got 0)"),
        ({"assignments": ["hsh"]}, "no assignment 'hsh': did you mean 'hash'"),
        ({"counters": {"Wish List": ""}}, "counter 'Wish List' should be snake_case"),
        ({"counters": {"wish_total": ""}}, "counter 'wish_total' should be snake_case without a suffix"),
        ({"counters": {"clicks": ""}}, "counter 'clicks' is built in"),
        ({"counters": {"page_load_seconds": ""}}, "counter 'page_load_seconds' is built in"),
        ({"page_load_buckets": [1, 1]}, "bucket bounds must rise"),
        ({"page_load_buckets": [float("nan")]}, "bucket bounds must rise"),
    ],
)
def test_wrong_settings(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as raised:
        _metrics(CollectorRegistry(), **options)
    assert str(raised.value).startswith("experiment buy-now: ")
    assert words in str(raised.value)


def test_wrong_experiment() -> None:
    registry = CollectorRegistry()
    with pytest.raises(InputError, match="experiment Buy Now: should be lower-case letters"):
        ExperimentMetrics("Buy Now", VARIANTS, "v1", registry=registry)
    with pytest.raises(InputError, match="experiment buy-now: has no variants"):
        ExperimentMetrics("buy-now", {}, "v1", registry=registry)


def test_a_metric_of_the_same_name_that_is_not_ours() -> None:
    registry = CollectorRegistry()
    Counter("ab_clicks", "Somebody's clicks.", registry=registry)
    with pytest.raises(InputError, match=r"experiment buy-now: .*ab_clicks"):
        _metrics(registry)


def test_many_threads_lose_nothing() -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry, split=HALVES)
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for turn in range(250):
            # Every unit comes in all threads.
            context = _visit(f"user-{turn}")
            metrics.expose(context)
            metrics.page_view(context)
            metrics.revenue(context, 0.5)
            metrics.page_load(context, number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals: dict[str, float] = {}
    for sample in _samples(registry):
        if sample.labels.get("le", "+Inf") == "+Inf":
            totals[sample.name] = totals.get(sample.name, 0) + sample.value
    assert {name: value for name, value in totals.items() if value} == {
        "ab_exposed_users_total": 250,
        "ab_page_views_total": 2_000,
        "ab_revenue_total": 1_000,
        "ab_page_load_seconds_sum": 250 * sum(range(8)),
        "ab_page_load_seconds_count": 2_000,
        "ab_page_load_seconds_bucket": 2_000,
    }
    view = {"ab_variant": "treatment", "ab_assignment": "hash", "ab_replicate": str(replicate("user-42"))}
    assert (_value(registry, "ab_page_views_total", **view) or 0) >= 8


class TestPrePeriod:
    def test_requests_are_labelled_by_the_variant_to_come_whatever_the_mesh_marks(self) -> None:
        registry = CollectorRegistry()
        metrics = _metrics(registry, split=HALVES, pre_period=True)
        # The mesh sends everyone to the control, and says so.
        units = [f"user-{number}" for number in range(200)]
        for unit in units:
            context = _visit(unit)
            routed = BEHIND.receive(
                [*context.headers.items(), ("x-ab-variant-checkout", "control"), ("x-ab-assignment-checkout", "hash")]
            )
            place = metrics.assigned(routed)
            assert place is not None
            assert place.variant == variant_of_bucket(context.buckets["checkout"], HALVES)
            assert (place.assignment, place.replicate) == ("hash", replicate(unit, 32))
            metrics.page_view(routed)
        views = [sample for sample in _samples(registry) if sample.name == "ab_page_views_total" and sample.value]
        by_variant = {name: sum(x.value for x in views if x.labels["ab_variant"] == name) for name in VARIANTS}
        assert sum(by_variant.values()) == len(units)
        assert min(by_variant.values()) > 60
        assert {sample.labels["version"] for sample in views} == {"v2"}

    def test_nobody_is_exposed_before_the_start(self) -> None:
        registry = CollectorRegistry()
        before, context = _metrics(registry, split=HALVES, pre_period=True), _visit()
        assert before.expose(context) is False
        assert context.seen == ()
        # Whoever came before is a first exposure afterwards.
        after = _metrics(registry, split=HALVES)
        assert after.expose(context) is True

    def test_the_split_that_will_be_in_force_is_needed(self) -> None:
        with pytest.raises(InputError, match="give the split"):
            _metrics(CollectorRegistry(), pre_period=True)
