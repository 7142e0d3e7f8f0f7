"""Experiment files: what is accepted, and how every defect is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit import spec
from abkit.errors import InputError, SpecError

WHOLE = """\
apiVersion: abkit/v1
kind: Experiment
metadata: {name: buy-now-button, owner: growth, hypothesis: A larger button raises purchases per visit.}
service: {name: my-service, namespace: shop, port: 8080}
strategy: ab
variants:
  control: {version: v1, weight: 5000}
  treatment: {version: v2, weight: 5000}
assignment:
  unit: {header: X-User-Id}
  salt: buy-now-button-1
  layer: checkout
  replicates: 32
  rules:
    - {when: {header: {x-user-type: {exact: vip}}}, to: treatment}
  without-unit: control
metrics:
  primary: [conversion]
  guardrails: [{metric: error-rate, margin: 0.10}, latency-p99]
  secondary:
    - {name: refunds, kind: ratio, direction: decrease, numerator: ab_refunds_total, denominator: ab_orders_total}
source: {prometheus: "http://prometheus:9090"}
analysis: {start: 2026-11-01, end: 2026-11-15, confidence: 0.95, looks: always-valid, mde: 0.02}
"""
CANARY_TEXT = """\
service: {name: s}
strategy: canary
variants: {control: v1, treatment: {version: v2}}
canary: {steps: [5, 50.5, 100], bake: 30m, limits: {error-rate: {pause: 0.02}}, on-harm: rollback}
"""
MINIMAL = "service: my-service\nvariants: {control: v1, treatment: v2}\nmetrics: [conversion]\n"


def change(old: str, new: str, text: str = WHOLE) -> str:
    assert old in text
    return text.replace(old, new)


def has_problems(error: SpecError) -> None:
    assert error.problems


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec.loads(text, "shop.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_the_whole_file_is_read() -> None:
    experiment = spec.loads(WHOLE)
    assert experiment.name == "buy-now-button"
    assert experiment.salt == "buy-now-button-1"
    assert experiment.layer == "checkout"
    assert experiment.assignment.unit.header == "x-user-id"
    assert dict(experiment.split) == {"control": 5000, "treatment": 5000}
    assert [ref.metric for ref in experiment.metric_refs] == ["conversion", "error-rate", "latency-p99", "refunds"]
    assert experiment.metrics.guardrails[0].margin == 0.1
    assert experiment.analysis.start is not None
    assert experiment.analysis.start.isoformat() == "2026-11-01T00:00:00+00:00"


def test_service_two_versions_and_one_metric_are_enough() -> None:
    experiment = spec.loads(MINIMAL)
    assert (experiment.name, experiment.salt, experiment.layer) == ("my-service",) * 3
    assert experiment.control == "control"
    assert experiment.treatments == ("treatment",)
    assert experiment.without_unit == "control"


def test_three_variants_share_the_buckets_and_the_control_takes_the_rest() -> None:
    text = change("treatment: v2", "b: v2, c: v3", MINIMAL)
    assert dict(spec.loads(text).split) == {"control": 3334, "b": 3333, "c": 3333}


def test_a_canary_starts_at_its_first_step_and_needs_no_metric() -> None:
    experiment = spec.loads("service: s\nstrategy: canary\nvariants: {control: v1, treatment: v2}\n")
    assert dict(experiment.split) == {"control": 9500, "treatment": 500}
    assert experiment.canary is not None
    assert experiment.canary.limits["error-rate"].rollback == 0.05


def test_naming_one_limit_keeps_the_other_defaults() -> None:
    canary_block = "canary: {limits: {error-rate: {pause: 0.02}}}"
    text = "service: s\nstrategy: canary\nvariants: {control: v1, treatment: v2}\n" + canary_block
    canary = spec.loads(text).canary
    assert canary is not None
    assert canary.limits["error-rate"] == spec.Limit(pause=0.02)
    assert canary.limits["latency-p99"] == spec.DEFAULT_LIMITS["latency-p99"]
    without = spec.loads(text.replace("{limits", "{defaults: false, limits")).canary
    assert without is not None
    assert set(without.limits) == {"error-rate"}


def test_keys_are_text_whatever_yaml_takes_them_for() -> None:
    text = "service: s\nmetrics: [conversion]\nvariants: {on: v1, 1: v2, yes: v3, null: v4}\n"
    experiment = spec.loads(text + "policies: {retries: {tier: fast, on: [5xx]}}\n")
    assert list(experiment.variants) == ["on", "1", "yes", "null"]
    assert experiment.policies.retries is not None
    assert experiment.policies.retries.on == ("5xx",)
    merged = "service: s\nmetrics: [conversion]\nvariants: {a: &a {version: v1}, b: {<<: *a, replicas: 3}}\n"
    assert spec.loads(merged).variants["b"] == spec.Variant(version="v1", replicas=3)


def test_a_ramp_gives_the_split_of_each_moment() -> None:
    ramp = """\
