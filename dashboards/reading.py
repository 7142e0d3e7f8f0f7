"""How the pages come to their results: read-only, cached for seconds, and with a sentence where there are none."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from abkit.errors import AbkitError, InputError, StoreLocked, StoreVersion
from abkit.report.format import escape_markdown
from abkit.report.load import Loaded, load

__all__ = ["db_path", "results"]

_KEEP_SECONDS = 15


def db_path() -> Path:
    """The store's file, from the environment variable `ABKIT_DB`."""
    return Path(os.environ.get("ABKIT_DB") or "abkit.duckdb")


@st.cache_data(ttl=_KEEP_SECONDS, max_entries=4, show_spinner=False)
def _read(path: str, modified: float, size: int) -> Loaded:  # noqa: ARG001  # a changed file is read anew
    return load(path)


def results() -> Loaded:
    """The newest evaluations; ends the page with a clear sentence where there are none."""
    path = db_path()
    try:
        stat = path.stat() if path.exists() else None
        loaded = _read(str(path), stat.st_mtime, stat.st_size) if stat else load(path)
    except AbkitError as error:
        _explain(error)
    except OSError as error:
        _say(":material/error:", "The store can't be read", f"{path}: {error.strerror}")
    for sentence in loaded.unreadable:
        st.warning(escape_markdown(sentence), icon=":material/warning:")
    if not loaded.evaluations:
        commands = "abkit pull SPEC\nabkit verdict SPEC"
        _say(":material/hourglass_empty:", "No verdicts yet", f"{path} is a store without verdicts.", commands)
    return loaded


def _explain(error: AbkitError) -> None:
    if isinstance(error, InputError):
        _say(":material/inbox:", "No store yet", str(error), "abkit demo")
    if isinstance(error, StoreLocked):
        _say(":material/lock_clock:", "The store is busy", f"{error} The page looks again by itself.")
    if isinstance(error, StoreVersion):
        _say(":material/upgrade:", "The store is from a newer abkit", str(error), "pip install --upgrade abkit")
    _say(":material/error:", "The store can't be read", str(error))


def _say(icon: str, heading: str, message: str, commands: str = "") -> None:
    with st.container(border=True):
        st.subheader(f"{icon} {heading}")
        st.markdown(escape_markdown(message))
        if commands:
            st.code(commands, language="bash")
    st.stop()
