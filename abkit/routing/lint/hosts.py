"""Several objects that claim one host or name, and what Istio calls a host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.objects import ISTIO, Manifests, Object, fqdn, hosts, report
from abkit.routing.lint.value import Value

__all__ = ["check", "gateways"]


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about objects that get in each other's way."""
    yield from _twice(manifests)
    yield from _virtual_services(manifests)
    yield from _destination_rules(manifests)
    yield from _half_names(manifests)
    yield from _changed(manifests)


def gateways(service: Object) -> frozenset[str]:
    """The gateways that a VirtualService is bound to; `mesh` where none is named."""
    named = service.spec.texts("gateways")
    return frozenset(
        name if name == "mesh" or "/" in name else f"{service.namespace}/{name}" for name in named
    ) or frozenset({"mesh"})


def _twice(manifests: Manifests) -> Iterator[Finding]:
    seen: dict[tuple[str, str, str, str], Object] = {}
    for one in manifests.objects:
        if one.group == "envoy" or not one.name:
            continue
        first = seen.setdefault((one.group, one.kind, one.namespace, one.name), one)
        if first is not one:
            why = f"stands in {first.place} too: what is applied last replaces the other"
            correct = "keep one; check the folders of different clusters each by itself"
            yield report(one, one.root.get("metadata", "name") or one.root, "object-twice", why, correct, _WARNING)


def _virtual_services(manifests: Manifests) -> Iterator[Finding]:
    seen: dict[tuple[str, str], tuple[Object, Value]] = {}
    for one in manifests.of("VirtualService", ISTIO):
        for host, value in hosts(one).items():
            for gateway in sorted(gateways(one)):
                first, there = seen.setdefault((host, gateway), (one, value))
                if first is one or (first.name, first.namespace) == (one.name, one.namespace):
                    continue
                other = f"{first} ({there.file}:{there.line})"
                if gateway == "mesh":
                    why = f"{host} is a host of {other} too: which of them is obeyed is not defined (IST0109)"
                    correct = "one VirtualService a host: put the routes into one list, in the order to try them"
                    yield report(one, value, "host-conflict", why, correct)
                else:
                    why = f"{host} on gateway {gateway} is a host of {other} too: in which order is not defined"
                    correct = "one VirtualService a host and gateway, or a root that delegates by path"
                    yield report(one, value, "host-conflict", why, correct, _WARNING)


def _destination_rules(manifests: Manifests) -> Iterator[Finding]:
    found: defaultdict[str, list[tuple[Object, Value]]] = defaultdict(list)
    for one in manifests.of("DestinationRule", ISTIO):
        at = one.spec.get("host")
        if at is not None and at.text and one.spec.get("workloadSelector") is None:
            found[fqdn(at.text, one.namespace)].append((one, at))
    for host, rules in found.items():
        first, there = rules[0]
        for one, value in rules[1:]:
            if (first.name, first.namespace) == (one.name, one.namespace):
                continue
            why = f"{host} has {first} ({there.file}:{there.line}) too: only the first one's policy"
            why += " counts, the subsets of both may or may not"
            yield report(one, value, "destination-rule-conflict", why, "one DestinationRule a host", _WARNING)


def _half_names(manifests: Manifests) -> Iterator[Finding]:
    spaces = {one.namespace for one in manifests.objects}
    for one in manifests.of("VirtualService", ISTIO):
        for host, value in hosts(one).items():
            name, _, rest = host.partition(".")
            if rest in spaces or (rest.endswith(".svc") and rest.removesuffix(".svc") in spaces):
                why = f"Istio takes a host with a dot as it stands: '{value.text}' is no service of the mesh"
                space = rest.removesuffix(".svc")
                correct = f"{name}.{space}.svc.cluster.local"
                yield report(one, value, "host-half-named", why, correct, _WARNING)


def _changed(manifests: Manifests) -> Iterator[Finding]:
    for one in manifests.objects:
        stamp = one.root.get("metadata", "labels", "abkit.dev/content-hash")
        if one.managed and stamp is not None and not one.intact:
            why = "abkit wrote this object and it was changed since: the next export would undo the change"
            yield report(one, stamp, "changed-by-hand", why, "change the experiment file and export again", _WARNING)


_WARNING = Severity.WARNING
