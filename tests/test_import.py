"""Importing abkit is cheap; what is heavy is loaded by who needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("abkit", "numpy pandas duckdb scipy pyarrow pydantic streamlit"),
        ("abkit.stats", "pandas duckdb pyarrow pydantic streamlit statsmodels scipy.stats"),
        ("abkit.spec", "pandas duckdb pyarrow scipy streamlit"),
        ("abkit.cli", "pandas duckdb scipy pyarrow streamlit altair prometheus_api_client"),
        ("abkit.pipeline.evaluate", "pandas streamlit altair statsmodels scipy.stats"),
    ],
)
def test_a_module_loads_nothing_heavier_than_it_needs(module: str, forbidden: str) -> None:
    code = f"import {module}, sys; print(' '.join(m for m in {forbidden.split()!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
