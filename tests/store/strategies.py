"""Worlds that nobody would think of."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from tests.sources.data import Series
from tests.store.rows import counter, process

__all__ = ["worlds"]

POINTS = st.dictionaries(st.integers(-20, 40), st.integers(0, 6), max_size=25)
LIVES = st.lists(st.integers(-30, 40), max_size=3, unique=True)


@st.composite
def worlds(draw: st.DrawFn) -> list[Series]:
    """Two targets, scraped every 15 s or so with holes; counters that rise, stand, fall and vanish; restarts."""
    series: list[Series] = []
    for instance in ("a", "b"):
        births = sorted(draw(LIVES))
        lives = draw(st.booleans())
        jitter = draw(st.integers(0, 40)) / 1000
        if births and lives:
            scrapes = sorted(draw(st.sets(st.integers(-20, 40), max_size=40)))
            lived = [(k * 15 + jitter, max((b for b in births if b <= k), default=-99) * 15 - 4.5) for k in scrapes]
            if lived:
                series.append(process(lived, instance))
        for replicate in range(draw(st.integers(0, 3))):
            values = sorted(draw(POINTS).items())
            points: list[tuple[float, float]] = []
            level = 0.0
            for k, step in values:
                level = level + step if step < 6 else float(draw(st.sampled_from([0, 1, math.nan, 7])))
                points.append((k * 15 + jitter, level))
                level = 0.0 if math.isnan(level) else level
            if points:
                series.append(counter(points, instance, ab_replicate=str(replicate)))
    return series
