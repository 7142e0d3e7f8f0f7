"""What all targets share: what is refused, what is written in which order, what a crash leaves, and the way back.

An export first writes down what it is about to do (the journal), then does it, then keeps it as a version. Where it is
killed in between, the next one ends it before anything else: each file or object is old or new at any moment, and so is
the whole once that is done. Where a step fails, what was done is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import abkit
from abkit.errors import InputError, TargetDrift, TargetError
from abkit.export.base import Change, Item, Target
from abkit.export.bundles import Bundle
from abkit.export.history import Document, History, Version
from abkit.export.planning import changes_of, kept_order
from abkit.export.steps import PAUSE, steps

__all__ = ["Exporter", "Planned", "Who"]

_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class Who:
    """Who exports, and when.

    Attributes:
        name: Their name.
        at: Now.
    """

    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Planned:
    """What has to be done about a bundle.

    Attributes:
        mesh: The mesh.
        bundle: The bundle's name.
        splits: Experiment → variant → basis points.
        changes: A change a file or object, those in sync included.
        before: What is there, in the order in which it was written.
        after: What should be there, in the order to write it.
        restores: The version whose content is brought back; None for an export.
        parent: The content that a way back from there leads to.
    """

    mesh: str
    bundle: str
    splits: dict[str, dict[str, int]]
    changes: tuple[Change, ...]
    before: tuple[Item, ...]
    after: tuple[Item, ...]
    restores: int | None = None
    parent: int = 0

    @property
    def in_sync(self) -> bool:
        """Whether nothing has to be done."""
        return all(change.before == change.after for change in self.changes)

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why it must not be done."""
        return tuple(change.reason for change in self.changes if change.reason)


