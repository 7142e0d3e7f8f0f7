"""`python -m tests.benchmarks.calibration`."""

from __future__ import annotations

import sys

from tests.benchmarks.calibration.command import main

if __name__ == "__main__":
    sys.exit(main())
