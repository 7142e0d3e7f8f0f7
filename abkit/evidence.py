"""What the statistics found and what is concluded from it: the models that all floors above share.

All are frozen and admit neither NaN nor infinity: a number that does not exist is None, beside a status that says why.
"""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from abkit.spec import Direction, Kind, Strategy

__all__ = [
    "Evaluation",
    "Finding",
    "Health",
    "Interval",
    "LimitResult",
    "MetricResult",
    "Provenance",
    "Quality",
    "Reason",
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

Interval = tuple[float | None, float | None]
"""Low and high; None where it is open on that side."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


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


class StatusCode(StrEnum):
    """Whether a number is there and may be relied on, and if not, why."""

    OK = "ok"
    NO_DATA = "no data"
    NOT_RANDOMISED = "not randomised"
    NOT_USER_LEVEL = "not user-level"
    TOO_FEW = "too few"
    UNDEFINED = "undefined"
    DESCRIPTIVE = "descriptive"


class Status(_Model):
    """A status with its reason."""

    code: StatusCode = StatusCode.OK
    """The class of it."""
    reason: str = ""
    """One sentence; empty when all is well."""

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}" if self.reason else str(self.code)


class Usage(StrEnum):
    """A metric's part in the verdict."""

    PRIMARY = "primary"
    GUARDRAIL = "guardrail"
    SECONDARY = "secondary"
    LIMIT = "limit"


class Sequential(_Model):
    """The always-valid side of a result: may be read at any time, any number of times."""

    p_value: float
    """Always-valid p: smaller than α at some moment in at most α of the worlds without effect."""
    lift_ci: Interval | None
    """Confidence sequence of the lift."""
    effect_ci: Interval | None
    """Confidence sequence of the effect."""


class MetricResult(_Model):
    """One metric, one treatment against the control."""

    metric: str
    kind: Kind
    role: Usage
    control: str
    """The control's variant name."""
    variant: str
    """The treatment's variant name."""
    direction: Direction
    """Which way is better."""
    unit: str = ""
    meaning: str = ""
    baseline: float | None
    """The control's value."""
    value: float | None
    """The treatment's value."""
    effect: float | None
    """value - baseline; under a ramp, averaged over weight epochs."""
    effect_ci: Interval | None
    """Fixed-horizon interval of the effect."""
    lift: float | None
    """effect / baseline, 0.08 is 8 %."""
    lift_ci: Interval | None
    """Fixed-horizon interval of the lift."""
    p_value: float | None
    """Fixed-horizon, two-sided."""
    p_adjusted: float | None = None
    """Of the kind that decides (always-valid or fixed), corrected for the number of tests of its role."""
    margin: float | None = None
    """Guardrails: the relative harm that is tolerated."""
    harm_bound: float | None = None
    """Guardrails: with confidence, the relative harm is at most this."""
    method: str
    replication: str
    """What the noise was measured on, such as `32 hash replicates`."""
    n_replicates: int | None
    assumption: str = ""
    """What must hold for it, in one sentence."""
    sequential: Sequential | None
    status: Status = Status()
    randomised: bool = True
    """Whether only randomised requests were compared; False where rules mixed others in that can't be told apart."""

    @property
    def better(self) -> bool | None:
        """Whether the estimate points the good way; None where there is none, or no direction."""
        move = self.effect if self.lift is None else self.lift
        if move is None or self.direction is Direction.NONE or move == 0:
            return None
        return (move > 0) == (self.direction is Direction.INCREASE)

    def certain(self, alpha: float) -> bool | None:
        """True where the treatment is better, False where it is worse, each with certainty; None where undecided.

        Args:
            alpha: Error rate that `p_adjusted` must not exceed.
        """
        return self.better if self.p_adjusted is not None and self.p_adjusted <= alpha else None

    @property
    def within_margin(self) -> bool:
        """Whether the harm is shown to be smaller than the margin: non-inferior."""
        return self.harm_bound is not None and self.margin is not None and self.harm_bound < self.margin


class LimitResult(_Model):
    """One absolute limit of one metric, judged on one variant."""

    metric: str
    kind: Kind
    variant: str
    level: Literal["pause", "rollback"]
    limit: float
    value: float | None
    """The metric's value now, in its unit."""
    beyond: bool
    """Beyond the limit with statistical certainty."""
    within: bool = False
    """On the right side of it with statistical certainty; neither where it isn't clear."""
    upper: bool = True
    """Whether more is worse."""
    p_value: float | None
    """Always-valid p of "within the limit"."""
    unit: str = ""
    method: str = ""
    status: Status = Status()


class Srm(_Model):
    """Sample ratio mismatch, on users."""

    status: Literal["ok", "mismatch", "unavailable"]
    reason: str
    observed: dict[str, int] = {}
    """Variant → users first exposed."""
    expected: dict[str, float] = {}
    """Variant → users expected from the split."""
    p_value: float | None = None
    sequential_p_value: float | None = None
    method: str = ""


class Severity(StrEnum):
    """How far a finding goes."""

    NOTE = "note"
    WARNING = "warning"
    INVALID = "invalid"


class Finding(_Model):
    """Something about the data that a reader should know."""

    code: str
    """Short and stable, such as `gaps`."""
    severity: Severity
    message: str
    """One sentence with the size of its effect."""


class Quality(_Model):
    """The data's quality."""

    status: Literal["ok", "warning", "invalid"]
    findings: tuple[Finding, ...] = ()


class Health(_Model):
    """Whether the results may be believed."""

    srm: Srm
    data_quality: Quality


class Reason(_Model):
    """Why the verdict is what it is; the first is the rule that fired."""

    code: str
    """Short and stable, such as `primary-better`."""
    message: str
    """One sentence for a product analyst."""

    def __str__(self) -> str:
        return self.message


class Share(_Model):
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


class TrendPoint(_Model):
    """A metric's cumulative lift at one moment."""

    metric: str
    variant: str
    at: datetime
    lift: float
    lift_ci: Interval | None
    sequence: Interval | None
    """Confidence sequence of the lift."""


class WindowModel(_Model):
    """The time that was analysed, half-open."""

    start: datetime | None
    end: datetime | None


class Stage(_Model):
    """Where a canary stands."""

    share: float
    """The treatment's share of the traffic now, 0 … 1."""
    step: int | None
    """Number of the step, from 1; None where the split is none of the steps."""
    steps: tuple[float, ...]
    """Percent, all stages."""
    since: datetime | None
    """Since when."""


class Provenance(_Model):
    """What the result was made from: enough to make it again."""

    abkit_version: str
    spec_hash: str
    inputs: str
    """Fingerprint of the facts that were read."""
    source: str | None
    queries: dict[str, str]
    """`metric.role` → the resolved PromQL selector."""


class Evaluation(_Model):
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
    statuses = [*(metric.status for metric in evaluation.metrics), *(limit.status for limit in evaluation.limits)]
    for row, status in zip((*document["metrics"], *document["limits"]), statuses, strict=True):
        row["status"] = str(status)
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _load(text: str) -> Evaluation:
    document = json.loads(text)
    codes = document.pop("reason_codes")
    document["reasons"] = [
        {"code": code, "message": message} for code, message in zip(codes, document["reasons"], strict=True)
    ]
    for key in ("metrics", "limits"):
        for row in document[key]:
            code, _, reason = row["status"].partition(": ")
            row["status"] = {"code": code, "reason": reason}
    return Evaluation.model_validate(document)
