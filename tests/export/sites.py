"""Places to export to, each with what a test needs to look at it and to meddle with it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from abkit.errors import TargetError
from abkit.export import Bundle, Exporter, Item, Target, Who, bundles, open_target
from abkit.export.envoy import EnvoyFiles
from abkit.routing import resolve_splits
from abkit.settings import load_settings
from abkit.spec import Experiment
from tests.export.fake_cluster import FakeCluster, fields, owners_of
from tests.routing.specs import experiment

WHO = Who("tester", datetime(2026, 11, 1, 12, tzinfo=UTC))

OLD = experiment()
"""Two versions, with telemetry."""
NEW = experiment(
    variants={"control": {"version": "v1", "weight": 9_000}, "treatment": {"version": "v3", "weight": 1_000}},
    mesh={"istio": {"telemetry": False, "native-hash": True}},
)
"""One object less, one more, and in two others another version."""


def made(*specs: Experiment, weights: Sequence[str] = (), mesh: str = "istio") -> tuple[Bundle, ...]:
    """Bundles of experiments."""
    return bundles(specs, mesh, resolve_splits(specs, weights))


def export(target: Target, *specs: Experiment, weights: Sequence[str] = (), replaces: Iterable[str] = ()) -> list[str]:
    """Export; names of what changed."""
    exporter = Exporter(target)
    ready, names = made(*specs, weights=weights), tuple(replaces)
    planned, _ = exporter.apply(lambda: exporter.plan(ready, names), WHO)
    return [one.key for plan in planned for one in plan.changes if one.before != one.after]


def opened(to: str) -> Target:
    """A target; nobody waits for an Envoy that is not there."""
    target = open_target(to, state=load_settings().state)
    return EnvoyFiles(target.folder, pause_s=0) if isinstance(target, EnvoyFiles) else target


def rollback(target: Target, spec: Experiment, version: int | None = None) -> None:
    """Bring back what was before."""
    exporter = Exporter(target)
    name = f"{spec.service.name}.{spec.service.namespace}"
    exporter.apply(lambda: (exporter.plan_rollback("istio", name, version),), WHO)


class Site(Protocol):
    """A place that a target writes to, seen from outside."""

    def target(self) -> Target:
        """The target, as a new process has it."""
        ...

    def contents(self) -> Mapping[str, Any]:
        """All that lies there, by name, exactly."""
        ...

    def foreign(self, key: str) -> None:
        """Put something there that is not abkit's."""
        ...

    def edit(self, key: str) -> None:
        """Change what abkit wrote, as somebody else."""
        ...

    def delete(self, key: str) -> None:
        """Remove what abkit wrote, as somebody else."""
        ...

    def whole(self) -> None:
        """Assert that nothing half-done is left."""
        ...


class FolderSite:
    """A folder with a file of somebody else's."""

    kind = ""

    def __init__(self, folder: Path, *, there: bool = False) -> None:
        self.top, self.folder = folder, folder / "manifests – ü $x"
        if not there:
            self.make()

    def make(self) -> None:
        self.folder.mkdir()
        (self.folder / "others.yaml").write_text("kind: ConfigMap\n")

    @property
    def to(self) -> str:
        return f"{self.kind}{self.folder}"

    def target(self) -> Target:
        return opened(self.to)

    def contents(self) -> Mapping[str, Any]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}

    def foreign(self, key: str) -> None:
        (self.folder / key).write_text("kind: ConfigMap\n")

    def edit(self, key: str) -> None:
        path = self.folder / key
        path.write_text(path.read_text().replace('"v2"', '"v9"'))

    def delete(self, key: str) -> None:
        (self.folder / key).unlink()

    def whole(self) -> None:
        assert [path.name for path in self.folder.glob(".*") if path.name != ".abkit"] == []


class EnvoySite(FolderSite):
    """A folder that an Envoy watches."""

    kind = "envoy:"


