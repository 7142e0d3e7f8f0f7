"""From what is there to what should be, in steps that are each safe for the requests that arrive between them.

What routes name (Istio's subsets, Envoy's clusters) comes in before the routes and goes out after them. A file or
object that holds both old and new ones is therefore written twice: first with all that the old or the new routes name,
last with what the new ones do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from abkit.export.base import Item
from abkit.export.ownership import documents
from abkit.routing.document import content_hash, stamp, to_yaml

__all__ = ["PAUSE", "Step", "steps", "widened"]

Step = tuple[str, str | None] | None
"""A name and its content, None for none; or a pause."""

PAUSE: Final = None


def steps(before: Sequence[Item], after: Sequence[Item], *, gradual: bool) -> Iterator[Step]:
    """What to do, in order.

    Args:
        before: What is there, in the order in which it was written.
        after: What should be there, in the order to write it.
        gradual: Whether somebody reads between the steps.
    """
    there = {item.key: item.text for item in before}
    wanted = {item.key for item in after}
    changed = [item for item in after if there.get(item.key) != item.text]
    gone = [item.key for item in reversed(before) if item.key not in wanted]
    last: list[Item] = []
    for item in changed:
        old = there.get(item.key)
        wide = widened(old, item.text) if gradual and old is not None and len(changed) + len(gone) > 1 else None
        if wide is None:
            yield item.key, item.text
        else:
            yield item.key, wide
            last.append(item)
    if gradual and (gone or last):
        yield PAUSE
    for key in gone:
        yield key, None
    for item in last:
        yield item.key, item.text


def widened(old: str, new: str) -> str | None:
    """A text that has what the new one has and what only the old one has; None where the new one has all.

    Args:
        old: The manifest that is there.
        new: The manifest that should be there.
    """
    before, after = documents(old), documents(new)
    if before is None or after is None or len(before) != 1 or len(after) != 1:
        return None
    was, will = before[0], after[0]
    if was.get("kind") == will.get("kind") == "DestinationRule":
        mine, theirs = _members(will, "spec", "subsets"), _members(was, "spec", "subsets")
        kept = _missing(mine, theirs)
        return to_yaml(stamp({**will, "spec": {**will["spec"], "subsets": [*mine, *kept]}})) if kept else None
    mine, theirs = _members(will, "resources"), _members(was, "resources")
    if not theirs or not all(str(one.get("@type", "")).endswith(".Cluster") for one in (*mine, *theirs)):
        return None
    kept = _missing(mine, theirs)
    return _clusters(new, will, [*mine, *kept]) if kept else None


def _clusters(text: str, document: Mapping[str, Any], resources: Sequence[Mapping[str, Any]]) -> str:
    head = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    found = list(resources)
    return to_yaml({**document, "version_info": content_hash({"resources": found}), "resources": found}, head)


def _members(document: Mapping[str, Any], *path: str) -> list[Mapping[str, Any]]:
    found: Any = document
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _missing(mine: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    names = {one.get("name") for one in mine}
    return [one for one in theirs if one.get("name") not in names]
