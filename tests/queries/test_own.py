"""Metrics that users keep in folders of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from abkit.errors import QueryError
from abkit.queries import resolve
from abkit.queries.own import load_experiment
from abkit.spec import Experiment

MINE = """\
# metric: {name}
# kind: proportion
# direction: increase
# role: numerator
{family}_total{{ab_experiment="$experiment"}}
# role: denominator
ab_page_views_total{{ab_experiment="$experiment"}}
"""
SPEC = "service: shop\nvariants: {control: v1, treatment: v2}\n"


def mine(folder: Path, name: str, family: str = "ab_mine", more: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.promql").write_text(more + MINE.format(name=name, family=family))


def spec(tmp_path: Path, metrics: str, more: str = "") -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(f"{SPEC}metrics: {metrics}\n{more}")
    return path


def selectors(experiment: Experiment) -> dict[str, str]:
    return {metric.name: next(iter(metric.selectors.values())) for metric in resolve(experiment)}


def test_a_folder_beside_the_experiment_file(tmp_path: Path) -> None:
    mine(tmp_path / "own", "wishes")
    path = spec(tmp_path, "{primary: [conversion, wishes], folder: own}")
    experiment = load_experiment(path)
    assert selectors(experiment)["wishes"] == 'ab_mine_total{ab_experiment="shop"}'
    assert [one.name for one in experiment.metrics.definitions] == ["wishes"], "what is not named is left out"


def test_a_folder_for_all_experiments_comes_first(tmp_path: Path) -> None:
    mine(tmp_path / "all", "wishes", "ab_all")
    path = spec(tmp_path, "{primary: [wishes]}")
    assert selectors(load_experiment(path, tmp_path / "all"))["wishes"].startswith("ab_all_total")
    mine(tmp_path / "own", "wishes", "ab_own", "# replaces: yes\n")
    path = spec(tmp_path, "{primary: [wishes], folder: own}")
    assert selectors(load_experiment(path, tmp_path / "all"))["wishes"].startswith("ab_own_total")


def test_one_of_abkits_own_is_replaced_where_the_file_says_so(tmp_path: Path) -> None:
    mine(tmp_path / "own", "error-rate", "ab_failures", "# replaces: yes\n")
    path = spec(tmp_path, "{primary: [conversion], guardrails: [error-rate], folder: own}")
    found = selectors(load_experiment(path))
    assert found["error-rate"].startswith("ab_failures_total")
    assert found["conversion"].startswith("ab_purchases_total")
    mine(tmp_path / "own", "error-rate", "ab_failures")
    with pytest.raises(QueryError, match=r"error-rate\.promql:1: metric 'error-rate' is already defined in .*replaces"):
        load_experiment(path)


def test_limits_and_first_exposures_may_be_ones_own(tmp_path: Path) -> None:
    mine(tmp_path / "own", "failures")
    path = spec(tmp_path, "{folder: own}", "strategy: canary\ncanary: {limits: {failures: {pause: 0.01}}}\n")
    assert selectors(load_experiment(path))["failures"].startswith("ab_mine_total")
    users = (
        "# metric: exposed-users\n# replaces: yes\n# kind: rate\n# direction: none\n# role: numerator\nmy_users_total\n"
    )
    (tmp_path / "own" / "users.promql").write_text(users)
    assert selectors(load_experiment(path))["exposed-users"] == "my_users_total"


def test_what_was_judged_is_known_by_the_experiment(tmp_path: Path) -> None:
    mine(tmp_path / "own", "wishes")
    path = spec(tmp_path, "{primary: [wishes], folder: own}")
    before = load_experiment(path).fingerprint
    mine(tmp_path / "own", "other")
    assert load_experiment(path).fingerprint == before
    mine(tmp_path / "own", "wishes", "ab_changed")
    assert load_experiment(path).fingerprint != before, "a changed definition is read anew, and another experiment"


def test_without_folders_the_experiment_is_as_it_was(tmp_path: Path) -> None:
    path = spec(tmp_path, "[conversion]")
    assert load_experiment(path).metrics.definitions == ()
    mine(tmp_path / "own", "wishes")
    assert load_experiment(path, tmp_path / "own").metrics.definitions == ()


def test_definitions_in_the_file(tmp_path: Path) -> None:
    one = "{name: heap, kind: gauge, direction: decrease, value: heap_bytes}"
    path = spec(tmp_path, f"{{primary: [conversion], guardrails: [heap], definitions: [{one}]}}")
    assert selectors(load_experiment(path))["heap"] == "heap_bytes"
    with pytest.raises(ValidationError, match="metric 'heap' is defined 2 times"):
        Experiment.model_validate(
            {
                "service": "shop",
                "variants": {"control": "v1", "treatment": "v2"},
                "metrics": {
                    "primary": ["conversion"],
                    "definitions": [
                        {"name": "heap", "kind": "gauge", "direction": "decrease", "value": name} for name in ("a", "b")
                    ],
                },
            }
        )


@pytest.mark.parametrize(
    ("metrics", "why"),
    [
        ("{primary: [conversion], folder: nowhere}", r"metrics\.folder: 'nowhere' is no folder beside shop\.yaml"),
        ("{primary: [wishez], folder: own}", "did you mean 'wishes'"),
        ("{primary: [bounce], folder: own}", "not in the catalogue"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, metrics: str, why: str) -> None:
    mine(tmp_path / "own", "wishes")
    with pytest.raises(QueryError, match=why):
        load_experiment(spec(tmp_path, metrics))


def test_a_bad_file_is_an_error_though_nobody_names_it(tmp_path: Path) -> None:
    mine(tmp_path / "own", "wishes")
    (tmp_path / "own" / "bad.promql").write_text(MINE.format(name="bad", family="rate(x[5m]) "))
    with pytest.raises(QueryError, match=r"bad\.promql:5: not a PromQL vector selector"):
        load_experiment(spec(tmp_path, "{primary: [conversion], folder: own}"))
