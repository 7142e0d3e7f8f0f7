"""Subsets that nobody defines, and subsets that no pod is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from abkit.errors import did_you_mean
from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.istio import Destination, destinations
from abkit.routing.lint.objects import ARGO, FLAGGER, ISTIO, Manifests, Object, fqdn, report
from abkit.routing.lint.value import Value

__all__ = ["check"]


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about subsets."""
    order = {id(one): number for number, one in enumerate(manifests.objects)}
    for service in manifests.of("VirtualService", ISTIO):
        told: set[str] = set()
        for target in destinations(service):
            for finding in _undefined(manifests, order, service, target):
                # That nobody defines it is said of each place, that the order is wrong once a host.
                if finding.severity is not Severity.ERROR:
                    if target.host in told:
                        continue
                    told.add(target.host)
                yield finding
    for rule in manifests.of("DestinationRule", ISTIO):
        yield from _labels(manifests, rule)


def _undefined(
    manifests: Manifests, order: Mapping[int, int], service: Object, target: Destination
) -> Iterator[Finding]:
    value, host, subset = target.value, target.host, target.subset
    if not subset:
        return
    rules = manifests.rules(host)
    defined = {
        one.node.raw: rule for rule in rules[::-1] for item in rule.spec.items("subsets") if (one := item.get("name"))
    }
    at = value.get("subset") or value
    if subset in defined:
        yield from _order(order, service, at, defined[subset])
        return
    if not rules:
        why = f"no DestinationRule for {host} is among the manifests: nothing defines the subset {subset}, and its "
        why += "requests get 503"
        correct = f"a DestinationRule with host: {host} and a subset {subset}, applied before the VirtualService"
    else:
        where = ", ".join(rule.place for rule in rules)
        why = f"the DestinationRule of {host} ({where}) has no subset {subset}: its requests get 503"
        correct = did_you_mean(subset, defined) if defined else f"add the subset {subset} there first"
    yield report(service, at, "subset-undefined", why, correct)


def _labels(manifests: Manifests, rule: Object) -> Iterator[Finding]:
    host = fqdn(rule.spec.word("host"), rule.namespace)
    policy = rule.spec.get("trafficPolicy")
    seen: dict[str, int] = {}
    for subset in rule.spec.items("subsets"):
        name = subset.get("name")
        if name is not None and seen.setdefault(name.node.raw, name.line) != name.line:
            why = f"the subset {name.node.raw} is defined in line {seen[name.node.raw]} already"
            yield report(rule, name, "subset-twice", why, "one name a subset")
        labels = subset.get("labels")
        if _prefers_a_version(subset):
            continue
        if labels is None or not labels.node.fields:
            why = "a subset without labels is all pods of the host, whatever their version"
            yield report(rule, subset, "subset-without-labels", why, "labels: {version: v1}", Severity.WARNING)
            continue
        if labels.get("version") is None:
            why = "the labels have no version: Istio's metrics carry the pods' label version as destination_version, "
            why += "never the subset's name, and can't tell this subset apart"
            yield report(rule, labels, "subset-without-version", why, "labels: {version: v1}", Severity.NOTE)
        yield from _no_pods(manifests, rule, host, labels)
    if policy is None and not rule.spec.items("subsets") and rule.spec.get("host") is not None:
        why = "has neither subsets nor a traffic policy: it does nothing"
        yield report(rule, rule.spec, "empty-destination-rule", why, "add subsets, or delete it", Severity.WARNING)


def _order(order: Mapping[int, int], service: Object, at: Value, rule: Object) -> Iterator[Finding]:
    if order[id(service)] < order[id(rule)]:
        why = (
            f"the subset {at.node.raw} is defined in {rule.place}, which is applied later: requests get 503 in between"
        )
        correct = "apply DestinationRules before the VirtualServices that name their subsets, and remove them after"
        yield report(service, at, "subset-order", why, correct, Severity.NOTE)


def _pairs(value: Value | None) -> set[tuple[str, str]]:
    return set() if value is None else {(name, item.node.raw) for name, item in value.fields()}


def _no_pods(manifests: Manifests, rule: Object, host: str, labels: Value) -> Iterator[Finding]:
    """Where Service and workloads lie beside the rule, somebody must carry the labels."""
    name, _, rest = host.partition(".")
    namespace = rest.partition(".")[0]
    services = [one for one in manifests.of("Service", "") if (one.name, one.namespace) == (name, namespace)]
    selector = _pairs(services[0].spec.get("selector")) if services else set()
    if not selector or any(one.namespace == namespace for one in manifests.of("Canary", FLAGGER)):
        return  # Flagger makes workloads of its own
    pods = [
        _pairs(one.spec.get("template", "metadata", "labels"))
        for kind, group in (("Deployment", "apps"), ("StatefulSet", "apps"), ("Rollout", ARGO))
        for one in manifests.of(kind, group)
        if one.namespace == namespace
    ]
    behind = [pod for pod in pods if selector <= pod]
    wanted = _pairs(labels)
    if behind and not any(wanted <= pod for pod in behind):
        shown = ", ".join(f"{key}={value}" for key, value in sorted(wanted))
        there = sorted({f"{key}={value}" for pod in behind for key, value in pod if key in dict(wanted)})
        why = f"no pod of {host} among the manifests carries {shown}: the subset is empty, its requests get 503"
        correct = f"labels that the pods' template has ({', '.join(there) or 'none of these keys'})"
        yield report(rule, labels, "subset-without-pods", why, correct, Severity.WARNING)


def _prefers_a_version(subset: Value) -> bool:
    """Whether a subset has all pods on purpose: one version first, the others while none of it is healthy."""
    first = subset.items("trafficPolicy", "loadBalancer", "localityLbSetting", "failoverPriority")
    return any((one.text or "").startswith("version=") for one in first)
