"""What a method said on many worlds, and what is to be made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.worlds import Batch

__all__ = [
    "ALPHA",
    "ERRORS",
    "Findings",
    "Method",
    "Row",
    "Scale",
    "Situation",
    "Truth",
    "between",
    "filled",
    "joined",
    "limit",
    "present",
    "rows_of",
]

Bools = NDArray[np.bool_]

ALPHA = 0.05
ERRORS = 3.0
"""Monte Carlo errors above the nominal rate that are put down to chance."""


@dataclass(frozen=True)
class Truth:
    """The effect that a world has, on both scales; None where it isn't known."""

    effect: float | None = 0.0
    lift: float | None = 0.0


@dataclass(frozen=True)
class Scale:
    """What was said on one scale, by world.

    Attributes:
        rejected: Whether a winner or a loser was called. A world without a result has none.
        answered: Whether there was a result at all.
        covered: Whether the interval held the truth, at every look; None where there is no interval.
    """

    rejected: Bools
    answered: Bools
    covered: Bools | None = None


@dataclass(frozen=True)
class Findings:
    """On the plain scale, on that of the lift, or on both."""

    plain: Scale | None
    lift: Scale | None = None

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Those there are."""
        return tuple(scale for scale in (self.plain, self.lift) if scale is not None)


@dataclass(frozen=True)
class Method:
    """A method, and what abkit says of it in a situation.

    Attributes:
        name: As in the table.
        replication: What it takes to vary as a whole.
        judge: Worlds and what is true of them → findings.
        valid: Whether abkit calls it valid there; else it is shown because it is wrong.
        nominal: The rate it promises.
    """

    name: str
    replication: str
    judge: Callable[[Batch, Truth], Findings]
    valid: bool = True
    nominal: float = ALPHA


@dataclass(frozen=True)
class Situation:
    """Worlds of one kind, and the methods to try on them.

    Attributes:
        name: As in the table; it also names the random streams.
        world: (stream, lift) → one world.
        methods: To be tried.
        lift: Effect in the worlds for coverage; 0: there are none.
        truth: Lift → what is true of worlds with it.
        chunk: Worlds at a time, for the memory.
    """

    name: str
    world: Callable[[np.random.Generator, float], Batch]
    methods: tuple[Method, ...]
    lift: float = 0.0
    truth: Callable[[float], Truth] = field(default=lambda lift: Truth(None if lift else 0.0, lift))
    chunk: int = 100


@dataclass(frozen=True)
class Row:
    """One method in one situation, over all worlds.

    Attributes:
        situation: Name.
        method: Name.
        replication: What was taken to vary as a whole.
        valid: Whether abkit calls the method valid there.
        worlds: A/A worlds.
        answered: Share of them with a result.
        rates: False-positive rate on each scale, over all worlds.
        coverages: Coverage on each scale, of the worlds with a result; empty without such worlds.
        effects: Worlds with an effect.
        covered_of: Those of them with a result.
        nominal: The rate promised.
    """

    situation: str
    method: str
    replication: str
    valid: bool
    worlds: int
    answered: float
    rates: tuple[float, ...]
    coverages: tuple[float, ...]
    effects: int
    covered_of: int
    nominal: float

    @property
    def error(self) -> float:
        """Monte Carlo error of the worse rate."""
        worst = max(self.rates)
        return math.sqrt(worst * (1 - worst) / self.worlds)

    @property
    def exceeds(self) -> bool:
        """Whether a rate is above the promised one, or a coverage below, by more than chance."""
        if max(self.rates) > limit(self.nominal, self.worlds):
            return True
        # As a world without a result has no false positive, so no interval there misses.
        share = self.covered_of / max(self.effects, 1)
        most = limit(self.nominal, self.effects)
        return any((1 - coverage) * share > most for coverage in self.coverages)

    @property
    def verdict(self) -> str:
        """`ok`, `refused` where most worlds have no result, or `wrong`."""
        return "wrong" if self.exceeds else "refused" if self.answered < 0.5 else "ok"

    @property
    def broken(self) -> bool:
        """Whether abkit calls it valid and it isn't."""
        return self.valid and self.exceeds


def limit(nominal: float, worlds: int) -> float:
    """The rate that chance explains: nominal + 3 Monte Carlo errors."""
    return nominal + ERRORS * math.sqrt(nominal * (1 - nominal) / max(worlds, 1))


def filled(values: Any, missing: float) -> NDArray[np.float64]:
    """Masked numbers as plain ones."""
    return np.ma.filled(np.ma.asarray(values, dtype=np.float64), missing)


def present(values: Any) -> Bools:
    """Where there is a number."""
    return np.asarray(~np.ma.getmaskarray(np.ma.asarray(values)))


def between(ends: Any, truth: float | None) -> Bools | None:
    """Whether an interval holds the truth; one that isn't there does not contradict it."""
    if truth is None or ends is None:
        return None
    return np.asarray((filled(ends[0], -np.inf) <= truth) & (truth <= filled(ends[1], np.inf)))


def joined(parts: Sequence[Findings]) -> Findings:
    """Findings of several chunks of worlds as one."""
    return Findings(*(_scale([getattr(part, name) for part in parts]) for name in ("plain", "lift")))


def _scale(parts: Sequence[Scale | None]) -> Scale | None:
    present = [part for part in parts if part is not None]
    if not present:
        return None
    covered = [part.covered for part in present if part.covered is not None]
    return Scale(
        np.concatenate([part.rejected for part in present]),
        np.concatenate([part.answered for part in present]),
        np.concatenate(covered) if covered else None,
    )


def rows_of(situation: Situation, nulls: Iterable[Findings], effects: Iterable[Findings]) -> list[Row]:
    """The situation's rows, from findings on A/A worlds and on worlds with an effect, a method each."""
    rows = []
    with_effect = list(effects)
    for place, (method, null) in enumerate(zip(situation.methods, nulls, strict=True)):
        coverages, of, tried = [], 0, 0
        for scale in with_effect[place].scales if with_effect else ():
            tried = int(scale.answered.size)
            if scale.covered is not None and scale.answered.any():
                coverages.append(float(scale.covered[scale.answered].mean()))
                of = int(scale.answered.sum())
        rows.append(
            Row(
                situation=situation.name,
                method=method.name,
                replication=method.replication,
                valid=method.valid,
                worlds=int(null.scales[0].rejected.size),
                answered=float(np.mean(np.any([scale.answered for scale in null.scales], axis=0))),
                rates=tuple(float(scale.rejected.mean()) for scale in null.scales),
                coverages=tuple(coverages),
                effects=tried,
                covered_of=of,
                nominal=method.nominal,
            )
        )
    return rows
