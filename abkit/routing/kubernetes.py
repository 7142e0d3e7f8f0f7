"""Plan → Kubernetes: a Deployment and a Service a version, the Service of all, and a canary's fresh baseline.

Labels are what everything else rests on: `app` is what the service selects, `version` what the mesh reports
(`destination_version`), subsets select and collection compares. Prometheus finds the pods by their annotations.
"""

from __future__ import annotations

from typing import Any, Final

from abkit.errors import RoutingError
from abkit.routing.base import Manifest
from abkit.routing.objects import manifest
from abkit.routing.plan import Plan
from abkit.routing.services import service_of, version_service
from abkit.spec import Experiment, Strategy, Variant

__all__ = ["Kubernetes"]

_DEPLOYMENT: Final = "apps/v1"
_NAME: Final = "metadata.name"


class Kubernetes:
    """Kubernetes' own objects."""

    name: Final = "kubernetes"

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """Manifests of a plan.

        Raises:
            RoutingError: No variant names an image.
        """
        found: dict[str, Manifest] = {}
        for spec in plan.specs:
            for variant in spec.variants.values():
                if variant.image is None:
                    continue
                deployment = _deployment(plan, spec, variant, variant.replicas, service_of(plan, variant.version))
                for one in (deployment, version_service(plan, variant.version)):
                    found[one.filename] = one
            if (baseline := _baseline(plan, spec)) is not None:
                found[baseline.filename] = baseline
        if not found:
            msg = f"{plan.title}: no variant has an image: give variants.….image, such as shop:1.4.2"
            raise RoutingError(msg)
        whole = _service(plan)
        found[whole.filename] = whole
        return tuple(found[name] for name in sorted(found))


def _service(plan: Plan) -> Manifest:
    """The Service of all versions: what callers name, and the routes take."""
    container = plan.specs[0].deployment.container_port or plan.port
    spec = {
        "selector": {"app": plan.service},
        "ports": [{"name": "http", "port": plan.port, "targetPort": container}],
    }
    return manifest(plan, "v1", "Service", spec, labels={"app": plan.service})


def _baseline(plan: Plan, spec: Experiment) -> Manifest | None:
    """A fresh copy of the control, of the canary's size: pods that have run for weeks are no match for new ones."""
    control = spec.variants[spec.control]
    if not spec.deployment.baseline or spec.strategy is Strategy.AB or control.image is None:
        return None
    size = spec.variants[spec.treatments[0]].replicas
    name = f"{service_of(plan, control.version)}-baseline"
    comments = (
        f"A fresh copy of {control.version}, of the canary's size. It serves with the control; its pods are labelled",
        "abkit.dev/role: baseline, so that a canary can be compared with pods of its own age.",
    )
    return _deployment(plan, spec, control, size, name, role="baseline", comments=comments)


def _deployment(
    plan: Plan,
    spec: Experiment,
    variant: Variant,
    replicas: int,
    name: str,
    *,
    role: str = "main",
    comments: tuple[str, ...] = (),
) -> Manifest:
    chosen = spec.deployment
    port = chosen.container_port or plan.port
    scraped = chosen.metrics_port or port
    # The role keeps a baseline's pods out of the selector of the Deployment that it is a copy of.
    selected = {"app": plan.service, "version": variant.version, "abkit.dev/role": role}
    labels = {**chosen.labels, **selected}
    ports = [{"name": "http", "containerPort": port}]
    if scraped != port:
        ports.append({"name": "metrics", "containerPort": scraped})
    env = {"AB_VERSION": variant.version, "AB_EXPERIMENT": spec.name, **chosen.env, **variant.env}
    container: dict[str, Any] = {
        "name": "app",
        "image": variant.image,
        "ports": ports,
        "env": [
            *({"name": key, "value": value} for key, value in env.items()),
            *([] if "POD_NAME" in env else [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": _NAME}}}]),
        ],
    }
    asked = {"cpu": chosen.cpu, "memory": chosen.memory}
    requests = {key: value for key, value in asked.items() if value is not None}
    if requests:
        # No limit of the processor: it would slow pods down at random, and the comparison with them.
        limits = {"limits": {"memory": chosen.memory}} if chosen.memory is not None else {}
        container["resources"] = {"requests": requests, **limits}
    annotations = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(scraped),
        "prometheus.io/path": chosen.metrics_path,
    }
    document = {
        "replicas": replicas,
        "selector": {"matchLabels": selected},
        "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": [container]}},
    }
    own = {"app": plan.service, "version": variant.version}
    return manifest(
        plan, _DEPLOYMENT, "Deployment", document, name=name, stem=f"deployment-{name}", labels=own, comments=comments
    )
