from __future__ import annotations

import json
from pathlib import Path

import pytest

from abkit.errors import InputError, StoreUnusable
from abkit.evidence import Evaluation, Verdict
from abkit.report.load import evaluations, load
from abkit.store import Store
from tests.report import samples


class Future(Evaluation):
    """What a later abkit keeps: a field more than this one knows."""

    def to_json(self) -> str:
        return json.dumps(json.loads(super().to_json()) | {"a_field_of_the_future": 1})


def keep(path: Path, *evaluations: Evaluation) -> Path:
    for evaluation in evaluations:
        Store(path).append_verdict(evaluation)
    return path


def test_the_newest_evaluation_of_each_experiment_comes_back_whole(tmp_path: Path) -> None:
    old, new = samples.experiment(Verdict.KEEP_RUNNING), samples.experiment(Verdict.SHIP)
    path = keep(tmp_path / "a.duckdb", samples.no_data(), old, samples.invalid(), new)
    assert evaluations(path) == (new, samples.invalid(), samples.no_data())


def test_one_unreadable_document_does_not_hide_the_others(tmp_path: Path) -> None:
    path = keep(tmp_path / "a.duckdb", samples.experiment())
    keep(path, Future.model_validate(samples.canary().model_dump()))
    loaded = load(path)
    assert loaded.evaluations == (samples.experiment(),)
    assert loaded.unreadable == ("payment-api-v7: written by another version of abkit: run `abkit verdict` again",)


def test_a_missing_store_is_named_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.duckdb"
    with pytest.raises(InputError, match=r"none\.duckdb: there is no store here yet: run `abkit demo`"):
        load(path)
    assert not path.exists()


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    path.write_text("this is no database" * 100)
    with pytest.raises(StoreUnusable):
        load(path)
    assert path.read_text() == "this is no database" * 100


def test_reading_changes_nothing(tmp_path: Path) -> None:
    path = keep(tmp_path / "a.duckdb", samples.experiment())
    before = path.read_bytes()
    load(path)
    assert path.read_bytes() == before
    assert Store(path).exists
