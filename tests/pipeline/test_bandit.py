"""Proposed weights: by the probability to be the best, with a floor, and none where a variant can't be judged."""

from __future__ import annotations

import numpy as np
import pytest

from abkit import spec, stats
from abkit.errors import SpecError
from abkit.evidence import Bandit, StatusCode
from abkit.pipeline.bandit import propose
from abkit.pipeline.estimate import estimate
from abkit.queries import resolve
from tests.pipeline.arms import Floats, by_replicate
from tests.pipeline.test_looks import drawn

TEXT = """\
service: shop
variants: {control: v1, b: v2, c: v3}
metrics: [METRIC]
analysis: {bandit: {floor: 0.05}}
"""


def proposed(num: Floats, den: Floats, name: str = "conversion", text: str = TEXT) -> Bandit:
    given = spec.loads(text.replace("METRIC", name))
    metric = resolve(given)[0]
    totals = by_replicate(metric, ("control", *given.treatments), num, den)
    return propose(given, metric, {arm: estimate(given, metric, totals, arm) for arm in given.treatments})


def three(lift: float) -> tuple[Floats, Floats]:
    """Control, other users without an effect, and a treatment."""
    num, den = drawn(3, 1, lift=lift)
    others = drawn(4, 1)
    return np.insert(num, 1, others[0][:, 0], axis=1), np.insert(den, 1, others[1][:, 0], axis=1)


def test_the_best_gets_what_lies_above_the_floors() -> None:
    found = proposed(*three(1.5))
    assert sum(found.weights.values()) == 10_000
    assert min(found.weights.values()) >= found.floor == 500
    assert found.weights["c"] == max(found.weights.values())
    assert found.probability_best["c"] > 0.95
    assert sum(found.probability_best.values()) == pytest.approx(1)


def test_two_variants_are_weighed_by_their_log_ratio() -> None:
    num, den = drawn(3, 1, lift=0.05)
    found = proposed(num, den, text=TEXT.replace(", c: v3", ""))
    compared = stats.ratios(
        stats.ClusterSums(num[0, 0], den[0, 0]), stats.ClusterSums(num[0, 1], den[0, 1]), paired=True
    )
    exact = stats.bayes.ratio(
        float(np.log1p(compared.lift)), compared.lift_se, prior=stats.bayes.Prior(0.0, float("inf"))
    )
    assert found.probability_best["b"] == pytest.approx(exact.p_better, abs=1e-6)


def test_without_a_judgement_or_a_direction_nothing_is_proposed() -> None:
    num, den = three(0.1)
    num[0, 2] = 0
    empty = proposed(num, den)
    assert (empty.weights, empty.status.code) == ({}, StatusCode.TOO_FEW)
    assert empty.status.reason.startswith("c: ")
    neutral = proposed(*three(0.1), name="page-views-per-user")
    assert (neutral.weights, neutral.status.code) == ({}, StatusCode.DESCRIPTIVE)


def test_floors_must_fit() -> None:
    with pytest.raises(SpecError, match=r"3 variants can't each keep this share: give 0.33 at most"):
        spec.loads(TEXT.replace("METRIC", "conversion").replace("0.05", "0.4"))
