"""Whether the results may be believed."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from abkit.evidence.base import Model

__all__ = ["Finding", "Health", "Quality", "Severity", "Srm"]


class Srm(Model):
    """Sample ratio mismatch, on users."""

    status: Literal["ok", "mismatch", "unavailable"]
    reason: str
    observed: dict[str, int] = Field(default_factory=dict)
    """Variant → users first exposed."""
    expected: dict[str, float] = Field(default_factory=dict)
    """Variant → users expected from the split."""
    p_value: float | None = None
    sequential_p_value: float | None = None
    method: str = ""


class Severity(StrEnum):
    """How far a finding goes."""

    NOTE = "note"
    WARNING = "warning"
    INVALID = "invalid"


class Finding(Model):
    """Something about the data that a reader should know."""

    code: str
    """Short and stable, such as `gaps`."""
    severity: Severity
    message: str
    """One sentence with the size of its effect."""


class Quality(Model):
    """The data's quality."""

    status: Literal["ok", "warning", "invalid"]
    findings: tuple[Finding, ...] = ()
    scrape_interval_ms: int | None = None
    """Median time between two scrapes of a target; None where there are no two."""


class Health(Model):
    """Whether the results may be believed."""

    srm: Srm
    data_quality: Quality
