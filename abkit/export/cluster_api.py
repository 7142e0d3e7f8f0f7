"""A Kubernetes API server by the official client: requests, and errors that say what to do."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from abkit.errors import InputError, TargetDrift, TargetError

__all__ = ["MANAGER", "ClusterApi", "Resource"]

MANAGER: Final = "abkit"
"""The field manager that abkit applies as."""

_TIMEOUT_S: Final = (5, 30)
_PAUSES_S: Final = (0.2, 1.0)
_BUSY: Final = frozenset({429, 500, 502, 503, 504})
_PAGE: Final = 200
_MISSING, _CONFLICT, _GONE = 404, 409, 410


@dataclass(frozen=True, slots=True)
class Resource:
    """What a kind is called in paths.

    Attributes:
        api_version: Group and version.
        plural: Its name there.
        namespaced: Whether its objects lie in namespaces.
    """

    api_version: str
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """The path of its objects, or of one."""
        parts = ["apis" if "/" in self.api_version else "api", *self.api_version.split("/")]
        parts += ["namespaces", namespace] if self.namespaced and namespace else []
        return "/" + "/".join(quote(part, safe="") for part in [*parts, self.plural, *([name] if name else [])])


class ClusterApi:
    """One cluster, as kubeconfig or the pod's service account names it.

    Args:
        context: The context of kubeconfig; the current one where left out.

    Raises:
        InputError: The extra is not installed, or there is no such context.
    """

    def __init__(self, context: str | None = None) -> None:
        try:
            from kubernetes import client, config, dynamic
        except ImportError:
            msg = "--to cluster needs the Kubernetes client: pip install 'abkit[kubernetes]'"
            raise InputError(msg) from None
        configuration = client.Configuration()
        try:
            # The client reads the variable when it is imported; None stands for its usual place.
            place = os.environ.get("KUBECONFIG") or None
            load: Any = config.load_config if context is None else config.load_kube_config
            named = {} if context is None else {"context": context}
            load(config_file=place, client_configuration=configuration, **named)
        except (config.ConfigException, OSError) as error:
            msg = (
                f"--to cluster: no cluster is configured ({error}): set KUBECONFIG, and --context where it has several"
            )
            raise InputError(msg) from None
        # We try again ourselves: the client would say so on stderr.
        configuration.retries = False
        self.server: str = configuration.host
        parts = urlsplit(self.server)
        self.place = f"cluster {parts.hostname or self.server}{f':{parts.port}' if parts.port else ''}"
        # Discovery by the client would read and write a file that others may write too.
        self._client: Any = dynamic.DynamicClient(  # type: ignore[no-untyped-call]
            client.ApiClient(configuration), discoverer=lambda _client, _cache: None
        )
        self._known: dict[str, dict[str, Resource]] = {}

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """What a kind is called in paths; None where the cluster does not know it.

        Raises:
            TargetError: The cluster can't be asked.
        """
        if api_version not in self._known:
            root = "apis" if "/" in api_version else "api"
            answer = self._ask("get", f"/{root}/{api_version}", f"the kinds of {api_version}") or {}
            self._known[api_version] = {
                one["kind"]: Resource(api_version, one["name"], bool(one.get("namespaced")))
                for one in answer.get("resources", ())
                if "/" not in one["name"]
            }
        return self._known[api_version].get(kind)

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        """An object; None where there is none.

        Raises:
            TargetError: It can't be read.
        """
        return self._ask("get", resource.path(namespace, name), f"{resource.plural} {namespace}/{name}")

    def list(self, resource: Resource, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Objects with labels.

        Raises:
            TargetError: They can't be read.
        """
        for _ in range(3):
            try:
                return list(self._pages(resource, namespace, selector))
            except _Expired:
                continue
        msg = f"{self.place}: the list of {resource.plural} in {namespace} expired while it was read, three times"
        raise TargetError(msg)

    def _pages(self, resource: Resource, namespace: str, selector: str) -> Iterator[dict[str, Any]]:
        onward = None
        while True:
            what = f"{resource.plural} in {namespace}"
            options = {"label_selector": selector, "limit": _PAGE, "_continue": onward}
            page = self._ask("get", resource.path(namespace), what, **options) or {}
            yield from page.get("items", ())
            onward = page.get("metadata", {}).get("continue")
            if not onward:
                return

    def apply(self, resource: Resource, document: Mapping[str, Any], *, dry_run: bool = False) -> None:
        """Apply an object by server-side apply, never by force.

        Raises:
            TargetDrift: Another manager owns a field, or somebody changed the object meanwhile.
            TargetError: The cluster refuses it, or can't be reached.
        """
        metadata = document["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        found = self._ask(
            "patch",
            resource.path(namespace, name),
            f"{document['kind']} {namespace}/{name}",
            body=dict(document),
            content_type="application/apply-patch+yaml",
            field_manager=MANAGER,
            force_conflicts=False,
            dry_run="All" if dry_run else None,
        )
        if found is None:
            msg = f"{self.place}: has no namespace '{namespace}' for {document['kind']} {name}: make it first"
            raise TargetError(msg)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str) -> None:
        """Delete an object as it was read; nothing where it is gone.

        Raises:
            TargetDrift: Somebody changed it meanwhile.
            TargetError: The cluster refuses, or can't be reached.
        """
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid, "resourceVersion": version},
        }
        self._ask("delete", resource.path(namespace, name), f"{resource.plural} {namespace}/{name}", body=body)

    def _ask(self, method: str, path: str, what: str, **options: Any) -> dict[str, Any] | None:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        # What was sent may have been done although no answer came: only reading is tried again.
        pauses = (*_PAUSES_S, None) if method == "get" else (None,)
        for pause in pauses:
            try:
                answer = self._client.request(
                    method, path, serializer=lambda _client, data: data, _request_timeout=_TIMEOUT_S, **options
                )
            except ApiException as error:
                if error.status == _MISSING:
                    return None
                if pause is None or error.status not in _BUSY:
                    raise self._refused(method, what, error) from None
            except (HTTPError, OSError) as error:
                if pause is None:
                    msg = f"{self.place}: can't be reached: {type(error).__name__}: {error}"
                    raise TargetError(msg) from None
            else:
                if not isinstance(answer, dict):
                    msg = f"{self.place}: answers about {what} with what is no JSON object: is it an API server?"
                    raise TargetError(msg)
                return answer
            time.sleep(pause)
        raise AssertionError(method)

    def _refused(self, method: str, what: str, error: Any) -> Exception:
        status = _status(error.body)
        said = status.get("message") or error.reason or "no reason given"
        if error.status == _GONE and method == "get":
            raise _Expired
        if error.status == _CONFLICT:
            raise TargetDrift(
                f"{self.place}: {what}: {_conflict(status) or f'{said}: was changed meanwhile: try again'}"
            )
        remedy = {
            401: ": log in again, or name another context",
            403: f": give the account the right to {method} it, or name another context",
        }.get(error.status, "")
        return TargetError(f"{self.place}: {what}: refused with {error.status}: {said}{remedy}")


class _Expired(Exception):
    """A list changed too much while its pages were read."""


def _status(body: Any) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _conflict(status: Mapping[str, Any]) -> str:
    """Who owns which field; empty where it is not about that."""
    causes = [
        cause
        for cause in (status.get("details") or {}).get("causes") or ()
        if cause.get("reason") == "FieldManagerConflict"
    ]
    told = ", ".join(f"{cause.get('field', 'a field')} ({cause.get('message', 'conflict')})" for cause in causes)
    return f"another manager owns {told}: let it give the field up, or take it out of what it applies" if told else ""
