from __future__ import annotations

import subprocess
import sys

from abkit import stats


def test_importing_loads_no_scipy_and_no_statsmodels() -> None:
    heavy = "{'scipy', 'statsmodels', 'pandas'}"
    code = f"import sys, abkit.stats; print(sorted({{m.split('.')[0] for m in sys.modules}} & {heavy}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_public_names_are_there() -> None:
    for name in stats.__all__:
        assert getattr(stats, name) is not None
    for name in stats.sequential.__all__:
        assert getattr(stats.sequential, name) is not None
