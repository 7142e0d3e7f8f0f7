"""Experiment files together with the metrics that their authors keep in folders of their own."""

from __future__ import annotations

from pathlib import Path

from abkit.errors import QueryError
from abkit.queries.catalogue import definition, entries
from abkit.queries.resolving import references
from abkit.spec import Experiment, load

__all__ = ["load_experiment", "own_folders", "with_own"]


def load_experiment(path: Path, folder: Path | None = None) -> Experiment:
    """Read an experiment file, and the metrics of one's own that it names.

    Args:
        path: The YAML file.
        folder: A folder of metrics for all experiments; the file's own folder (`metrics.folder`) comes after it.

    Returns:
        The experiment; definitions from the folders stand in `metrics.definitions`, as if the file had them, so that
        what was judged is known by the experiment alone.

    Raises:
        SpecError: The experiment file can't be read or breaks a rule.
        QueryError: A folder is missing or has a malformed file, or a metric is nowhere.
    """
    experiment = load(path)
    return with_own(experiment, *own_folders(experiment, path, folder))


def own_folders(experiment: Experiment, path: Path, folder: Path | None = None) -> tuple[Path, ...]:
    """The folders of metrics that hold for an experiment file.

    Raises:
        QueryError: The file's own folder is missing.
    """
    given = experiment.metrics.folder
    mine = None if given is None else path.parent / given
    if mine is not None and not mine.is_dir():
        msg = f"metrics.folder: '{given}' is no folder beside {path.name}: name one with *.promql files"
        raise QueryError(msg)
    return tuple(one for one in (folder, mine) if one is not None)


def with_own(experiment: Experiment, *folders: Path) -> Experiment:
    """An experiment with the definitions that it names out of folders.

    Args:
        experiment: The experiment.
        folders: Folders of metrics.

    Raises:
        QueryError: A folder is missing or has a malformed file, or a metric is nowhere.
    """
    if not folders:
        return experiment
    mesh = experiment.metrics.mesh
    built_in = {entry.file for entry in entries()}
    mine = {
        entry.definition.name
        for entry in entries(*folders)
        if entry.file not in built_in and entry.mesh in {None, mesh}
    }
    named = [definition(ref, *folders, mesh=mesh) for ref in references(experiment) if ref.definition is None]
    found = tuple(one for one in named if one.name in mine)
    metrics = experiment.metrics.model_copy(update={"definitions": (*experiment.metrics.definitions, *found)})
    return experiment.model_copy(update={"metrics": metrics})
