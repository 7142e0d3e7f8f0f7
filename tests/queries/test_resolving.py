from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from abkit.errors import QueryError
from abkit.queries import resolve, resolve_segments, sql, starts
from abkit.queries.selectors import Selector, parse_selector
from abkit.spec import Experiment, Role
from tests.servers import binary


def experiment(**more: object) -> Experiment:
    fields = {
        "metadata": {"name": "buy-now"},
        "service": {"name": "shop", "namespace": "prod"},
        "variants": {"control": "v1", "treatment": "v2"},
        "metrics": ["conversion"],
    }
    return Experiment.model_validate(fields | more)


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


SEGMENTED = {
    "segments": [{"label": "device", "values": ["mobile", "desktop"]}, {"label": "plan", "values": ["a", "b"]}]
}


class TestSegments:
    def test_primary_and_secondary_user_metrics_by_label_and_value(self) -> None:
        metrics = {
            "primary": ["conversion"],
            "guardrails": ["page-load-time"],
            "secondary": ["click-rate", "error-rate", "exposed-users"],
        }
        found = resolve_segments(experiment(metrics=metrics, analysis=SEGMENTED))
        assert [(each.label, each.of, each.value) for each in found] == [
            (label, name, value)
            for label, values in (("device", ("mobile", "desktop")), ("plan", ("a", "b")))
            for name in ("conversion", "click-rate")
            for value in values
        ]
        first = found[0].metric
        assert first.name == 'conversion{device="mobile"}'
        assert first.inputs[Role.DENOMINATOR].selector == 'ab_page_views_total{device="mobile",ab_experiment="buy-now"}'
        assert len({data.id for each in found for data in each.metric.inputs.values()}) == 12, "views are shared"

    def test_none_asked_for(self) -> None:
        assert resolve_segments(experiment()) == ()

    @pytest.mark.parametrize(
        "selector",
        [
            "mine_total",
            "mine_total{}",
            'mine_total{a="1"}',
            'mine_total{a="1",}',
            '{__name__="mine_total"}',
            "mine_total { }",
        ],
    )
    def test_however_the_selector_is_written(self, selector: str) -> None:
        ((numerator, found),) = self.narrowed(selector, "mobile")
        assert numerator.matches({"__name__": "mine_total", "a": "1", "device": "mobile"}), found
        assert not numerator.matches({"__name__": "mine_total", "a": "1", "device": "desktop"})
        assert not numerator.matches({"__name__": "mine_total", "a": "1"})

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
    def test_no_value_breaks_out_of_its_quotes(self, value: str) -> None:
        ((numerator, _),) = self.narrowed('mine_total{a="1"}', value)
        matchers = {(matcher.label, matcher.operator, matcher.value) for matcher in numerator.matchers}
        assert matchers == {("__name__", "=", "mine_total"), ("a", "=", "1"), ("device", "=", value)}

    def test_prometheus_reads_it_the_same_way(self, tmp_path: Path) -> None:
        hostile = [
            'x"} or vector(1) or {a="',
            "back\\slash",
            "$device ${x} $$",
            "line\nbreak",
            "ünï 🙂",
            "a|b.*",
            "\t'`",
        ]
        rows = []
        for number, value in enumerate(hostile):
            ((_, found),) = self.narrowed('mine_total{a="1"}', value)
            # Only the series of this very value, not the other ones: 'a|b.*' is no regular expression.
            rows.append(
                {"expr": f"sum({found})", "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": number}]}
            )
        series = [
            {"series": f'mine_total{{a="1",device={json.dumps(value, ensure_ascii=False)}}}', "values": f"{n} {n}"}
            for n, value in enumerate([*hostile, "a", "b"])
        ]
        case = {"interval": "1m", "input_series": series, "promql_expr_test": rows}
        file = tmp_path / "segments.test.yml"
        file.write_text(json.dumps({"rule_files": [], "tests": [case]}, ensure_ascii=False), encoding="utf-8")
        done = subprocess.run(
            [binary("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize(
        "label", ["ab_variant", "ab_replicate", "version", "destination_version", "le", "__name__", 'x"']
    )
    def test_labels_that_are_no_segments(self, label: str) -> None:
        with pytest.raises(ValidationError):
            experiment(analysis={"segments": [{"label": label, "values": ["a", "b"]}]})

    def narrowed(self, selector: str, value: str) -> list[tuple[Selector, str]]:
        inline = {
            "name": "mine",
            "kind": "ratio",
            "direction": "none",
            "numerator": selector,
            "denominator": "other_total",
        }
        segments = [{"label": "device", "values": [value, "some other one"]}]
        (first, *_) = resolve_segments(experiment(metrics=[inline], analysis={"segments": segments}))
        text = first.metric.inputs[Role.NUMERATOR].selector
        return [(parse_selector(text), text)]
