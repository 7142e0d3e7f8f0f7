"""Manifests that people have already → their defects, with file, line, why, and the correct form.

Kubernetes objects (Istio, Gateway API, Linkerd, SMI, Flagger, Argo Rollouts, and of Kubernetes what labels need) and
plain Envoy configurations. What can be said about one file is said of one; subsets, hosts and owners are looked up
among all that are given together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from abkit.routing.lint import (
    envoy,
    fields,
    gateway,
    hosts,
    progressive,
    regexes,
    resilience,
    routes,
    specs,
    subsets,
    telemetry,
    weights,
)
from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.objects import Manifests
from abkit.routing.lint.reading import MAX_BYTES, read
from abkit.spec import Experiment

__all__ = ["MAX_BYTES", "Finding", "Severity", "lint"]

_CHECKS: Final = (
    envoy.check,
    fields.check,
    gateway.check,
    hosts.check,
    progressive.check,
    regexes.check,
    resilience.check,
    routes.check,
    subsets.check,
    telemetry.check,
    weights.check,
)


def lint(
    files: Iterable[tuple[str, str | bytes]], experiments: Iterable[tuple[str, Experiment]] = ()
) -> tuple[Finding, ...]:
    """Check manifests that belong together.

    Args:
        files: Name and content of each file; YAML, several documents a file, or JSON. Documents that are neither
            Kubernetes objects nor Envoy configurations are left alone.
        experiments: File and experiment each, to find manifests that route what an experiment routes.

    Returns:
        What is wrong, by file and line; nothing where all is well.

    >>> text = '''apiVersion: networking.istio.io/v1
    ... kind: DestinationRule
    ... metadata: {name: shop}
    ... spec:
    ...   host: shop
    ...   trafficPolicy:
    ...     outlierDetection: {consecutiveErrors: 5}
    ... '''
    >>> for finding in lint([("shop.yaml", text)]):
    ...     print(finding.line, finding.severity, finding.check, finding.field)
    7 error never-read spec.trafficPolicy.outlierDetection.consecutiveErrors
    """
    findings: list[Finding] = []
    roots = []
    for file, content in files:
        documents, defects = read(file, content)
        roots += documents
        findings += defects
    manifests = Manifests.sort(roots)
    for check in _CHECKS:
        findings += check(manifests)
    findings += specs.check(manifests, experiments)
    found = dict.fromkeys(findings)
    return tuple(sorted(found, key=lambda one: (one.file, one.line, one.field, one.check)))
