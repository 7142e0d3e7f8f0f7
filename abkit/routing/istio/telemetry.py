"""The Telemetry object: tags the request count with experiment, variant, assignment and replicate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from abkit.assignment import REPLICATE_HEADER, assignment_header, experiment_header, variant_header
from abkit.routing.base import Manifest
from abkit.routing.objects import manifest
from abkit.routing.plan import Mark, Plan

__all__ = ["telemetry"]

_API_VERSION: Final = "telemetry.istio.io/v1"


def telemetry(plan: Plan) -> Manifest:
    """The tags. The request count alone gets them: on a histogram they would multiply its buckets.

    Whatever the spec does not know becomes `none`: no client can make series.
    """
    layer = plan.layers[0].name
    # Those without weight too: a ramp must not change the object.
    variants = dict.fromkeys(name for spec in plan.specs for name in spec.variants)
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


def _known(header: str, values: Sequence[str]) -> str:
    """CEL: the header's value where it is one of these, else none."""
    named = f"request.headers['{header}']"
    listed = ", ".join(f"'{value}'" for value in values)
    return f"'{header}' in request.headers && {named} in [{listed}] ? {named} : 'none'"
