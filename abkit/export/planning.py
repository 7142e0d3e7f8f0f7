"""What is there compared to what should be there: what to do, and what is left alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from abkit.export.base import Change, Item, Live, Status

__all__ = ["changes_of", "kept_order"]


def changes_of(
    place: str, after: Sequence[Item], lives: Mapping[str, Live], allowed: frozenset[str], held: frozenset[str]
) -> tuple[Change, ...]:
    """A change a file or object, in the order to write them, what is left over last.

    Args:
        place: The target, for messages.
        after: What should be there.
        lives: What is there, as far as it may be concerned; what is not wanted and not abkit's is none of its business.
        allowed: Experiments whose files and objects may be replaced.
        held: Names of what another mesh's export needs: left where it is.
    """
    wanted = {item.key: item.text for item in after}
    changes = [_change(place, key, text, lives.get(key), allowed) for key, text in wanted.items()]
    left = [live for key, live in lives.items() if key not in wanted and live.owner.ours and key not in held]
    return (*changes, *(_change(place, live.key, None, live, allowed) for live in left))


def _change(place: str, key: str, after: str | None, live: Live | None, allowed: frozenset[str]) -> Change:
    if live is None:
        return Change(key, Status.MISSING, None, after)
    status, reason = Status.DIFFERS if after is not None else Status.LEFT_OVER, ""
    others = ", ".join(sorted(live.owner.experiments - allowed))
    if not live.owner.ours:
        status = Status.NOT_OURS
        reason = "was not written by abkit: move it away, or take the service's routes out of it by hand"
    elif live.text == after:
        status = Status.IN_SYNC
    elif not live.owner.intact:
        status = Status.EDITED
        reason = (
            "was changed since abkit wrote it: restore it, or move it away, and make the change in the experiment file"
        )
    elif others:
        status = Status.OTHERS
        reason = f"also routes the experiment {others}: give its file too, or end it with --replaces {others}"
    return Change(key, status, live.text, after, f"{place}: {key}: {reason}" if reason else "")


def kept_order(items: Sequence[Item], keys: Sequence[str]) -> tuple[Item, ...]:
    """Items in the order of the keys; those that are not among them by kind, which their names' alphabet is."""
    places = {key: place for place, key in reversed(list(enumerate(keys)))}
    return tuple(sorted(items, key=lambda item: (places.get(item.key, len(places)), item.key)))
