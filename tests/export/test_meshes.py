"""Every mesh's manifests can be exported: abkit knows them again, and what it wrote for one mesh it leaves to it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from abkit.errors import RoutingError
from abkit.export import Exporter
from abkit.export.bundles import Bundle
from abkit.export.folder import Folder
from abkit.export.ownership import documents, owner_of
from abkit.resources import folder
from abkit.routing import meshes
from abkit.spec import find_specs, load
from tests.export.sites import WHO, made

EXAMPLES = sorted(find_specs(folder("data") / "experiments"))


def rendered(mesh: str) -> list[Bundle]:
    """The bundles of all examples that a mesh can render."""
    found: list[Bundle] = []
    for path in EXAMPLES:
        try:
            found += made(load(path), mesh=mesh)
        except RoutingError:
            continue
    return found


@pytest.mark.parametrize("mesh", sorted(meshes()))
def test_what_is_rendered_is_known_again(mesh: str) -> None:
    bundles = rendered(mesh)
    assert bundles
    for bundle in bundles:
        names = [manifest.filename for manifest in bundle.manifests]
        assert len(set(names)) == len(names)
        for manifest in bundle.manifests:
            owner = owner_of(manifest.text)
            assert (owner.ours, owner.intact) == (True, True), (bundle.name, manifest.filename)
            assert owner.experiments == set(bundle.experiments), manifest.filename
            assert manifest.filename.startswith(f"{bundle.name}."), manifest.filename
            assert documents(manifest.text)


def test_meshes_share_a_folder_and_what_both_need(tmp_path: Path) -> None:
    spec = load(next(one for one in EXAMPLES if one.name == "checkout-canary.yaml"))
    ready: dict[str, tuple[Bundle, ...]] = {}
    for mesh in sorted(meshes()):
        with suppress(RoutingError):
            ready[mesh] = made(spec, mesh=mesh)
    texts = {
        mesh: {one.filename: one.text for bundle in bundles for one in bundle.manifests}
        for mesh, bundles in ready.items()
    }
    exporter = Exporter(Folder(tmp_path))

    def put(mesh: str) -> None:
        exporter.apply(lambda: exporter.plan(ready[mesh]), WHO)

    at_once: list[str] = []
    for mesh, files in texts.items():
        if all(texts[other].get(name, text) == text for other in at_once for name, text in files.items()):
            at_once.append(mesh)
            put(mesh)
    assert {"envoy", "istio", "gateway-api"} <= set(at_once)
    assert all(planned.in_sync for mesh in at_once for planned in exporter.plan(ready[mesh]))
    shared = {name for mesh in at_once for name in texts[mesh] if sum(name in texts[one] for one in at_once) > 1}
    for mesh in at_once:
        (bundle,) = ready[mesh]
        exporter.apply(lambda mesh=mesh, name=bundle.name: (exporter.plan_rollback(mesh, name),), WHO)  # type: ignore[misc]
        left = {path.name for path in tmp_path.glob("*.yaml")}
        needed = {name for one in at_once[at_once.index(mesh) + 1 :] for name in texts[one]}
        assert needed <= left <= needed | shared
    assert shared
