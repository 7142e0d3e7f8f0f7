"""Files are written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abkit.errors import InputError
from abkit.files import make_folder, write_text


def test_a_failure_midway_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    write_text(path, ["old\n"])

    def breaks() -> Iterator[str]:
        yield "new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_text(path, breaks())
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    write_text(path, ["a", "b\n"])
    write_text(path, ["c\n"])
    assert path.read_text() == "c\n"
    assert path.stat().st_mode & 0o044 == 0o044


def test_places_that_can_not_be_written_to_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"routes\.yaml"):
        write_text(tmp_path / "file" / "routes.yaml", ["x"])
    with pytest.raises(InputError, match="can't make this folder"):
        make_folder(tmp_path / "file" / "folder")
