"""What goes into the store and comes out of it: frozen records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import IntFlag

import pyarrow as pa

from abkit.window import Window

__all__ = [
    "Flag",
    "InputRow",
    "Known",
    "KnownSeries",
    "Pull",
    "Quality",
    "Read",
    "SeriesRow",
    "VerdictRow",
    "Weight",
    "Written",
]


class Flag(IntFlag):
    """What is special about an increment."""

    RESET = 1
    """The counter began anew."""
    BIRTH = 2
    """A series' first sample, counted from 0."""
    GAP = 4
    """It spans more than two scrape intervals."""
    UNSEEN_BIRTH = 8
    """A series' first sample whose past is not known: left out."""
    RELABELLED = 16
    """A series' first sample that goes on where another one with other labels ended."""
    SAMPLE = 32
    """No increment: a gauge's value as it was sampled."""


@dataclass(frozen=True, slots=True)
class InputRow:
    """Which metric uses which input, and in what role.

    Attributes:
        metric: The metric's name.
        role: numerator, denominator or bucket; of gauges `value`, and `samples` for how many values there are.
        input: The input's id.
        selector: Its PromQL.
        by_instance: Whether facts keep instances beside replicates.
    """

    metric: str
    role: str
    input: str
    selector: str
    by_instance: bool


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One time series of an input: what its labels say.

    Attributes:
        series: Its id.
        input: The input's id.
        labels: Canonical JSON, `__name__` included.
        variant: The variant it belongs to; '' for none.
        version: The version label; '' for none.
        assignment: hash, rule, forced or none; '' where not labelled.
        replicate: Hash replicate; -1 where not labelled.
        instance: Pod, else instance.
        target: What Prometheus scrapes as one; '' where not known.
        le: A bucket's upper bound, in the series' own unit.
    """

    series: int
    input: str
    labels: str
    variant: str
    version: str
    assignment: str
    replicate: int
    instance: str
    target: str
    le: float | None


@dataclass(frozen=True, slots=True)
class Weight:
    """A variant's share over a span of time.

    Attributes:
        from_ms: From when on.
        to_ms: Until when; None while it is in force.
        variant: The variant.
        weight: Basis points.
        known: How this is known: spec.
    """

    from_ms: int
    to_ms: int | None
    variant: str
    weight: int
    known: str = "spec"


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of an input.

    Attributes:
        input: The input's id.
        read_from_ms: First moment that was asked for: the look-back included.
        start_ms: From when on increments count.
        end_ms: The watermark: until when it was read.
        first_ms: First sample that the source returned; None for none.
        kept_from_ms: From where on its increments are kept; None where all are.
    """

    input: str
    read_from_ms: int
    start_ms: int
    end_ms: int
    first_ms: int | None = None
    kept_from_ms: int | None = None


