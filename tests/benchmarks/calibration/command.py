"""Print the tables: Markdown to stdout, progress to stderr; ends with 1 if a method that is called valid is not."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tests.benchmarks.calibration.findings import ALPHA, ERRORS, Findings, Row, Situation, Truth, joined, limit, rows_of
from tests.benchmarks.calibration.looks import LOOKED_AT
from tests.benchmarks.calibration.powers import Cost, Paths, costs, drawn, power_table
from tests.benchmarks.calibration.situations import READ_ONCE
from tests.benchmarks.calibration.sticky import SEEDS, SPLITS, false_winners, table
from tests.benchmarks.worlds import batch

__all__ = ["SITUATIONS", "examined", "main", "row_table"]

SITUATIONS: dict[str, Situation] = {situation.name: situation for situation in (*READ_ONCE, *LOOKED_AT)}

_POWER = "power"
_POWER_CHUNK = 100
_FEWEST_FOR_POWER = 2_000

Task = tuple[str, bool, int, int, int]
"""Situation, whether there is an effect, seed, first world, one behind the last."""


def findings(task: Task) -> tuple[Task, list[Findings] | Paths]:
    """What all methods of a situation say on some of its worlds."""
    name, effect, seed, first, last = task
    if name == _POWER:
        return task, drawn(seed, range(first, last))
    situation = SITUATIONS[name]
    lift = situation.lift if effect else 0.0
    stream = f"{name}, effect" if effect else name
    sums = batch(lambda rng: situation.world(rng, lift), seed, stream, range(first, last))
    truth = situation.truth(lift) if effect else Truth()
    return task, [method.judge(sums, truth) for method in situation.methods]


def examined(names: Iterable[str], seed: int, worlds: int, *, coverage: bool = True) -> list[Row]:
    """The rows of some situations, in this process."""
    rows = []
    for name in names:
        done = [findings(task) for task in tasks([name], seed, worlds, coverage=coverage)]
        rows += _rows(SITUATIONS[name], done)
    return rows


def tasks(names: Iterable[str], seed: int, worlds: int, *, coverage: bool = True) -> Iterator[Task]:
    """The work, in pieces that fit into memory."""
    for name in names:
        situation = SITUATIONS[name]
        for effect in (False, True) if coverage and situation.lift else (False,):
            for first in range(0, worlds, situation.chunk):
                yield name, effect, seed, first, min(first + situation.chunk, worlds)


def _all_done(work: Sequence[Task], processes: int) -> Iterator[tuple[Task, list[Findings] | Paths]]:
    """The findings, as they come."""
    if processes == 1:
        yield from map(findings, work)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(findings, work)


def _rows(situation: Situation, done: Iterable[tuple[Task, list[Findings] | Paths]]) -> list[Row]:
    parts: dict[bool, list[list[Findings]]] = defaultdict(list)
    for task, found in sorted(done, key=lambda item: item[0]):
        if isinstance(found, list):
            parts[task[1]].append(found)
    by_method = {effect: [joined(chunk) for chunk in zip(*lists, strict=True)] for effect, lists in parts.items()}
    return rows_of(situation, by_method[False], by_method.get(True, []))


def row_table(rows: Sequence[Row]) -> Iterator[str]:
    """Rows as lines of a Markdown table. Two numbers in a cell: of the difference, and of the lift."""
    yield (
        "| situation | method | replication | abkit says | worlds | with a result | false positives | nominal "
        "| coverage | verdict |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        rates = " / ".join(f"{100 * rate:.1f}" for rate in row.rates)
        coverage = " / ".join(f"{100 * share:.1f}" for share in row.coverages)
        cells = (
            row.situation,
            row.method,
            row.replication,
            "valid" if row.valid else "never",
            f"{row.worlds:,}",
            f"{row.answered:.0%}",
            f"{rates} ± {100 * row.error:.1f} %",
            f"{row.nominal:.0%}",
            f"{coverage} %" if coverage else "–",
            "**wrong**" if row.broken else row.verdict,
        )
        yield f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables.

    Returns:
        1 if a method that is called valid exceeds its rate, or a design its cost; else 0.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.calibration", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of all worlds of the second and third table (1)")
    parser.add_argument("--worlds", type=int, default=1_000, help="a row (1000)")
    parser.add_argument("--quick", action="store_true", help="200 worlds a row, no power table")
    parser.add_argument("--only", default="", help="situations whose name has this in it")
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 2), help="at a time")
    chosen = parser.parse_args(arguments)
    worlds = 200 if chosen.quick else chosen.worlds
    begin = time.monotonic()

    if not chosen.only:
        print("### Sticky users, three seeds\n")
        rates = [false_winners(seed, split) for split in SPLITS for seed in SEEDS]
        print("\n".join(table(rates)), flush=True)

    names = [name for name in SITUATIONS if chosen.only in name]
    work = list(tasks(names, chosen.seed, worlds))
    with_power = not chosen.quick and chosen.only in ("", _POWER)
    if with_power:
        most = max(worlds, _FEWEST_FOR_POWER)
        work += [(_POWER, True, chosen.seed, at, min(at + _POWER_CHUNK, most)) for at in range(0, most, _POWER_CHUNK)]
    left = {name: sum(task[0] == name for task in work) for name in (*names, _POWER)}
    done: dict[str, list[tuple[Task, list[Findings] | Paths]]] = defaultdict(list)
    for task, found in _all_done(work, chosen.processes):
        done[task[0]].append((task, found))
        left[task[0]] -= 1
        if not left[task[0]]:
            print(f"{time.monotonic() - begin:6.0f} s  {task[0]}", file=sys.stderr, flush=True)

    rows = [row for name in names for row in _rows(SITUATIONS[name], done[name])]
    print(f"\n### Situations and methods, seed {chosen.seed}\n")
    print(
        f"`false positives` and `coverage`: of the difference / of the lift, where there are both; at most "
        f"{limit(ALPHA, worlds):.1%} false positives (nominal + {ERRORS:g} Monte Carlo errors) are ok. A world without "
        "a result has no false positive and no interval that misses; the coverage shown is of those with one.\n"
    )
    print("\n".join(row_table(rows)), flush=True)

    spent: list[Cost] = []
    if with_power:
        paths = [found for _, found in sorted(done[_POWER], key=lambda item: item[0]) if isinstance(found, Paths)]
        joint = Paths(*(np.concatenate([getattr(p, key) for p in paths]) for key in ("estimate", "standard_error")))
        spent = list(costs(joint))
        print(f"\n### Information 1/V̂ for 80 % power, in terms of the fixed-horizon test's, seed {chosen.seed}\n")
        print("\n".join(power_table(spent)), flush=True)
    print(f"{time.monotonic() - begin:.0f} s in all", file=sys.stderr)
    broken = [f"{row.situation}: {row.method}" for row in rows if row.broken]
    broken += [cost.design for cost in spent if cost.broken]
    for name in broken:
        print(f"called valid and is not: {name}", file=sys.stderr)
    return 1 if broken else 0
