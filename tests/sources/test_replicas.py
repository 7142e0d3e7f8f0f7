from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from abkit.sources.replicas import DeduplicatedSource
from abkit.window import Window
from tests.sources.data import MemorySource, Series, fetched

HOUR = 3_600_000
REPLICAS = ["prometheus_replica"]


def _series(replica: str, points: list[tuple[int, float]], **labels: str) -> Series:
    return Series({"__name__": "a", "prometheus_replica": replica} | labels, points)


def _scraped(offset: int, silent: tuple[int, int], lag: float = 0.0) -> list[tuple[int, float]]:
    """A counter of one event a millisecond, every 15 s, but for a silence."""
    return [(t, t - lag) for t in range(offset, HOUR, 15_000) if not silent[0] <= t < silent[1]]


def _increments(points: list[tuple[int, float | str]]) -> float:
    values = np.array([value for _, value in points], float)
    steps = np.diff(values)
    return float(np.where(steps >= 0, steps, values[1:]).sum())


@given(
    offsets=st.tuples(st.integers(0, 14_999), st.integers(0, 14_999)),
    silences=st.tuples(*[st.tuples(st.integers(0, HOUR // 2), st.integers(0, HOUR)) for _ in range(2)]),
    skew=st.integers(-10_000, 10_000),
)
def test_increments_add_up_whoever_was_silent_and_whatever_the_skew(
    offsets: tuple[int, int], silences: tuple[tuple[int, int], tuple[int, int]], skew: int
) -> None:
    first, second = _scraped(offsets[0], silences[0]), _scraped(offsets[1], silences[1], skew)
    # Both silent at once is a gap as in a single one; who is never there is no replica.
    source = DeduplicatedSource(MemorySource([_series("a", first), _series("b", second)]), REPLICAS)
    (points,) = fetched(source, "a", Window(0, HOUR)).values()
    values = [float(value) for _, value in points]
    assert values == sorted(values)
    assert _increments(points) == values[-1] - values[0]
    assert set(points) <= {*first, *second}
    covered = {t // 60_000 for t, _ in (*first, *second)}
    assert len(covered - {t // 60_000 for t, _ in points}) <= 2  # the edges of each silence


def test_in_a_row_by_time_a_counter_would_fall() -> None:
    """What the rule is for: scrapes a millisecond apart, the later one with the smaller value."""
    first, second = _scraped(0, (0, 0)), _scraped(1, (0, 0), lag=5.0)
    both = sorted([*first, *second])
    assert _increments([*both]) > 100 * HOUR
    source = DeduplicatedSource(MemorySource([_series("a", first), _series("b", second)]), REPLICAS)
    (points,) = fetched(source, "a", Window(0, HOUR)).values()
    assert points == first


def test_a_silence_is_filled_a_scrape_after_it_began() -> None:
    first, second = _scraped(0, (600_000, 1_200_000)), _scraped(7_000, (0, 0))
    source = DeduplicatedSource(MemorySource([_series("a", first), _series("b", second)]), REPLICAS)
    (points,) = fetched(source, "a", Window(0, HOUR)).values()
    assert max(np.diff([t for t, _ in points])) < 2 * 15_000
    assert 0 < sum(point in second for point in points) < 41


def test_parts_of_a_window_give_the_same_rows() -> None:
    series = [
        _series("a", _scraped(0, (600_000, 1_200_000))),
        _series("b", _scraped(7_000, (1_000_000, 1_500_000))),
        _series("c", _scraped(9_000, (0, 0)), code="200"),
        _series("b", _scraped(9_000, (0, 0)), code="200"),
    ]
    source = DeduplicatedSource(MemorySource(series), REPLICAS)
    whole = fetched(source, "a", Window(0, HOUR))
    small = fetched(DeduplicatedSource(MemorySource(series), REPLICAS, batch=3), "a", Window(0, HOUR))
    assert small == whole
    parts: dict[str, list[tuple[int, float | str]]] = {}
    for start in range(0, HOUR, 123_457):
        for key, points in fetched(source, "a", Window(start, min(start + 123_457, HOUR))).items():
            parts.setdefault(key, []).extend(points)
    assert parts == whole


def test_what_has_no_replica_is_left_as_it_is() -> None:
    series = Series({"__name__": "a"}, [(1, 1.0), (2, 0.5)])
    assert fetched(DeduplicatedSource(MemorySource([series]), REPLICAS), "a", Window(0, 10)) == {
        '{"__name__":"a"}': [(1, 1.0), (2, 0.5)]
    }


def test_several_labels_tell_replicas_apart() -> None:
    series = [Series({"__name__": "a", "replica": r, "prometheus_replica": p}, [(1, 1.0)]) for r in "01" for p in "xy"]
    source = DeduplicatedSource(MemorySource(series), ["prometheus_replica", "replica"])
    assert fetched(source, "a", Window(0, 10)) == {'{"__name__":"a"}': [(1, 1.0)]}
    assert source.way == "memory, one of each replica"
