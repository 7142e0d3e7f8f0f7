"""The metric catalogue: one file a metric in `queries/promql/`, a header of comments above pasteable selectors.

Names are unique but for what several meshes count: `error-rate` is there for Istio, Linkerd and Envoy, and the
experiment says which is meant (`metrics.mesh`). A user's own folders are read like abkit's; a file that takes the place
of one of abkit's says so (`# replaces: yes`), so that no name changes its meaning unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from abkit.errors import QueryError, did_you_mean
from abkit.queries.entries import Entry, parse
from abkit.resources import folder
from abkit.spec import Mesh, MetricDefinition, MetricRef

__all__ = ["catalogue", "definition", "entries"]

_MAX_BYTES = 100_000


def entries(*folders: Path) -> tuple[Entry, ...]:
    """All files of the catalogue.

    Args:
        folders: Further folders with `*.promql` files of the same form; a later one may replace what one before it has.

    Returns:
        By folder and name: abkit's own first, then each further folder's; those that are replaced are left out.

    Raises:
        QueryError: A folder is missing, a file is malformed, or a name is taken.

    >>> [entry.mesh for entry in entries() if entry.definition.name == "error-rate"]
    [<Mesh.ENVOY: 'envoy'>, <Mesh.ISTIO: 'istio'>, <Mesh.LINKERD: 'linkerd'>]
    """
    found = list(_built_in())
    for root in folders:
        for entry in _of_folder(root):
            found = [*_without(found, entry), entry]
    return tuple(found)


def catalogue(*folders: Path, mesh: Mesh = Mesh.ISTIO) -> Mapping[str, MetricDefinition]:
    """All metrics that may be named in an experiment file.

    Args:
        folders: Further folders, as of `entries`.
        mesh: Whose counters are meant by the names that several meshes have.

    Returns:
        Name → definition, by name.

    Raises:
        QueryError: A file is malformed, or a name is taken.

    >>> catalogue()["conversion"].unit
    'purchases per page view'
    """
    found = {e.definition.name: e.definition for e in entries(*folders) if e.mesh in {None, mesh}}
    return MappingProxyType({name: found[name] for name in sorted(found)})


def definition(ref: MetricRef, *folders: Path, mesh: Mesh = Mesh.ISTIO) -> MetricDefinition:
    """What a metric of an experiment is: its inline definition, or the catalogue's.

    Args:
        ref: The experiment's reference.
        folders: Further folders of the catalogue.
        mesh: Whose counters are meant by the names that several meshes have.

    Raises:
        QueryError: The catalogue has no such metric, or not for this mesh.
    """
    if ref.definition is not None:
        return ref.definition
    known = catalogue(*folders, mesh=mesh)
    if ref.metric in known:
        return known[ref.metric]
    others = [str(other) for other in Mesh if ref.metric in catalogue(*folders, mesh=other)]
    if others:
        msg = f"metric '{ref.metric}' is there for {' and '.join(others)}, not for {mesh}: see metrics.mesh"
        raise QueryError(msg)
    msg = f"metric '{ref.metric}' is not in the catalogue; {did_you_mean(ref.metric, known)}"
    raise QueryError(msg)


@cache
def _built_in() -> tuple[Entry, ...]:
    found: list[Entry] = []
    for entry in _of_folder(folder("queries") / "promql"):
        found = [*_without(found, entry), entry]
    return tuple(found)


def _of_folder(root: Path) -> Iterator[Entry]:
    if not root.is_dir():
        msg = f"{root}: no such folder: name a folder with *.promql files"
        raise QueryError(msg)
    for path in sorted(root.rglob("*.promql")):
        entry = parse(_read(path), str(path), group="" if path.parent == root else path.parent.name)
        if entry is not None:
            yield entry


def _without(found: list[Entry], new: Entry) -> Iterator[Entry]:
    """The entries that stay beside a new one."""
    for entry in found:
        if entry.definition.name != new.definition.name or (
            entry.mesh is not None and new.mesh is not None and entry.mesh is not new.mesh
        ):
            yield entry
        elif not new.replaces:
            name = new.definition.name
            msg = (
                f"{new.file}:{new.line}: metric '{name}' is already defined in {entry.file}: choose another name, or "
                "add the line '# replaces: yes' to put yours in its place"
            )
            raise QueryError(msg)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            raw = handle.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            msg = f"{path}: is larger than 100 kB: a metric's file is a page of text"
            raise QueryError(msg)
        return raw.decode("utf-8")
    except OSError as error:
        msg = f"{path}: can't be read: {error.strerror}"
        raise QueryError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{path}: is not UTF-8 text (byte {error.start})"
        raise QueryError(msg) from None
