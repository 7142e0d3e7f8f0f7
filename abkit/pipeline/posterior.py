"""The Bayesian view of a lift: beside the result, never what decides."""

from __future__ import annotations

from abkit import stats
from abkit.evidence import Bayesian, Status, StatusCode
from abkit.pipeline.estimate import Estimate
from abkit.spec import Direction, Experiment
from abkit.wording import percent

__all__ = ["posterior"]


def posterior(experiment: Experiment, direction: Direction, found: Estimate) -> Bayesian | None:
    """The posterior of the lift at the newest look, under the experiment's prior.

    The likelihood is that of the log ratio with its standard error over clusters, also where few events are judged by
    exact counts: its own scale suits few events.

    Args:
        experiment: The experiment file, with the prior.
        direction: Which way is better; without one there is a lift, but neither better nor loss.
        found: An estimate.

    Returns:
        None where there is no lift to speak of.
    """
    if found.comparison is None:
        return None
    last = found.comparison.at(-1)
    if last.lift is None:
        return None
    deviation = experiment.analysis.prior.sd
    better = "decrease" if direction is Direction.DECREASE else "increase"
    seen = stats.bayes.ratio(
        last,
        prior=stats.bayes.Prior(0.0, deviation),
        confidence=experiment.analysis.confidence,
        better=better,
    )
    directed = direction is not Direction.NONE
    known = seen.lift is not None
    ends = None if seen.lift_ci is None else (float(seen.lift_ci[0]), float(seen.lift_ci[1]))
    return Bayesian(
        probability_better=seen.p_better if directed else None,
        lift=seen.lift,
        lift_ci=ends,
        loss_ship=seen.expected_loss if directed else None,
        loss_keep=seen.expected_loss_control if directed else None,
        prior=_words(deviation),
        status=Status(code=StatusCode.OK if known else StatusCode.UNDEFINED, reason="" if known else seen.status),
    )


def _words(deviation: float) -> str:
    """The prior in a sentence.

    >>> _words(0.1)
    'No effect expected; two in three lifts within ±10.0 % (normal on the log ratio, standard deviation 0.1).'
    """
    return (
        f"No effect expected; two in three lifts within ±{percent(deviation)} "
        f"(normal on the log ratio, standard deviation {deviation:g})."
    )
