"""Plan → Istio: a DestinationRule with a subset a version, a VirtualService with the routes.

Istio's pilot emits weighted clusters without a hash policy, so a plain percentage there is drawn anew for every
request. The split is therefore by ranges of the bucket header, which the edge computes: RE2, matched in full, so a
malformed bucket falls to the default route.

References: https://istio.io/latest/docs/reference/config/networking/virtual-service/ and .../destination-rule/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from abkit.errors import RoutingError
from abkit.routing.base import Manifest
from abkit.routing.document import stamp, to_yaml
from abkit.routing.plan import HeaderMatch, Plan, Route, Split, Target, Way
from abkit.routing.ranges import range_regex
from abkit.spec import Strategy

__all__ = ["API_VERSION", "Istio", "subset_names"]

API_VERSION: Final = "networking.istio.io/v1"
_MAX_LABEL: Final = 63


class Istio:
    """Istio's `VirtualService` and `DestinationRule`."""

    name: Final = "istio"
    strategies: Final = frozenset({Strategy.AB, Strategy.CANARY})

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """Manifests of a plan: the subsets before the routes that name them.

        Raises:
            RoutingError: The strategy is not rendered for Istio, or Envoy would refuse a condition.
        """
        if plan.strategy not in self.strategies:
            able = ", ".join(sorted(self.strategies))
            msg = (
                f"{plan.experiment}: mesh '{self.name}' is not rendered for strategy '{plan.strategy}', only for {able}"
            )
            raise RoutingError(msg)
        subsets = subset_names(plan.versions)
        split = next(route.then for route in plan.routes if isinstance(route.then, Split))
        annotations = {
            "abkit.dev/bucket-header": split.header,
            "abkit.dev/salt": split.salt,
            "abkit.dev/split": ",".join(f"{share.target.variant}={share.weight}" for share in split.shares),
            "abkit.dev/unit": plan.unit,
        }
        comments = (
            f"The split reads the request header {split.header} (0 to 9999), which the edge computes from the",
            f"{plan.unit} and the salt {split.salt} (abkit.instrument does) and never takes from a client.",
            "Requests without it, or with one that is malformed, take the last route.",
        )
        return (
            _manifest(plan, "DestinationRule", _destination_rule(plan, subsets)),
            _manifest(plan, "VirtualService", _virtual_service(plan, subsets), annotations, comments),
        )


def subset_names(versions: Sequence[str]) -> dict[str, str]:
    """Version → name of its subset, a DNS label; different for different versions, whatever their order.

    >>> subset_names(["v1", "1.4.2", "1-4_2"])
    {'v1': 'v1', '1.4.2': '1-4-2-8ec5a17a', '1-4_2': '1-4-2-6d9e80eb'}
    """
    plain = {version: "".join(c if c.isalnum() else "-" for c in version.lower()) for version in versions}
    digests = {version: hashlib.sha256(version.encode()).hexdigest() for version in versions}
    # A version that is a DNS label keeps its name; two others that fall together carry a piece of their hash.
    for length in (8, 16, 32):
        names: dict[str, str] = {}
        for version, name in plain.items():
            alone = list(plain.values()).count(name) == 1
            if name == version or (alone and length == 8):
                names[version] = name
            else:
                names[version] = f"{name[: _MAX_LABEL - length - 1].rstrip('-')}-{digests[version][:length]}"
        if len(set(names.values())) == len(names):
            return names
    raise AssertionError(versions)  # 32 hex digits of SHA-256 don't fall together


def _manifest(
    plan: Plan,
    kind: str,
    spec: Mapping[str, Any],
    annotations: Mapping[str, str] | None = None,
    comments: Iterable[str] = (),
) -> Manifest:
    document = stamp(
        {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {
                # One object a host: Istio leaves undefined what several do together.
                "name": plan.service,
                "namespace": plan.namespace,
                "labels": {"app.kubernetes.io/managed-by": "abkit", "abkit.dev/experiment": plan.experiment},
                **({"annotations": dict(annotations)} if annotations else {}),
            },
            "spec": spec,
        }
    )
    origin = f"Written by abkit from the experiment {plan.experiment}: change that file, not this one."
    return Manifest(f"{plan.service}.{plan.namespace}.{kind.lower()}.yaml", to_yaml(document, [origin, *comments]))


def _host(plan: Plan) -> str:
    return f"{plan.service}.{plan.namespace}.svc.cluster.local"


def _destination_rule(plan: Plan, subsets: Mapping[str, str]) -> dict[str, Any]:
    named = [{"name": name, "labels": {"version": version}} for version, name in subsets.items()]
    return {"host": _host(plan), "subsets": named}


def _virtual_service(plan: Plan, subsets: Mapping[str, str]) -> dict[str, Any]:
    return {"hosts": [_host(plan)], "http": [route for one in plan.routes for route in _routes(plan, one, subsets)]}


def _routes(plan: Plan, route: Route, subsets: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    conditions = _conditions(plan, route.when)
    if isinstance(route.then, Target):
        yield _route(plan, route.name, conditions, route.then, subsets)
        return
    for share in route.then.shares:
        bucket = {route.then.header: {"regex": range_regex(share.first, share.last)}}
        yield _route(plan, f"{route.name}-{share.target.variant}", conditions | bucket, share.target, subsets)


def _route(
    plan: Plan, name: str, conditions: Mapping[str, Any], target: Target, subsets: Mapping[str, str]
) -> dict[str, Any]:
    destination = {"host": _host(plan), "port": {"number": plan.port}, "subset": subsets[target.version]}
    return {
        "name": name,
        **({"match": [{"headers": dict(conditions)}]} if conditions else {}),
        "headers": {"request": {"set": plan.headers_to_set(target)}},
        "route": [{"destination": destination}],
    }


def _conditions(plan: Plan, conditions: Iterable[HeaderMatch]) -> dict[str, Any]:
    for condition in conditions:
        # Envoy refuses empty patterns, and with them the whole configuration.
        if not condition.value and condition.way is not Way.EXACT:
            msg = (
                f"{plan.experiment}: mesh 'istio' can't match header '{condition.header}' by an empty {condition.way}: "
                "write regex: '.*' for any value, or exact: '' for an empty one"
            )
            raise RoutingError(msg)
    return {condition.header: {condition.way.value: condition.value} for condition in conditions}
