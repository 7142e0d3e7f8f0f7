"""Objects of Kubernetes itself against the models of its own client, strictly: an unknown field is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kubernetes.client import models

__all__ = ["core_defects", "is_core"]

_MODELS: Final = {
    ("apps/v1", "Deployment"): "V1Deployment",
    ("apps/v1", "StatefulSet"): "V1StatefulSet",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "V2HorizontalPodAutoscaler",
    ("policy/v1", "PodDisruptionBudget"): "V1PodDisruptionBudget",
    ("rbac.authorization.k8s.io/v1", "Role"): "V1Role",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): "V1RoleBinding",
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "Service"): "V1Service",
    ("v1", "ServiceAccount"): "V1ServiceAccount",
}
_SCALARS: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "datetime": (str,),
    "bytes": (str,),
}


def is_core(document: Mapping[str, Any]) -> bool:
    """Whether the object is one that Kubernetes brings itself."""
    return (document.get("apiVersion"), document.get("kind")) in _MODELS


def core_defects(document: Mapping[str, Any]) -> list[str]:
    """What is wrong with an object of Kubernetes itself; nothing where it is right."""
    model = _MODELS[str(document["apiVersion"]), str(document["kind"])]
    return list(_walk(document, model, "$"))


def _walk(value: Any, kind: str, path: str) -> Iterator[str]:
    if kind == "object":
        return
    if kind in _SCALARS:
        if not isinstance(value, _SCALARS[kind]) or (isinstance(value, bool) and kind != "bool"):
            yield f"{path}: {value!r} is not of type {kind}"
    elif listed := re.fullmatch(r"List\[(.+)\]", kind):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is not a list"
            return
        for index, item in enumerate(value):
            yield from _walk(item, listed[1], f"{path}[{index}]")
    elif not isinstance(value, dict):
        yield f"{path}: {value!r} is not a mapping"
    elif named := re.fullmatch(r"Dict\[str, (.+)\]", kind):
        for key, item in value.items():
            yield from [] if isinstance(key, str) else [f"{path}: the key {key!r} is no text"]
            yield from _walk(item, named[1], f"{path}.{key}")
    else:
        yield from _fields(value, kind, path)


def _fields(value: Mapping[Any, Any], kind: str, path: str) -> Iterator[str]:
    model = getattr(models, kind)
    types = {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}
    for name, item in value.items():
        if name not in types:
            yield f"{path}: {kind} has no field {name!r}"
        else:
            yield from _walk(item, types[name], f"{path}.{name}")
    required = {model.attribute_map[name] for name, field in model.model_fields.items() if field.is_required()}
    for name in sorted(required - value.keys()):
        yield f"{path}: {name!r} is missing"
