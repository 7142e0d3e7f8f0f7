"""A fake of a Kubernetes API server, for what abkit asks of one: real HTTP on loopback, objects in memory.

It keeps `managedFields` as server-side apply does: who applies owns the fields that it names, another value for a field
of another manager is a conflict (409 with causes) unless forced, fields that a manager no longer names go where nobody
else owns them, an update moves what it changes to the updater. It knows `resourceVersion` (409 where it differs),
`dryRun=All`, label selectors, pages of lists and their expiry (410), preconditions of a deletion, and denies what it is
told to deny (403).

What it does not do: schemas, admission, defaults, finalizers, watches, and lists that are merged by keys (every list is
atomic, as in custom resources without list types). It shows that abkit keeps to the contract as Kubernetes'
documentation has it, and not that a real server does.
"""

from __future__ import annotations

import copy
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

__all__ = ["FakeCluster", "fake_cluster"]

KINDS = {
    "networking.istio.io/v1": {"DestinationRule": "destinationrules", "VirtualService": "virtualservices"},
    "networking.istio.io/v1alpha3": {"EnvoyFilter": "envoyfilters"},
    "telemetry.istio.io/v1": {"Telemetry": "telemetries"},
}
TOKEN = "a-token-that-nobody-may-see"
_UNOWNED = frozenset({"apiVersion", "kind"})
_SERVERS = frozenset(
    {"name", "namespace", "resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"}
)

Field = tuple[str, ...]
Key = tuple[str, str, str, str]