ramp:
  - {from: 2026-11-01, split: {control: 9500, treatment: 500}}
  - {from: 2026-11-03T12:00:00Z, split: {control: 5000, treatment: 5000}}
"""
    experiment = spec.loads(WHOLE + ramp)
    first, second = (step.from_ for step in experiment.ramp)
    assert experiment.split_at(first)["treatment"] == 500
    assert experiment.split_at(second)["treatment"] == 5000
    assert (
        "last step"
        in problems(
            change("treatment: 5000}}", "treatment: 4000, control: 6000}}", WHOLE + ramp).replace(
                "{control: 5000, treatment: 4000, control", "{treatment: 4000, control"
            )
        )[0]
    )


@pytest.mark.parametrize(
    ("text", "line", "field", "words"),
    [
        (change("weight: 5000}\nassign", "weight: 4000}\nassign"), 6, "variants", "sum to 9,000, must sum to 10,000"),
        (change("mde:", "mdee:"), 23, "analysis.mdee", "did you mean 'mde'"),
        (change("exact:", "exactt:"), 15, "assignment.rules.0.when.header.x-user-type.exactt", "did you mean 'exact'"),
        (change("to: treatment", "to: tretment"), 15, "assignment.rules.0.to", "did you mean 'treatment'"),
        (
            change("without-unit: control", "without-unit: none"),
            16,
            "assignment.without-unit",
            "valid: control, treatment",
        ),
        (change("version: v1", "version: 1.10"), 7, "variants.control.version", "write it in quotes"),
        (change("strategy: ab", "strategy: canry"), 5, "strategy", "'canary'"),
        (change("2026-11-15", "2026-10-15"), 23, "analysis", "is not after start"),
        (change("exact: vip", "regex: '('"), 15, "assignment.rules.0.when.header.x-user-type.regex", "RE2"),
        (change("exact: vip", "regex: '(?=a)'"), 15, "assignment.rules.0.when.header.x-user-type.regex", "RE2"),
        (
            change("exact: vip", "exact: vip, prefix: v"),
            15,
            "assignment.rules.0.when.header.x-user-type",
            "one of exact",
        ),
        (change("margin: 0.10", "margin: .nan"), 19, "metrics.guardrails.0.margin", "finite"),
        (change("kind: ratio", "kind: quantile"), 21, "metrics.secondary.0", "has no numerator"),
        (change("numerator:", "numeratr:"), 21, "metrics.secondary.0.numeratr", "did you mean 'numerator'"),
        (change("[conversion]", "[error-rate]"), 17, "metrics", "listed 2 times"),
        (change("http://prometheus", "http://u:secret@prometheus"), 22, "source.prometheus", "basic-auth"),
        (change("strategy: ab", "strategy: ab\ncanary: {}"), 6, "canary", "belongs to strategy"),
        (change("primary: [conversion]", "primary: []"), 18, "metrics.primary", "needs a primary metric"),
        (change("port: 8080", "port: 0"), 4, "service.port", "greater than or equal to 1"),
        (change("x-user-type:", "'x user':"), 15, "assignment.rules.0.when.header.x user", "should match"),
        (change("name: buy-now-button,", "name: Buy Now,"), 3, "metadata.name", "lower-case letters"),
        (change("strategy: ab", "strategy: ab\nstrategy: ab"), 6, "strategy", "given twice"),
        ("service: [", 1, "", "is not YAML"),
        ("- 1", 1, "", "should be a mapping"),
        ("variants: {control: v1, treatment: v2}\nmetrics: [a]", 1, "service", "is missing"),
    ],
)
def test_each_defect_names_file_line_field_and_remedy(text: str, line: int, field: str, words: str) -> None:
    found = problems(text)
    place = f"shop.yaml:{line}: {field}: " if field else f"shop.yaml:{line}: "
    assert any(problem.startswith(place) and words in problem for problem in found), found


def test_every_defect_is_listed_at_once_in_the_order_of_lines() -> None:
    text = change("mde:", "mdee:", change("exact:", "exactt:"))
    assert [problem.split(":")[1] for problem in problems(text)] == ["15", "23"]


def test_a_password_in_a_url_is_not_repeated_whole_models_are_not_dumped() -> None:
    (problem,) = problems(change("http://prometheus", "http://u:hunter2@prometheus"))
    assert "hunter2" not in problem


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, words in [(tmp_path / "none.yaml", "no such file"), (tmp_path, "is a folder")]:
        with pytest.raises(SpecError, match=words):
            spec.load(path)
    (tmp_path / "latin.yaml").write_bytes(b"service: caf\xe9")
    with pytest.raises(SpecError, match="not UTF-8"):
        spec.load(tmp_path / "latin.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(SpecError, match="larger than 1 MB"):
        spec.load(tmp_path / "large.yaml")


def test_aliases_of_aliases_end_in_an_error() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for name, last in zip("bcdefgh", "abcdefg", strict=True):
        bomb += f"{name}: &{name} [" + ", ".join([f"*{last}"] * 10) + "]\n"
    assert "too many aliases" in problems(bomb)[0]


def test_find_specs_takes_yaml_files_in_order(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        spec.find_specs(tmp_path / "none")
    with pytest.raises(InputError, match="no experiment files"):
        spec.find_specs(tmp_path)
    for name in ("b.yml", "a.yaml", "c.txt"):
        (tmp_path / name).write_text(MINIMAL)
    assert [path.name for path in spec.find_specs(tmp_path)] == ["a.yaml", "b.yml"]


def test_the_fingerprint_changes_with_the_content_only() -> None:
    assert spec.loads(WHOLE).fingerprint == spec.loads("# comment\n" + WHOLE).fingerprint
    assert spec.loads(WHOLE).fingerprint != spec.loads(change("mde: 0.02", "mde: 0.03")).fingerprint


@given(st.text(max_size=200))
def test_any_text_is_either_an_experiment_or_a_spec_error(text: str) -> None:
    try:
        spec.loads(text)
    except SpecError as error:
        has_problems(error)


@given(st.text(max_size=30), st.sampled_from(["conversion", "my-service", "x-user-type", "vip", "0.95", "2026-11-01"]))
def test_any_value_is_either_taken_or_a_spec_error(value: str, place: str) -> None:
    quoted = "'" + value.replace("'", "''") + "'"
    try:
        spec.loads(WHOLE.replace(place, quoted, 1))
    except SpecError as error:
        has_problems(error)


class TestSource:
    @pytest.mark.parametrize(
        ("source", "field", "why"),
        [
            ("{prometheus: 'nobody'}", "source.prometheus", "should be a URL"),
            ("{victoriametrics: 'ftp://x'}", "source.victoriametrics", "should be a URL"),
            ("{prometheus: 'http://a', openmetrics: x.om}", "source", "prometheus or openmetrics, not both"),
            ("{promethus: 'http://a'}", "source.promethus", "did you mean 'prometheus'"),
            ("{labels: {job: x}}", "source.labels", "says what a series counts"),
            ("{labels: {ab_variant: x}}", "source.labels", "says what a series counts"),
            ("{labels: {'a b': x}}", "source.labels.a b", "should match"),
            ("{replica-labels: ['a-b']}", "source.replica-labels.0", "should match"),
            ("{mode: push-down, recording: x}", "source", "needs prometheus"),
            ("{mode: push-down, replica-labels: [replica]}", "source", "can't tell replicas apart"),
            ("{step: 7m}", "source", "a part of an hour"),
            ("[{prometheus: 'http://a'}, {prometheus: 'http://b'}]", "source.0", "can't be told from the others"),
            (
                "[{prometheus: 'http://a', labels: {cluster: x}}, {prometheus: 'http://b', labels: {cluster: x}}]",
                "source.1",
                "can't be told from source 1",
            ),
            ("[{prometheus: 'http://a', labels: {cluster: x}}, {}]", "source.1", "names no place"),
            ("[{prometheus: 'http://a'}, {prometheus: nobody}]", "source.1.prometheus", "should be a URL"),
            ("7", "source", "tuple"),
        ],
    )
    def test_defects(self, source: str, field: str, why: str) -> None:
        (found,) = problems(MINIMAL + f"source: {source}\n")
        assert found.startswith(f"shop.yaml:4: {field}: ")
        assert why in found

    def test_one_or_several(self) -> None:
        one = spec.loads(MINIMAL + "source: {prometheus: 'http://a/'}\n")
        assert [source.prometheus for source in one.sources] == ["http://a"]
        several = spec.loads(
            MINIMAL + "source: [{prometheus: 'http://a', labels: {cluster: x}},"
            " {victoriametrics: 'http://b', labels: {cluster: y}, headers: {X-Scope-OrgID: t}}]\n"
        )
        assert [source.labels["cluster"] for source in several.sources] == ["x", "y"]
        assert several.sources[1].headers == {"X-Scope-OrgID": "t"}
        assert spec.loads(MINIMAL).sources == ()
