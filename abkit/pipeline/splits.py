"""The history of the split: what the experiment file says, merged with what is known from before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from abkit.spec import Experiment
from abkit.store import Weight
from abkit.window import Window

__all__ = ["UNKNOWN", "milliseconds", "moment", "splits"]


UNKNOWN = "unknown"
"""How an epoch is marked in which the split changed, nobody knows when."""


def splits(
    experiment: Experiment, known: Sequence[Weight], window: Window, seen_until_ms: int | None = None
) -> tuple[Weight, ...]:
    """The split's whole history, by time.

    The file's ramp is the history where there is one. Else the file's split holds from the start of the first pull on,
    and from the end of the pull that first sees another split, the other one. In between, from the end of the pull
    before, the split is not known.

    Args:
        experiment: The experiment file.
        known: The history until now.
        window: The pull's.
        seen_until_ms: Until when was read before this pull.
    """
    unknown: set[int] = {row.from_ms for row in known if row.known == UNKNOWN}
    if experiment.ramp:
        starts = [milliseconds(step.from_) for step in experiment.ramp]
        epochs = [
            (start, {name: step.split.get(name, 0) for name in experiment.variants})
            for start, step in zip(starts, experiment.ramp, strict=True)
        ]
    else:
        history: dict[int, dict[str, int]] = {}
        for row in known:
            history.setdefault(row.from_ms, {})[row.variant] = row.weight
        epochs = sorted(history.items())
        if not epochs:
            epochs = [(window.start_ms, dict(experiment.split))]
        elif epochs[-1][1] != dict(experiment.split):
            last = epochs[-1][0]
            until = max(window.end_ms, last + 1)
            since = max(window.start_ms if seen_until_ms is None else seen_until_ms, last + 1)
            if since < until:
                unknown.add(since)
                epochs.append((since, dict(experiment.split)))
            epochs.append((until, dict(experiment.split)))
        first = min(epochs[0][0], window.start_ms)
        epochs[0] = (first, epochs[0][1])
    return _rows(epochs, unknown)


def milliseconds(at: datetime) -> int:
    """Milliseconds since the epoch.

    >>> milliseconds(datetime(1970, 1, 2, tzinfo=UTC))
    86400000
    """
    return round(at.timestamp() * 1000)


def moment(ms: int) -> datetime:
    """Milliseconds since the epoch as a time in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def _rows(epochs: Sequence[tuple[int, Mapping[str, int]]], unknown: set[int]) -> tuple[Weight, ...]:
    ends: list[int | None] = [later for (_, (later, _)) in pairwise((start, (start, split)) for start, split in epochs)]
    return tuple(
        Weight(start, end, variant, weight, UNKNOWN if start in unknown else "spec")
        for (start, split), end in zip(epochs, [*ends, None], strict=True)
        for variant, weight in split.items()
    )