class FakeCluster:
    """The objects, and what was asked."""

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.denied: set[tuple[str, str]] = set()
        self.expire_pages = 0
        self.page = 1_000
        self.lock = threading.RLock()
        self._numbers = itertools.count(1)

    def update(self, key: Key, change: Callable[[dict[str, Any]], None], manager: str = "kubectl-edit") -> None:
        """Change an object as somebody else does who does not apply."""
        with self.lock:
            old = self.objects.get(key)
            new = copy.deepcopy(old) if old is not None else self._empty(key)
            change(new)
            changed = {field for field, value in fields(new).items() if old is None or fields(old).get(field) != value}
            owners = {} if old is None else owners_of(old)
            for owned in owners.values():
                owned -= changed
            owners.setdefault((manager, "Update"), set()).update(changed)
            self._store(key, new, owners)

    def apply(self, key: Key, body: dict[str, Any], manager: str, *, force: bool, dry_run: bool) -> tuple[int, Any]:
        """Server-side apply."""
        old = self.objects.get(key)
        given = body.get("metadata", {}).get("resourceVersion")
        if given is not None and (old is None or old["metadata"]["resourceVersion"] != given):
            return problem(
                409, "Conflict", "the object has been modified; please apply your changes to the latest version"
            )
        wanted = fields(body)
        owners = {} if old is None else owners_of(old)
        now = {} if old is None else fields(old)
        conflicts = [
            (who, field)
            for (who, _), owned in owners.items()
            if who != manager
            for field in sorted(owned & wanted.keys())
            if now.get(field) != wanted[field]
        ]
        if conflicts and not force:
            causes = [
                {
                    "reason": "FieldManagerConflict",
                    "message": f'conflict with "{who}" using {key[0]}',
                    "field": "".join(f".{part}" for part in field),
                }
                for who, field in conflicts
            ]
            return problem(409, "Conflict", f"Apply failed with {len(causes)} conflict", causes)
        new = copy.deepcopy(old) if old is not None else self._empty(key)
        others = {field for who, owned in owners.items() if who != (manager, "Apply") for field in owned}
        for field in owners.get((manager, "Apply"), set()) - wanted.keys() - others:
            drop(new, field)
        for field, value in wanted.items():
            put(new, field, copy.deepcopy(value))
        for who, owned in owners.items():
            if who != (manager, "Apply"):
                owned -= {field for _, field in conflicts}
        owners[manager, "Apply"] = set(wanted)
        if dry_run:
            return 200, new
        return (201 if old is None else 200), self._store(key, new, owners)

    def _empty(self, key: Key) -> dict[str, Any]:
        api_version, kind, namespace, name = key
        # What a server adds by itself: nobody has applied it.
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{next(self._numbers)}",
            "creationTimestamp": "now",
        }
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "status": {"observed": True}}

    def _store(self, key: Key, new: dict[str, Any], owners: Mapping[tuple[str, str], set[Field]]) -> dict[str, Any]:
        old = self.objects.get(key)
        new["metadata"]["managedFields"] = [
            {
                "manager": manager,
                "operation": operation,
                "apiVersion": key[0],
                "fieldsType": "FieldsV1",
                "fieldsV1": tree(owned),
            }
            for (manager, operation), owned in owners.items()
            if owned
        ]
        if (
            old is None
            or fields(old) != fields(new)
            or old["metadata"]["managedFields"] != new["metadata"]["managedFields"]
        ):
            new["metadata"]["resourceVersion"] = str(next(self._numbers))
            self.objects[key] = new
        return self.objects[key]

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, kind: str) -> tuple[int, Any]:
        """The answer to a request: status and document."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        api_version, rest = ("/".join(parts[1:3]), parts[3:]) if parts[0] == "apis" else (parts[1], parts[2:])
        kinds = KINDS.get(api_version)
        if kinds is None:
            return problem(404, "NotFound", "the server could not find the requested resource")
        if not rest:
            resources = [{"name": plural, "kind": one, "namespaced": True} for one, plural in kinds.items()]
            return 200, {"kind": "APIResourceList", "resources": resources}
        _, namespace, plural, *named = rest
        self.asked.append((method, "/".join([plural, *named])))
        if (method, plural) in self.denied:
            return problem(403, "Forbidden", f'{plural} is forbidden: User "tester" cannot {method.lower()} it')
        (one,) = [name for name, found in kinds.items() if found == plural]
        if not named:
            return self._listed(api_version, one, namespace, query)
        key = (api_version, one, namespace, named[0])
        if method == "PATCH":
            if kind != "application/apply-patch+yaml" or not query.get("fieldManager"):
                return problem(
                    415, "UnsupportedMediaType", "server-side apply needs its media type and a field manager"
                )
            force, dry_run = query.get("force", "").lower() == "true", query.get("dryRun") == "All"
            return self.apply(key, body, query["fieldManager"], force=force, dry_run=dry_run)
        found = self.objects.get(key)
        if found is None:
            return problem(404, "NotFound", f'{plural} "{named[0]}" not found')
        if method == "DELETE":
            for field, wanted in (body.get("preconditions") or {}).items():
                if found["metadata"][field] != wanted:
                    return problem(409, "Conflict", f"the {field} in the precondition does not match")
            del self.objects[key]
        return 200, found

    def _listed(self, api_version: str, kind: str, namespace: str, query: Mapping[str, str]) -> tuple[int, Any]:
        name, _, value = query.get("labelSelector", "").partition("=")
        found = [
            {part: content for part, content in one.items() if part not in _UNOWNED}
            for (version, its, place, _), one in sorted(self.objects.items())
            if (version, its, place) == (api_version, kind, namespace)
            and one["metadata"].get("labels", {}).get(name) == value
        ]
        start = int(query.get("continue", 0))
        if start and self.expire_pages:
            self.expire_pages -= 1
            return problem(410, "Expired", "the provided continue parameter is too old")
        end = start + min(self.page, int(query.get("limit", 1_000)))
        onward = {"continue": str(end)} if end < len(found) else {}
        return 200, {"kind": f"{kind}List", "metadata": onward, "items": found[start:end]}


def problem(code: int, reason: str, message: str, causes: list[dict[str, str]] | None = None) -> tuple[int, Any]:
    """A status document."""
    details = {"details": {"causes": causes}} if causes else {}
    return code, {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, **details}


def fields(value: Any, at: Field = ()) -> dict[Field, Any]:
    """The leaves of an object that a manager can own; a list is one leaf."""
    found: dict[Field, Any] = {}
    for name, content in value.items():
        if (not at and name in {*_UNOWNED, "status"}) or (at == ("metadata",) and name in _SERVERS):
            continue
        if isinstance(content, dict) and content:
            found |= fields(content, (*at, name))
        else:
            found[*at, name] = content
    return found


def owners_of(document: Mapping[str, Any]) -> dict[tuple[str, str], set[Field]]:
    """Manager and operation → fields."""

    def paths(found: Mapping[str, Any], at: Field) -> Iterator[Field]:
        for name, beneath in found.items():
            if name != ".":
                yield from paths(beneath, (*at, name[2:])) if beneath else [(*at, name[2:])]

    return {
        (one["manager"], one["operation"]): set(paths(one["fieldsV1"], ()))
        for one in document["metadata"]["managedFields"]
    }


def tree(owned: set[Field]) -> dict[str, Any]:
    """Fields as FieldsV1."""
    found: dict[str, Any] = {}
    for field in sorted(owned):
        at = found
        for part in field:
            at = at.setdefault(f"f:{part}", {})
    return found


def put(document: dict[str, Any], field: Field, value: Any) -> None:
    for part in field[:-1]:
        document = document.setdefault(part, {})
    document[field[-1]] = value


def drop(document: dict[str, Any], field: Field) -> None:
    if len(field) > 1:
        beneath = document.get(field[0], {})
        drop(beneath, field[1:])
        if not beneath:
            document.pop(field[0], None)
    else:
        document.pop(field[0], None)


@contextmanager
def fake_cluster(folder: Path) -> Iterator[tuple[FakeCluster, Path]]:
    """A fake cluster, and a kubeconfig that names it; ended at the end."""
    cluster = FakeCluster()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two would wait for one another

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            length = int(self.headers.get("content-length") or 0)
            text = self.rfile.read(length)
            if len(text) < length:  # who asked was killed
                self.close_connection = True
                return
            body = yaml.safe_load(text) if text else {}
            with cluster.lock:
                code, document = cluster.answer(
                    self.command, parts.path, query, body or {}, self.headers.get("content-type", "")
                )
                content = json.dumps(document).encode()
            if self.headers.get("authorization") != f"Bearer {TOKEN}":
                code, content = 401, b'{"message": "Unauthorized"}'
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PATCH = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    place = folder / "kubeconfig"
    address = f"http://127.0.0.1:{server.server_port}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": address}}],
        "users": [{"name": "tester", "user": {"token": TOKEN}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "tester"}}],
    }
    place.write_text(yaml.safe_dump(document))
    try:
        yield cluster, place
    finally:
        server.shutdown()
        server.server_close()
