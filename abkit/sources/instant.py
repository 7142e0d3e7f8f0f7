"""Instant queries: small questions about what a server has, never its samples."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from abkit.errors import SourceAnswer
from abkit.sources.answers import plain
from abkit.sources.transport import Connection
from abkit.spec import Source as SourceSettings

__all__ = ["InstantQueries", "Point"]


@dataclass(frozen=True, slots=True)
class Point:
    """One series of an instant vector.

    Attributes:
        labels: Its labels.
        value: Its value.
    """

    labels: Mapping[str, str]
    value: float


class InstantQueries:
    """Instant queries to a Prometheus, or to what speaks its API.

    Args:
        settings: The source; `prometheus` or `victoriametrics` must be set.
        folder: What relative paths of certificates and token files start from.
        backoff: Seconds before the first retry; doubled for each further one.

    Raises:
        InputError: A secret's variable or a file is missing.
    """

    def __init__(self, settings: SourceSettings, folder: Path | str = ".", *, backoff: float = 0.5) -> None:
        self._connection = Connection(settings, Path(folder), backoff=backoff)

    @property
    def place(self) -> str:
        """The server's address, no secrets."""
        return self._connection.place

    def query(self, promql: str) -> tuple[Point, ...]:
        """The instant vector of an expression that counts, now.

        Args:
            promql: Such as `count by (version) (up)`.

        Raises:
            SourceError: The server can't be reached, refuses, or answers nonsense.
        """
        body = self._connection.post("/api/v1/query", {"query": promql})
        try:
            data = json.loads(body)["data"]
            if data["resultType"] != "vector":
                raise SourceAnswer(
                    f"{self.place}: answers with {plain(data['resultType'])} where a vector was asked for"
                )
            found = tuple(
                Point({str(name): str(value) for name, value in one["metric"].items()}, float(one["value"][1]))
                for one in data["result"]
            )
            if not all(math.isfinite(point.value) for point in found):
                raise SourceAnswer(f"{self.place}: answers with a number that is none, where counts were asked for")
            return found
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            msg = f"{self.place}: answers something else than Prometheus' JSON: is the URL the base of a Prometheus?"
            raise SourceAnswer(msg) from None

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()
