"""What split was in force when, and where a canary stands.

The experiment file says what the split should be from now on; what it was is in the store. A stage begins when its
split came into force, and has seen nothing before: an edited file never makes the last stage's data pass for the next
one's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from abkit.assignment import BUCKETS
from abkit.evidence import Stage
from abkit.pipeline.splits import UNKNOWN, moment
from abkit.pipeline.totals import Totals
from abkit.spec import Canary, Experiment
from abkit.store import Store, Weight
from abkit.window import Window

__all__ = ["Epoch", "Traffic", "epochs_of", "in_force", "stage_of"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """A span with one split.

    Attributes:
        start_ms: When it came into force.
        end_ms: Until when; None while it is.
        split: Variant → basis points.
        known: Whether it is known: not so between the two pulls that saw different splits.
    """

    start_ms: int
    end_ms: int | None
    split: Mapping[str, int]
    known: bool


def epochs_of(weights: Sequence[Weight]) -> tuple[Epoch, ...]:
    """Weight epochs, by time.

    Args:
        weights: As the store keeps them, a row a variant.
    """
    rows: dict[int, list[Weight]] = {}
    for weight in weights:
        rows.setdefault(weight.from_ms, []).append(weight)
    return tuple(
        Epoch(
            start_ms=start,
            end_ms=found[0].to_ms,
            split={weight.variant: weight.weight for weight in found},
            known=all(weight.known != UNKNOWN for weight in found),
        )
        for start, found in sorted(rows.items())
    )


def in_force(epochs: Sequence[Epoch], moment_ms: int) -> Epoch | None:
    """The epoch in force at a moment; None before the first."""
    begun = [epoch for epoch in epochs if epoch.start_ms <= moment_ms]
    return begun[-1] if begun else None


def stage_of(experiment: Experiment, canary: Canary, epoch: Epoch | None, window: Window, *, now: bool) -> Stage:
    """Where a canary stands.

    Args:
        experiment: The experiment file.
        canary: Its stages.
        epoch: The split in force at the window's end.
        window: What is analysed.
        now: Whether the newest moment is asked for: then the file's split is the one that counts, and where it is not
            yet the one in force, the stage has not begun.
    """
    (treatment,) = experiment.treatments
    wanted = experiment.split_at(moment(window.end_ms)) if window.end_ms else experiment.split
    changed = now and epoch is not None and dict(epoch.split) != dict(wanted)
    split = wanted if epoch is None or changed else epoch.split
    share = split.get(treatment, 0) / BUCKETS
    steps = [number for number, percent in enumerate(canary.steps, 1) if abs(percent / 100 - share) < 1e-9]
    begun = epoch is not None and not changed and window.start_ms < window.end_ms
    return Stage(
        share=share,
        step=steps[0] if steps else None,
        steps=canary.steps,
        since=moment(max(epoch.start_ms, window.start_ms)) if epoch is not None and begun else None,
    )


@dataclass(frozen=True, slots=True)
class Traffic:
    """When variants were seen, however their requests were assigned.

    Attributes:
        first: Variant → first moment with traffic; absent without any.
        last: Variant → newest moment with traffic.
    """

    first: dict[str, datetime]
    last: dict[str, datetime]

    @classmethod
    def read(cls, experiment: Experiment, store: Store, totals: Totals, window: Window, stale: timedelta) -> Traffic:
        """See when variants had traffic in a window.

        Args:
            experiment: The experiment file.
            store: Holds the facts.
            totals: Of the window, by look; of inputs that show traffic.
            window: What is analysed.
            stale: Newer traffic than this is looked for to the minute.
        """
        length = (window.end_ms - window.start_ms) / max(totals.looks, 1)
        fresh = Window(max(window.start_ms, window.end_ms - round(stale.total_seconds() * 1000)), window.end_ms)
        wanted = sorted(set(totals.input.tolist()))
        recent = Totals.read(store.totals(experiment.name, fresh, inputs=wanted), 1, 0.0)
        first: dict[str, datetime] = {}
        last: dict[str, datetime] = {}
        for name in experiment.variants:
            looks = totals.look[(totals.variant == name) & (totals.total > 0)]
            if looks.size:
                # A look's end: it is not claimed that traffic began before.
                begun, ended = (
                    min(window.start_ms + (int(n) + 1) * length, window.end_ms) for n in (looks.min(), looks.max())
                )
                alive = bool((recent.total[recent.variant == name] > 0).any())
                first[name] = moment(round(begun))
                last[name] = moment(window.end_ms if alive else min(round(ended), fresh.start_ms - 1))
        return cls(first, last)
