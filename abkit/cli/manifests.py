"""Manifests that people have: which files of a folder are checked, and how what was found is shown."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from abkit.errors import InputError

if TYPE_CHECKING:
    from abkit.routing.lint import Finding
    from abkit.spec import Experiment

__all__ = ["check_manifests", "show_findings"]

_ENDINGS: Final = frozenset({".yaml", ".yml", ".json"})
_MARGIN: Final = "    "
_COLOURS: Final = {"error": "red", "warning": "yellow", "note": "cyan"}


def check_manifests(
    places: Iterable[Path], experiments: Iterable[tuple[Path, Experiment]]
) -> tuple[int, tuple[Finding, ...]]:
    """Check all manifests of folders, sub-folders included.

    Args:
        places: Folders, or files.
        experiments: File and experiment each, whose services the manifests must leave alone.

    Returns:
        The number of files, and what was found in them.

    Raises:
        InputError: A place is missing, can't be read, or holds no manifests.
    """
    from abkit.routing.lint import MAX_BYTES, lint

    contents: dict[str, bytes] = {}
    for place in places:
        for path in _files(place):
            try:
                with path.open("rb") as handle:
                    contents[str(path)] = handle.read(MAX_BYTES + 1)
            except OSError as error:
                msg = f"{path}: can't be read: {error.strerror}"
                raise InputError(msg) from None
    return len(contents), lint(contents.items(), [(str(path), spec) for path, spec in experiments])


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        msg = f"{place}: no such folder: name the folder that holds the manifests"
        raise InputError(msg)
    found = sorted(_walk(place))
    if not found:
        msg = f"{place}: holds no manifests (*.yaml, *.yml, *.json)"
        raise InputError(msg)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            if path.suffix in _ENDINGS and not name.startswith(".") and path.is_file():
                yield path


def show_findings(console: Console, files: int, findings: Sequence[Finding]) -> None:
    """Print findings with place, reason and correct form, and a table of the files that have any."""
    for one in findings:
        head = Text(f"{one.file}:{one.line}: ")
        head.append(str(one.severity), style=f"bold {_COLOURS[one.severity]}")
        head.append(f": {one.object}: {one.field}" if one.field else f": {one.object}")
        console.print(head, soft_wrap=True)
        console.print(_indented(console, f"{one.why} ({one.check})"))
        console.print(_indented(console, f"correct: {one.correct}"), style="green")
    counts = Counter(str(one.severity) for one in findings)
    if findings:
        console.print(_table(findings))
    total = (
        ", ".join(f"{counts[kind]} {kind}{'' if counts[kind] == 1 else 's'}" for kind in _COLOURS if counts[kind])
        or "nothing found"
    )
    mark = "[red]✗[/]" if counts["error"] else "[green]✓[/]"
    console.print(f"{mark} {files} file{'' if files == 1 else 's'} of manifests: {total}", soft_wrap=True)


def _indented(console: Console, text: str) -> Text:
    width = max(console.width, 40)
    return Text(textwrap.fill(text, width, initial_indent=_MARGIN, subsequent_indent=_MARGIN, break_on_hyphens=False))


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    for name in _COLOURS:
        table.add_column(f"{name}s", justify="right", no_wrap=True)
    counts = Counter((one.file, str(one.severity)) for one in findings)
    for file in dict.fromkeys(one.file for one in findings):
        table.add_row(Text(file), *(str(counts[file, name]) for name in _COLOURS))
    return table
