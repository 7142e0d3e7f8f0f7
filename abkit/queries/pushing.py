"""The query that has a server sum increments, from `queries/promql/pushdown/`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from string import Template

from abkit.resources import folder

__all__ = ["LOOK_BACK", "increments"]

LOOK_BACK = timedelta(minutes=15)
"""How long before a step a counter's last value is looked for: gaps up to it lose nothing."""


def increments(selector: str, step: timedelta, by: Sequence[str]) -> str:
    """What the counters of a selector gained in a step, summed.

    Args:
        selector: A plain PromQL vector selector, checked: it is filled in as it is.
        step: What one sum covers.
        by: Labels to sum by.

    Returns:
        PromQL for a range query, to be asked at each step's end.

    >>> "last_over_time(a_total[60s])" in increments("a_total", timedelta(minutes=1), ["version"])
    True
    """
    text = (folder("queries") / "promql" / "pushdown" / "increments.promql").read_text(encoding="utf-8")
    query = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    seconds, look_back = round(step.total_seconds()), round(LOOK_BACK.total_seconds())
    return Template(query).substitute(
        selector=selector,
        step=f"{seconds}s",
        lookback=f"{look_back}s",
        lookback_seconds=str(seconds + look_back),
        by=", ".join(by),
    )
