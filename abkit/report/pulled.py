"""What a pull did, in words and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape

from abkit.evidence import Severity
from abkit.pipeline.collect import PullReport
from abkit.pipeline.health import quality_of
from abkit.report.format import plain
from abkit.spec import Experiment

__all__ = ["print_pull", "pull_document"]

_SYMBOLS = {Severity.NOTE: "[dim]·[/]", Severity.WARNING: "[yellow]![/]", Severity.INVALID: "[red]✗[/]"}


def print_pull(experiment: Experiment, report: PullReport, console: Console) -> None:
    """Say what was collected, and what a reader should know about it.

    Args:
        experiment: The experiment file.
        report: What the pull did.
        console: Where to.
    """
    if report.window.length_ms <= 0:
        console.print(f"{report.experiment}: nothing new to collect until {_time(report.window.end_ms)}", markup=False)
        return
    if report.samples == 0:
        console.print(
            f"{report.experiment}: {plain(report.source)} has no samples of this experiment between "
            f"{_time(report.window.start_ms)} and {_time(report.window.end_ms)}: check the metrics' names and labels",
            markup=False,
            soft_wrap=True,
        )
        return
    window = f"{_time(report.window.start_ms)} to {_time(report.window.end_ms)}"
    console.print(
        f"{report.experiment}: {report.samples:,} samples of {report.series:,} series from {plain(report.source)} "
        f"({report.way}), {report.new_samples:,} of them new; {window}",
        markup=False,
        soft_wrap=True,
    )
    for finding in quality_of(report.quality, experiment).findings:
        console.print(f"{_SYMBOLS[finding.severity]} {escape(plain(finding.message))}", soft_wrap=True)


def pull_document(experiment: Experiment, report: PullReport) -> dict[str, object]:
    """The same for `--json`; times in RFC 3339.

    Args:
        experiment: The experiment file.
        report: What the pull did.
    """
    quality = quality_of(report.quality, experiment)
    return {
        "experiment": report.experiment,
        "window": {"start": _time(report.window.start_ms), "end": _time(report.window.end_ms)},
        "source": report.source,
        "way": report.way,
        "samples": report.samples,
        "new_samples": report.new_samples,
        "series": report.series,
        "scrape_interval_ms": report.quality.scrape_interval_ms,
        "data_quality": quality.model_dump(mode="json"),
    }


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")
