"""The metric families, one of each a registry: experiments share them and are told apart by the label `ab_experiment`.

They stand on the client's own counters and gauges, so its multiprocess mode works too. What is exposed differs from the
client's in two things. There are no `_created` series, which would double what a server keeps. And `_sum` and `_count`
of the page load time carry the replicate, `_bucket` does not: OpenMetrics knows no such histogram, so the three are
families of their own, of no declared type.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from threading import Lock
from typing import TypeVar
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric

__all__ = [
    "BUCKET_LABELS",
    "LABELS",
    "BucketFamily",
    "CounterFamily",
    "Family",
    "UntypedFamily",
    "family",
    "with_infinity",
]

LABELS = ("ab_experiment", "ab_variant", "ab_replicate", "ab_assignment", "version")
"""Labels of every family but the buckets."""

BUCKET_LABELS = ("ab_experiment", "ab_variant", "ab_assignment", "version", "le")
"""Labels of histogram buckets: times replicates they would be too many series."""


class CounterFamily:
    """A counter; its samples end in `_total`."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = LABELS) -> None:
        self._counter = Counter(name, help_text, labels, registry=None)

    def create(self, labels: Sequence[str]) -> None:
        """Make a child, which counts from 0 on."""
        self._counter.labels(*labels)

    def add(self, labels: Sequence[str], amount: float) -> None:
        """Add to a child."""
        self._counter.labels(*labels).inc(amount)

    def collect(self) -> Iterable[Metric]:
        """What is exposed."""
        for metric in self._counter.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric

    def describe(self) -> Iterable[Metric]:
        """The names, for the registry."""
        return self._counter.describe()


class UntypedFamily:
    """A number that only grows, exposed under its bare name and without a type."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = LABELS) -> None:
        self._name, self._help = name, help_text
        # The sum over processes, those that ended included, is what a counter would have.
        self._gauge = Gauge(name, help_text, labels, registry=None, multiprocess_mode="sum")

    def create(self, labels: Sequence[str]) -> None:
        """Make a child, which counts from 0 on."""
        self._gauge.labels(*labels)

    def add(self, labels: Sequence[str], amount: float) -> None:
        """Add to a child."""
        self._gauge.labels(*labels).inc(amount)

    def collect(self) -> Iterable[Metric]:
        """What is exposed."""
        for metric in self._gauge.collect():
            exposed = Metric(self._name, self._help, "unknown")
            exposed.samples = list(metric.samples)
            yield exposed

    def describe(self) -> Iterable[Metric]:
        """The names, for the registry."""
        return [Metric(self._name, self._help, "unknown")]


class BucketFamily(UntypedFamily):
    """Cumulative buckets of a histogram."""

    def __init__(self, name: str, help_text: str) -> None:
        super().__init__(name, help_text, BUCKET_LABELS)

    def create_all(self, labels: Sequence[str], bounds: Sequence[float]) -> None:
        """Make the children of a histogram; `labels` without `le`."""
        for bound in bounds:
            self.create((*labels, bound_text(bound)))

    def observe(self, labels: Sequence[str], bounds: Sequence[float], value: float) -> None:
        """Count a value in every bucket that reaches as far; the last bound is +Inf."""
        # From the widest down: a scrape between two of them sees no bucket above the next wider one.
        for bound in reversed(bounds[bisect_left(bounds, value) :]):
            self.add((*labels, bound_text(bound)), 1)


Family = CounterFamily | UntypedFamily
Made = TypeVar("Made", bound=Family)

_lock = Lock()
_registered: WeakKeyDictionary[CollectorRegistry, dict[str, Family]] = WeakKeyDictionary()


def family(registry: CollectorRegistry, name: str, make: Callable[[], Made]) -> Made:
    """A registry's family of a name, made and registered by whoever asks first.

    Raises:
        ValueError: The registry has a metric of this name that is not ours.
    """
    with _lock:
        families = _registered.setdefault(registry, {})
        if name not in families:
            made = make()
            registry.register(made)
            families[name] = made
        return families[name]  # type: ignore[return-value]  # one name is always made the same way


def bound_text(bound: float) -> str:
    """A bound as the label `le` has it.

    >>> bound_text(1), bound_text(math.inf)
    ('1.0', '+Inf')
    """
    return "+Inf" if math.isinf(bound) else str(float(bound))


def with_infinity(bounds: Iterable[float]) -> tuple[float, ...]:
    """Bucket bounds with +Inf at their end.

    Raises:
        ValueError: They don't rise, or one is not a number.
    """
    edges = tuple(float(bound) for bound in bounds)
    if not edges or edges[-1] != math.inf:
        edges = (*edges, math.inf)
    if any(math.isnan(edge) for edge in edges) or any(high <= low for low, high in pairwise(edges)):
        msg = "bucket bounds must rise, such as 0.1, 0.5, 1"
        raise ValueError(msg)
    return edges
