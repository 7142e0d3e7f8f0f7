"""The Bayesian view: by hand, and never deciding."""

from __future__ import annotations

import math

import pytest

from abkit import spec
from abkit.pipeline.estimate import estimate
from abkit.pipeline.posterior import posterior
from abkit.queries import resolve
from abkit.spec import Direction
from abkit.stats.special import normal_cdf, normal_quantile, student_quantile
from tests.pipeline.arms import by_replicate
from tests.pipeline.test_looks import drawn

TEXT = "service: shop\nvariants: {control: v1, treatment: v2}\nmetrics: [conversion]\nanalysis: {prior: {sd: 0.05}}\n"


def test_the_prior_draws_the_lift_towards_no_effect() -> None:
    given = spec.loads(TEXT)
    metric = resolve(given)[0]
    found = estimate(given, metric, by_replicate(metric, ("control", "treatment"), *drawn(1, 1, lift=0.2)), "treatment")
    seen = posterior(given, Direction.INCREASE, found)
    assert seen is not None
    assert found.comparison is not None
    last = found.comparison.at(-1)
    se = last.lift_se * float(student_quantile(31.0, 0.975)) / float(normal_quantile(0.975))
    weight = 0.05**2 / (0.05**2 + se**2)
    centre = weight * math.log1p(last.lift)
    assert seen.probability_better is not None
    assert seen.lift == pytest.approx(math.expm1(centre))
    assert seen.probability_better == pytest.approx(float(normal_cdf(centre / (se * math.sqrt(weight)))))
    assert seen.prior.startswith("No effect expected; two in three lifts within ±5.00 %")
    mirrored = posterior(given, Direction.DECREASE, found)
    assert mirrored is not None
    assert mirrored.probability_better == pytest.approx(1 - seen.probability_better)
    assert mirrored.loss_ship == pytest.approx(seen.loss_keep)
    neither = posterior(given, Direction.NONE, found)
    assert neither is not None
    assert (neither.probability_better, neither.loss_ship, neither.lift) == (None, None, seen.lift)
