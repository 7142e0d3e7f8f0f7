"""What `abkit simulate` does: a world that fits an experiment, its samples and its truth, written as files."""

from __future__ import annotations

from pathlib import Path

from abkit.errors import InputError
from abkit.files import write_text
from abkit.spec import Experiment

__all__ = ["write_world"]


def write_world(
    experiment: Experiment,
    target: Path,
    *,
    users: int,
    lifts: list[str],
    seed: int,
    hours: float | None,
    troubles: bool,
) -> Path:
    """Write OpenMetrics text, and the truth beside it.

    Args:
        experiment: The experiment file.
        target: Where the text goes.
        users: Users over the window.
        lifts: `METRIC=PERCENT` or `VARIANT.METRIC=PERCENT`.
        seed: Of all randomness.
        hours: Length of the window; the analysis' where left out.
        troubles: With restarts, births, deaths and gaps.

    Returns:
        Where the truth is.

    Raises:
        InputError: A lift is malformed, or a file can't be written.
    """
    from abkit import simulate

    world = simulate.world_from_spec(
        experiment, seed=seed, users=users, lifts=_lifts(lifts), hours=hours, troubles=troubles
    )
    simulation = simulate.run(world)
    truth = target.with_name(target.name + ".truth.json")
    write_text(target, simulate.to_openmetrics(simulation))
    write_text(truth, [simulation.truth_json()])
    return truth


def _lifts(pairs: list[str]) -> dict[str, float]:
    lifts = {}
    for pair in (part for text in pairs for part in text.split(",")):
        name, equals, number = pair.partition("=")
        try:
            lifts[name.strip()] = float(number.removesuffix("%")) / 100
        except ValueError:
            equals = ""
        if not equals or not name:
            msg = f"--lift: should be METRIC=PERCENT, such as conversion=8 (got '{pair}')"
            raise InputError(msg)
    return lifts
