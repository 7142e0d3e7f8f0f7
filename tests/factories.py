"""Results and specs for tests of what is concluded from them."""

from __future__ import annotations

from abkit import spec
from abkit.evidence import Health, LimitResult, MetricResult, Quality, Sequential, Srm, Status, Usage
from abkit.spec import Direction, Experiment, Kind

AB = """\
service: shop
variants: {control: v1, treatment: v2}
metrics: {primary: [conversion], guardrails: [{metric: error-rate, margin: 0.1}], secondary: [click-rate]}
analysis: {start: 2026-11-01, end: 2026-11-15}
"""
CANARY = """\
service: shop
strategy: canary
variants: {control: v1, treatment: v2}
metrics: {guardrails: [{metric: latency-mean, margin: 0.1}]}
"""


def experiment(text: str = AB) -> Experiment:
    return spec.loads(text)


def result(
    metric: str = "conversion",
    *,
    role: Usage = Usage.PRIMARY,
    variant: str = "treatment",
    lift: float | None = 0.0,
    p: float | None = 0.5,
    direction: Direction = Direction.INCREASE,
    margin: float | None = None,
    harm_bound: float | None = None,
    status: Status | None = None,
) -> MetricResult:
    ci = None if lift is None else (lift - 0.02, lift + 0.02)
    return MetricResult(
        metric=metric,
        kind=Kind.PROPORTION,
        role=role,
        control="control",
        variant=variant,
        direction=direction,
        baseline=0.1,
        value=None if lift is None else 0.1 * (1 + lift),
        effect=None if lift is None else 0.1 * lift,
        effect_ci=None,
        lift=lift,
        lift_ci=ci,
        p_value=p,
        p_adjusted=p,
        margin=margin,
        harm_bound=harm_bound,
        method="test",
        replication="32 hash replicates",
        n_replicates=32,
        sequential=None if p is None else Sequential(p_value=p, lift_ci=ci, effect_ci=None),
        status=status or Status(),
    )


def guardrail(
    harm_bound: float | None = 0.02, *, lift: float = 0.0, p: float = 0.5, variant: str = "treatment"
) -> MetricResult:
    return result(
        "error-rate",
        role=Usage.GUARDRAIL,
        lift=lift,
        p=p,
        direction=Direction.DECREASE,
        margin=0.1,
        harm_bound=harm_bound,
        variant=variant,
    )


def limit(
    metric: str = "error-rate",
    level: str = "pause",
    *,
    variant: str = "treatment",
    beyond: bool = False,
    value: float = 0.002,
    status: Status | None = None,
) -> LimitResult:
    return LimitResult.model_validate(
        {
            "metric": metric,
            "kind": "proportion",
            "variant": variant,
            "level": level,
            "limit": 0.01 if level == "pause" else 0.05,
            "value": value,
            "beyond": beyond,
            "p_value": 0.0001 if beyond else 1.0,
            "status": status or Status(),
        }
    )


def health(srm: str = "ok", quality: Quality | None = None) -> Health:
    return Health(
        srm=Srm.model_validate({"status": srm, "reason": "Users are split as intended."}),
        data_quality=quality or Quality(status="ok"),
    )