@dataclass(frozen=True, slots=True)
class KnownSeries:
    """A series that the store holds.

    Attributes:
        series: Its id.
        input: The input's id.
        labels: Canonical JSON.
        first_ms: Its first sample; None for none.
        last_ms: Its last sample; None for none.
    """

    series: int
    input: str
    labels: str
    first_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the store holds of an experiment and a pull builds on.

    Attributes:
        reads: Input's id → what was read of it.
        series: Every series.
        weights: The split's history, by time.
    """

    reads: Mapping[str, Read]
    series: tuple[KnownSeries, ...]
    weights: tuple[Weight, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """What the numbers of an experiment rest on, over all that its store holds.

    Attributes:
        scrape_interval_ms: Median time between two scrapes of a target; None where there are no two.
        targets: Scrape targets seen.
        gaps: Moments, by target, where increments span more than two scrape intervals.
        resets: Moments, by target, where counters began anew.
        births: Series that began within what was read, counted from 0.
        unseen_births: Series whose first value was left out: nobody saw them begin.
        non_finite: Samples that are NaN, infinite, negative or absurd (1e18 or more): dropped.
        relabelled: Series that go on where another one with other labels ended.
        doubled_targets: Targets that show the counters of a process that another target shows too: counted twice.
        vanished: `variant/metric name` that is no longer exposed though its targets are scraped → number of series.
        targets_without_start: Targets whose process start is not known: resets show only where a value falls.
        unmatched_series: Label value that no variant has → number of series with samples in what is analysed; '' for
            series without such a label.
        bad_replicates: Value of ab_replicate that is no replicate of the experiment → number of such series.
        unnamed_replicas: Label by which only replicas of a Prometheus differ, and which the file doesn't name → number
            of series that count twice.
        missing_variants: Variants without any event.
        one_sided: `metric/role` that not all variants have series of → those that have.
        exposures: Variant → users first exposed; empty where nothing counts them.
        late_samples: Samples that came more than a minute after an earlier pull had read past them.
        behind_ms: How long before the end of what was asked for the newest sample is.
        approximate: Whether the server summed for us (push-down), now or in an earlier pull of what is kept.
        effects: Finding, as its field is called → the largest share of any input's events that it touches.
        empty_inputs: `metric/role` of inputs without any sample.
        warnings: What the server said beside its answers, now or in an earlier pull of what is kept.
    """

    scrape_interval_ms: int | None = None
    targets: int = 0
    gaps: int = 0
    resets: int = 0
    births: int = 0
    unseen_births: int = 0
    non_finite: int = 0
    relabelled: int = 0
    doubled_targets: int = 0
    vanished: Mapping[str, int] = field(default_factory=dict)
    targets_without_start: int = 0
    unmatched_series: Mapping[str, int] = field(default_factory=dict)
    bad_replicates: Mapping[str, int] = field(default_factory=dict)
    unnamed_replicas: Mapping[str, int] = field(default_factory=dict)
    missing_variants: tuple[str, ...] = ()
    one_sided: Mapping[str, str] = field(default_factory=dict)
    exposures: Mapping[str, float] = field(default_factory=dict)
    late_samples: int = 0
    behind_ms: int = 0
    approximate: bool = False
    effects: Mapping[str, float] = field(default_factory=dict)
    empty_inputs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As JSON text, keys sorted.

        >>> Quality.from_json(Quality(gaps=2, empty_inputs=("conversion/numerator",)).to_json()).gaps
        2
        """
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Quality:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        for name in ("missing_variants", "empty_inputs", "warnings"):
            fields[name] = tuple(fields[name])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Pull:
    """All that one pull writes, fetched and decoded before the store is opened.

    Attributes:
        experiment: The experiment's name.
        window: What was read: increments of it count.
        source: Where from.
        way: How it was read.
        inputs: All that the experiment uses now.
        reads: What was read, for inputs with at least one sample.
        series: All known series of the experiment, described by the experiment file of today.
        samples: Columns `series` (int64), `ts` (int64, ms), `value` (double).
        weights: The whole history of the split.
        cuts: Moments that no cell of facts may straddle.
        variants: The experiment's variants.
        quality: What the pull itself knows; the store adds what it finds.
        twins: Pairs of targets that may be one process, and whether their jobs differ.
    """

    experiment: str
    window: Window
    source: str
    way: str
    inputs: tuple[InputRow, ...]
    reads: tuple[Read, ...]
    series: tuple[SeriesRow, ...]
    samples: pa.Table
    weights: tuple[Weight, ...]
    cuts: tuple[int, ...]
    variants: tuple[str, ...]
    quality: Quality
    twins: tuple[tuple[str, str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What a pull changed.

    Attributes:
        samples: Samples read.
        new_samples: How many more the store holds now.
        series: Series read.
        quality: Of the experiment now.
    """

    samples: int
    new_samples: int
    series: int
    quality: Quality


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One verdict, as it was given.

    Attributes:
        experiment: The experiment's name.
        as_of_ms: The moment it speaks for; None without data.
        window: What was compared; None without data.
        fingerprint: Of the whole document: equal fingerprints are the same verdict.
        spec_hash: The experiment file's.
        abkit_version: Who gave it.
        verdict: ship, keep-running …
        document: JSON, as printed.
    """

    experiment: str
    as_of_ms: int | None
    window: Window | None
    fingerprint: str
    spec_hash: str
    abkit_version: str
    verdict: str
    document: str
