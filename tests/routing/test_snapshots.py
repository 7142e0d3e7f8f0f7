"""The manifests of the examples are those that were reviewed."""

from __future__ import annotations

from pathlib import Path

import pytest

from abkit.resources import folder
from tests.routing.snapshots import FOLDER, snapshots

TEXTS = dict(snapshots())


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_rendered_is_what_was_reviewed(name: str) -> None:
    file = FOLDER / name
    assert file.is_file(), "a new example or mesh: make snapshots, and read what it wrote"
    assert TEXTS[name] == file.read_text(encoding="utf-8"), "make snapshots, and read git diff"


def test_nothing_is_left_of_what_is_gone() -> None:
    kept = {path.name for path in FOLDER.iterdir() if path.suffix in {".yaml", ".txt"}}
    assert kept == set(TEXTS)


@pytest.mark.parametrize("path", sorted((folder("data") / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_says_what_it_shows(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert any(name.startswith(f"{path.stem}.istio") for name in TEXTS), "every example runs on Istio"
