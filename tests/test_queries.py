from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.errors import QueryError
from abkit.queries import catalogue, definition, render, resolve, sql, starts
from abkit.queries.catalogue import parse
from abkit.sources.selectors import parse_selector
from abkit.spec import Direction, Experiment, Kind, MetricRef, Role, Scope

GOOD = """\
# metric: checkout-rate
# meaning: Share of page views that reach the checkout.
# unit: checkouts per page view
# kind: proportion
# direction: increase
# scope: user
# labels: ab_experiment, ab_variant
# role: numerator
ab_checkouts_total{ab_experiment="$experiment"}
# role: denominator
ab_page_views_total{ab_experiment="$experiment"}
"""


def experiment(**more: object) -> Experiment:
    fields = {
        "metadata": {"name": "buy-now"},
        "service": {"name": "shop", "namespace": "prod"},
        "variants": {"control": "v1", "treatment": "v2"},
        "metrics": ["conversion"],
    }
    return Experiment.model_validate(fields | more)


class TestCatalogue:
    def test_has_what_a_shop_and_its_mesh_need(self) -> None:
        facts = {name: (found.kind, found.direction, found.scope) for name, found in catalogue().items()}
        assert facts == {
            "click-rate": (Kind.PROPORTION, Direction.INCREASE, Scope.USER),
            "conversion": (Kind.PROPORTION, Direction.INCREASE, Scope.USER),
            "error-rate": (Kind.PROPORTION, Direction.DECREASE, Scope.TECHNICAL),
            "exposed-users": (Kind.RATE, Direction.NONE, Scope.USER),
            "latency-mean": (Kind.MEAN, Direction.DECREASE, Scope.TECHNICAL),
            "latency-p95": (Kind.QUANTILE, Direction.DECREASE, Scope.TECHNICAL),
            "latency-p99": (Kind.QUANTILE, Direction.DECREASE, Scope.TECHNICAL),
            "orders-per-page-view": (Kind.RATIO, Direction.INCREASE, Scope.USER),
            "page-load-time": (Kind.MEAN, Direction.DECREASE, Scope.USER),
            "page-views-per-user": (Kind.RATIO, Direction.NONE, Scope.USER),
            "revenue-per-user": (Kind.RATIO, Direction.INCREASE, Scope.USER),
            "success-rate": (Kind.PROPORTION, Direction.INCREASE, Scope.TECHNICAL),
            "traffic": (Kind.RATE, Direction.NONE, Scope.TECHNICAL),
        }

    def test_every_metric_says_what_it_is(self) -> None:
        for found in catalogue().values():
            assert found.meaning.endswith(".")
            assert found.unit
            assert found.labels

    def test_milliseconds_of_the_mesh_become_seconds(self) -> None:
        scaled = {name for name, found in catalogue().items() if found.scale == 0.001}
        assert scaled == {"latency-mean", "latency-p95", "latency-p99"}

    def test_a_folder_of_ones_own(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "mine.promql").write_text(GOOD)
        found = definition(MetricRef.model_validate("checkout-rate"), tmp_path)
        assert found.roles[Role.NUMERATOR] == 'ab_checkouts_total{ab_experiment="$experiment"}'
        assert "conversion" in catalogue(tmp_path)

    def test_a_name_is_taken_once(self, tmp_path: Path) -> None:
        (tmp_path / "mine.promql").write_text(GOOD.replace("checkout-rate", "conversion"))
        with pytest.raises(QueryError, match="already defined"):
            catalogue(tmp_path)

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(QueryError, match="no such folder"):
            catalogue(tmp_path / "nobody")

    def test_unknown(self) -> None:
        with pytest.raises(QueryError, match="did you mean 'conversion'"):
            definition(MetricRef.model_validate("convertion"))

    @pytest.mark.parametrize(
        ("old", "new", "why"),
        [
            ("# kind: proportion\n", "", "kind"),
            ("# kind: proportion", "# kind: share", "kind"),
            ("# unit:", "# units:", "did you mean 'unit'"),
            ("# role: denominator", "# role: divisor", "no such role"),
            ("# role: denominator\n", "", "without a role"),
            ('ab_page_views_total{ab_experiment="$experiment"}\n', "", "no selector"),
            ("# role: denominator", "# role: numerator", "twice"),
            ("# unit: checkouts per page view", "unit without a hash", "without a role"),
            ("# scope: user", "# just words", "key: value"),
            ("# scope: user", "# quantile: 0.5", "quantile"),
            ("# scope: user", "# scale: much", "number"),
            ("checkout-rate", "Checkout Rate", "name"),
        ],
    )
    def test_malformed(self, old: str, new: str, why: str) -> None:
        with pytest.raises(QueryError, match=why) as raised:
            parse(GOOD.replace(old, new, 1), "mine.promql")
        assert "mine.promql" in str(raised.value)

    def test_binary(self, tmp_path: Path) -> None:
        (tmp_path / "x.promql").write_bytes(b"\xff\xfe")
        with pytest.raises(QueryError, match="UTF-8"):
            catalogue(tmp_path)


