"""Absolute limits: what is certain is said, what the buckets leave open is never a pass."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit import spec
from abkit.evidence import LimitResult, StatusCode, Usage
from abkit.pipeline.compare import compare_all
from abkit.pipeline.limits import check_limits
from abkit.pipeline.looks import Looked
from abkit.pipeline.totals import Totals
from abkit.spec import Role
from tests.pipeline.buckets import INF, Row, experiment, histogram, input_of, metrics_of, totals

P99 = experiment("{latency-p99: {pause: 0.5, rollback: 1.0}}")
BUCKET = input_of(P99, "latency-p99")
ERRORS = experiment("{error-rate: {pause: 0.01, rollback: 0.05}}")


def judged(found: Totals, level: str = "pause", variant: str = "treatment") -> LimitResult:
    results = check_limits(P99, metrics_of(P99), found)
    return next(result for result in results if (result.level, result.variant) == (level, variant))


def of_treatment(counts: dict[float, float], **more: Any) -> Totals:
    """Totals with the treatment's buckets in milliseconds."""
    return totals(histogram(BUCKET, "treatment", counts, **more))


class TestBetweenEdges:
    def test_open_is_undefined_and_names_the_bucket(self) -> None:
        # P99 is 2.4 s by interpolation, and anything from 0.25 to 2.5 s in truth.
        for level, edge in (("pause", "0.5 s"), ("rollback", "1 s")):
            found = judged(of_treatment({250: 7_000, 2500: 10_000, INF: 10_000}), level)
            assert (found.status.code, found.beyond, found.p_value) == (StatusCode.UNDEFINED, False, None)
            assert not found.within
            assert f"no bucket edge at {edge}" in found.status.reason
            assert "30.0 % are slower than 0.25 s, 0 % are slower than 2.5 s" in found.status.reason
            assert f"add a bucket at {edge} or move the limit to an edge" in found.status.reason

    def test_fine_where_the_edge_below_is_fine(self) -> None:
        found = judged(of_treatment({250: 9_950, 2500: 10_000, INF: 10_000}))
        assert (found.status.code, found.beyond, found.within) == (StatusCode.OK, False, True)
        assert "100 slower than 0.25 s" in found.method

    def test_certainly_within_only_if_the_edge_below_is(self) -> None:
        # 0.99 % may take longer: fine, and too near to 1 % to be certain. That none is slower than 2.5 s is no help.
        found = judged(of_treatment({250: 9_901, 2500: 10_000, INF: 10_000}))
        assert (found.status.code, found.beyond, found.within) == (StatusCode.OK, False, False)

    def test_open_from_the_first_request_over_what_is_allowed(self) -> None:
        assert judged(of_treatment({250: 9_900, 2500: 10_000, INF: 10_000})).status.code is StatusCode.OK
        assert judged(of_treatment({250: 9_899, 2500: 10_000, INF: 10_000})).status.code is StatusCode.UNDEFINED

    def test_beyond_where_the_edge_above_is_beyond(self) -> None:
        found = judged(of_treatment({250: 5_000, 2500: 9_500, INF: 10_000}))
        assert (found.status.code, found.beyond, found.within) == (StatusCode.OK, True, False)
        assert found.p_value is not None
        assert found.p_value < 1e-6

    def test_no_edge_below(self) -> None:
        assert judged(of_treatment({2500: 10_000, INF: 10_000})).status.code is StatusCode.UNDEFINED
        assert judged(of_treatment({2500: 5_000, INF: 10_000})).beyond

    def test_an_edge_in_another_unit_is_the_limit_all_the_same(self) -> None:
        # 2300 · 0.001 isn't 2.3 to the last bit.
        assert 2300 * 0.001 != 2.3
        given_ = experiment("{latency-p99: {pause: 2.3}}")
        for slow, beyond in ((50, False), (5_000, True)):
            counts: dict[float, float] = {100: 5_000, 2300: 10_000 - slow, 5000: 10_000, INF: 10_000}
            result = check_limits(given_, metrics_of(given_), of_treatment(counts))[-1]
            assert (result.status.code, result.beyond, result.within) == (StatusCode.OK, beyond, not beyond)
            assert f"{2 * slow:,} of 20,000 slower than 2.3 s" in result.method


class TestAboveTheLastEdge:
    def test_fine_where_nearly_all_is_below_it(self) -> None:
        found = judged(of_treatment({100: 9_000, 250: 9_990, INF: 10_000}))
        assert (found.status.code, found.beyond, found.within, found.p_value) == (StatusCode.OK, False, True, 1.0)

    def test_open_where_too_much_is_above_it(self) -> None:
        found = judged(of_treatment({100: 9_000, 250: 9_800, INF: 10_000}))
        assert (found.status.code, found.value) == (StatusCode.UNDEFINED, None)
        assert "2.00 % are slower than 0.25 s, no finite edge is above it" in found.status.reason


