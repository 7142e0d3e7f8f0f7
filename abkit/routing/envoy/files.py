"""Plans → the files of the Envoys that serve them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from abkit.errors import RoutingError
from abkit.routing.base import Manifest
from abkit.routing.document import CONTENT_HASH, MANAGED_BY, content_hash, to_yaml
from abkit.routing.envoy.clusters import clusters
from abkit.routing.envoy.listener import bootstrap, listener
from abkit.routing.envoy.routes import route_configuration
from abkit.routing.plan import Plan
from abkit.spec import Edge

__all__ = ["files", "is_intact"]

_CLUSTERS, _ROUTES, _LISTENERS, _BOOTSTRAP = "envoy-1-cds", "envoy-2-rds", "envoy-3-lds", "envoy-bootstrap"
_PLACES: Final = ("address", "listen", "admin", "config_path")


def files(plans: Iterable[Plan], folder: str = "") -> tuple[Manifest, ...]:
    """The files of one or several Envoys: clusters, routes, listener, and what Envoy is started with.

    Clusters come before the routes that need them. A running Envoy takes a file that is renamed into its place
    (`os.replace`); what it can't take, it leaves aside and goes on with what it had.

    Args:
        plans: A plan a service; those whose settings name the same Envoy share its files.
        folder: The folder that the files will lie in where Envoy runs, from the root on: the files name each other by
            it. `mesh.envoy.config-path` where left out.

    Returns:
        The files, by Envoy, in the order to put them in place.

    Raises:
        RoutingError: Envoy can't do it, or two services contradict each other.
    """
    shared: dict[str, list[Plan]] = {}
    for plan in plans:
        shared.setdefault(plan.settings.envoy.name or f"{plan.service}.{plan.namespace}", []).append(plan)
    return tuple(file for name in sorted(shared) for file in _files(name, shared[name], folder))


def is_intact(document: Mapping[str, Any]) -> bool:
    """Whether a file's document is as abkit wrote it: its content agrees with the hash that it carries.

    >>> is_intact({"version_info": "by hand", "resources": []})
    False
    """
    if "node" in document:
        stated = document["node"].get("metadata", {}).get(CONTENT_HASH)
        return bool(stated == _stamped(document)["node"]["metadata"][CONTENT_HASH])
    return bool(document.get("version_info") == content_hash({"resources": document.get("resources")}))


def _files(name: str, plans: Sequence[Plan], folder: str) -> Iterator[Manifest]:
    for one, other in combinations(plans, 2):
        _check(name, one, other)
    settings = plans[0].settings.envoy
    if folder:
        settings = settings.model_copy(update={"config_path": folder.rstrip("/") or "/"})
    edge = any(plan.settings.edge is Edge.GATEWAY for plan in plans)
    several = "experiments" if sum(len(plan.experiments) for plan in plans) > 1 else "experiment"
    titles = ", ".join(plan.title for plan in plans)
    origin = f"Written by abkit from the {several} {titles}: change that file, not this one."
    hosts = ", ".join(plan.host for plan in plans)
    unit = "; ".join(dict.fromkeys(f"{layer.unit}, salt {layer.salt}" for plan in plans for layer in plan.layers))
    pools = [f"A cluster a version of {hosts}; statistics of an endpoint say who answered."]
    if any(plan.fallback is not None for plan in plans):
        pools.append("Those that end in ~or-else have another version behind their own, for while no pod is healthy.")
    resources = (
        (_CLUSTERS, [one for plan in plans for one in clusters(plan)], pools),
        (_ROUTES, [route_configuration(plans, _domains(plans))], [f"Users are divided by the hash of: {unit}."]),
        (
            _LISTENERS,
            [listener(settings, f"{name}.{_ROUTES}.yaml", edge=edge)],
            ["Stays while only the routes change."],
        ),
    )
    for kind, found, comments in resources:
        document = {"version_info": content_hash({"resources": found}), "resources": found}
        yield Manifest(f"{name}.{kind}.yaml", to_yaml(document, [origin, *comments]))
    start = _stamped(bootstrap(settings, name, f"{name}.{_CLUSTERS}.yaml", f"{name}.{_LISTENERS}.yaml"))
    comment = f"To start Envoy with: envoy -c {settings.config_path}/{name}.{_BOOTSTRAP}.yaml"
    yield Manifest(f"{name}.{_BOOTSTRAP}.yaml", to_yaml(start, [origin, comment]))


def _stamped(document: Mapping[str, Any]) -> dict[str, Any]:
    node = {key: value for key, value in document["node"].items() if key != "metadata"}
    stamp = {MANAGED_BY: "abkit", CONTENT_HASH: content_hash({**document, "node": node})}
    return {**document, "node": {**node, "metadata": stamp}}


def _check(name: str, one: Plan, other: Plan) -> None:
    """Refuse what two services behind one Envoy can't both have."""
    both = f"'{one.title}' and '{other.title}' share the Envoy '{name}'"
    mine, theirs = one.settings.envoy, other.settings.envoy
    for field in _PLACES:
        if getattr(mine, field) != getattr(theirs, field):
            written = field.replace("_", "-")
            msg = (
                f"{both} and give it two values of mesh.envoy.{written}, {getattr(mine, field)} and "
                f"{getattr(theirs, field)}: make them equal, or give each an Envoy of its own"
            )
            raise RoutingError(msg)
    if same := [host for host in mine.hosts if host in theirs.hosts]:
        msg = f"{both} and the host {same[0]}: leave it in mesh.envoy.hosts of one of them"
        raise RoutingError(msg)
    ours = {found["name"] for found in clusters(one)} & {found["name"] for found in clusters(other)}
    if ours:
        msg = (
            f"{both} and would both have a cluster '{min(ours)}', which service and version name: give each an Envoy "
            "of its own by mesh.envoy.name"
        )
        raise RoutingError(msg)


def _domains(plans: Sequence[Plan]) -> list[list[str]]:
    """The host names of each service."""
    if len(plans) == 1 and not plans[0].settings.envoy.hosts:
        return [["*"]]
    found: list[list[str]] = []
    for plan in plans:
        alone = [other.service for other in plans].count(plan.service) == 1
        inside = [plan.service] if alone else []
        place = f"{plan.service}.{plan.namespace}"
        inside += [place, f"{place}.svc", plan.host]
        found.append(list(dict.fromkeys([*plan.settings.envoy.hosts, *inside])))
    return found
