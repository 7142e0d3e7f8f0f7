"""What a series' labels say: whose it is, and what tells its units apart."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from xxhash import xxh64_intdigest

from abkit.queries.naming import cluster_names, is_pod_of
from abkit.spec import Experiment, Strategy
from abkit.store import SeriesRow

__all__ = [
    "Target",
    "canonical",
    "describe",
    "mismatches",
    "normalised",
    "one_sided",
    "series_id",
    "target_of",
    "twins",
    "unnamed_replicas",
]


_NONE: Final = "none"
"""What services and meshes write where a request has no variant or no unit."""

_OF_THE_SCRAPE: Final = frozenset(
    {
        "job",
        "instance",
        "pod",
        "container",
        "endpoint",
        "service",
        "namespace",
        "node",
        "prometheus",
        "prometheus_replica",
    }
)
"""Labels that say how a process was scraped, not what it counted."""

_REPLICAS: Final = ("__replica__", "prometheus_replica", "replica")
"""Labels by which replicas of a Prometheus are usually told apart."""

_CLUSTER: Final = "cluster"
"""The label by which servers that see several clusters tell them apart."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one Prometheus scrapes as one.

    Attributes:
        job: Its job.
        instance: Its address.
        place: Which cluster or server it is in, where series say so: two clusters may use the same addresses.
    """

    job: str
    instance: str
    place: tuple[str, ...]

    def __str__(self) -> str:
        return "|".join((self.job, self.instance, *self.place))


def target_of(labels: Mapping[str, str], experiment: Experiment) -> Target | None:
    """The target that a series was scraped from; None where its labels don't say.

    >>> spec = Experiment.model_validate({
    ...     "service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"],
    ... })
    >>> str(target_of({"job": "shop", "instance": "10.0.0.1:80", "cluster": "east"}, spec))
    'shop|10.0.0.1:80|east'
    """
    job, instance = labels.get("job", ""), labels.get("instance", "")
    return Target(job, instance, _place(labels, experiment)) if job or instance else None


def _place(labels: Mapping[str, str], experiment: Experiment) -> tuple[str, ...]:
    names = {name for source in experiment.sources for name in source.labels} | {_CLUSTER}
    replicas = {name for source in experiment.sources for name in source.replica_labels}
    return tuple(labels[name] for name in sorted(names - replicas) if labels.get(name))


def normalised(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Labels with a bucket's bound in one way of writing.

    Prometheus 3 stores `le="1.0"` where 2.x stored `le="1"`: the same counter, which goes on.

    >>> normalised({"le": "1"}) == normalised({"le": "1.0"})
    True
    >>> normalised({"le": "+Inf"})["le"]
    '+Inf'
    """
    bound = _bound(labels.get("le"))
    if bound is None or math.isnan(bound):
        return labels
    return {**labels, "le": repr(bound) if math.isfinite(bound) else "+Inf" if bound > 0 else "-Inf"}


