"""Files are written whole or not at all: beside their place first, then renamed into it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from abkit.errors import InputError

__all__ = ["make_folder", "write_text"]


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