class TestBrokenHistograms:
    def test_the_last_bucket_alone(self) -> None:
        found = judged(of_treatment({INF: 100}))
        assert found.status.code is StatusCode.UNDEFINED
        assert 'le="+Inf" alone' in found.status.reason

    def test_no_last_bucket(self) -> None:
        found = judged(of_treatment({250: 100, 500: 100}))
        assert found.status.code is StatusCode.UNDEFINED
        assert 'no bucket le="+Inf"' in found.status.reason

    def test_no_bounds(self) -> None:
        found = judged(totals([Row(BUCKET, "treatment", 100)]))
        assert found.status.code is StatusCode.UNDEFINED
        assert "no bucket bounds" in found.status.reason

    def test_nothing(self) -> None:
        assert judged(of_treatment({250: 1, INF: 1}), variant="control").status.code is StatusCode.NO_DATA

    def test_no_instances_are_no_hindrance(self) -> None:
        rows = [Row(BUCKET, "treatment", n, instance="", le=le) for le, n in ((500, 5_000), (1000, 10_000), (INF, 1e4))]
        assert judged(totals(rows)).beyond


def test_edges_of_the_other_variant_are_not_this_one_s() -> None:
    # All of the treatment lies between 250 and 750 ms; 500 ms is an edge of the control alone.
    rows = histogram(BUCKET, "control", {250: 5_000, 500: 10_000, 1000: 10_000, INF: 10_000})
    found = totals(rows + histogram(BUCKET, "treatment", {250: 5_000, 750: 10_000, 1500: 10_000, INF: 10_000}))
    assert not judged(found).beyond
    assert judged(found).status.code is StatusCode.UNDEFINED
    assert judged(found, variant="control").status.code is StatusCode.OK
    assert judged(found, "rollback").status.code is StatusCode.OK


class TestHoweverAssigned:
    @pytest.mark.parametrize("assignment", ["rule", "forced", "none"])
    def test_errors(self, assignment: str) -> None:
        num, den = (input_of(ERRORS, "error-rate", role) for role in (Role.NUMERATOR, Role.DENOMINATOR))
        rows = [
            Row(den, "treatment", 40, "hash"),
            Row(num, "treatment", 900, assignment),
            Row(den, "treatment", 1_000, assignment),
        ]
        results = check_limits(ERRORS, metrics_of(ERRORS), totals(rows))
        mine = [result for result in results if result.variant == "treatment"]
        assert [(result.beyond, result.value) for result in mine] == [(True, 900 / 1_040)] * 2

    def test_latency(self) -> None:
        fine = histogram(BUCKET, "treatment", {500: 100, 1000: 100, INF: 100}, assignment="hash")
        slow = histogram(BUCKET, "treatment", {500: 500, 1000: 1_000, INF: 1_000}, ("c",), assignment="rule")
        found = judged(totals(fine + slow))
        assert found.beyond
        assert "500 of 1,200 slower than 0.5 s" in found.method


def test_the_error_rate_is_split_over_limits_stages_and_the_comparison() -> None:
    num, den = (input_of(ERRORS, "error-rate", role) for role in (Role.NUMERATOR, Role.DENOMINATOR))
    # 5 % in 4 parts (2 levels × 2 stages), half of it: 0.625 %.
    found = []
    for errors in range(10, 60):
        rows = [Row(num, "treatment", errors), Row(den, "treatment", 1_000)]
        found.append(check_limits(ERRORS, metrics_of(ERRORS), totals(rows))[2])
    assert {result.beyond for result in found} == {True, False}
    for result in found:
        assert result.p_value is not None
        assert result.beyond == (result.p_value <= 0.00625)


class TestDispersion:
    def test_uneven_looks_count_for_less_and_users_are_said_to_be_unseen(self) -> None:
        num, den = (input_of(ERRORS, "error-rate", role) for role in (Role.NUMERATOR, Role.DENOMINATOR))

        def check(errors: list[float]) -> LimitResult:
            rows = [Row(den, "treatment", 1_000, look=look) for look in range(len(errors))]
            rows += [Row(num, "treatment", count, look=look) for look, count in enumerate(errors)]
            return check_limits(ERRORS, metrics_of(ERRORS), totals(rows, len(errors)))[2]

        even, uneven = check([16] * 12), check([1, 31] * 6)
        assert (even.value, even.variant, even.level) == (uneven.value, "treatment", "pause")
        assert even.p_value is not None
        assert uneven.p_value is not None
        assert even.p_value < 1e-3 < uneven.p_value
        for found in (even, uneven):
            assert "instance-by-look cells" in found.method
            assert "users who make many requests are not seen by it" in found.method

    def test_unknown_is_said(self) -> None:
        assert "dispersion taken as 1 (fewer than 8" in judged(of_treatment({500: 50, 1000: 60, INF: 60})).method


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(1, 5_000), min_size=1, max_size=300),
    st.sets(st.sampled_from([100.0, 250.0, 400.0, 500.0, 600.0, 750.0, 1000.0, 2500.0]), min_size=1),
    st.integers(1, 40),
)
def test_never_a_pass_that_the_times_belie(times: list[float], edges: set[float], copies: int) -> None:
    bounds = [*sorted(edges), INF]
    counts: dict[float, float] = {le: copies * float(np.sum(np.asarray(times) <= le)) for le in bounds}
    data = totals(
        [Row(BUCKET, "treatment", count, le=le) for le, count in counts.items() if count],
        edges={(BUCKET, "treatment"): tuple(bounds)},
    )
    for level, limit in (("pause", 500.0), ("rollback", 1000.0)):
        found = judged(data, level)
        slower = float(np.mean(np.asarray(times) > limit))
        if found.beyond:
            assert slower > 0.01
        elif found.status.code is StatusCode.OK and limit not in edges:
            assert slower <= 0.01 + 1e-12
        if found.within:
            assert not found.beyond
            assert slower <= 0.01
        if limit in edges:
            assert found.status.code is StatusCode.OK