def canonical(labels: Mapping[str, str]) -> str:
    """Labels as JSON text, the same for the same labels.

    >>> canonical({"version": "v1", "__name__": "up"})
    '{"__name__":"up","version":"v1"}'
    """
    return json.dumps(labels, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def series_id(experiment: str, source_input: str, labels: str) -> int:
    """Identity of a series in the store: xxh64 as a signed 64-bit number."""
    unsigned = xxh64_intdigest(f"{experiment}|{source_input}|{labels}".encode())
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


def describe(series: int, source_input: str, labels: Mapping[str, str], experiment: Experiment) -> SeriesRow:
    """Read a series' labels.

    A series belongs to the variant in its `ab_variant` label where it has one (intention to treat), else to the only
    variant that has its version: that of the label `destination_version`, else of the name of Envoy's cluster, else of
    the label `version`, else of the pod's name (`abkit.queries.naming`). A mirrored request says of itself what the
    original does: what the version that gets copies counts is its own.

    Args:
        series: Its id.
        source_input: The input's id.
        labels: `__name__` included.
        experiment: Whose variants and replicates count.
    """
    version = _version(labels, experiment)
    assignment = labels.get("ab_assignment", "")
    if _of_a_copy(labels.get("ab_variant", ""), version, experiment) and experiment.mirror is not None:
        variant = experiment.mirror.to
        # Where it has users too, copies are no part of what is compared.
        assignment = assignment if experiment.strategy is Strategy.MIRROR else _NONE
    elif "ab_variant" in labels:
        variant = labels["ab_variant"] if labels["ab_variant"] in experiment.variants else ""
    else:
        same = [name for name, variant in experiment.variants.items() if variant.version == version]
        variant = same[0] if len(same) == 1 else ""
    instance = labels.get("pod") or labels.get("instance", "")
    target = target_of(labels, experiment)
    return SeriesRow(
        series=series,
        input=source_input,
        labels=canonical(labels),
        variant=variant,
        version=version,
        assignment=assignment,
        replicate=_replicate(labels, experiment),
        # Two clusters may have pods of the same name.
        instance="/".join((*_place(labels, experiment), instance)) if instance else "",
        target="" if target is None else str(target),
        le=_bound(labels.get("le")),
    )


def _of_a_copy(variant: str, version: str, experiment: Experiment) -> bool:
    """Whether a version counted a request that was meant for another one, whose copies it gets."""
    mirror, meant = experiment.mirror, experiment.variants.get(variant)
    return (
        mirror is not None
        and meant is not None
        and version == experiment.variants[mirror.to].version
        and version != meant.version
        and experiment.fallback != mirror.to
    )


def mismatches(rows: Iterable[SeriesRow], experiment: Experiment) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Label values that fit no variant, and replicates that are none, each with its number of series.

    Args:
        rows: Series of the experiment's metrics.
        experiment: Whose variants and replicates count.
    """
    unmatched: Counter[str] = Counter()
    replicates: Counter[str] = Counter()
    for row in rows:
        labels = json.loads(row.labels)
        if not row.variant and labels.get("ab_variant") != _NONE:
            unmatched[labels.get("ab_variant", row.version)] += 1
        if labels.get("ab_replicate", _NONE) != _NONE and _replicate(labels, experiment) < 0:
            replicates[labels["ab_replicate"]] += 1
    return dict(sorted(unmatched.items())), dict(sorted(replicates.items()))


def twins(rows: Iterable[SeriesRow], spans: Mapping[int, tuple[int, int]]) -> tuple[tuple[str, str, bool], ...]:
    """Pairs of targets that were scraped at the same time, show the same series, and may be one process.

    Args:
        rows: Series of the experiment's metrics.
        spans: Series → its first and its last sample, ms.

    Returns:
        Two targets and whether their jobs differ, each pair once, sorted. (Several processes in one pod, each with a
        port of its own, look like this too: only when they started tells.)
    """
    same: dict[tuple[str, str, str], list[tuple[int, int, str, str]]] = defaultdict(list)
    for row in rows:
        if row.target and row.series in spans:
            labels = json.loads(row.labels)
            rest = canonical({name: value for name, value in labels.items() if name not in _OF_THE_SCRAPE})
            same[row.input, row.instance, rest].append((*spans[row.series], row.target, labels.get("job", "")))
    found: set[tuple[str, str, bool]] = set()
    for group in same.values():
        _, until, target, job = min(group)
        for first, last, other, other_job in sorted(group)[1:]:
            # One after the other is a process that was scheduled anew, or a job that was renamed.
            if first < until and other != target:
                found.add((min(target, other), max(target, other), job != other_job))
            if last > until:
                until, target, job = last, other, other_job
    return tuple(sorted(found))


def _version(labels: Mapping[str, str], experiment: Experiment) -> str:
    """The version that a series is about: its own label may be that of the proxy or the agent that counted."""
    service = experiment.service.name
    versions = [variant.version for variant in experiment.variants.values()]
    cluster, pod = labels.get("envoy_cluster_name", ""), labels.get("pod", "")
    return (
        labels.get("destination_version")
        or next((version for version in versions if cluster in cluster_names(service, version)), "")
        or labels.get("version")
        or next((version for version in versions if is_pod_of(service, version, pod)), "")
    )


def unnamed_replicas(rows: Iterable[SeriesRow], spans: Mapping[int, tuple[int, int]]) -> Mapping[str, int]:
    """Labels by which only replicas of a Prometheus differ: their series count once for each.

    Args:
        rows: Series of the experiment's metrics.
        spans: Series → its first and its last sample, ms.

    Returns:
        Label → number of series that were there at the same time as another one that is the same but for it.
    """
    same: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        if row.series in spans and any(name in row.labels for name in _REPLICAS):
            labels = json.loads(row.labels)
            for name in _REPLICAS:
                if name in labels:
                    rest = canonical({other: value for other, value in labels.items() if other != name})
                    same[name, row.input, rest].append(spans[row.series])
    found: Counter[str] = Counter()
    for (name, _, _), group in same.items():
        until = -1
        for first, last in sorted(group):
            found[name] += first < until
            until = max(until, last)
    return {name: count for name, count in sorted(found.items()) if count}


def one_sided(rows: Iterable[SeriesRow], inputs: Mapping[str, str], variants: Iterable[str]) -> Mapping[str, str]:
    """Inputs that some variants have series of, and others don't.

    Args:
        rows: Series with samples in what is analysed.
        inputs: Name of an input, such as `conversion/denominator` → its id.
        variants: Those that should have some.

    Returns:
        Name → the variants that have some.
    """
    reporting: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        reporting[row.input].add(row.variant)
    found = {}
    for name, data in inputs.items():
        there = [variant for variant in variants if variant in reporting[data]]
        if 0 < len(there) < len(list(variants)):
            found[name] = ", ".join(there)
    return found


def _replicate(labels: Mapping[str, str], experiment: Experiment) -> int:
    text = labels.get("ab_replicate", "")
    # Exactly as the services write it: '١' and '+1' are digits or numbers to Python too.
    known = text.isascii() and text.isdigit() and int(text[:9]) < experiment.assignment.replicates
    return int(text[:9]) if known else -1


def _bound(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