class GitSite(FolderSite):
    """A folder in a git work tree, with a file that is staged and one that is changed."""

    kind = "git:"

    def make(self) -> None:
        super().make()
        for name in ("staged.txt", "changed.txt"):
            (self.top / name).write_text("before\n")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()
        for name in ("staged.txt", "changed.txt"):
            (self.top / name).write_text("after\n")
        self.git("add", "staged.txt")

    def git(self, *arguments: str, check: bool = True) -> str:
        command = ["git", "-c", "user.name=Someone", "-c", "user.email=someone@localhost", "-C", str(self.top)]
        return subprocess.run([*command, *arguments], check=check, capture_output=True, text=True).stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=by hand")

    def edit(self, key: str) -> None:
        super().edit(key)
        self.git("commit", "--quiet", "--message=by hand", "--only", "--", str(self.folder / key))

    def foreign(self, key: str) -> None:
        super().foreign(key)
        self.git("add", "--", str(self.folder / key))
        self.git("commit", "--quiet", "--message=by hand", "--only", "--", str(self.folder / key))

    def delete(self, key: str) -> None:
        self.git("rm", "--quiet", "--", str(self.folder / key))
        self.git("commit", "--quiet", "--message=by hand", "--only", "--", str(self.folder / key))

    def whole(self) -> None:
        super().whole()
        assert self.git("status", "--porcelain").splitlines() == [" M changed.txt", "M  staged.txt"]


class ClusterSite:
    """A fake cluster with an object of somebody else's."""

    def __init__(self, cluster: FakeCluster, kubeconfig: Path, state: Path) -> None:
        self.cluster, self._kubeconfig, self._state = cluster, kubeconfig, state
        self.foreign("networking.istio.io/v1 VirtualService shop/others")

    def target(self) -> Target:
        before = os.environ.get("KUBECONFIG")
        os.environ["KUBECONFIG"] = str(self._kubeconfig)
        try:
            return open_target("cluster", state=self._state)
        finally:
            os.environ.pop("KUBECONFIG")
            if before is not None:
                os.environ["KUBECONFIG"] = before

    def contents(self) -> Mapping[str, Any]:
        """What each object says and who owns it, without what counts changes."""
        return {
            " ".join(key[:2]) + f" {key[2]}/{key[3]}": (fields(found), owners_of(found))
            for key, found in self.cluster.objects.items()
        }

    def _change(self, key: str, change: Callable[[dict[str, Any]], None]) -> None:
        api_version, kind, place = key.split(" ")
        namespace, name = place.split("/")
        self.cluster.update((api_version, kind, namespace, name), change)

    def foreign(self, key: str) -> None:
        self._change(key, lambda found: found.update(spec={"hosts": ["others"]}))

    def edit(self, key: str) -> None:
        self._change(key, lambda found: found["spec"].update(subsets=[]))

    def delete(self, key: str) -> None:
        api_version, kind, place = key.split(" ")
        namespace, name = place.split("/")
        del self.cluster.objects[api_version, kind, namespace, name]

    def whole(self) -> None:
        assert not Exporter(self.target()).history.journal.exists()


class Recorded:
    """A target that notes what is done to it, and fails when told to."""

    def __init__(self, target: Target, fail_at: int = -1) -> None:
        self.target = target
        self.done: list[tuple[str, str | None]] = []
        self._fail_at = fail_at
        self.place, self.state, self.gradual = target.place, target.state, target.gradual
        self.items, self.read, self.belonging, self.ready = target.items, target.read, target.belonging, target.ready
        self.rehearse, self.pause = target.rehearse, target.pause
        self.finish, self.abandon = target.finish, target.abandon

    def _note(self, key: str, text: str | None) -> None:
        if len(self.done) == self._fail_at:
            self._fail_at = -1
            msg = f"{key}: no space left"
            raise TargetError(msg)
        self.done.append((key, text))

    def put(self, item: Item) -> None:
        self._note(item.key, item.text)
        self.target.put(item)

    def remove(self, key: str) -> None:
        self._note(key, None)
        self.target.remove(key)
