"""Faults at random moments, by the hundred.

Kills pulls at random moments and runs them again, and lets a writer and readers work on one store for minutes. Prints
seeds and waits; ends with an error where a store differs or an error would have reached a user.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.torture.crowd import crowd
from tests.torture.kills import kill_pulls


def main() -> int:
    """Torture the store."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="pulls to kill (default: 100; 0: none)")
    parser.add_argument("--minutes", type=float, default=5.0, help="of a writer and readers (default: 5; 0: none)")
    parser.add_argument("--readers", type=int, default=4, metavar="N", help="beside the writer (default: 4)")
    parser.add_argument("--seed", type=int, default=None, help="of the kills' moments (default: another each time)")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory() as folder:
        if given.kills:
            begun = time.monotonic()
            print(f"{given.kills} kills, seed {seed}", flush=True)
            print(f"  {kill_pulls(Path(folder), given.kills, seed)} in {time.monotonic() - begun:.0f} s", flush=True)
        if not given.minutes:
            return 0
        print(f"a writer every second and {given.readers} readers for {given.minutes:g} min", flush=True)
        waits = crowd(Path(folder) / "crowd.duckdb", 60 * given.minutes, given.readers)
    for number, each in enumerate(waits):
        print(f"  {f'reader {number}' if number else 'writer'}: {each}")
    return int(any(each.error for each in waits))


if __name__ == "__main__":
    sys.exit(main())
