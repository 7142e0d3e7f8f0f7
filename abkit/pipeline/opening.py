"""Which source an experiment is read from."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from abkit.errors import InputError
from abkit.sources.base import Source as SampleSource
from abkit.sources.prometheus import PrometheusSource
from abkit.sources.recording import RecordingSource
from abkit.spec import Experiment, Source

__all__ = ["open_source"]


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
    settings = experiment.source
    url = prometheus or settings.prometheus
    if url is None and settings.recording is not None:
        return RecordingSource(folder / settings.recording)
    url = url or fallback
    if url is None:
        msg = (
            f"{experiment.name}: no source: give source.prometheus in the experiment file, --prometheus URL, "
            "--recording FILE or ABKIT_PROMETHEUS"
        )
        raise InputError(msg)
    return PrometheusSource(_at(settings, url), folder)


def _at(settings: Source, url: str) -> Source:
    """The settings of a source, with another URL."""
    try:
        return Source.model_validate(settings.model_dump(by_alias=True) | {"prometheus": url, "recording": None})
    except ValidationError as error:
        words = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        msg = f"--prometheus: {words}"
        raise InputError(msg) from None
