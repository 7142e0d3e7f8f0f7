"""Manifests as people have them, each with what is wrong written beside it: `# expect: check, check`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from abkit.routing.lint import lint

FILES = sorted((Path(__file__).parent / "manifests").glob("*.yaml"))
EXPECT = re.compile(r"# expect: (.+)$", re.MULTILINE)


def _expected(text: str) -> list[tuple[int, str]]:
    return sorted(
        (number, check)
        for number, line in enumerate(text.splitlines(), 1)
        if (found := EXPECT.search(line))
        for check in found[1].split(", ")
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_wrong_is_found_and_nothing_else(file: Path) -> None:
    text = file.read_text()
    found = lint([(file.name, text)])
    assert sorted((one.line, one.check) for one in found) == _expected(text), "\n".join(map(str, found))
    assert _expected(text)
    for one in found:
        assert one.file == file.name
        assert one.why
        assert one.correct
