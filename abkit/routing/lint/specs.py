"""Experiment files beside manifests: a host has one owner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.hosts import gateways
from abkit.routing.lint.objects import FLAGGER, GATEWAY, LINKERD, SMI, Manifests, fqdn, report
from abkit.spec import Experiment

__all__ = ["check"]


def check(manifests: Manifests, specs: Iterable[tuple[str, Experiment]]) -> Iterator[Finding]:
    """Findings about manifests that route what an experiment routes.

    Args:
        manifests: The manifests.
        specs: File and experiment each.
    """
    for file, experiment in specs:
        service, namespace = experiment.service.name, experiment.service.namespace
        host = fqdn(service, namespace)
        owner = f"the experiment {experiment.name} ({file})"
        move = "move its routes into the experiment file, or end the experiment"
        for one, at in manifests.by_host.get(host, ()):
            if one.managed or "mesh" not in gateways(one):
                continue
            why = f"{host} is routed by {owner} too: two VirtualServices on one host, which is obeyed is not defined"
            yield report(one, at, "spec-conflict", why, move)
        for one in manifests.rules(host):
            target = one.spec.get("host")
            if target is not None and "*" not in target.node.raw and not one.managed:
                why = f"{host} gets its subsets from {owner} too"
                correct = "one DestinationRule a host: leave it to the experiment"
                yield report(one, target, "spec-conflict", why, correct, Severity.WARNING)
        for one in manifests.of("HTTPRoute", GATEWAY, LINKERD):
            for parent in one.spec.items("parentRefs"):
                named = (parent.word("name"), parent.word("namespace") or one.namespace)
                if parent.word("kind") == "Service" and named == (service, namespace) and not one.managed:
                    yield report(one, parent, "spec-conflict", f"{service} is routed by {owner} too", move)
        for one in manifests.of("TrafficSplit", SMI):
            if (one.spec.word("service"), one.namespace) == (service, namespace) and not one.managed:
                yield report(one, one.root, "spec-conflict", f"{service} is split by {owner} too", move)
        for one in manifests.of("Canary", FLAGGER):
            named = (one.spec.word("service", "name") or one.spec.word("targetRef", "name"), one.namespace)
            if named == (service, namespace) and not one.managed:
                why = f"two owners of the weights of {service}: Flagger and {owner}"
                yield report(one, one.root, "spec-conflict", why, "leave the weights to one of them")
