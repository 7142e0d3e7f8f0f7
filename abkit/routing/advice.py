"""What an experiment file may say and its author should know: warnings, not errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from abkit.assignment import BUCKETS
from abkit.routing.building import build_plan
from abkit.routing.conditions import HeaderMatch, Way
from abkit.routing.lint.decimals import is_id_header, lost
from abkit.routing.plan import Stage
from abkit.routing.weights import moved_aside
from abkit.spec import Experiment, Strategy

__all__ = ["advice"]


def advice(experiment: Experiment) -> tuple[str, ...]:
    """What its author should know.

    Args:
        experiment: The experiment.

    >>> spec = Experiment.model_validate({
    ...     "service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"],
    ...     "assignment": {"without-unit": "random"},
    ... })
    >>> advice(spec)[0][:70]
    'assignment.without-unit: random draws a version for each request: thos'
    """
    found = (_ramp(experiment), _decimal_ids(experiment), _policies(experiment), _lots(experiment))
    return tuple(text for part in found for text in part)


def _ramp(experiment: Experiment) -> Iterator[str]:
    splits: list[Mapping[str, int]] = [
        {name: step.split.get(name, 0) for name in experiment.variants} for step in experiment.ramp
    ]
    for number, (before, after) in enumerate(pairwise(splits), start=1):
        aside = moved_aside(before, after, experiment.control)
        if aside:
            yield (
                f"ramp.{number}: moves {aside / 100:g} % of the users from one treatment to another: put the control "
                "between two treatments, or let only one of them grow at a time"
            )


def _decimal_ids(experiment: Experiment) -> Iterator[str]:
    patterns: dict[str, list[str]] = {}
    for route in build_plan(experiment).routes:
        for alternative in route.when if route.stage in {Stage.RULE, Stage.ANSWER} else ():
            for one in alternative:
                if isinstance(one, HeaderMatch) and one.way is Way.REGEX and is_id_header(one.header):
                    patterns.setdefault(one.header, []).append(one.value)
    for header, texts in patterns.items():
        for found in lost(header, list(dict.fromkeys(texts))):
            shown = " and ".join(f"'{text[:60]}'" for text in found.patterns[:3])
            yield (
                f"assignment.rules: {shown} on {header} reads decimal digits: {100 * found.share:.4g} % of users with "
                "hexadecimal ids (md5, UUID) match none of it: leave the split to the hash"
            )


def _policies(experiment: Experiment) -> Iterator[str]:
    policies = experiment.policies
    mirror = experiment.mirror
    if mirror is not None:
        where = "policies.mirror" if policies.mirror is not None else "strategy: mirror"
        yield (
            f"{where}: what a mirrored request does, it does twice: writes, mails and payments of "
            f"{experiment.variants[mirror.to].version} must be kept from happening"
        )
    if policies.retries is not None and policies.retries.non_idempotent:
        yield "policies.retries.non-idempotent: an order may be placed twice where its answer got lost"
    for number, fault in enumerate(policies.faults):
        if fault.abort is not None:
            yield (
                f"policies.faults.{number}: aborted requests reach no version and are in no version's metrics: "
                "they are no fallback, and no part of a comparison"
            )


def _lots(experiment: Experiment) -> Iterable[str]:
    if experiment.random_without_unit:
        yield (
            "assignment.without-unit: random draws a version for each request: those users go to and fro, and what "
            "they do is compared with nobody"
        )
    taken = experiment.assignment.buckets
    if experiment.strategy is not Strategy.AB and taken is not None and taken.size < BUCKETS:
        yield (
            f"assignment.buckets: the last step gives the new version {taken.size / 100:g} % of the users, not all: "
            "the others are not this experiment's"
        )
