from __future__ import annotations

import subprocess
import sys

HEAVY = ("pandas", "duckdb", "scipy", "pyarrow", "pydantic", "numpy", "yaml", "re2", "streamlit", "typer", "rich")
CODE = """
import sys, time
before = time.process_time()
import abkit.instrument
took = time.process_time() - before
loaded = sorted({name.partition(".")[0] for name in sys.modules} & set(HEAVY))
ours = sorted(name for name in sys.modules if name.split(".")[0] == "abkit" and not name.startswith("abkit.instrument"))
print(took, loaded, ours, sep=";")
"""


def _import() -> tuple[float, str, str]:
    code = CODE.replace("HEAVY", repr(HEAVY))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took, loaded, ours = done.stdout.strip().split(";")
    return float(took), loaded, ours


def test_importing_it_is_light() -> None:
    runs = [_import() for _ in range(3)]
    assert {loaded for _, loaded, _ in runs} == {"[]"}
    # Of abkit itself: the hash and the errors, nothing else.
    assert {ours for _, _, ours in runs} == {"['abkit', 'abkit.assignment', 'abkit.errors']"}
    assert min(took for took, _, _ in runs) < 0.3
