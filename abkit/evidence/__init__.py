"""What the statistics found and what is concluded from it: the models that all floors above share.

All are frozen and admit neither NaN nor infinity: a number that does not exist is None, beside a status that says why.
"""

from __future__ import annotations

from abkit.evidence.base import Interval, Status, StatusCode
from abkit.evidence.evaluation import Evaluation, Provenance, Reason, Share, Stage, Verdict, WindowModel
from abkit.evidence.health import Finding, Health, Quality, Severity, Srm
from abkit.evidence.insights import (
    Anomaly,
    AnomalyCheck,
    Bandit,
    Bayesian,
    Covariate,
    DesignNeed,
    Interaction,
    LookPlan,
    Novelty,
    PeriodChange,
    Power,
    SegmentResult,
)
from abkit.evidence.results import LimitResult, MetricResult, Sequential, TrendPoint, Usage

__all__ = [
    "Anomaly",
    "AnomalyCheck",
    "Bandit",
    "Bayesian",
    "Covariate",
    "DesignNeed",
    "Evaluation",
    "Finding",
    "Health",
    "Interaction",
    "Interval",
    "LimitResult",
    "LookPlan",
    "MetricResult",
    "Novelty",
    "PeriodChange",
    "Power",
    "Provenance",
    "Quality",
    "Reason",
    "SegmentResult",
    "Sequential",
    "Severity",
    "Share",
    "Srm",
    "Stage",
    "Status",
    "StatusCode",
    "TrendPoint",
    "Usage",
    "Verdict",
    "WindowModel",
]
