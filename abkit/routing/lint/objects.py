"""The objects among the documents: Kubernetes' by kind and name, Envoy's configurations, and who is meant by a host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from abkit.routing.document import CONTENT_HASH, content_hash
from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.value import Value

__all__ = [
    "ARGO",
    "FLAGGER",
    "GATEWAY",
    "ISTIO",
    "LINKERD",
    "SMI",
    "Manifests",
    "Object",
    "fqdn",
    "hosts",
    "is_manifest",
    "report",
]

ARGO: Final = "argoproj.io"
FLAGGER: Final = "flagger.app"
GATEWAY: Final = "gateway.networking.k8s.io"
ISTIO: Final = "networking.istio.io"
LINKERD: Final = "policy.linkerd.io"
SMI: Final = "split.smi-spec.io"


@dataclass(frozen=True)
class Object:
    """One Kubernetes object, or one configuration of Envoy.

    Attributes:
        root: Its whole document.
        group: Its API group; empty for Kubernetes' own core, `envoy` for Envoy.
        version: Its API version.
        kind: Its kind.
        name: Its name; empty where it has none.
        namespace: Its namespace; `default` where it has none.
    """

    root: Value
    group: str
    version: str
    kind: str
    name: str
    namespace: str

    def __str__(self) -> str:
        return self.kind if self.group == "envoy" else f"{self.kind} {self.namespace}/{self.name}"

    @cached_property
    def spec(self) -> Value:
        """Its `spec`; the root where it has none."""
        return self.root.get("spec") or self.root

    @property
    def place(self) -> str:
        """Where it stands, for other objects' findings."""
        return f"{self.root.file}:{self.root.line}"

    @cached_property
    def managed(self) -> bool:
        """Whether abkit says that it wrote it."""
        return self.root.word("metadata", "labels", "app.kubernetes.io/managed-by") == "abkit"

    @cached_property
    def intact(self) -> bool:
        """Whether abkit wrote it and nobody changed it since: what it does was chosen in a spec."""
        stamp = self.root.word("metadata", "labels", CONTENT_HASH)
        if not self.managed or not stamp:
            return False
        try:
            return content_hash(self.root.unwrap()) == stamp
        except (TypeError, ValueError, AttributeError):  # what JSON has no word for, abkit never wrote
            return False


@dataclass(frozen=True)
class Manifests:
    """All objects that are checked together."""

    objects: tuple[Object, ...]

    def of(self, kind: str, *groups: str) -> Iterator[Object]:
        """The objects of a kind, of one of these groups."""
        return (one for group in groups for one in self._by_kind.get((kind, group), ()))

    @cached_property
    def _by_kind(self) -> Mapping[tuple[str, str], list[Object]]:
        found: defaultdict[tuple[str, str], list[Object]] = defaultdict(list)
        for one in self.objects:
            found[one.kind, one.group].append(one)
        return found

    @cached_property
    def by_host(self) -> Mapping[str, list[tuple[Object, Value]]]:
        """Host in full → the VirtualServices that have it, and where."""
        found: defaultdict[str, list[tuple[Object, Value]]] = defaultdict(list)
        for one in self.of("VirtualService", ISTIO):
            for host, value in hosts(one).items():
                found[host].append((one, value))
        return found

    @cached_property
    def _rules(self) -> tuple[Mapping[str, list[Object]], list[tuple[str, Object]]]:
        exact: defaultdict[str, list[Object]] = defaultdict(list)
        wild: list[tuple[str, Object]] = []
        for rule in self.of("DestinationRule", ISTIO):
            host = fqdn(rule.spec.word("host"), rule.namespace)
            exact[host].append(rule)
            if host.startswith("*"):
                wild.append((host[1:], rule))
        return exact, wild

    def rules(self, host: str) -> list[Object]:
        """The DestinationRules that apply to a host."""
        exact, wild = self._rules
        return [*exact.get(host, ()), *(rule for end, rule in wild if host.endswith(end))]

    @cached_property
    def envoys(self) -> tuple[Object, ...]:
        """The configurations of Envoy."""
        return tuple(one for one in self.objects if one.group == "envoy")

    @classmethod
    def sort(cls, roots: Iterable[Value]) -> Manifests:
        """The objects among documents; lists are taken apart, what is neither Kubernetes' nor Envoy's left out."""
        return cls(tuple(one for root in roots for one in _objects(root)))


def _objects(root: Value) -> Iterator[Object]:
    pending = [root]
    while pending:
        value = pending.pop()
        api, kind = value.word("apiVersion"), value.word("kind")
        if kind.endswith("List") and value.get("items") is not None:
            pending.extend(reversed(value.items("items")))
        elif api and kind:
            group, _, version = api.rpartition("/")
            name, namespace = value.get("metadata", "name"), value.word("metadata", "namespace") or "default"
            yield Object(value, group, version, kind, "" if name is None else name.node.raw, namespace)
        elif _is_envoy(value):
            yield Object(value, "envoy", "v3", "Envoy configuration", "", "")


def is_manifest(value: Value) -> bool:
    """Whether a document is a Kubernetes object or a configuration of Envoy."""
    return bool(value.word("apiVersion") and value.word("kind")) or _is_envoy(value)


def _is_envoy(value: Value) -> bool:
    if value.get("static_resources") or value.get("staticResources"):
        return True
    typed = [value, *value.items("resources")]
    return any(one.word("@type").startswith("type.googleapis.com/envoy.") for one in typed)


def fqdn(host: str, namespace: str) -> str:
    """The whole name of a host as Istio reads it: one without dots is a service of the object's own namespace.

    >>> fqdn("reviews", "shop")
    'reviews.shop.svc.cluster.local'
    >>> fqdn("reviews.example.com", "shop")
    'reviews.example.com'
    """
    host = host.lower()
    return host if "." in host or "*" in host or not host else f"{host}.{namespace}.svc.cluster.local"


def hosts(service: Object) -> dict[str, Value]:
    """The hosts of a VirtualService in full → where each stands."""
    return {fqdn(item.text, service.namespace): item for item in service.spec.items("hosts") if item.text}


def report(
    one: Object, value: Value, check: str, why: str, correct: str, severity: Severity = Severity.ERROR
) -> Finding:
    """A finding at a value of an object."""
    field = value.path
    if one.root.path and field.startswith(one.root.path):
        field = field[len(one.root.path) :].removeprefix(".")
    return Finding(value.file, value.line, str(one), field, check, severity, why, correct)
