"""Samples as OpenMetrics text that `promtool tsdb create-blocks-from openmetrics` takes.

Reference: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from abkit.simulate.simulation import SampleColumns, Simulation

__all__ = ["to_openmetrics"]

_HELP = {
    "ab_exposed_users": "Users at their first exposure to the experiment.",
    "ab_page_views": "Page views.",
    "ab_clicks": "Page views that were clicked.",
    "ab_purchases": "Page views that ended in a purchase.",
    "ab_orders": "Orders.",
    "ab_revenue": "Value of the orders.",
    "ab_page_load_seconds": "Page load time.",
    "istio_requests": "Requests, as the proxies saw them.",
    "istio_request_duration_milliseconds": "Duration of requests, as the proxies saw them.",
    "process_start_time_seconds": "When the process started.",
    "up": "Whether the scrape succeeded.",
}
_HISTOGRAMS = ("_bucket", "_sum", "_count")


def to_openmetrics(simulation: Simulation | SampleColumns) -> Iterator[str]:
    """Samples as OpenMetrics text.

    Args:
        simulation: A simulation, or the samples of one.

    Yields:
        Pieces of text, one a series or less; the last is `# EOF`. Families come one after the other, each with its
        `# TYPE` and `# HELP`; timestamps are in seconds.
    """
    samples = simulation.samples if isinstance(simulation, Simulation) else simulation
    starts = np.searchsorted(samples.series, np.arange(len(samples.labels) + 1))
    families: dict[str, list[int]] = {}
    for index, labels in enumerate(samples.labels):
        families.setdefault(_family(labels["__name__"])[0], []).append(index)
    for family, members in families.items():
        kind = _family(samples.labels[members[0]]["__name__"])[1]
        yield f"# TYPE {family} {kind}\n# HELP {family} {_HELP.get(family, family)}\n"
        for index in members:
            part = slice(starts[index], starts[index + 1])
            name = _series(samples.labels[index])
            times = samples.timestamps[part].tolist()
            values = samples.values[part].tolist()
            yield "".join(
                f"{name} {_number(value)} {time // 1000}.{time % 1000:03d}\n"
                for time, value in zip(times, values, strict=True)
            )
    yield "# EOF\n"


def _family(name: str) -> tuple[str, str]:
    """The family of a series' name, and its type."""
    if name.endswith("_total"):
        return name.removesuffix("_total"), "counter"
    for suffix in _HISTOGRAMS:
        if name.endswith(suffix):
            return name.removesuffix(suffix), "histogram"
    return name, "gauge"


def _series(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{labels['__name__']}{{{inner}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    # repr is the shortest text that reads back as the same float; whole numbers go without ".0" to save a fifth.
    return str(int(value)) if value.is_integer() else repr(value)
