"""The pipeline over every experiment file of a folder: one that fails doesn't stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from abkit.errors import AbkitError, InputError
from abkit.evidence import Evaluation
from abkit.pipeline.collect import collect
from abkit.pipeline.evaluate import evaluate
from abkit.pipeline.opening import open_source
from abkit.queries.own import load_experiment
from abkit.spec import find_specs
from abkit.store import Store

__all__ = ["JobResult", "run_once", "worst_exit_code"]

_ORDER = (4, 3, 2, 1, 10, 30, 20, 0)


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of one experiment file.

    Attributes:
        path: The file.
        name: The experiment's name, or the file's where it can't be read.
        evaluation: The verdict; None where it failed.
        error: What failed; None where nothing did.
    """

    path: Path
    name: str
    evaluation: Evaluation | None = None
    error: AbkitError | None = None

    @property
    def exit_code(self) -> int:
        """The error's code, or the verdict's."""
        if self.error is not None:
            return self.error.exit_code
        return 0 if self.evaluation is None else self.evaluation.verdict.exit_code


def run_once(
    folder: Path,
    store: Store,
    *,
    now: datetime,
    prometheus: str | None = None,
    fallback: str | None = None,
    metrics: Path | None = None,
    done: Callable[[JobResult], None] | None = None,
) -> tuple[JobResult, ...]:
    """Pull and decide every experiment of a folder.

    Args:
        folder: Holds the experiment files.
        store: Where samples and verdicts are kept.
        now: The time now.
        prometheus: URL instead of the experiments' own sources.
        fallback: URL for experiments that name no source.
        metrics: Folder of metrics of one's own.
        done: Called after each experiment.

    Raises:
        InputError: The folder is missing or has no experiment files.
    """
    log = structlog.get_logger("abkit.jobs")
    results: list[JobResult] = []
    for path in find_specs(folder):
        result = _run(path, store, now, prometheus, fallback, metrics, results)
        if result.error is not None:
            log.error("experiment failed", experiment=result.name, error=str(result.error))
        elif result.evaluation is not None:
            log.info("experiment decided", experiment=result.name, verdict=str(result.evaluation.verdict))
        results.append(result)
        if done is not None:
            done(result)
    return tuple(results)


def worst_exit_code(results: tuple[JobResult, ...]) -> int:
    """The exit code of many: an error before stop, no valid answer, wait, go.

    >>> worst_exit_code(())
    0
    """
    return min((result.exit_code for result in results), key=_ORDER.index, default=0)


def _run(
    path: Path,
    store: Store,
    now: datetime,
    prometheus: str | None,
    fallback: str | None,
    metrics: Path | None,
    before: Sequence[JobResult],
) -> JobResult:
    name = path.stem
    try:
        experiment = load_experiment(path, metrics)
        name = experiment.name
        if twin := next((other.path for other in before if other.name == name), None):
            msg = f"{path}: metadata.name: {twin} is called '{name}' too: give each experiment a name of its own"
            raise InputError(msg)
        source = open_source(experiment, path.parent, prometheus=prometheus, fallback=fallback)
        try:
            collect(experiment, source, store, now_ms=int(now.timestamp() * 1000))
        finally:
            source.close()
        evaluation = evaluate(experiment, store)
        store.append_verdict(evaluation)
    except AbkitError as error:
        return JobResult(path, name, error=error)
    except Exception as error:  # a fault of ours in one experiment must not stop the job of all
        structlog.get_logger("abkit.jobs").exception("fault", experiment=name)
        return JobResult(path, name, error=AbkitError(f"a fault in abkit: {type(error).__name__}; the log has more"))
    return JobResult(path, name, evaluation)