class Exporter:
    """Exports bundles to a target, and brings earlier versions back.

    Args:
        target: The target.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.history = History(target.state)

    def plan(self, bundles: Iterable[Bundle], replaces: Iterable[str] = ()) -> tuple[Planned, ...]:
        """What has to be done about bundles. Writes nothing, and refuses nothing: refusals are in the changes.

        Args:
            bundles: What should be there.
            replaces: Experiments that end: what was written for them may be replaced.

        Raises:
            TargetError: The target or the history can't be read.
        """
        allowed = frozenset(replaces)
        return tuple(self._plan(bundle, allowed) for bundle in bundles)

    def _plan(self, bundle: Bundle, replaces: frozenset[str]) -> Planned:
        newest = self.history.newest(bundle.mesh, bundle.name)
        recorded = () if newest is None else newest.after
        after = self.target.items(bundle)
        keys = [item.key for item in after]
        known = [*keys, *(one.key for one in recorded), *self.target.belonging(bundle)]
        lives = self.target.read(dict.fromkeys(known))
        allowed = frozenset(bundle.experiments) | replaces
        changes = changes_of(self.target.place, after, lives, allowed, self.history.held(bundle.mesh, bundle.name))
        concerned = {change.key for change in changes}
        before = [Item(key, live.text) for key, live in lives.items() if key in concerned]
        return Planned(
            mesh=bundle.mesh,
            bundle=bundle.name,
            splits={name: dict(split) for name, split in bundle.splits.items()},
            changes=changes,
            before=kept_order(before, [*(one.key for one in recorded), *keys]),
            after=after,
            parent=0 if newest is None else newest.content,
        )

    def plan_rollback(self, mesh: str, bundle: str, number: int | None = None) -> Planned:
        """What has to be done to bring an earlier version back. Writes nothing.

        Args:
            mesh: The mesh.
            bundle: The bundle's name.
            number: The version; the one before the content in force where left out.

        Raises:
            InputError: There is no such version.
            TargetDrift: What is there is not what was exported last.
            TargetError: The target or the history can't be read.
        """
        newest = self.history.newest(mesh, bundle)
        if newest is None:
            msg = f"{self.target.place}: no export of {bundle} for mesh '{mesh}' is known here: nothing to bring back"
            raise InputError(msg)
        wanted, content, parent, splits = self._earlier(newest, number)
        known = {one.key: None for one in (*newest.after, *wanted)}
        lives = self.target.read(known)
        after = tuple(Item(one.key, one.text) for one in wanted)
        allowed = frozenset(name for live in lives.values() for name in live.owner.experiments)
        changes = changes_of(self.target.place, after, lives, allowed, self.history.held(mesh, bundle))
        recorded = {one.key: one.text for one in newest.after}
        reason = (
            f"is not what was exported last ({self.target.place}, version {newest.number}): see with --diff, and say "
            "which version to bring back with --version"
        )
        if number is None:
            stale = {key for key in known if (lives[key].text if key in lives else None) != recorded.get(key)}
            changes = tuple(
                change
                if change.reason or change.key not in stale
                else Change(change.key, change.status, change.before, change.after, f"{change.key}: {reason}")
                for change in changes
            )
        concerned = {change.key for change in changes}
        before = [Item(key, live.text) for key, live in lives.items() if key in concerned]
        return Planned(
            mesh=mesh,
            bundle=bundle,
            splits=splits,
            changes=changes,
            before=kept_order(before, [one.key for one in (*newest.after, *wanted)]),
            after=after,
            restores=content,
            parent=parent,
        )

    def _earlier(
        self, newest: Version, number: int | None
    ) -> tuple[tuple[Document, ...], int, int, dict[str, dict[str, int]]]:
        """Content, its number, the number of the content before it, and its splits."""
        mesh, bundle = newest.mesh, newest.bundle
        kept = self.history.numbers(mesh, bundle)
        if number is not None:
            version = self.history.version(mesh, bundle, number)
            if version is None:
                shown = ", ".join(map(str, kept))
                msg = f"--version {number}: of {bundle} at {self.target.place} the versions {shown} are kept"
                raise InputError(msg)
            return version.after, version.content, version.parent, version.splits
        made = None if newest.content == 0 else self.history.version(mesh, bundle, newest.content)
        if made is None:
            gone = "this is what was there before the first export" if newest.content == 0 else "it is no longer kept"
            msg = f"{self.target.place}: nothing before version {newest.number} of {bundle} to bring back: {gone}"
            raise InputError(msg)
        earlier = self.history.version(mesh, bundle, made.parent)
        return (
            made.before,
            made.parent,
            0 if earlier is None else earlier.parent,
            {} if earlier is None else earlier.splits,
        )

    def apply(
        self, plan: Callable[[], Sequence[Planned]], who: Who, note: Callable[[Planned], str] | None = None
    ) -> tuple[tuple[Planned, ...], tuple[Version, ...]]:
        """Do what has to be done: first what an export that was cut off has left, then what is planned.

        Args:
            plan: Makes the plan, once nobody else exports.
            who: Who exports.
            note: Words for the history and for commits.

        Returns:
            What was planned, and the versions that were made: none where all was in sync.

        Raises:
            TargetDrift: What is there is somebody else's or was changed; nothing was written.
            TargetError: A step failed; what was done before it was undone.
        """
        with self.history.alone():
            self.recover()
            planned = tuple(plan())
            if refusals := [reason for one in planned for reason in one.refusals]:
                raise TargetDrift("\n".join(refusals))
            due = [one for one in planned if not one.in_sync]
            if not due:
                return planned, ()
            self.target.ready([change.key for one in due for change in one.changes])
            versions = tuple(self._version(one, who, note or describe) for one in due)
            self.history.begin(versions)
            self._carry_out(versions)
            return planned, versions

    def rehearse(self, planned: Sequence[Planned]) -> None:
        """Ask the target whether it would take what is planned; writes nothing.

        Raises:
            TargetDrift: What is there is somebody else's or was changed.
            TargetError: The target would refuse it.
        """
        if refusals := [reason for one in planned for reason in one.refusals]:
            raise TargetDrift("\n".join(refusals))
        due = [change for one in planned for change in one.changes if change.before != change.after]
        if due:
            self.target.ready([change.key for change in due])
        for change in due:
            if change.after is not None:
                self.target.rehearse(Item(change.key, change.after))

    def recover(self) -> tuple[Version, ...]:
        """End what an export that was cut off has begun; to be called while nobody else exports.

        Raises:
            TargetError: It can't be ended.
        """
        versions = self.history.unfinished()
        if versions:
            self._carry_out(versions)
        return versions

    def _carry_out(self, versions: Sequence[Version]) -> None:
        keys = list(dict.fromkeys(one.key for version in versions for one in (*version.before, *version.after)))
        try:
            for version in versions:
                self._walk(version, version.before, version.after)
            self.target.finish(keys, "\n\n".join(version.message for version in versions))
        except BaseException as error:
            self._undo(versions, keys, error)
            raise
        self.history.end(versions)

    def _undo(self, versions: Sequence[Version], keys: Sequence[str], error: BaseException) -> None:
        try:
            for version in reversed(versions):
                self._walk(version, version.after, version.before)
            self.target.abandon(keys)
            self.history.drop()
        except TargetError as second:
            msg = (
                f"{error}\nwhat was written before that could not be undone ({second}): when the cause is gone, the "
                f"next export or rollback ends it; {self.history.journal} says what is old and what is new"
            )
            kind = type(error) if isinstance(error, TargetError) else TargetError
            raise kind(msg) from None

    def _walk(self, version: Version, before: Sequence[Document], after: Sequence[Document]) -> None:
        """Take steps; those that were taken already are passed over."""
        old, new = ([Item(one.key, one.text) for one in found] for found in (before, after))
        walk = list(steps(old, new, gradual=self.target.gradual))
        # What a walk may have left, this one or the one that it undoes. What was moved away may be written again.
        known: dict[str, set[str | None]] = {item.key: {None} for item in (*old, *new)}
        for item in (*old, *new):
            known[item.key].add(item.text)
        for step in (*walk, *steps(new, old, gradual=self.target.gradual)):
            if step is not PAUSE:
                known[step[0]].add(step[1])
        for step in walk:
            if step is PAUSE:
                self.target.pause()
                continue
            key, text = step
            found = self.target.read([key]).get(key)
            there = None if found is None else found.text
            if there == text:
                continue
            if there not in known[key]:
                msg = (
                    f"{key}: was changed at {self.target.place} while version {version.number} of {version.bundle} was "
                    "exported: move it away, or give it back the content it had"
                )
                raise TargetDrift(msg)
            if text is None:
                self.target.remove(key)
            else:
                self.target.put(Item(key, text))

    def _version(self, planned: Planned, who: Who, note: Callable[[Planned], str]) -> Version:
        numbers = self.history.numbers(planned.mesh, planned.bundle)
        number = numbers[-1] + 1 if numbers else 1
        return Version(
            number=number,
            action="export" if planned.restores is None else "rollback",
            at=who.at,
            by=who.name,
            abkit=abkit.__version__,
            target=self.target.place,
            mesh=planned.mesh,
            bundle=planned.bundle,
            splits=planned.splits,
            content=number if planned.restores is None else planned.restores,
            parent=planned.parent,
            message=f"{note(planned)}\n\nBy: {who.name}",
            before=tuple(Document(key=item.key, text=item.text) for item in planned.before),
            after=tuple(Document(key=item.key, text=item.text) for item in planned.after),
        )


def describe(planned: Planned) -> str:
    """What is done about a bundle, in a line: experiments and their split."""
    parts = []
    for name, split in planned.splits.items():
        shares = ", ".join(f"{variant} {weight / _PERCENT:g} %" for variant, weight in split.items())
        parts.append(f"{name} at {shares}")
    told = "; ".join(parts) or f"{planned.bundle} without experiments"
    where = f"{planned.mesh}, {planned.bundle}"
    if planned.restores is not None:
        return f"Roll back to {told} ({where}, as in version {planned.restores})"
    return f"Route {told} ({where})"
