"""Files are written whole or not at all: beside their place first, then renamed into it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from abkit.errors import InputError

__all__ = ["make_folder", "replace_text", "sync_folder", "write_text"]


def make_folder(folder: Path) -> Path:
    """Make a folder and its parents, where they are missing.

    Raises:
        InputError: It can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder}: can't make this folder ({error.strerror}): name another"
        raise InputError(msg) from None
    return folder


def write_text(path: Path, chunks: Iterable[str]) -> None:
    """Write a text file; a crash at any point leaves the old one or the new one.

    Args:
        path: The file; its folder must exist.
        chunks: The text, in pieces.

    Raises:
        InputError: It can't be written.
    """
    temporary: str | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as handle:
            temporary = handle.name
            handle.writelines(chunks)
            handle.flush()
            os.fsync(handle.fileno())
        # Temporary files are private; a file that people asked for has the usual rights.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except OSError as error:
        msg = f"{path}: can't be written ({error.strerror}): name another place"
        raise InputError(msg) from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a text file, down to the disk: a crash or a power cut at any point leaves the old one or the new one.

    What is written before it is renamed has a name that only depends on the file's, so that a writer that was killed
    leaves nothing that the next one doesn't take away. Two writers at once must exclude each other by other means.

    Args:
        path: The file; its folder must exist. Keeps its rights where it exists.
        text: Its content.

    Raises:
        OSError: It can't be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o7777)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """See to it that what was renamed or removed in a folder stays so after a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
