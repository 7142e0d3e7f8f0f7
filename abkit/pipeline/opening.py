"""Which source an experiment is read from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import ValidationError

from abkit.errors import InputError
from abkit.sources.base import Source as SampleSource
from abkit.sources.instant import InstantQueries
from abkit.sources.labelled import LabelledSource
from abkit.sources.openmetrics import OpenMetricsSource
from abkit.sources.prometheus import PrometheusSource
from abkit.sources.pushdown import PushDownSource
from abkit.sources.recording import RecordingSource
from abkit.sources.replicas import DeduplicatedSource
from abkit.sources.several import SeveralSources
from abkit.sources.victoriametrics import VictoriaMetricsSource
from abkit.spec import Experiment, Mode, Source

__all__ = ["open_questions", "open_source"]


def open_source(
    experiment: Experiment,
    folder: Path,
    *,
    prometheus: str | None = None,
    recording: Path | None = None,
    fallback: str | None = None,
) -> SampleSource:
    """Open the source of an experiment's samples.

    Args:
        experiment: The experiment file.
        folder: Where the file lies: its paths are relative to it.
        prometheus: URL that the user named instead.
        recording: Recording that the user named instead, relative to the working directory.
        fallback: URL for experiments that name no source.

    Raises:
        InputError: No source is named, or two.
        SourceError: It can't be opened.
    """
    if prometheus is not None and recording is not None:
        msg = "--prometheus and --recording: give one of them"
        raise InputError(msg)
    if recording is not None:
        return RecordingSource(recording)
    named = [source for source in experiment.sources if source.places]
    if prometheus is not None:
        named = [_at(experiment.sources, prometheus, "--prometheus")]
    elif not named and fallback is not None:
        named = [_at(experiment.sources, fallback, "ABKIT_PROMETHEUS")]
    if not named:
        msg = (
            f"{experiment.name}: no source: give source.prometheus in the experiment file, --prometheus URL, "
            "--recording FILE or ABKIT_PROMETHEUS"
        )
        raise InputError(msg)
    with ExitStack() as opened:
        parts = [_opened(source, folder, opened) for source in named]
        opened.pop_all()
    whole = parts[0] if len(parts) == 1 else SeveralSources(parts)
    replica_labels = tuple(dict.fromkeys(name for source in named for name in source.replica_labels))
    return DeduplicatedSource(whole, replica_labels) if replica_labels else whole


def open_questions(
    experiment: Experiment | None, folder: Path, *, prometheus: str | None = None, fallback: str | None = None
) -> tuple[InstantQueries, ...]:
    """The servers of an experiment's samples, for small questions.

    Args:
        experiment: The experiment file; None where there is none.
        folder: Where the file lies: its paths are relative to it.
        prometheus: URL that the user named instead.
        fallback: URL for experiments that name no source.

    Raises:
        InputError: No server is named: files can't be asked.
    """
    sources = () if experiment is None else experiment.sources
    if prometheus is not None:
        named = [_at(sources, prometheus, "--prometheus")]
    else:
        named = [source for source in sources if source.prometheus or source.victoriametrics]
        if not named and fallback is not None:
            named = [_at(sources, fallback, "ABKIT_PROMETHEUS")]
    if not named:
        msg = "no server to ask: give --prometheus URL, ABKIT_PROMETHEUS, or source.prometheus in the experiment file"
        raise InputError(msg)
    return tuple(InstantQueries(source, folder) for source in named)


def _opened(settings: Source, folder: Path, opened: ExitStack) -> SampleSource:
    source: SampleSource
    if settings.recording is not None:
        source = RecordingSource(folder / settings.recording)
    elif settings.openmetrics is not None:
        source = OpenMetricsSource(folder / settings.openmetrics)
    elif settings.victoriametrics is not None:
        source = VictoriaMetricsSource(settings, folder)
    elif settings.mode is Mode.PUSH_DOWN:
        source = PushDownSource(settings, folder)
    else:
        source = PrometheusSource(settings, folder)
    opened.callback(source.close)
    return LabelledSource(source, settings.labels) if settings.labels else source


def _at(sources: Sequence[Source], url: str, option: str) -> Source:
    """The settings of the file's source, with another URL; none of theirs where it has several: nobody knows whose."""
    same = [source for source in sources if source.prometheus == url.rstrip("/")]
    settings = same[0] if same else sources[0] if len(sources) == 1 else Source()
    nowhere = dict.fromkeys(settings.places)
    try:
        return Source.model_validate(settings.model_dump(by_alias=True) | nowhere | {"prometheus": url})
    except ValidationError as error:
        words = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        msg = f"{option}: {words}"
        raise InputError(msg) from None
