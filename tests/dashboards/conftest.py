from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from abkit.evidence import Evaluation
from abkit.store import Store

MakeStore = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeStore:
    """Makes a real store of evaluations and points the dashboard at it."""

    def make(*evaluations: Evaluation) -> Path:
        path = tmp_path / "store.duckdb"
        for evaluation in evaluations:
            Store(path).append_verdict(evaluation)
        monkeypatch.setenv("ABKIT_DB", str(path))
        return path

    return make
