"""A crash at any point leaves old or new."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from abkit.export import Exporter
from tests.export.fake_cluster import fake_cluster
from tests.export.killed import Exports, exports
from tests.export.sites import NEW, OLD, ClusterSite, EnvoySite, FolderSite, GitSite, export, rollback

SITES: dict[str, type[FolderSite]] = {"folder": FolderSite, "git": GitSite, "envoy": EnvoySite}


@pytest.fixture(scope="module")
def run() -> Iterator[Exports]:
    with exports() as started:
        yield started


@pytest.mark.parametrize("kind", SITES)
def test_killed_at_each_step(kind: str, tmp_path: Path, run: Exports) -> None:
    (tmp_path / "done").mkdir()
    done = SITES[kind](tmp_path / "done")
    export(done.target(), OLD)
    old = done.contents()
    shutil.copytree(tmp_path / "done", tmp_path / "old")
    export(done.target(), NEW)
    new = done.contents()
    step = recovered = 0
    while True:
        step += 1
        shutil.copytree(tmp_path / "old", tmp_path / str(step))
        site = SITES[kind](tmp_path / str(step), there=True)
        killed = run.run(site.to, step)
        for key, content in site.contents().items():
            steps_between = kind == "envoy" and key.endswith("destinationrule.yaml")
            assert content in {old.get(key), new.get(key)} or steps_between or key.startswith("."), (step, key)
        exporter = Exporter(site.target())
        with exporter.history.alone():
            recovered += bool(exporter.recover())
        assert site.contents() in (old, new), step
        site.whole()
        export(site.target(), NEW)
        assert site.contents() == new, step
        site.whole()
        if not killed:
            break
    rollback(site.target(), NEW)
    assert site.contents() == old
    assert step > 15
    assert recovered > 8


def test_who_looks_before_the_next_export_is_told(tmp_path: Path, run: Exports) -> None:
    site = FolderSite(tmp_path)
    export(site.target(), OLD)
    step = 3
    while not Exporter(site.target()).history.unfinished():
        assert run.run(site.to, step)
        step += 1
    versions = Exporter(site.target()).history.unfinished()
    assert [(version.number, version.action) for version in versions] == [(2, "export")]


def test_killed_at_each_request_to_a_cluster(tmp_path: Path, run: Exports) -> None:
    with fake_cluster(tmp_path) as (cluster, kubeconfig):
        done = ClusterSite(cluster, kubeconfig, tmp_path / "done")
        export(done.target(), OLD)
        old, objects = done.contents(), copy.deepcopy(cluster.objects)
        export(done.target(), NEW)
        new = done.contents()
        step = recovered = 0
        killed = True
        while killed:
            step += 1
            cluster.objects = copy.deepcopy(objects)
            site = ClusterSite(cluster, kubeconfig, tmp_path / str(step))
            killed = run.run("cluster", step, KUBECONFIG=str(kubeconfig), ABKIT_STATE=str(tmp_path / str(step)))
            exporter = Exporter(site.target())
            with exporter.history.alone():
                recovered += bool(exporter.recover())
            assert site.contents() in (old, new), step
            export(site.target(), NEW)
            assert site.contents() == new, step
        assert step > 30
        assert recovered > 8
