"""Everything about one experiment at one moment, and its JSON."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Literal

from abkit.evidence.base import Model
from abkit.evidence.health import Health
from abkit.evidence.insights import (
    Anomaly,
    AnomalyCheck,
    Bandit,
    Interaction,
    LookPlan,
    Novelty,
    PeriodChange,
    SegmentResult,
)
from abkit.evidence.results import LimitResult, MetricResult, TrendPoint
from abkit.spec import Strategy

__all__ = ["Evaluation", "Provenance", "Reason", "Share", "Stage", "Verdict", "WindowModel"]


class Verdict(StrEnum):
    """What is to be done. `exit_code` is what `--exit-code` ends with."""

    SHIP = "ship"
    DO_NOT_SHIP = "do-not-ship"
    KEEP_RUNNING = "keep-running"
    INCONCLUSIVE = "inconclusive"
    DESCRIPTIVE = "descriptive"
    INVALID = "invalid"
    NO_DATA = "no-data"
    CONTINUE = "continue"
    PROMOTE = "promote"
    PAUSE = "pause"
    ROLLBACK = "rollback"

    @property
    def exit_code(self) -> int:
        """0 go, 10 stop, 20 wait, 30 no valid answer.

        >>> Verdict.SHIP.exit_code, Verdict.ROLLBACK.exit_code
        (0, 10)
        """
        match self:
            case Verdict.SHIP | Verdict.CONTINUE | Verdict.PROMOTE:
                return 0
            case Verdict.DO_NOT_SHIP | Verdict.ROLLBACK:
                return 10
            case Verdict.INVALID | Verdict.NO_DATA:
                return 30
            case _:
                return 20


class Reason(Model):
    """Why the verdict is what it is; the first is the rule that fired."""

    code: str
    """Short and stable, such as `primary-better`."""
    message: str
    """One sentence for a product analyst."""

    def __str__(self) -> str:
        return self.message


class Share(Model):
    """One variant's part of the users or requests."""

    variant: str
    version: str
    intended: float
    """Share by the split now in force, 0 … 1."""
    users: int | None
    """Users first exposed in the window; None where the services don't count them."""
    observed: float | None
    """Share of the users (or of requests, where users aren't counted); None without data."""
    basis: Literal["users", "requests"] = "users"


class WindowModel(Model):
    """The time that was analysed, half-open."""

    start: datetime | None
    end: datetime | None


class Stage(Model):
    """Where a canary stands."""

    share: float
    """The treatment's share of the traffic now, 0 … 1."""
    step: int | None
    """Number of the step, from 1; None where the split is none of the steps."""
    steps: tuple[float, ...]
    """Percent, all stages."""
    since: datetime | None
    """Since when."""


class Provenance(Model):
    """What the result was made from: enough to make it again."""

    abkit_version: str
    spec_hash: str
    inputs: str
    """Fingerprint of the facts that were read."""
    source: str | None
    queries: dict[str, str]
    """`metric.role` → the resolved PromQL selector."""


class Evaluation(Model):
    """Everything about one experiment at one moment: what `verdict --json` prints and what pages draw."""

    experiment: str
    strategy: Strategy
    owner: str = ""
    hypothesis: str = ""
    verdict: Verdict
    reasons: tuple[Reason, ...]
    as_of: datetime | None
    """The newest moment that the results include; None without data."""
    window: WindowModel
    planned_end: datetime | None = None
    confidence: float
    looks: str
    health: Health
    metrics: tuple[MetricResult, ...]
    limits: tuple[LimitResult, ...] = ()
    stage: Stage | None = None
    split: tuple[Share, ...]
    trend: tuple[TrendPoint, ...] = ()
    epochs: tuple[datetime, ...] = ()
    """Moments at which the split changed within the window."""
    look_plan: LookPlan | None = None
    """The looks of a group-sequential test; None for other ones."""
    segments: tuple[SegmentResult, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    periods: tuple[PeriodChange, ...] = ()
    novelty: tuple[Novelty, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    anomaly_checks: tuple[AnomalyCheck, ...] = ()
    bandit: tuple[Bandit, ...] = ()
    provenance: Provenance

    def to_json(self) -> str:
        """One JSON document, the same bytes for the same evaluation: statuses and reasons as plain sentences."""
        return _dump(self)

    @staticmethod
    def from_json(text: str) -> Evaluation:
        """Read what `to_json` wrote."""
        return _load(text)


def _dump(evaluation: Evaluation) -> str:
    document = evaluation.model_dump(mode="json")
    document["reasons"] = [str(reason) for reason in evaluation.reasons]
    document["reason_codes"] = [reason.code for reason in evaluation.reasons]
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _load(text: str) -> Evaluation:
    document = json.loads(text)
    codes = document.pop("reason_codes")
    document["reasons"] = [
        {"code": code, "message": message} for code, message in zip(codes, document["reasons"], strict=True)
    ]
    return Evaluation.model_validate(document)
