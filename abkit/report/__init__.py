"""View models and renderers that the command line and the dashboard share. No SQL, no statistics."""

from __future__ import annotations

from abkit.report.insights import InsightTable
from abkit.report.pages import (
    Banner,
    Failure,
    OverviewRow,
    ProvenanceRow,
    ResultPage,
    banner,
    bar_limit,
    overview,
    result_page,
)
from abkit.report.rows import (
    Change,
    HealthRow,
    LimitRow,
    MetricRow,
    SplitRow,
    StageView,
    TrendRow,
    TrendSeries,
)
from abkit.report.scorecard import print_scorecard, print_summary, scorecard, summary_table
from abkit.report.words import Outcome, Tone

__all__ = [
    "Banner",
    "Change",
    "Failure",
    "HealthRow",
    "InsightTable",
    "LimitRow",
    "MetricRow",
    "Outcome",
    "OverviewRow",
    "ProvenanceRow",
    "ResultPage",
    "SplitRow",
    "StageView",
    "Tone",
    "TrendRow",
    "TrendSeries",
    "banner",
    "bar_limit",
    "overview",
    "print_scorecard",
    "print_summary",
    "result_page",
    "scorecard",
    "summary_table",
]
