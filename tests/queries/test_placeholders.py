"""What an experiment file can say must not change what a selector means: to abkit's reader and to Prometheus'."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.errors import QueryError
from abkit.queries import entries, render
from abkit.queries.naming import cluster_names, is_pod_of
from abkit.queries.placeholders import checked, placeholders
from abkit.queries.selectors import parse_selector
from abkit.spec import Experiment
from tests.servers import binary

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?", fullmatch=True)
VERSIONS = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,9}[A-Za-z0-9])?", fullmatch=True)


def experiment(service: str = "shop", *versions: str) -> Experiment:
    one, other = versions or ("v1", "v2")
    return Experiment.model_validate(
        {"service": service, "variants": {"control": one, "treatment": other}, "metrics": ["conversion"]}
    )


@given(NAMES, VERSIONS, VERSIONS, st.text(max_size=12))
def test_clusters_are_those_of_the_versions_and_no_other(service: str, one: str, other: str, any_text: str) -> None:
    values = placeholders(experiment(service, one, other))
    selector = parse_selector(render('a_total{envoy_cluster_name=~"$clusters",y="1"}', values, "m"))
    mine = {*cluster_names(service, one), *cluster_names(service, other)}
    for name in (*mine, service, f"x{service}-{one}", f"{service}-{one}x", f"{service}.{one}", any_text):
        labels = {"__name__": "a_total", "envoy_cluster_name": name, "y": "1"}
        assert selector.matches(labels) == (name in mine), name


@given(NAMES, VERSIONS, VERSIONS, st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True))
def test_pods_of_the_versions_are_found(service: str, one: str, other: str, rest: str) -> None:
    selector = parse_selector(render('a{pod=~"$pods"}', placeholders(experiment(service, one, other)), "m"))
    for version in (one, other):
        for pod in (f"{service}-{version}-7d9c5b8f6d-x2x5v", f"{service}-{version}-0", f"{service}-{version}-{rest}"):
            assert selector.matches({"__name__": "a", "pod": pod})
            assert is_pod_of(service, version, pod) <= selector.matches({"__name__": "a", "pod": pod})
    assert not selector.matches({"__name__": "a", "pod": f"x{service}-{one}-0"})


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ('a{x="$pods"}', r"'\$pods' stands for several values: compare with =~"),
        ('a{x!="$clusters"}', "stands for several values"),
        ('a{x="$pod"}', "did you mean 'pods'"),
        ("rate(a[5m])", "no functions"),
        ('{x=~".*"}', "absent label"),
        ('a{x=~"("}', "RE2"),
    ],
)
def test_a_selector_is_checked_before_anything_is_asked(template: str, why: str) -> None:
    with pytest.raises(QueryError, match=why) as raised:
        checked(template, "mine.promql:7")
    assert str(raised.value).startswith("mine.promql:7: ")


def test_prometheus_takes_the_whole_catalogue(tmp_path: Path) -> None:
    # As odd as the experiment file's rules allow.
    values = placeholders(experiment("0-shop--x", "V1._-2", "7"))
    rules = [
        {"record": f"m{number}", "expr": render(selector, values, "m")}
        for number, selector in enumerate(one for entry in entries() for one in entry.definition.roles.values())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "catalogue", "rules": rules}]}))
    done = subprocess.run(
        [binary("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout
