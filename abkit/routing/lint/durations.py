"""How each mesh writes a length of time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["DIALECTS", "Dialect", "seconds"]

_UNITS: Final[Mapping[str, float]] = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d)")


@dataclass(frozen=True, slots=True)
class Dialect:
    """A way to write a length of time.

    Attributes:
        name: What it is called.
        pattern: What it takes, matched in full.
        example: A value that is right.
        least: Least value (s) that is taken.
    """

    name: str
    pattern: re.Pattern[str]
    example: str
    least: float | None = None

    def defect(self, text: str) -> str | None:
        """What is wrong with a text; None where it is right.

        >>> DIALECTS["go"].defect("1.5s")
        >>> DIALECTS["gep-2257"].defect("1.5s")
        "'1.5s' is no duration of Gateway API (GEP-2257)"
        >>> DIALECTS["protobuf"].defect("500ms")
        "'500ms' is no duration of protobuf's JSON, which Envoy reads"
        """
        if len(text) > 100 or not self.pattern.fullmatch(text):
            return f"'{text[:100]}' is no duration of {self.name}"
        length = seconds(text)
        if self.least is not None and length is not None and length < self.least:
            return f"'{text}' is less than {self.least * 1000:g} ms"
        return None


def seconds(text: str) -> float | None:
    """A duration's length in seconds, in any of the dialects; None where it is none.

    >>> seconds("1m30s"), seconds("250ms"), seconds("soon")
    (90.0, 0.25, None)
    """
    text = text.removeprefix("-")
    parts = _PART.findall(text) if len(text) <= 100 else []
    if text == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


_GO: Final = re.compile(r"(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+")
DIALECTS: Final[Mapping[str, Dialect]] = {
    # Istio's CRDs ask for 1 ms at least.
    "go": Dialect("Go, which Istio reads (units h, m, s, ms)", _GO, "1.5s", 0.001),
    "go-any": Dialect("Go, which Istio reads (units h, m, s, ms)", re.compile(rf"{_GO.pattern}|0"), "1.5s"),
    "gep-2257": Dialect("Gateway API (GEP-2257)", re.compile(r"(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}"), "1s500ms"),
    "protobuf": Dialect(
        "protobuf's JSON, which Envoy reads", re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,9})?s"), "1.5s", 0.0
    ),
    "linkerd": Dialect("Linkerd (one number, one unit)", re.compile(r"[0-9]+(?:ms|s|m|h|d)|0"), "1500ms"),
    "flagger": Dialect("Flagger (whole minutes or seconds)", re.compile(r"(?:[0-9]+(?:ms|m|s))+"), "90s"),
    "argo": Dialect("Argo Rollouts (seconds, or units h, m, s)", re.compile(rf"{_GO.pattern}|[0-9]+"), "90s"),
}
