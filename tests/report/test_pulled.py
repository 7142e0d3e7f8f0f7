"""What a pull says it did."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from abkit.pipeline.collect import PullReport
from abkit.report.pulled import print_pull, pull_document
from abkit.store import Quality
from abkit.window import Window
from tests.factories import experiment

START = 1_793_491_200_000


def printed(report: PullReport) -> str:
    text = StringIO()
    print_pull(experiment(), report, Console(file=text, width=80))
    return text.getvalue()


def report(samples: int = 1_234, end: int = START + 3_600_000, quality: Quality | None = None) -> PullReport:
    return PullReport(
        "shop", Window(START, end), "prometheus http://p:9090", "range-vector", samples, 1_000, 7, quality or Quality()
    )


def test_what_was_read_from_where_and_what_of_it_is_new() -> None:
    assert printed(report()) == (
        "shop: 1,234 samples of 7 series from prometheus http://p:9090 (range-vector), 1,000 of them new; "
        "2026-11-01T00:00:00Z to 2026-11-01T01:00:00Z\n"
    )


def test_nothing_found_and_nothing_to_read_yet_are_said() -> None:
    assert "has no samples of this experiment" in printed(report(samples=0))
    assert "nothing new to collect until 2026-11-01T00:00:00Z" in printed(report(end=START))


def test_what_a_reader_should_know_comes_with_it_and_can_not_break_out() -> None:
    text = printed(report(quality=Quality(gaps=2, unmatched_series={"[red]v9\x1b[0m": 3})))
    assert "! 3 series with the version or variant '[red]v9" in text
    assert "\x1b" not in text
    assert "· 2 scrape gaps" in text


def test_series_that_vanish_and_pods_that_are_scraped_twice_are_said() -> None:
    text = printed(
        report(quality=Quality(vanished={"treatment/ab_purchases_total": 32}, doubled_targets=2, relabelled=5))
    )
    for words in (
        "treatment/ab_purchases_total: all 32 series ended",
        "2 targets scraped more than once",
        "5 series go on",
    ):
        assert words in text


def test_the_document_has_times_in_rfc_3339_and_the_findings() -> None:
    document = pull_document(experiment(), report(quality=Quality(non_finite=5)))
    assert document["window"] == {"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T01:00:00Z"}
    assert document["data_quality"]["findings"][0]["code"] == "non-finite"  # type: ignore[index]
