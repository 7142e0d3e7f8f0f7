"""The job over a folder: one experiment that fails doesn't stop the others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from abkit.errors import AbkitError, InputError, SourceUnreachable, SpecError, StoreLocked
from abkit.evidence import Evaluation, Verdict
from abkit.jobs import JobResult, run_once, worst_exit_code
from abkit.pipeline.evaluate import evaluate
from abkit.resources import folder
from abkit.spec import Experiment
from abkit.store import Store
from tests.report import samples

NOW = datetime(2026, 11, 22, tzinfo=UTC)
EXAMPLE = folder("data") / "experiments" / "buy-now-button.yaml"


def failed(error: AbkitError) -> JobResult:
    return JobResult(Path("x.yaml"), "x", error=error)


def test_an_error_goes_before_stop_before_no_answer_before_wait_before_go() -> None:
    ranked = [
        failed(StoreLocked("")),
        failed(SourceUnreachable("")),
        failed(InputError("")),
        *(
            JobResult(Path("x.yaml"), "x", evaluation=samples.experiment().model_copy(update={"verdict": verdict}))
            for verdict in (Verdict.ROLLBACK, Verdict.NO_DATA, Verdict.PAUSE)
        ),
        JobResult(Path("x.yaml"), "x", evaluation=samples.experiment(Verdict.SHIP)),
    ]
    codes = [4, 3, 2, 10, 30, 20, 0]
    for index, code in enumerate(codes):
        assert worst_exit_code(tuple(reversed(ranked[index:]))) == code


def test_a_fault_of_ours_in_one_experiment_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = EXAMPLE.read_text().replace("../recordings/", f"{folder('data')}/recordings/")
    text = text.replace("end: 2026-11-03", "end: 2026-11-01T01:00:00Z")
    (tmp_path / "a.yaml").write_text(text.replace("name: buy-now-button", "name: doomed"))
    (tmp_path / "b.yaml").write_text(text)
    (tmp_path / "c.yaml").write_text("service: [")

    def breaks(experiment: Experiment, store: Store) -> Evaluation:
        if experiment.name == "doomed":
            raise ZeroDivisionError
        return evaluate(experiment, store)

    monkeypatch.setattr("abkit.jobs.evaluate", breaks)
    seen: list[str] = []
    results = run_once(tmp_path, Store(tmp_path / "s.duckdb"), now=NOW, done=lambda result: seen.append(result.name))
    assert seen == ["doomed", "buy-now-button", "c"]
    assert "ZeroDivisionError" in str(results[0].error)
    assert results[0].exit_code == 1
    assert results[1].evaluation is not None
    assert isinstance(results[2].error, SpecError)
