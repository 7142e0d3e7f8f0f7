"""How often each method calls a winner where there is none, how often its intervals hold, what its looks cost.

`make calibrate` prints the tables; `python -m tests.benchmarks.calibration --help` names the options.
"""

from __future__ import annotations

from tests.benchmarks.calibration.sticky import SEEDS, SPLITS, WORLDS, Rates, false_winners, table

__all__ = ["SEEDS", "SPLITS", "WORLDS", "Rates", "false_winners", "table"]
