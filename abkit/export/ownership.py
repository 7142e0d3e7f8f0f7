"""Whose a file or object is, and whether it is as abkit wrote it: read from itself alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from abkit.routing.document import CONTENT_HASH, EXPERIMENT, MANAGED_BY, content_hash
from abkit.routing.envoy import is_intact

__all__ = ["FOREIGN", "Owner", "documents", "owner_of", "owner_of_object"]

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ORIGIN: Final = re.compile(r"# Written by abkit from the experiments? (?P<names>[^:\n]+): change ")
_SEVERAL: Final = "abkit.dev/experiments"


@dataclass(frozen=True, slots=True)
class Owner:
    """What a file or object says about itself.

    Attributes:
        ours: Whether abkit wrote it.
        intact: Whether it is as abkit wrote it.
        experiments: Who it was written for.
    """

    ours: bool
    intact: bool
    experiments: frozenset[str]


FOREIGN: Final = Owner(ours=False, intact=False, experiments=frozenset())
"""Of what is not abkit's."""


def documents(text: str) -> tuple[Mapping[str, Any], ...] | None:
    """The mappings that a text consists of; None where it is no YAML, or anything else is in it."""
    try:
        found = [document for document in yaml.load_all(text, Loader=_LOADER) if document is not None]
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return tuple(found) if found and all(isinstance(one, dict) for one in found) else None


def owner_of(text: str) -> Owner:
    """Whose a file is: all its documents must say so.

    >>> owner_of("kind: Service")
    Owner(ours=False, intact=False, experiments=frozenset())
    """
    origin = _ORIGIN.match(text)
    found = documents(text)
    if found is None:
        # Still abkit's where its first line says so: a file that was changed until it is no YAML any more.
        return FOREIGN if origin is None else Owner(ours=True, intact=False, experiments=_names(origin["names"]))
    owners = [owner_of_object(document) if "kind" in document else _of_envoy(document, origin) for document in found]
    return Owner(
        ours=all(owner.ours for owner in owners),
        intact=all(owner.intact for owner in owners),
        experiments=frozenset(name for owner in owners for name in owner.experiments),
    )


def owner_of_object(document: Mapping[str, Any]) -> Owner:
    """Whose a Kubernetes object is, by its labels."""
    metadata = document.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(labels, dict) or labels.get(MANAGED_BY) != "abkit":
        return FOREIGN
    annotations = metadata.get("annotations")
    several = annotations.get(_SEVERAL) if isinstance(annotations, dict) else None
    named = _names(str(several or labels.get(EXPERIMENT, "")))
    try:
        intact = labels.get(CONTENT_HASH) == content_hash(document)
    except (TypeError, ValueError):  # a value that no manifest of abkit has, such as a date
        intact = False
    return Owner(ours=True, intact=intact, experiments=named)


def _of_envoy(document: Mapping[str, Any], origin: re.Match[str] | None) -> Owner:
    """Envoy's own files have no labels: their first line says whose they are."""
    if origin is None:
        return FOREIGN
    try:
        intact = is_intact(document)
    except (AttributeError, KeyError, TypeError, ValueError):
        intact = False
    return Owner(ours=True, intact=intact, experiments=_names(origin["names"]))


def _names(text: str) -> frozenset[str]:
    return frozenset(name for part in text.split(",") if (name := part.strip()))
