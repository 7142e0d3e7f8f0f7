"""Evaluations as a shop's team would see them: what renderers and pages are tried on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import sqrt

from abkit.evidence import (
    Anomaly,
    Bandit,
    Bayesian,
    Covariate,
    Evaluation,
    Finding,
    Health,
    Interaction,
    Interval,
    LimitResult,
    LookPlan,
    MetricResult,
    Novelty,
    PeriodChange,
    Power,
    Provenance,
    Quality,
    Reason,
    SegmentResult,
    Sequential,
    Severity,
    Share,
    Srm,
    Stage,
    Status,
    StatusCode,
    TrendPoint,
    Usage,
    Verdict,
    WindowModel,
)
from abkit.spec import Direction, Kind, Strategy

__all__ = ["START", "canary", "experiment", "insightful", "invalid", "metric", "no_data", "three_arms"]

START = datetime(2026, 11, 1, tzinfo=UTC)
_DAYS = 10


def metric(
    name: str,
    kind: Kind,
    role: Usage,
    direction: Direction,
    baseline: float | None,
    lift: float | None,
    error: float,
    *,
    unit: str = "",
    meaning: str = "",
    margin: float | None = None,
    variant: str = "treatment",
    status: Status | None = None,
) -> MetricResult:
    """A result whose intervals are 1.96 and 2.9 standard errors wide."""
    known = baseline is not None and lift is not None
    effect = baseline * lift if baseline is not None and lift is not None else None
    p = 0.0004 if lift is not None and abs(lift) > 2.9 * error else 0.31
    fixed = _around(lift, 1.96 * error)
    sequence = _around(lift, 2.9 * error)
    harm = None
    if margin is not None and lift is not None:
        harm = (lift if direction is Direction.DECREASE else -lift) + 2.4 * error
    return MetricResult(
        metric=name,
        kind=kind,
        role=role,
        control="control",
        variant=variant,
        direction=direction,
        unit=unit,
        meaning=meaning,
        baseline=baseline,
        value=None if effect is None or baseline is None else baseline + effect,
        effect=effect,
        effect_ci=_times(fixed, baseline),
        lift=lift,
        lift_ci=fixed,
        p_value=p / 10 if known else None,
        p_adjusted=p if known else None,
        margin=margin,
        harm_bound=harm,
        method="ratio of sums, delete-one jackknife, t",
        replication="32 hash replicates",
        n_replicates=32 if known else None,
        assumption="Users of one hash bucket are independent of those of another.",
        sequential=Sequential(p_value=p, lift_ci=sequence, effect_ci=_times(sequence, baseline)) if known else None,
        status=status or Status(),
    )


def _around(lift: float | None, reach: float) -> Interval | None:
    return None if lift is None else (lift - reach, lift + reach)


def _times(interval: Interval | None, baseline: float | None) -> Interval | None:
    if interval is None or baseline is None or interval[0] is None or interval[1] is None:
        return None
    return (interval[0] * baseline, interval[1] * baseline)


def metrics(variant: str = "treatment", *, gain: float = 0.081) -> tuple[MetricResult, ...]:
    """Seven metrics, one of them without data."""
    up, down, none = Direction.INCREASE, Direction.DECREASE, Direction.NONE
    user, page = Kind.RATIO, Kind.PROPORTION
    lost = Status(
        code=StatusCode.NO_DATA, reason="no series of istio_request_duration_milliseconds_bucket in the window"
    )
    return (
        metric(
            "conversion", page, Usage.PRIMARY, up, 0.0321, gain, 0.0118, variant=variant,
            meaning="Purchases per page view.", unit="purchases per page view",
        ),
        metric(
            "error-rate", page, Usage.GUARDRAIL, down, 0.0042, 0.012, 0.021, variant=variant,
            meaning="Requests answered with 5xx.", margin=0.10,
        ),
        metric(
            "latency-p99", Kind.QUANTILE, Usage.GUARDRAIL, down, None, None, 0.0, variant=variant, unit="s",
            meaning="99 % of the requests are faster.", margin=0.10, status=lost,
        ),
        metric(
            "page-load-time", Kind.MEAN, Usage.GUARDRAIL, down, 0.842, 0.034, 0.031, variant=variant, unit="s",
            meaning="Mean time until the page is drawn.", margin=0.10,
        ),
        metric(
            "click-rate", page, Usage.SECONDARY, up, 0.1843, 0.0412, 0.0102, variant=variant,
            meaning="Clicks per page view.",
        ),
        metric(
            "revenue-per-user", user, Usage.SECONDARY, up, 12.4183, 0.052, 0.0344, variant=variant,
            meaning="Revenue per exposed user.", unit="revenue per user",
        ),
        metric(
            "page-views-per-user", user, Usage.SECONDARY, none, 9.31, -0.0123, 0.0144, variant=variant,
            meaning="Page views per exposed user.",
        ),
    )  # fmt: skip


def trend(results: Sequence[MetricResult], points: int = 30) -> tuple[TrendPoint, ...]:
    """Cumulative lifts that settle."""
    found = []
    for number, result in enumerate(results):
        if result.lift is None or result.lift_ci is None or result.lift_ci[1] is None:
            continue
        reach = result.lift_ci[1] - result.lift
        for index in range(points):
            wide = reach * sqrt(points / (index + 1))
            wobble = wide * 0.5 * (((index * 7 + number * 3) % 11) / 5.5 - 1) * (1 - index / points)
            lift = result.lift + wobble
            found.append(
                TrendPoint(
                    metric=result.metric,
                    variant=result.variant,
                    at=START + timedelta(days=_DAYS) * (index + 1) / points,
                    lift=lift,
                    lift_ci=(lift - wide, lift + wide) if index else None,
                    sequence=(lift - 1.5 * wide, lift + 1.5 * wide) if index > 1 else None,
                )
            )
    return tuple(found)


def experiment(
    verdict: Verdict = Verdict.SHIP,
    name: str = "buy-now-button",
    *,
    reasons: Sequence[Reason] | None = None,
    results: Sequence[MetricResult] | None = None,
    looks: str = "always-valid",
    hypothesis: str = "A larger button raises purchases per visit.",
    owner: str = "growth",
) -> Evaluation:
    """An A/B test of two variants after ten of fourteen days."""
    rows = metrics() if results is None else tuple(results)
    given = reasons or (
        Reason(
            code="primary-better",
            message="conversion of treatment +8.1% [+4.7%, +11.5%] (higher is better): better than the control.",
        ),
        Reason(
            code="guardrail-within",
            message="error-rate of treatment is at most 6.2% worse, within the margin of 10%.",
        ),
    )
    return Evaluation(
        experiment=name,
        strategy=Strategy.AB,
        owner=owner,
        hypothesis=hypothesis,
        verdict=verdict,
        reasons=tuple(given),
        as_of=START + timedelta(days=_DAYS),
        window=WindowModel(start=START, end=START + timedelta(days=_DAYS)),
        planned_end=START + timedelta(days=14),
        confidence=0.95,
        looks=looks,
        health=Health(
            srm=Srm(
                status="ok",
                reason="Users are split as intended.",
                observed={"control": 48211, "treatment": 48377},
                expected={"control": 48294.0, "treatment": 48294.0},
                p_value=0.59,
                sequential_p_value=0.81,
                method="multinomial",
            ),
            data_quality=Quality(
                status="warning",
                findings=(
                    Finding(
                        code="gaps",
                        severity=Severity.WARNING,
                        message="2 scrape gaps of up to 9 minutes: at most 0.3 % of the events fall between windows.",
                    ),
                ),
            ),
        ),
        metrics=rows,
        split=(
            Share(variant="control", version="v1", intended=0.5, users=48211, observed=0.4991),
            Share(variant="treatment", version="v2", intended=0.5, users=48377, observed=0.5009),
        ),
        trend=trend(rows),
        epochs=(START + timedelta(days=3),),
        provenance=provenance(),
    )


def insightful() -> Evaluation:
    """A group-sequential test with everything beside the scorecard."""
    base = experiment(Verdict.KEEP_RUNNING, looks="obrien-fleming")
    first, *others = base.metrics
    end = START + timedelta(days=_DAYS)
    first = first.model_copy(
        update={
            "bayes": Bayesian(
                probability_better=0.991, lift=0.075, lift_ci=(0.021, 0.131), loss_ship=0.00002, loss_keep=0.075,
                prior="normal on the log ratio around 0, standard deviation 0.1",
            ),
            "power": Power(
                power=0.8, mde=0.034, planned=0.02, achieved=0.41, days=31.2, reachable=0.024, saturates=True,
                note="Users come back: no longer run finds less than 2.4 %.",
            ),
            "covariate": Covariate(variance_removed=0.44, lift=0.07, lift_ci=(-0.01, 0.15)),
        }
    )  # fmt: skip
    few = Status(code=StatusCode.TOO_FEW, reason="under 8 effective hash replicates")

    def segment(name: str, lift: float | None, status: Status | None = None) -> SegmentResult:
        known = lift is not None
        return SegmentResult(
            label="device", segment=name, metric="conversion", variant="treatment", baseline=0.03, value=0.031,
            lift=lift, lift_ci=(lift - 0.05, lift + 0.05) if lift is not None else None,
            p_value=0.01 if known else None, p_adjusted=0.02 if known else None, status=status or Status(),
        )  # fmt: skip

    period = PeriodChange(
        metric="conversion", variant="control", against="last-week", start=START, end=end, before=0.031, now=0.0321,
        change=0.035, change_ci=(-0.01, 0.08), p_value=0.2,
    )  # fmt: skip
    return base.model_copy(
        update={
            "metrics": (first, *others),
            "look_plan": LookPlan(
                spending="obrien-fleming", planned=5, taken=3, last=end, next=end + timedelta(days=2), fraction=0.6,
                spent=0.0076,
            ),
            "segments": (segment("mobile", 0.12), segment("<b>desktop</b>", 0.02), segment("tv", None, few)),
            "interactions": (
                Interaction(label="device", metric="conversion", variant="treatment", p_value=0.04, p_adjusted=0.08),
            ),
            "periods": (period,),
            "novelty": (
                Novelty(metric="conversion", variant="treatment", slope=-0.004, slope_ci=(-0.009, 0.001), p_value=0.1,
                        early=0.1, late=0.06),
            ),
            "anomalies": (
                Anomaly(metric="conversion", variant="control", at=START, value=0.01, expected=0.031, low=0.025,
                        high=0.036),
            ),
            "bandit": (
                Bandit(metric="conversion", weights={"control": 1000, "treatment": 9000},
                       probability_best={"control": 0.009, "treatment": 0.991}, floor=1000),
            ),
        }
    )  # fmt: skip


def provenance() -> Provenance:
    """What it was made from."""
    return Provenance(
        abkit_version="0.1.0",
        spec_hash="a3f0b6c1d2e4f587",
        inputs="9b1c2d3e4f5a6b7c",
        source="http://prometheus:9090",
        queries={
            "conversion.denominator": 'ab_page_views_total{ab_experiment="buy-now-button"}',
            "conversion.numerator": 'ab_purchases_total{ab_experiment="buy-now-button"}',
        },
    )


def invalid() -> Evaluation:
    """Users are not split as intended."""
    reason = "Users are split 55.3 % to 44.7 %, intended 50 % to 50 %: the numbers can't be compared."
    base = experiment(
        Verdict.INVALID, "free-shipping-bar", reasons=(Reason(code="sample-ratio-mismatch", message=reason),)
    )
    srm = Srm(
        status="mismatch",
        reason=reason,
        observed={"control": 53411, "treatment": 43177},
        expected={"control": 48294.0, "treatment": 48294.0},
        p_value=1e-12,
        sequential_p_value=1e-9,
        method="multinomial",
    )
    shares = (
        Share(variant="control", version="v1", intended=0.5, users=53411, observed=0.553),
        Share(variant="treatment", version="v2", intended=0.5, users=43177, observed=0.447),
    )
    return base.model_copy(update={"health": base.health.model_copy(update={"srm": srm}), "split": shares})


def no_data() -> Evaluation:
    """Nothing at all is known."""
    base = experiment(
        Verdict.NO_DATA,
        "search-ranking",
        reasons=(Reason(code="no-data", message="There is no data in the window: check the source."),),
        results=(),
    )
    srm = Srm(status="unavailable", reason="No users are counted.")
    return base.model_copy(
        update={
            "as_of": None,
            "planned_end": None,
            "window": WindowModel(start=None, end=None),
            "health": Health(srm=srm, data_quality=Quality(status="ok")),
            "split": (
                Share(variant="control", version="v1", intended=0.5, users=None, observed=None),
                Share(variant="treatment", version="v2", intended=0.5, users=None, observed=None),
            ),
            "epochs": (),
        }
    )


def three_arms() -> Evaluation:
    """An A/B/n test of two treatments."""
    rows = (*metrics("green"), *metrics("large", gain=-0.062))
    base = experiment(Verdict.KEEP_RUNNING, "checkout-colours", results=rows, owner="checkout")
    return base.model_copy(
        update={
            "reasons": (
                Reason(code="guardrail-open", message="latency-p99 of green can't be judged: no data."),
                Reason(code="primary-worse", message="conversion of large −6.2 %: worse than the control."),
            ),
            "split": (
                Share(variant="control", version="v1", intended=0.5, users=24100, observed=0.501),
                Share(variant="green", version="v2-green", intended=0.25, users=12011, observed=0.2497),
                Share(variant="large", version="v2-large", intended=0.25, users=11992, observed=0.2493),
            ),
        }
    )


def canary(verdict: Verdict = Verdict.PAUSE) -> Evaluation:
    """A canary on its second stage, with one limit broken."""
    rows = (
        metric(
            "error-rate", Kind.PROPORTION, Usage.LIMIT, Direction.DECREASE, 0.0011, 9.4, 2.1,
            meaning="Requests answered with 5xx.",
        ),
        metric(
            "latency-p99", Kind.QUANTILE, Usage.LIMIT, Direction.DECREASE, 0.212, 0.11, 0.08, unit="s",
            meaning="99 % of the requests are faster.",
        ),
    )  # fmt: skip
    limits = (
        LimitResult(metric="error-rate", kind=Kind.PROPORTION,
                    variant="treatment", level="pause", limit=0.01, value=0.0114, beyond=True,
                    p_value=0.0003, method="one-sided confidence sequence"),
        LimitResult(metric="error-rate", kind=Kind.PROPORTION,
                    variant="treatment", level="rollback", limit=0.05, value=0.0114, beyond=False, within=True,
                    p_value=1.0, method="one-sided confidence sequence"),
        LimitResult(metric="latency-p99", kind=Kind.QUANTILE,
                    variant="treatment", level="pause", limit=0.5, value=0.235, beyond=False, within=True,
                    p_value=1.0, unit="s", method="one-sided confidence sequence"),
        LimitResult(metric="success-rate", kind=Kind.PROPORTION,
                    variant="treatment", level="pause", limit=0.999, value=None, beyond=False,
                    p_value=None, method="one-sided confidence sequence",
                    status=Status(code=StatusCode.NO_DATA, reason="no series in the window")),
    )  # fmt: skip
    base = experiment(
        verdict,
        "payment-api-v7",
        reasons=(Reason(code="limit-pause", message="error-rate of treatment is 1.14 %, beyond the limit of 1 %."),),
        results=rows,
        owner="payments",
        hypothesis="",
    )
    return base.model_copy(
        update={
            "strategy": Strategy.CANARY,
            "planned_end": None,
            "limits": limits,
            "stage": Stage(share=0.10, step=2, steps=(5, 10, 25, 50, 100), since=START + timedelta(days=9, hours=20)),
            "split": (
                Share(variant="control", version="v6", intended=0.9, users=None, observed=0.899, basis="requests"),
                Share(variant="treatment", version="v7", intended=0.1, users=None, observed=0.101, basis="requests"),
            ),
        }
    )
