"""What Envoy's resources have in common: types, durations, shares, marks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

__all__ = ["FILTERS", "TYPES", "marks", "seconds", "share_of", "typed"]

TYPES: Final = "type.googleapis.com/envoy"
FILTERS: Final = "envoy.filters.http"


def typed(kind: str, /, **fields: Any) -> dict[str, Any]:
    """A message of a type, as Envoy's extensions are configured.

    >>> typed("config.cluster.v3.Cluster", name="shop-v1")
    {'@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster', 'name': 'shop-v1'}
    """
    return {"@type": f"{TYPES}.{kind}", **fields}


def seconds(length: timedelta) -> str:
    """A duration as protobuf's JSON has it.

    Reference: https://protobuf.dev/reference/protobuf/google.protobuf/#duration.

    >>> seconds(timedelta(seconds=5)), seconds(timedelta(milliseconds=1500))
    ('5s', '1.500s')
    """
    whole, rest = divmod(round(length.total_seconds() * 1_000), 1_000)
    return f"{whole}.{rest:03d}s" if rest else f"{whole}s"


def share_of(percent: float) -> dict[str, Any]:
    """A share of the requests, exact to two decimals of a percent.

    >>> share_of(12.5)
    {'numerator': 1250, 'denominator': 'TEN_THOUSAND'}
    """
    return {"numerator": round(percent * 100), "denominator": "TEN_THOUSAND"}


def marks(headers: Mapping[str, str]) -> dict[str, Any]:
    """Request headers that are set, whatever came under their names; nothing where there are none."""
    options = [
        {"header": {"key": name, "value": value.replace("%", "%%")}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for name, value in headers.items()
    ]
    return {"request_headers_to_add": options} if options else {}
