"""A cluster: an object a manifest, by server-side apply."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from abkit.errors import InputError, TargetError
from abkit.export.base import Item, Live
from abkit.export.bundles import Bundle
from abkit.export.cluster_api import MANAGER, ClusterApi, Resource
from abkit.export.owned_fields import applied_by
from abkit.export.ownership import FOREIGN, Owner, documents, owner_of_object
from abkit.export.server_form import stored_form
from abkit.routing.document import MANAGED_BY, to_yaml

__all__ = ["Cluster"]

# What a mesh's bundle may have left, beside the kinds that it has now.
_WRITTEN: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "istio": (
        ("networking.istio.io/v1", "DestinationRule"),
        ("networking.istio.io/v1alpha3", "EnvoyFilter"),
        ("telemetry.istio.io/v1", "Telemetry"),
        ("networking.istio.io/v1", "VirtualService"),
    ),
}


class Cluster:
    """Applies manifests to a cluster with the field manager `abkit`, never by force.

    What the server and others add to an object is theirs: compared is what abkit applied. So the hash of an object
    tells whether a field of abkit's was changed or taken over, and nothing else.

    Args:
        api: The cluster.
        state: The folder that the histories of clusters lie in.
    """

    gradual = True

    def __init__(self, api: ClusterApi, state: Path) -> None:
        self._api = api
        host = re.sub(r"[^a-z0-9.-]+", "-", api.place.removeprefix("cluster ").lower())
        digest = hashlib.sha256(api.server.encode()).hexdigest()[:8]
        self._state = state / "clusters" / f"{host}-{digest}"
        self._seen: dict[str, tuple[str, str]] = {}

    @property
    def place(self) -> str:
        """What it is called in messages."""
        return self._api.place

    @property
    def state(self) -> Path:
        """The folder that journal and history lie in."""
        return self._state

    def items(self, bundle: Bundle) -> tuple[Item, ...]:
        """The objects of the manifests.

        Raises:
            InputError: A manifest is none for a cluster.
        """
        found = []
        for manifest in bundle.manifests:
            for document in documents(manifest.text) or ():
                if "kind" not in document:
                    msg = f"--mesh {bundle.mesh}: {manifest.filename} is no object of a cluster: export it to a folder"
                    raise InputError(msg)
                found.append(Item(_key(document), _canonical(stored_form(document))))
        return tuple(found)

    def read(self, keys: Iterable[str]) -> Mapping[str, Live]:
        """The objects of these names.

        Raises:
            TargetError: One can't be read.
        """
        return {key: live for key in keys if (live := self._read(key)) is not None}

    def _read(self, key: str) -> Live | None:
        api_version, kind, namespace, name = _parts(key)
        resource = self._api.resource(api_version, kind)
        document = None if resource is None else self._api.get(resource, namespace, name)
        if document is None:
            self._seen.pop(key, None)
            return None
        metadata = document.get("metadata", {})
        self._seen[key] = (str(metadata.get("uid", "")), str(metadata.get("resourceVersion", "")))
        says = owner_of_object(document)
        if not says.ours:
            return Live(key, "", FOREIGN)
        part = applied_by(document, MANAGER)
        intact = owner_of_object(part).intact
        return Live(key, _canonical(part), Owner(ours=True, intact=intact, experiments=says.experiments))

    def belonging(self, bundle: Bundle) -> Sequence[str]:
        """Objects that are called as the bundle's own and were written for its experiments.

        The history tells more.
        """
        items = [_parts(item.key) for item in self.items(bundle)]
        now = [(one[0], one[1]) for one in items if one[1].lower() in bundle.kinds]
        kinds = dict.fromkeys([*now, *_WRITTEN.get(bundle.mesh, ())])
        service, namespace = bundle.name.split(".")[0], bundle.name.split(".")[-1]
        names = {one[3] for one in items} | {f"{service}-abkit"}
        names |= {f"abkit-{namespace}-{service}-{part}" for part in ("edge", "native-hash")}
        found = []
        for api_version, kind in kinds:
            resource = self._api.resource(api_version, kind)
            if resource is None or not resource.namespaced:
                continue
            for place in dict.fromkeys(one[2] for one in items):
                for document in self._api.list(resource, place, f"{MANAGED_BY}=abkit"):
                    document = {"apiVersion": api_version, "kind": kind, **document}
                    mine = owner_of_object(document).experiments & set(bundle.experiments)
                    if mine and document["metadata"]["name"] in names:
                        found.append(_key(document))
        return found

    def ready(self, keys: Sequence[str]) -> None:
        """A cluster is always ready."""

    def rehearse(self, item: Item) -> None:
        """Let the server check an object as if it were applied.

        Raises:
            TargetError: It would refuse it.
            TargetDrift: Another manager owns a field.
        """
        self._apply(item, dry_run=True)

    def put(self, item: Item) -> None:
        """Apply an object.

        Raises:
            TargetError: The cluster refuses it.
            TargetDrift: Another manager owns a field, or it was changed since it was read.
        """
        self._apply(item, dry_run=False)

    def _apply(self, item: Item, *, dry_run: bool) -> None:
        document = dict((documents(item.text) or ({},))[0])
        if item.key in self._seen:
            # As it was read, or not at all.
            document["metadata"] = {**document["metadata"], "resourceVersion": self._seen[item.key][1]}
        self._api.apply(self._resource(item.key), document, dry_run=dry_run)

    def remove(self, key: str) -> None:
        """Delete an object.

        Raises:
            TargetError: The cluster refuses.
            TargetDrift: It was changed since it was read.
        """
        if key in self._seen:
            _, _, namespace, name = _parts(key)
            self._api.delete(self._resource(key), namespace, name, *self._seen[key])

    def _resource(self, key: str) -> Resource:
        api_version, kind, _, _ = _parts(key)
        resource = self._api.resource(api_version, kind)
        if resource is None:
            msg = f"{self.place}: doesn't know {kind} of {api_version}: install the mesh, or name another with --mesh"
            raise TargetError(msg)
        return resource

    def pause(self) -> None:
        """The mesh follows within moments, and a subset more does no harm: nobody waits."""

    def finish(self, keys: Sequence[str], message: str) -> None:
        """Objects are in force as they are."""

    def abandon(self, keys: Sequence[str]) -> None:
        """Nothing is left to tidy up."""


def _key(document: Mapping[str, Any]) -> str:
    metadata = document["metadata"]
    return f"{document['apiVersion']} {document['kind']} {metadata.get('namespace', 'default')}/{metadata['name']}"


def _parts(key: str) -> tuple[str, str, str, str]:
    """API version, kind, namespace and name."""
    api_version, kind, place = key.split(" ")
    namespace, _, name = place.partition("/")
    return api_version, kind, namespace, name


def _canonical(document: Mapping[str, Any]) -> str:
    """An object as text, the same for the same content whatever the order of its keys."""
    return to_yaml(_sorted(document))


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value
