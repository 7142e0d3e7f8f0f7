"""Telemetry: tags that don't exist, or that make a time series of each user; filters that reach everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from abkit.routing.lint.decimals import is_id_header
from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.objects import ISTIO, Manifests, Object, report
from abkit.routing.lint.value import Value

__all__ = ["check"]

_TELEMETRY: Final = "telemetry.istio.io"
# What an expression may start with: Envoy's attributes, and CEL's own words.
_ROOTS: Final = frozenset(
    {"cluster_metadata", "cluster_name", "connection", "destination", "filter_state", "listener_direction", "metadata"}
    | {"listener_metadata", "node", "plugin_name", "request", "response", "route_metadata", "route_name", "source"}
    | {"upstream", "upstream_filter_state", "upstream_host_metadata", "xds", "true", "false", "in"}
)
_HEADER: Final = re.compile(r"request\.headers\[\s*['\"]([^'\"]+)['\"]\s*\]")
_TEXT: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_NAME: Final = re.compile(r"(?<![\w.'\"])[A-Za-z_]\w*(?=[\w.\[]*)")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about Telemetry, and about where an EnvoyFilter applies."""
    for one in manifests.of("Telemetry", _TELEMETRY):
        for metric in one.spec.items("metrics"):
            for override in metric.items("overrides"):
                if (tags := override.get("tagOverrides")) is not None:
                    for name, tag in tags.fields():
                        yield from _tag(one, name, tag)
    for one in manifests.of("EnvoyFilter", ISTIO):
        everywhere = one.spec.get("workloadSelector") is None and one.spec.get("targetRefs") is None
        if everywhere and one.namespace == "istio-system" and one.spec.items("configPatches"):
            why = "without workloadSelector in istio-system it changes every proxy of the mesh"
            correct = "workloadSelector: {labels: {istio: ingressgateway}}"
            yield report(one, one.spec, "filter-everywhere", why, correct, Severity.WARNING)


def _tag(one: Object, name: str, tag: Value) -> Iterator[Finding]:
    operation, value = tag.word("operation") or "UPSERT", tag.get("value")
    if not _LABEL.fullmatch(name):
        why = f"'{name[:100]}' is no name that Prometheus takes for a label"
        yield report(one, tag, "tag-name", why, re.sub(r"\W", "_", name[:100]))
    if operation == "UPSERT" and (value is None or not value.text):
        yield report(one, tag, "tag-value", "sets a tag without a value", "value: request.headers['x-…'] | 'none'")
    if operation == "REMOVE" and value is not None:
        yield report(one, value, "tag-value", "removes a tag, with a value", "leave the value out")
    if value is None or not value.text:
        return
    expression = value.text
    for header in _HEADER.findall(expression):
        if is_id_header(header.lower()):
            why = (
                f"the tag {name} carries {header}: a time series of its own for each user, until Prometheus falls over"
            )
            correct = (
                "the variant and the replicate: request.headers['x-ab-variant-…'], request.headers['x-ab-replicate']"
            )
            yield report(one, value, "tag-cardinality", why, correct)
    called = set(re.findall(r"([A-Za-z_]\w*)\s*\(", expression))
    bare = {word for word in _NAME.findall(_TEXT.sub("''", expression)) if word not in called}
    if unknown := sorted(bare - _ROOTS):
        why = f"'{unknown[0]}' is no attribute of a request: the tag is always unknown"
        correct = "an attribute such as request.headers['x-ab-variant'], or a text in quotes"
        yield report(one, value, "tag-value", why, correct, Severity.WARNING)
