"""Weights that Thompson sampling would set, one proposal a primary metric: nothing is changed by it.

Who applies a proposal starts a weight epoch; later comparisons are within epochs, so the experiment stays valid and
takes longer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from abkit import stats
from abkit.assignment import BUCKETS
from abkit.evidence import Bandit, Status, StatusCode
from abkit.pipeline.estimate import Estimate
from abkit.queries import ResolvedMetric
from abkit.spec import Direction, Experiment

__all__ = ["propose"]


def propose(experiment: Experiment, metric: ResolvedMetric, found: Mapping[str, Estimate]) -> Bandit:
    """Weights by the probability that each variant is the best on a metric.

    Each treatment's log ratio against the control, with its standard error, is all that is known. Its variance is
    shared out between the control and the treatment as their traffic is: with two variants only the sum matters, with
    more the control's part is what makes the log ratios hang together.

    Args:
        experiment: The experiment file; `analysis.bandit` is set.
        metric: A primary metric.
        found: Treatment → its estimate.

    Returns:
        The proposal, without weights where a variant can't be judged.
    """
    settings = experiment.analysis.bandit
    floor = round((settings.floor if settings is not None else 0.0) * BUCKETS)
    direction = metric.definition.direction
    if direction is Direction.NONE:
        reason = f"{metric.name} has no better direction"
        return _refused(metric, floor, Status(code=StatusCode.DESCRIPTIVE, reason=reason))
    means, shares, treatments = [0.0], [], []
    for name, estimate in found.items():
        last = None if estimate.comparison is None else estimate.comparison.at(-1)
        if last is None or last.lift_se is None or estimate.units is None or not estimate.randomised:
            return _refused(metric, floor, _why(name, estimate, last))
        control, treatment = (float(side[-1]) for side in estimate.units)
        part = treatment / (control + treatment)
        means.append(math.log1p(last.lift))
        shares.append(last.lift_se**2 * part)
        treatments.append(last.lift_se**2 * (1 - part))
    proposal = stats.bandit(
        np.array(means),
        np.sqrt([float(np.mean(shares)), *treatments]),
        better=str(direction),
        floor=floor,
        total=BUCKETS,
    )
    names = (experiment.control, *found)
    if proposal.weights is None or proposal.p_best is None:
        return _refused(metric, floor, Status(code=StatusCode.UNDEFINED, reason=proposal.status))
    return Bandit(
        metric=metric.name,
        weights=dict(zip(names, proposal.weights, strict=True)),
        probability_best=dict(zip(names, proposal.p_best, strict=True)),
        floor=floor,
    )


def _refused(metric: ResolvedMetric, floor: int, status: Status) -> Bandit:
    return Bandit(metric=metric.name, weights={}, probability_best={}, floor=floor, status=status)


def _why(name: str, estimate: Estimate, last: stats.Comparison | None) -> Status:
    """Why a variant can't be weighed."""
    if last is None:
        return estimate.status.model_copy(update={"reason": f"{name}: {estimate.status.reason}"})
    if not estimate.randomised:
        reason = f"{name}: requests that rules route are among these"
        return Status(code=StatusCode.NOT_RANDOMISED, reason=reason)
    return Status(code=StatusCode.TOO_FEW, reason=f"{name}: {last.lift_status}")
