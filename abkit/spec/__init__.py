"""The experiment file as frozen pydantic models, and how it is read."""

from __future__ import annotations

from abkit.spec.analysis import (
    DEFAULT_LIMITS,
    Analysis,
    BanditSettings,
    Canary,
    Limit,
    Looks,
    OnHarm,
    PriorSettings,
    Segment,
)
from abkit.spec.base import parse_duration
from abkit.spec.experiment import Experiment, Metadata, Strategy
from abkit.spec.loading import find_specs, load, loads
from abkit.spec.metrics import Direction, Kind, MetricDefinition, MetricRef, Metrics, Role, Scope
from abkit.spec.source import BasicAuth, Mode, Source, Tls
from abkit.spec.traffic import Assignment, Match, RampStep, Rule, Service, StringMatch, Unit, Variant

__all__ = [
    "DEFAULT_LIMITS",
    "Analysis",
    "Assignment",
    "BanditSettings",
    "BasicAuth",
    "Canary",
    "Direction",
    "Experiment",
    "Kind",
    "Limit",
    "Looks",
    "Match",
    "Metadata",
    "MetricDefinition",
    "MetricRef",
    "Metrics",
    "Mode",
    "OnHarm",
    "PriorSettings",
    "RampStep",
    "Role",
    "Rule",
    "Scope",
    "Segment",
    "Service",
    "Source",
    "Strategy",
    "StringMatch",
    "Tls",
    "Unit",
    "Variant",
    "find_specs",
    "load",
    "loads",
    "parse_duration",
]
