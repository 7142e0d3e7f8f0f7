"""The part of an object that one field manager owns, as a Kubernetes API server keeps account of it.

Reference: https://kubernetes.io/docs/reference/using-api/server-side-apply/, FieldsV1 in
https://github.com/kubernetes-sigs/structured-merge-diff.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["applied_by", "owned_part"]

_NOTHING: Final = object()


def applied_by(document: Mapping[str, Any], manager: str) -> dict[str, Any]:
    """What a manager has applied of an object, without what the server and others have added.

    Args:
        document: The object, with `metadata.managedFields`.
        manager: The manager's name.

    Returns:
        The object with those fields alone, and the fields that name it.
    """
    metadata = document.get("metadata", {})
    part: dict[str, Any] = {}
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            found = owned_part(entry.get("fieldsV1") or {}, document)
            part = found if isinstance(found, dict) else {}
    naming = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
    return {
        **part,
        "apiVersion": document.get("apiVersion"),
        "kind": document.get("kind"),
        "metadata": {**part.get("metadata", {}), **naming},
    }


def owned_part(fields: Mapping[str, Any], value: Any) -> Any:
    """The part of a value that a set of fields names.

    Args:
        fields: The set, as FieldsV1 writes it: `f:` a field, `k:` an element by its keys, `v:` an element by its value,
            `.` the thing itself; nothing beneath means all of it.
        value: The value.

    >>> owned_part({"f:spec": {"f:replicas": {}}}, {"spec": {"replicas": 2, "paused": False}, "status": {}})
    {'spec': {'replicas': 2}}
    >>> owned_part({'k:{"name":"app"}': {".": {}, "f:name": {}}}, [{"name": "app", "image": "x"}, {"name": "proxy"}])
    [{'name': 'app'}]
    """
    found = _part(fields, value)
    return {} if found is _NOTHING else found


def _part(fields: Mapping[str, Any], value: Any) -> Any:
    if not fields:
        return value
    if isinstance(value, dict):
        picked = {
            name[2:]: part
            for name, beneath in fields.items()
            if name.startswith("f:") and name[2:] in value
            if (part := _part(beneath, value[name[2:]])) is not _NOTHING
        }
        return picked if picked or "." in fields else _NOTHING
    if isinstance(value, list):
        parts = [part for one in value if (part := _element(fields, one)) is not _NOTHING]
        return parts if parts or "." in fields else _NOTHING
    return value


def _element(fields: Mapping[str, Any], element: Any) -> Any:
    for name, beneath in fields.items():
        if name.startswith("v:") and json.loads(name[2:]) == element:
            return element
        if name.startswith("k:") and isinstance(element, dict):
            keys = json.loads(name[2:])
            if all(element.get(key) == wanted for key, wanted in keys.items()):
                return _part(beneath, element)
    return _NOTHING