CHAOS = spec.loads("""\
metadata: {name: x}
service: {name: shop, namespace: shop}
strategy: canary
variants: {control: {version: v1, weight: 9000}, treatment: {version: v2, weight: 1000}}
assignment: {rules: [{when: {header: {x-vip: {exact: 'yes'}}}, to: treatment}]}
metrics: {guardrails: [{metric: page-load-time, margin: 0.1}], secondary: [latency-p95, conversion, traffic]}
canary: {steps: [10, 100], limits: {latency-p95: {pause: 0.3}}}
""")
INPUTS = sorted({data.id for metric in metrics_of(CHAOS).values() for data in metric.inputs.values()})
BOUNDS = (-INF, -1.0, 0.0, 1.0, 250.0, 300.0, 500.0, 1000.0, 2500.0, INF, math.nan, None)
COUNTS = st.one_of(st.integers(0, 3), st.integers(0, 10**9), st.floats(0, 1e12)).map(float)
LOOKS = 3


@st.composite
def layouts(draw: st.DrawFn) -> list[Row]:
    """Rows of any labels: edges of their own in each arm, or the same; arms, bounds and instances that are missing."""
    rows: list[Row] = []
    shared = draw(st.lists(st.sampled_from(BOUNDS), min_size=1, unique_by=str))
    names = draw(st.sampled_from([[""], ["a"], ["a", "b"], ["", "a", "b", "c"]]))
    labels = draw(
        st.lists(st.sampled_from(["", "hash", "rule", "forced", "none"]), min_size=1, max_size=3, unique=True)
    )
    for variant in draw(st.sampled_from([("control", "treatment"), ("control",), ("treatment",)])):
        bounds = draw(st.one_of(st.just(shared), st.lists(st.sampled_from(BOUNDS), min_size=1, unique_by=str)))
        for data in INPUTS:
            for instance in names:
                for _ in range(draw(st.integers(0, 2))):
                    label, look = draw(st.sampled_from(labels)), draw(st.integers(0, LOOKS - 1))
                    replicate, epoch = draw(st.sampled_from([-1, 0, 5, 31])), draw(st.sampled_from([0, 0, 0, 7]))
                    count = draw(COUNTS)
                    for le in bounds:
                        rows.append(Row(data, variant, count, label, replicate, instance, le, epoch, look))
                        count += draw(COUNTS)
    return rows


def numbers(document: object) -> Iterator[float]:
    if isinstance(document, dict):
        for value in document.values():
            yield from numbers(value)
    elif isinstance(document, list | tuple):
        for value in document:
            yield from numbers(value)
    elif isinstance(document, float):
        yield document


@settings(max_examples=120, deadline=None)
@given(layouts(), st.booleans())
def test_whatever_the_labels_no_error_and_no_nan(rows: list[Row], known: bool) -> None:
    edges = {(row.input, row.variant): tuple(le for le in BOUNDS if le is not None) for row in rows} if known else None
    data, metrics = totals(rows, LOOKS, edges), metrics_of(CHAOS)
    limits = check_limits(CHAOS, metrics, data)
    assert len(limits) == 2 * 7
    usages = [
        (metric, Usage.GUARDRAIL if name == "page-load-time" else Usage.LIMIT) for name, metric in metrics.items()
    ]
    compared = compare_all(CHAOS, usages, Looked(data, 0, [60_000 * (look + 1) for look in range(LOOKS)]))
    for result in (*limits, *compared.metrics, *compared.trend):
        assert all(math.isfinite(number) for number in numbers(result.model_dump())), result
    for limit in limits:
        assert not (limit.within and (limit.beyond or limit.status.code is not StatusCode.OK))
        assert limit.status.code is StatusCode.OK or (
            not limit.beyond and limit.p_value is None and limit.status.reason
        )
        assert limit.status.code is not StatusCode.OK or limit.p_value is not None
