"""How exact increments are: abkit's beside Prometheus' own `increase()` and the truth, on a real Prometheus.

A day of three pods a version, scraped every 15 seconds: each pod starts anew twice, and for ten minutes nobody scrapes.
Requests are frequent, purchases are sparse. `python -m tests.benchmarks.increments` prints the table; nothing is
asserted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from abkit.pipeline.collect import collect
from abkit.queries import resolve
from abkit.sources.prometheus import PrometheusSource
from abkit.spec import Experiment, Role
from abkit.spec import Source as SourceSettings
from abkit.store import Store
from abkit.window import Window
from tests.servers import backfill, prometheus

__all__ = ["main"]

Floats = NDArray[np.float64]

START = 1_793_491_200.0
DAY, MINUTE, SCRAPE = 86_400, 60, 15.0
GAP = (40_000.0, 40_600.0)
PODS, REPLICATES = 3, 4
VERSIONS = {"control": "v1", "treatment": "v2"}
FAMILIES: Mapping[str, tuple[str, float, int]] = {
    # What it is called, events a second and pod, series a pod.
    "requests": ("istio_requests_total", 5.0, 1),
    "clicks": ("ab_clicks_total", 0.5, REPLICATES),
    "purchases": ("ab_purchases_total", 0.004, REPLICATES),
}


@dataclass(frozen=True)
class Pod:
    """One pod's day, in seconds after `START`.

    Attributes:
        name: Its name.
        variant: Whose it is.
        starts: When its processes started; the first one long before.
        scrapes: When it was scraped.
        events: Family → series → moments of its events.
    """

    name: str
    variant: str
    starts: Floats
    scrapes: Floats
    events: Mapping[str, tuple[Floats, ...]]


def world(seed: int) -> list[Pod]:
    """The pods."""
    random = np.random.default_rng(seed)
    found = []
    for variant, version in VERSIONS.items():
        for number in range(PODS):
            scrapes = np.arange(random.uniform(0, SCRAPE), DAY, SCRAPE)
            scrapes = scrapes[(scrapes < GAP[0]) | (scrapes >= GAP[1])]
            events = {}
            for name, (_, rate, series) in FAMILIES.items():
                counts = random.poisson(rate * DAY / series, series)
                events[name] = tuple(np.sort(random.uniform(0, DAY, count)) for count in counts)
            starts = np.array([-7_200.0, *np.sort(random.uniform(3_600, DAY - 3_600, 2))])
            found.append(Pod(f"shop-{version}-{number}", variant, starts, scrapes, events))
    return found


def openmetrics(pods: list[Pod]) -> Iterator[str]:
    """The world as it was scraped."""
    for name, (family, _, series) in FAMILIES.items():
        yield f"# TYPE {family.removesuffix('_total')} counter\n"
        for pod in pods:
            for number in range(series):
                labels = _labels(name, pod, number)
                values = _values(pod, pod.events[name][number])
                rows = zip(values.tolist(), (START + pod.scrapes).tolist(), strict=True)
                yield "".join(f"{family}{labels} {value:.0f} {at:.3f}\n" for value, at in rows)
    yield "# TYPE process_start_time_seconds gauge\n"
    for pod in pods:
        begun = START + pod.starts[np.searchsorted(pod.starts, pod.scrapes, "right") - 1]
        rows = zip(begun.tolist(), (START + pod.scrapes).tolist(), strict=True)
        labels = f'{{job="shop",instance="{pod.name}:80"}}'
        yield "".join(f"process_start_time_seconds{labels} {value:.3f} {at:.3f}\n" for value, at in rows)
    yield "# EOF\n"


def _labels(name: str, pod: Pod, number: int) -> str:
    labels = {"job": "shop", "instance": f"{pod.name}:80", "pod": pod.name}
    if name == "requests":
        labels |= {"reporter": "destination", "destination_version": VERSIONS[pod.variant], "response_code": "200"}
        labels |= {"destination_service_name": "shop", "destination_service_namespace": "default"}
    else:
        labels |= {"ab_experiment": "shop", "ab_variant": pod.variant, "ab_replicate": str(number)}
        labels |= {"ab_assignment": "hash", "version": VERSIONS[pod.variant]}
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def _values(pod: Pod, events: Floats) -> Floats:
    """What the counter shows at each scrape: what its process has counted since it started."""
    begun = pod.starts[np.searchsorted(pod.starts, pod.scrapes, "right") - 1]
    return (np.searchsorted(events, pod.scrapes, "right") - np.searchsorted(events, begun)).astype(np.float64)


def happened(pods: list[Pod], name: str, variant: str) -> Floats:
    """Events of each minute, when they happened."""
    mine = [events for pod in pods if pod.variant == variant for events in pod.events[name]]
    return np.histogram(np.concatenate(mine), bins=DAY // MINUTE, range=(0, DAY))[0].astype(np.float64)


def seen(pods: list[Pod], name: str, variant: str) -> Floats:
    """Events of each minute, when a scrape first showed them; those that none did are left out."""
    minutes = np.zeros(DAY // MINUTE)
    for pod in pods:
        for events in pod.events[name] if pod.variant == variant else ():
            first = np.searchsorted(pod.scrapes, events)
            shown = first < len(pod.scrapes)
            at = pod.scrapes[first[shown]]
            process = np.searchsorted(pod.starts, at, "right") == np.searchsorted(pod.starts, events[shown], "right")
            # What was there at the first scrape has no baseline.
            counted = process & (first[shown] > 0)
            minutes += np.bincount((at[counted] // MINUTE).astype(np.int64), minlength=len(minutes))
    return minutes


def by_abkit(url: str, folder: Path) -> dict[tuple[str, str], Floats]:
    """What abkit collects, by family, variant and minute."""
    rates = [
        {"name": name, "kind": "rate", "direction": "none", "numerator": f'{family}{{ab_experiment="$experiment"}}'}
        for name, (family, _, _) in FAMILIES.items()
        if name != "requests"
    ]
    fields = {"service": "shop", "variants": VERSIONS, "metrics": {"primary": ["traffic", *rates]}}
    experiment = Experiment.model_validate(fields)
    start, end = round(START * 1000), round(START * 1000) + DAY * 1000
    store = Store(folder / "increments.duckdb")
    with closing(PrometheusSource(SourceSettings.model_validate({"prometheus": url}))) as source:
        collect(experiment, source, store, start_ms=start, end_ms=end, now_ms=end)
    table = store.totals(experiment.name, Window(start, end), MINUTE * 1000)
    found: dict[tuple[str, str], Floats] = {}
    for metric in resolve(experiment):
        for variant in VERSIONS:
            own = pc.and_(
                pc.equal(table["input"], metric.inputs[Role.NUMERATOR].id), pc.equal(table["variant"], variant)
            )
            rows = table.filter(own)
            name = "requests" if metric.name == "traffic" else metric.name
            minutes = np.zeros(DAY // MINUTE)
            np.add.at(minutes, rows["look"].to_numpy(), rows["total"].to_numpy())
            found[name, variant] = minutes
    return found


def by_increase(url: str, name: str, variant: str, window: str) -> Floats:
    """What `increase()` says: of each minute, or of the whole day."""
    family = FAMILIES[name][0]
    label = "destination_version" if name == "requests" else "version"
    selector = f'{family}{{{label}="{VERSIONS[variant]}"}}'
    step, first = (MINUTE, START + MINUTE) if window == "1m" else (DAY, START + DAY)
    form = {
        "query": f"sum(increase({selector}[{window}]))",
        "start": f"{first:.3f}",
        "end": f"{START + DAY:.3f}",
        "step": str(step),
    }
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{url}/api/v1/query_range", body, timeout=60) as answer:
        result = json.load(answer)["data"]["result"]
    found = np.zeros(DAY // step)
    for at, value in result[0]["values"] if result else ():
        found[round((float(at) - first) / step)] = float(value)
    return found


def _error(found: Floats, truth: Floats) -> str:
    """Median error of the minutes in which something was, as a share."""
    there = truth > 0
    return f"{100 * float(np.median(np.abs(found - truth)[there] / truth[there])):.1f} %"


def _missed(found: Floats, truth: Floats) -> str:
    """Share of the events that lie in minutes of which nothing is told."""
    return f"{100 * float(truth[found == 0].sum() / truth.sum()):.1f} %"


def _off(found: float, truth: float) -> str:
    return f"{100 * (found / truth - 1):+.3f} %"


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args(arguments).seed
    pods = world(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with prometheus(backfill(openmetrics(pods), folder / "tsdb")) as url:
            ours = by_abkit(url, folder)
            minutes = {key: by_increase(url, *key, "1m") for key in ours if key[0] in FAMILIES}
            days = {key: float(by_increase(url, *key, "1d")[0]) for key in minutes}
    print(
        "| events | by | whole day | its minutes' sum | error of a minute, of what scrapes saw | of what happened "
        "| in minutes that show none | minutes that are no whole number |"
    )
    print("|---" * 8 + "|")
    for family in FAMILIES:
        true = np.concatenate([happened(pods, family, variant) for variant in VERSIONS])
        shown = np.concatenate([seen(pods, family, variant) for variant in VERSIONS])
        mine = np.concatenate([ours[family, variant] for variant in VERSIONS])
        theirs = np.concatenate([minutes[family, variant] for variant in VERSIONS])
        day = sum(days[family, variant] for variant in VERSIONS)
        total, visible = float(true.sum()), float(shown.sum())
        print(f"| {family} | truth | {total:,.0f} | the same | – | – | – | – |")
        print(f"| | scrapes | {visible:,.0f} ({_off(visible, total)}) | the same | – | {_error(shown, true)} | – | – |")
        for way, whole, found in (("abkit", float(mine.sum()), mine), ("`increase()`", day, theirs)):
            broken = (np.abs(found - np.rint(found)) > 1e-9)[found > 0]
            cells = (
                f"{whole:,.1f} ({_off(whole, total)})",
                f"{found.sum():,.1f} ({_off(float(found.sum()), total)})",
                _error(found, shown),
                _error(found, true),
                _missed(found, shown),
                f"{100 * float(broken.mean()):.0f} %",
            )
            print(f"| | {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