class TestRendering:
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
    def test_no_value_breaks_out_of_its_quotes(self, value: str) -> None:
        selector = parse_selector(render('a_total{x="$experiment",y="1"}', {"experiment": value}, "m"))
        assert [(matcher.label, matcher.value) for matcher in selector.matchers] == [
            ("__name__", "a_total"),
            ("x", value),
            ("y", "1"),
        ]

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
    def test_a_value_is_literal_in_a_regular_expression(self, value: str) -> None:
        selector = parse_selector(render('a_total{x=~"$experiment",y="1"}', {"experiment": value}, "m"))
        assert selector.matches({"__name__": "a_total", "x": value, "y": "1"})
        assert not selector.matches({"__name__": "a_total", "x": value + "!", "y": "1"})

    def test_a_known_attack(self) -> None:
        attack = 'x"} or vector(1) or {a="'
        assert render('a{x="$experiment"}', {"experiment": attack}, "m") == 'a{x="x\\"} or vector(1) or {a=\\""}'

    @pytest.mark.parametrize(
        ("template", "why"),
        [
            ('a{x="$expriment"}', "did you mean 'experiment'"),
            ("a{x=$experiment}", "outside double quotes"),
            ("a{x='$experiment'}", "outside double quotes"),
            ("a{x=`$experiment`}", "outside double quotes"),
            ("$experiment", "outside double quotes"),
            ('a{x="5$"}', "lone"),
        ],
    )
    def test_misuse(self, template: str, why: str) -> None:
        with pytest.raises(QueryError, match=why) as raised:
            render(template, {"experiment": "x", "service": "y"}, "metric 'mine', numerator")
        assert str(raised.value).startswith("metric 'mine', numerator")

    def test_dollar_and_braces(self) -> None:
        assert render("a{x=\"${service}$$\", y='1'}", {"service": "s"}, "m") == "a{x=\"s$\", y='1'}"


class TestResolving:
    def test_inputs_are_merged(self) -> None:
        found = resolve(experiment(metrics=["conversion", "click-rate", "exposed-users"]))
        assert [metric.name for metric in found] == ["conversion", "click-rate", "exposed-users"]
        conversion, clicks, _ = found
        assert conversion.inputs[Role.DENOMINATOR] == clicks.inputs[Role.DENOMINATOR]
        assert len({each.id for metric in found for each in metric.inputs.values()}) == 4

    def test_ids_are_stable(self) -> None:
        # Stores hold them: a change would read everything anew.
        (conversion, *_) = resolve(experiment())
        assert conversion.inputs[Role.NUMERATOR].selector == 'ab_purchases_total{ab_experiment="buy-now"}'
        assert conversion.inputs[Role.NUMERATOR].id == "f33c95c70c45"

    def test_limits_of_a_canary_are_metrics(self) -> None:
        names = {metric.name for metric in resolve(experiment(strategy="canary"))}
        assert names == {"conversion", "error-rate", "latency-p99", "success-rate", "exposed-users"}
        with pytest.raises(QueryError, match="latency-p98"):
            resolve(experiment(strategy="canary", canary={"limits": {"latency-p98": {"pause": 1}}}))

    def test_service_and_namespace(self) -> None:
        (errors, *_) = resolve(experiment(metrics=["error-rate"]))
        assert 'destination_service_name="shop"' in errors.inputs[Role.NUMERATOR].selector
        assert 'destination_service_namespace="prod"' in errors.inputs[Role.NUMERATOR].selector
        assert 'reporter="destination"' in errors.inputs[Role.DENOMINATOR].selector

    def test_inline(self) -> None:
        inline = {
            "name": "mine",
            "kind": "rate",
            "direction": "none",
            "numerator": 'mine_total{a="$experiment", b="$nobody"}',
        }
        with pytest.raises(QueryError, match=r"metric 'mine', numerator: unknown placeholder '\$nobody'"):
            resolve(experiment(metrics=[inline]))

    def test_starts_match_their_targets_and_no_other(self) -> None:
        (found,) = starts([('a"b', "x:1"), ("c.d|e", "y.z:2")])
        selector = parse_selector(found.selector)
        labels = {"__name__": "process_start_time_seconds", "instance": "x:1"}
        assert all(selector.matches(labels | {"job": job}) for job in ('a"b', "c.d|e"))
        assert not any(selector.matches(labels | {"job": job}) for job in ("cxd|e", "c.d", "e", ""))
        assert selector.matches(labels | {"job": 'a"b', "instance": "y.z:2"})
        assert not any(selector.matches(labels | {"job": 'a"b', "instance": at}) for at in ("yxz:2", "x:11", ""))
        assert starts([]) == ()


def test_sql() -> None:
    assert "lag(" in sql("increments")
    with pytest.raises(QueryError, match="did you mean 'increments'"):
        sql("increment")
