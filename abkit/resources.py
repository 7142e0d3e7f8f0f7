"""Where queries, dashboards and data lie: at the top of a checkout, or under `abkit/_share/` in an installed wheel."""

from __future__ import annotations

from pathlib import Path

__all__ = ["folder"]

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """Folder of shipped files.

    Args:
        name: `queries`, `dashboards` or `data`.

    Returns:
        Its path, which exists.

    Raises:
        FileNotFoundError: The installation is not whole.

    >>> folder("queries").is_dir()
    True
    """
    for candidate in (_PACKAGE / "_share" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    msg = f"abkit's own folder '{name}' is missing beside {_PACKAGE}: install abkit again"
    raise FileNotFoundError(msg)
