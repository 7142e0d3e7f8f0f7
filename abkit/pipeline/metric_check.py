"""What a server has of the metrics that an experiment needs, by a handful of instant queries each.

Only counts of series are asked for, of what was scraped in the last five minutes: the answers are small whatever the
server holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from abkit.pipeline.attribution import describe
from abkit.queries import Entry, resolve
from abkit.queries.checks import question
from abkit.queries.selectors import Matcher, parse_selector, written
from abkit.sources.instant import Point
from abkit.spec import Experiment, MetricDefinition
from abkit.wording import plural

__all__ = ["Asked", "InputCheck", "MetricCheck", "Server", "asked_of_entries", "asked_of_experiment", "check_metrics"]

_VERSIONS: Final = ("ab_variant", "destination_version", "envoy_cluster_name", "version")
"""Labels that say whose a series is; `pod` beside them, where nothing else does."""

_OF_AGENTS: Final = "container_"
_SHOWN: Final = 5

_SOURCES: Final = (
    ("istio_", "Istio's proxies expose it: scrape the pods' port 15020 (/stats/prometheus)"),
    ("response_", "Linkerd's proxies expose it: scrape the pods' port linkerd-admin, and map the pods' labels"),
    ("envoy_", "Envoy exposes it: scrape its admin port (/stats/prometheus)"),
    ("container_", "the kubelets expose it: scrape their /metrics/cadvisor"),
    ("process_", "the service's own client library exposes it: scrape the service"),
    ("ab_", "the service counts it (abkit.instrument), and is scraped"),
)


class Server(Protocol):
    """Answers instant queries."""

    def query(self, promql: str) -> Sequence[Point]:
        """The instant vector of an expression, now."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A metric to look for.

    Attributes:
        name: What it is called.
        definition: What it is.
        selectors: Role → selector.
    """

    name: str
    definition: MetricDefinition
    selectors: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class InputCheck:
    """What a server has of one selector.

    Attributes:
        role: Its part in the metric.
        selector: PromQL.
        series: Series of it now.
        variants: Variant → its series; without an experiment, version → its series.
        others: Version or variant that the experiment doesn't have → its series; '' for series without one.
        unlabelled: Label that the metric should have → series without it.
        problems: What is missing, and what to do.
    """

    role: str
    selector: str
    series: int
    variants: Mapping[str, int]
    others: Mapping[str, int]
    unlabelled: Mapping[str, int]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetricCheck:
    """What a server has of one metric.

    Attributes:
        metric: Its name.
        kind: How it is computed.
        inputs: Its selectors.
    """

    metric: str
    kind: str
    inputs: tuple[InputCheck, ...]

    @property
    def status(self) -> str:
        """`ok`, `incomplete` or `missing`."""
        if any(not each.series for each in self.inputs):
            return "missing"
        return "incomplete" if any(each.problems for each in self.inputs) else "ok"


def asked_of_experiment(experiment: Experiment) -> tuple[Asked, ...]:
    """All metrics that an experiment needs.

    Raises:
        QueryError: A metric is nowhere, or a selector is malformed.
    """
    return tuple(Asked(metric.name, metric.definition, metric.selectors) for metric in resolve(experiment))


def asked_of_entries(entries: Iterable[Entry]) -> tuple[Asked, ...]:
    """Metrics of the catalogue, of whatever service: conditions that an experiment would fill in are left out."""
    return tuple(
        Asked(
            entry.title,
            entry.definition,
            {
                str(role): written(m for m in parse_selector(selector).matchers if "$" not in m.value)
                for role, selector in entry.definition.roles.items()
            },
        )
        for entry in entries
    )


def check_metrics(
    asked: Iterable[Asked], server: Server, experiment: Experiment | None = None
) -> tuple[MetricCheck, ...]:
    """Look for metrics on a server.

    Args:
        asked: The metrics; a selector of several ones is looked for once.
        server: Where.
        experiment: Whose variants count; None for any version.

    Raises:
        SourceError: The server fails.
    """
    seen: dict[tuple[str, tuple[str, ...]], InputCheck] = {}
    found = []
    for metric in asked:
        inputs = []
        for role, selector in metric.selectors.items():
            key = selector, metric.definition.labels
            if key not in seen:
                seen[key] = _check(role, selector, metric.definition, server, experiment)
            inputs.append(_as(role, seen[key]))
        found.append(MetricCheck(metric.name, str(metric.definition.kind), tuple(inputs)))
    return tuple(found)


def _as(role: str, check: InputCheck) -> InputCheck:
    return InputCheck(
        role, check.selector, check.series, check.variants, check.others, check.unlabelled, check.problems
    )


def _check(
    role: str, selector: str, definition: MetricDefinition, server: Server, experiment: Experiment | None
) -> InputCheck:
    matchers = parse_selector(selector).matchers
    family = next((one.value for one in matchers if one.label == "__name__" and one.operator == "="), "")
    by = (*_VERSIONS, "pod") if family.startswith(_OF_AGENTS) else _VERSIONS
    groups = server.query(question("series-by", selector, by))
    series = round(sum(point.value for point in groups))
    if not series:
        return InputCheck(role, selector, 0, {}, {}, {}, (_missing(family, matchers, server),))
    mine: dict[str, int] = dict.fromkeys(experiment.variants, 0) if experiment is not None else {}
    others: dict[str, int] = {}
    for point in groups:
        whose, version = _whose(point.labels, experiment)
        target = mine if whose else others
        target[whose or version] = target.get(whose or version, 0) + round(point.value)
    unlabelled = {label: missing for label in definition.labels if (missing := _without(label, matchers, server))}
    problems = tuple(_problems(mine, others, unlabelled, family, experiment))
    return InputCheck(role, selector, series, mine, dict(sorted(others.items())), unlabelled, problems)


def _whose(labels: Mapping[str, str], experiment: Experiment | None) -> tuple[str, str]:
    """The variant, and what the series calls its version."""
    if experiment is None:
        return next((labels[name] for name in _VERSIONS if labels.get(name)), ""), ""
    row = describe(0, "", labels, experiment)
    return row.variant, labels.get("ab_variant") or row.version or labels.get("envoy_cluster_name") or labels.get(
        "pod", ""
    )


def _without(label: str, matchers: Sequence[Matcher], server: Server) -> int:
    """Series that lack a label which they should have."""
    asked = [one for one in matchers if one.label == label]
    if any(not one.matches("") for one in asked):
        return 0  # selected by it
    # A replicate is missing, and rightly so, where the request has no unit.
    hashed = (Matcher("ab_assignment", "=", "hash"),) if label == "ab_replicate" else ()
    empty = Matcher(label, "=", "")
    return _count(written([*matchers, *hashed, empty]), server)


def _problems(
    mine: Mapping[str, int],
    others: Mapping[str, int],
    unlabelled: Mapping[str, int],
    family: str,
    experiment: Experiment | None,
) -> Iterable[str]:
    if experiment is not None:
        for name, variant in experiment.variants.items():
            if not mine[name]:
                there = [version for version in others if version not in {"", "none"}][:_SHOWN]
                seen = f"; there is {', '.join(there)}" if there else ""
                yield (
                    f"no series of {name} (version {variant.version}){seen}: check that it runs, gets traffic, is "
                    f"scraped, and is labelled {_label(family)}"
                )
        if others.get(""):
            yield f"{plural(others[''], 'series', 'series')} of no version: label them {_label(family)}"
    for label, number in unlabelled.items():
        if label == "le":
            yield f"{plural(number, 'series', 'series')} without the label le: name the histogram's _bucket series"
        elif label not in _VERSIONS or family.startswith("ab_"):
            yield f"{plural(number, 'series', 'series')} without the label {label}: keep it when scraping"


def _label(family: str) -> str:
    if family.startswith("ab_"):
        return "ab_variant"
    if family.startswith("envoy_"):
        return "by its cluster (<service>-<version>)"
    if family.startswith(_OF_AGENTS):
        return "by its pods' names (<service>-<version>-…)"
    return "destination_version" if family.startswith("istio_") else "version"


def _missing(family: str, matchers: Sequence[Matcher], server: Server) -> str:
    """Why a selector has no series, and what to do."""
    named = Matcher("__name__", "=", family)
    if not family:
        return "no series: check the selector"
    if not _count(written([named]), server):
        remedy = next(
            (words for start, words in _SOURCES if family.startswith(start)), "check the name, and the scrape"
        )
        return f"the server has no {family} now: {remedy}"
    for one in matchers:
        if one.label != "__name__" and not _count(written([named, one]), server):
            top = server.query(question("values", family, [one.label]))
            values = sorted(value for point in top if (value := point.labels.get(one.label)))
            have = f"there is {', '.join(values)}" if values else "the label is not there"
            return (
                f"{family} has no series with {written([one])[1:-1]}: {have}: check the experiment file and the labels"
            )
    return (
        f"{family} is there, and no series has all of {written(matchers[1:])}: check the experiment file and the labels"
    )


def _count(selector: str, server: Server) -> int:
    return round(sum(point.value for point in server.query(question("series", selector))))
