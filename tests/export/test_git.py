"""What holds for a git work tree alone: a commit an export, and nothing of the user's in it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from abkit.errors import InputError, TargetDrift, TargetError
from abkit.export import open_target
from tests.export.sites import NEW, OLD, GitSite, export, opened, rollback

ROUTES = "my-service.shop.virtualservice.yaml"


@pytest.fixture
def site(tmp_path: Path) -> GitSite:
    return GitSite(tmp_path)


def test_one_commit_an_export_with_our_paths_alone(site: GitSite) -> None:
    export(site.target(), OLD)
    export(site.target(), OLD, weights=["v2=25"])
    export(site.target(), OLD, weights=["v2=25"])
    rollback(site.target(), OLD)
    log = site.git("log", "--format=%s", "--reverse").splitlines()
    assert log == [
        "by hand",
        "Route buy-now-button at control 50 %, treatment 50 % (istio, my-service.shop)",
        "Route buy-now-button at control 75 %, treatment 25 % (istio, my-service.shop)",
        "Roll back to buy-now-button at control 50 %, treatment 50 % (istio, my-service.shop, as in version 1)",
    ]
    assert "By: tester" in site.git("log", "-1", "--format=%B")
    for back, changed in ((2, 4), (1, 1), (0, 1)):
        paths = site.git("-c", "core.quotePath=off", "show", "--name-only", "--format=", f"HEAD~{back}").splitlines()
        assert len(paths) == changed
        assert all(path.startswith(f"{site.folder.name}/my-service.shop.") for path in paths)
    site.whole()


def test_changes_that_are_not_committed_are_not_built_on(site: GitSite) -> None:
    export(site.target(), OLD)
    path = site.folder / ROUTES
    good = path.read_text()
    path.write_text(f"# a remark\n{good}")
    with pytest.raises(TargetDrift, match=r"virtualservice\.yaml has changes that are not committed"):
        export(site.target(), OLD, weights=["v2=25"])
    site.git("add", "--", str(path))
    with pytest.raises(TargetDrift, match="not committed"):
        export(site.target(), OLD, weights=["v2=25"])
    path.write_text(good)
    site.git("add", "--", str(path))
    export(site.target(), OLD, weights=["v2=25"])


def test_files_that_git_ignores_are_named(site: GitSite) -> None:
    (site.top / ".gitignore").write_text("*.yaml\n")
    with pytest.raises(TargetDrift, match="git ignores"):
        export(site.target(), OLD)


def test_a_merge_is_ended_first(site: GitSite) -> None:
    site.git("stash")
    site.git("checkout", "--quiet", "-b", "other")
    (site.top / "changed.txt").write_text("other\n")
    site.commit()
    site.git("checkout", "--quiet", "main")
    (site.top / "changed.txt").write_text("main\n")
    site.commit()
    site.git("merge", "other", check=False)
    with pytest.raises(TargetDrift, match="a merge is under way"):
        export(site.target(), OLD)


def test_a_hook_that_refuses_leaves_all_as_it_was(site: GitSite) -> None:
    export(site.target(), OLD)
    before, head = site.contents(), site.git("rev-parse", "HEAD")
    hook = site.top / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(TargetError, match="git commit refuses: not on a Friday"):
        export(site.target(), NEW)
    assert (site.contents(), site.git("rev-parse", "HEAD")) == (before, head)
    site.whole()
    hook.unlink()
    export(site.target(), NEW)
    site.whole()


def test_a_repository_without_a_commit_and_a_user_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    # As within a hook of another repository.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / "index"))
    plain = {"GIT_CONFIG_GLOBAL": "/dev/null", "PATH": "/usr/bin:/bin"}
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "new")], check=True, env=plain)
    export(opened(f"git:{tmp_path}/new/deploy/shop"), OLD)
    command = ["git", "-C", str(tmp_path / "new"), "log", "--format=%an <%ae>", "--name-only"]
    shown = subprocess.run(command, check=True, env=plain, capture_output=True, text=True).stdout.split("\n")
    assert shown[0] == "abkit <abkit@localhost>"
    assert f"deploy/shop/{ROUTES}" in shown


def test_another_clone_knows_what_is_abkits(site: GitSite, tmp_path: Path) -> None:
    export(site.target(), OLD)
    site.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = opened(f"git:{tmp_path}/clone/{site.folder.name}")
    assert export(clone, OLD) == []
    changed = export(clone, NEW)
    assert "my-service.shop.telemetry.yaml" in changed
    assert not (tmp_path / "clone" / site.folder.name / "my-service.shop.telemetry.yaml").exists()


def test_git_alone_is_the_work_tree_one_is_in(site: GitSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.folder)
    export(open_target("git"), OLD)
    assert (site.folder / ROUTES).exists()
    site.whole()


def test_a_folder_in_no_work_tree(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lies in no git work tree"):
        open_target(f"git:{tmp_path}/nowhere")


@pytest.mark.parametrize("kind", ["", "git:", "envoy:"])
@pytest.mark.parametrize("name", [b"\xff", b":(top)*?[x]", b"-C", b"a\nb", b'"q" \\', "ключ/é".encode()])
def test_odd_paths(kind: str, name: bytes, site: GitSite) -> None:
    target = opened(f"{kind}{site.top}/{os.fsdecode(name)}")
    export(target, OLD)
    export(opened(f"{kind}{site.top}/{os.fsdecode(name)}"), NEW)
    rollback(target, OLD)
    assert (site.top / os.fsdecode(name) / "my-service.shop.telemetry.yaml").exists()
    target.place.encode()
    if kind == "git:":
        site.whole()
        assert len(site.git("log", "--format=%h").split()) == 4
