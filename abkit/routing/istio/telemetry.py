"""The Telemetry object: tags the request count with experiment, variant, assignment and replicate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from abkit.assignment import REPLICATE_HEADER, assignment_header, experiment_header, variant_header
from abkit.routing.base import Manifest
from abkit.routing.objects import manifest
from abkit.routing.plan import Mark, Plan, Target

__all__ = ["telemetry"]

_API_VERSION: Final = "telemetry.istio.io/v1"


def telemetry(plan: Plan) -> Manifest:
    """The tags. The request count alone gets them: on a histogram they would multiply its buckets.

    Whatever the spec does not know becomes `none`: no client can make series.
    """
    layer = plan.layers[0].name
    variants = dict.fromkeys(target.variant for target in _targets(plan))
    tags = {
        "ab_experiment": (experiment_header(layer), plan.experiments),
        "ab_variant": (variant_header(layer), tuple(variants)),
        "ab_assignment": (assignment_header(layer), tuple(mark.value for mark in Mark)),
        "ab_replicate": (REPLICATE_HEADER, tuple(str(number) for number in range(plan.replicates))),
    }
    overrides = {name: {"operation": "UPSERT", "value": _known(*header)} for name, header in tags.items()}
    labels = plan.settings.istio.workload_labels or {"app": plan.service}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": dict(labels)},
        "metrics": [
            {
                "providers": [{"name": "prometheus"}],
                "overrides": [
                    {"match": {"metric": "REQUEST_COUNT", "mode": "SERVER"}, "tagOverrides": overrides},
                ],
            }
        ],
    }
    comments = ("Tags istio_requests_total of the service's own proxies; values that no experiment has become none.",)
    return manifest(plan, _API_VERSION, "Telemetry", spec, name=f"{plan.service}-abkit", comments=comments)


def _targets(plan: Plan) -> list[Target]:
    found: list[Target] = []
    for route in plan.routes:
        if isinstance(route.then, Target):
            found.append(route.then)
    return [*(share.target for split in plan.splits for share in split.shares), *found]


def _known(header: str, values: Sequence[str]) -> str:
    """CEL: the header's value where it is one of these, else none."""
    named = f"request.headers['{header}']"
    listed = ", ".join(f"'{value}'" for value in values)
    return f"'{header}' in request.headers && {named} in [{listed}] ? {named} : 'none'"
