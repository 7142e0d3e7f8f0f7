"""Loads and strictly renders what lies in `queries/`: the metric catalogue in PromQL, and SQL."""

from __future__ import annotations

from abkit.queries.catalogue import catalogue, definition, entries
from abkit.queries.entries import Entry
from abkit.queries.rendering import render
from abkit.queries.resolving import (
    EXPOSED_USERS,
    PROCESS_START,
    Input,
    ResolvedMetric,
    ResolvedSegment,
    resolve,
    resolve_segments,
    starts,
)
from abkit.queries.sql import sql

__all__ = [
    "EXPOSED_USERS",
    "PROCESS_START",
    "Entry",
    "Input",
    "ResolvedMetric",
    "ResolvedSegment",
    "catalogue",
    "definition",
    "entries",
    "render",
    "resolve",
    "resolve_segments",
    "sql",
    "starts",
]
