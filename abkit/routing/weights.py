"""The split in force: from the experiment file, from `--weights v2=25`, or from a canary's step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from abkit.assignment import BUCKETS
from abkit.errors import RoutingError, did_you_mean
from abkit.spec import Experiment

__all__ = ["moved_aside", "parse_weights", "resolve_split", "resolve_splits"]

_PERCENT = 100


def parse_weights(options: Iterable[str]) -> dict[str, float]:
    """Read `VERSION=PERCENT` options; one may hold several, with commas.

    Raises:
        RoutingError: One is not of that form, or a version is named twice.

    >>> parse_weights(["v2=25", "v3=10"])
    {'v2': 25.0, 'v3': 10.0}
    """
    weights: dict[str, float] = {}
    for option in (part.strip() for text in options for part in text.split(",")):
        version, separator, percent = option.rpartition("=")
        try:
            value = float(percent)
        except ValueError:
            value = math.nan
        if not separator or not version or math.isnan(value):
            msg = f"--weights '{option}': should be VERSION=PERCENT, such as v2=25"
            raise RoutingError(msg)
        if version in weights:
            msg = f"--weights '{option}': version '{version}' is named twice: name it once"
            raise RoutingError(msg)
        weights[version] = value
    return weights


def resolve_split(
    experiment: Experiment, weights: Mapping[str, float] | None = None, step: int | None = None
) -> dict[str, int]:
    """Variant → basis points in force, in the file's order; 10,000 in all.

    Args:
        experiment: The experiment.
        weights: Version → percent of the users. The control gets the rest, a treatment that is not named nothing.
        step: A canary's step, from 1 on; instead of weights.

    Raises:
        RoutingError: A version is unknown or ambiguous, a percentage is out of range or finer than 0.01, or the sum is
            above 100.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> resolve_split(spec, {"v2": 25})
    {'control': 7500, 'treatment': 2500}
    """
    if weights and step is not None:
        msg = "give --weights or --step, not both"
        raise RoutingError(msg)
    if step is not None:
        return _of_step(experiment, step)
    if not weights:
        return dict(experiment.split)
    shares: dict[str, int] = {}
    for version, percent in weights.items():
        shares[_variant(experiment, version)] = _basis_points(version, percent)
    total = sum(shares.values())
    if total > BUCKETS:
        shown = " + ".join(f"{version} {percent:g}" for version, percent in weights.items())
        msg = f"--weights: {shown} sum to {total / 100:g} percent: must be 100 at most, the control gets the rest"
        raise RoutingError(msg)
    control = experiment.control
    if control in shares and total != BUCKETS:
        version = experiment.variants[control].version
        msg = (
            f"--weights: the sum is {total / 100:g} percent, not 100: leave out the control, "
            f"'{version}' gets what the others leave, or name every version"
        )
        raise RoutingError(msg)
    return {name: shares.get(name, BUCKETS - total if name == control else 0) for name in experiment.variants}


def resolve_splits(
    experiments: Sequence[Experiment], weights: Iterable[str] = (), steps: Iterable[str] = ()
) -> dict[str, dict[str, int]]:
    """The splits of several experiments, from options that may say which experiment they mean.

    Args:
        experiments: The experiments.
        weights: `VERSION=PERCENT` where there is one experiment, `EXPERIMENT:VERSION=PERCENT` where there are several.
        steps: `N`, or `EXPERIMENT:N`.

    Returns:
        Experiment → variant → basis points; those without an option have their own split.

    Raises:
        RoutingError: An option names no experiment or an unknown one, or is wrong in itself; or two experiments have
            one name.

    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> resolve_splits([spec], ["shop:v2=25"])
    {'shop': {'control': 7500, 'treatment': 2500}}
    """
    names = [experiment.name for experiment in experiments]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        msg = f"two experiments are called '{twice[0]}': give one of them another metadata.name"
        raise RoutingError(msg)
    given: dict[str, list[str]] = {}
    for option in (part.strip() for text in weights for part in text.split(",")):
        name, rest = _addressed("--weights", option, names, "VERSION=PERCENT")
        given.setdefault(name, []).append(rest)
    chosen: dict[str, int] = {}
    for option in steps:
        name, rest = _addressed("--step", option, names, "N")
        if not rest.isascii() or not rest.isdigit() or name in chosen:
            msg = f"--step '{option}': should be one step's number for an experiment, from 1 on"
            raise RoutingError(msg)
        chosen[name] = int(rest)
    return {
        one.name: resolve_split(one, parse_weights(given.get(one.name, ())), chosen.get(one.name))
        for one in experiments
    }


def _addressed(option: str, text: str, names: Sequence[str], form: str) -> tuple[str, str]:
    """The experiment that an option is about, and the rest of it."""
    name, separator, rest = text.partition(":")
    if not separator and len(names) == 1:
        return names[0], text
    if not separator:
        msg = f"{option} '{text}': which experiment? Write {option} {names[0]}:{form}"
        raise RoutingError(msg)
    if name not in names:
        msg = f"{option} '{text}': no experiment here is called '{name}': {did_you_mean(name, names)}"
        raise RoutingError(msg)
    return name, rest


def _variant(experiment: Experiment, version: str) -> str:
    found = [name for name, variant in experiment.variants.items() if variant.version == version]
    if len(found) == 1:
        return found[0]
    if found:
        msg = (
            f"--weights: version '{version}' belongs to the variants {' and '.join(found)}: "
            "set the weights of the variants in the experiment file instead"
        )
        raise RoutingError(msg)
    if version in experiment.variants:
        msg = f"--weights: '{version}' is a variant; name its version: '{experiment.variants[version].version}'"
        raise RoutingError(msg)
    valid = {variant.version for variant in experiment.variants.values()}
    msg = f"--weights: {experiment.name} has no version '{version}': {did_you_mean(version, valid)}"
    raise RoutingError(msg)


def _basis_points(version: str, percent: float) -> int:
    if not 0 <= percent <= _PERCENT:  # also refuses NaN
        msg = f"--weights: '{version}={percent:g}': should be a percentage from 0 to 100"
        raise RoutingError(msg)
    points = round(percent * BUCKETS / _PERCENT)
    if not math.isclose(points, percent * BUCKETS / _PERCENT, abs_tol=1e-6):
        msg = f"--weights: '{version}={percent}': should have two decimals at most, such as {points / 100:g}"
        raise RoutingError(msg)
    return points


def _of_step(experiment: Experiment, step: int) -> dict[str, int]:
    if experiment.canary is None:
        msg = f"--step {step}: {experiment.name} has strategy '{experiment.strategy}' and so no steps: use --weights"
        raise RoutingError(msg)
    steps = experiment.canary.steps
    if not 1 <= step <= len(steps):
        shown = ", ".join(f"{number} ({percent:g} %)" for number, percent in enumerate(steps, start=1))
        msg = f"--step {step}: {experiment.name} has the steps {shown}"
        raise RoutingError(msg)
    share = round(steps[step - 1] * BUCKETS / _PERCENT)
    return {name: BUCKETS - share if name == experiment.control else share for name in experiment.variants}


def moved_aside(before: Mapping[str, int], after: Mapping[str, int], control: str) -> int:
    """Basis points of the users that a new split takes from one treatment to another, though neither has to shrink.

    Users keep their bucket, and the variants stand in the file's order. One treatment after the control, or one before
    and one after it, take users from the control alone as they grow; a third one pushes its neighbours aside.

    Args:
        before: Variant → basis points.
        after: Variant → basis points, the same variants in the same order.
        control: Whose users may move.

    >>> moved_aside({"a": 8000, "b": 1000, "c": 1000}, {"a": 6000, "b": 2000, "c": 2000}, "a")
    1000
    >>> moved_aside({"b": 1000, "a": 8000, "c": 1000}, {"b": 2000, "a": 6000, "c": 2000}, "a")
    0
    """
    old, new = (np.repeat(list(split), list(split.values())) for split in (before, after))
    shrinks = [name for name in before if after.get(name, 0) < before[name]]
    return int(np.count_nonzero((old != new) & (old != control) & ~np.isin(old, shrinks)))
