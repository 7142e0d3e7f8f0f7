"""The public interface as a program would use it that knows its names alone; and what it answers in every corner."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from abkit import stats
from abkit.stats import ClusterSums, sequential
from tests.stats.worlds import assert_clean

EDGES = [0.1, 0.5, 1.0, math.inf]
COMPARED = ("control", "treatment", "effect", "effect_ci", "lift", "lift_ci", "p_value", "df", "method", "status")


def _arms(shape: tuple[int, ...] = (), clusters: int = 32) -> tuple[ClusterSums, ClusterSums]:
    rng = np.random.default_rng(1)
    den = rng.poisson(200, (2, *shape, clusters)).astype(float)
    num = rng.binomial(den.astype(int), 0.1)
    return ClusterSums(num[0], den[0]), ClusterSums(num[1], den[1])


class TestNames:
    """What programs that were written against the interface rely on."""

    @pytest.mark.parametrize("paired", [False, True])
    def test_ratios(self, paired: bool) -> None:
        control, treatment = _arms()
        found = stats.ratios(control, treatment, confidence=0.95, alternative="two-sided", paired=paired)
        assert all(hasattr(found, name) for name in COMPARED)
        assert found.status == "ok"
        assert found.effect == pytest.approx(found.treatment - found.control)
        assert found.lift == pytest.approx(found.treatment / found.control - 1)
        assert found.df == (31 if paired else 62)
        positional = stats.ratios(control, treatment, 0.95, "two-sided", paired)
        assert positional.p_value == found.p_value

    def test_cluster_sums_add(self) -> None:
        control, treatment = _arms()
        both = control + treatment
        assert both.num.tolist() == (control.num + treatment.num).tolist()
        assert both.den.shape == (32,)

    def test_jackknife_of_any_function_of_totals(self) -> None:
        control, treatment = _arms()
        totals = np.stack([control.num, control.den, treatment.num, treatment.den])
        found = stats.jackknife(lambda t: t[2] / t[3] - t[0] / t[1], totals)
        compared = stats.ratios(control, treatment, paired=True)
        assert found.estimate == pytest.approx(compared.effect)
        assert found.standard_error == pytest.approx(compared.effect_se)
        many = stats.jackknife(lambda t: t[0] / t[1], np.stack([totals, totals], axis=1))
        assert many.estimate.shape == (2,)

    def test_numbers_of_the_notes(self) -> None:
        z = stats.proportions(control=(480, 10_000), treatment=(560, 10_000))
        assert round(z.p_value, 5) == 0.01083
        # The notes cut these off; to six places they are .001847 and .014153.
        assert z.effect_ci == pytest.approx((0.001846, 0.014154), abs=1.5e-6)
        assert stats.counts(control=(0, 1), treatment=(5, 1)).p_value == pytest.approx(0.0625)
        assert stats.counts(control=(0, 1), treatment=(3, 1)).p_value == pytest.approx(0.25)
        assert stats.counts(control=(5, 1), treatment=(12, 1)).ratio_ci == pytest.approx((0.787, 8.696), abs=5e-4)
        assert sequential.multinomial([30, 70], [1, 1]).p_value == pytest.approx(0.0247295, abs=5e-8)
        assert sequential.multinomial([480, 560], [1, 1]).p_value == pytest.approx(0.2033740, abs=5e-8)
        lindon = sequential.counts(control=(30, 1), treatment=(70, 1))
        assert lindon.log_ratio_ci == pytest.approx((0.0360119, 1.7557955), abs=5e-8)
        radii = [float(sequential.quantile_radius(1000, q, 0.95, optimal=100, uniform=True)) for q in (0.5, 0.9, 0.1)]
        assert radii == pytest.approx([68.62803, 43.72119, 59.96521], abs=5e-6)
        # At the planned information, Iτ² = 7.94, the boundary of the normal mixture by its formula.
        look = sequential.confidence_sequence(0.0, 1.0, planned_information=1.0)
        formula = math.sqrt((1 + 1 / sequential.TUNING) * math.log((1 + sequential.TUNING) / 0.05**2))
        assert look.ci == pytest.approx((-formula, formula))
        assert sequential.TUNING == 7.94

    def test_the_rest(self) -> None:
        rng = np.random.default_rng(2)
        cells = [ClusterSums(rng.poisson(20, (32, 3)), np.full((32, 3), 200.0)) for _ in range(2)]
        assert stats.two_way(cells[0], cells[1]).status == "ok"
        assert stats.means((100, 1_000, 10_400), (100, 1_050, 11_500)).status == "ok"
        assert stats.shift([1, 2, 3, 4, 5, 6], [3, 4, 5, 6, 7, 8]).confidence == 0.98
        assert stats.quantiles(EDGES, [[5, 4, 1, 0], [6, 3, 1, 0]], [[7, 2, 1, 0], [7, 3, 0, 0]], 0.5).status == "ok"
        assert stats.srm(observed=[5_010, 4_990], weights=[5_000, 5_000]).alarm is False
        assert stats.adjust([0.01, 0.04], "holm").tolist() == [0.02, 0.04]
        assert stats.adjust([0.02, 0.04], "bh").tolist() == stats.adjust([0.02, 0.04], "benjamini-hochberg").tolist()
        plan = sequential.group_sequential([0.02, 0.05], [0.02, 0.015], planned_effect=0.05, spending="pocock")
        assert set(plan.decision.tolist()) <= {"continue", "reject", "do not reject"}
        assert sequential.quantile_sequence(EDGES, [500, 300, 150, 50], 0.5).status == "ok"
        assert stats.bayes.ratio(0.1, 0.05).p_better > 0.9
        before = (
            ClusterSums(rng.poisson(20, 32), np.full(32, 200.0)),
            ClusterSums(rng.poisson(20, 32), np.full(32, 200.0)),
        )
        assert stats.cuped(*_arms(), *before).status == "ok"
        assert stats.cuped(*_arms(), None, None).status == "unavailable: no pre-period is labelled by future variant"
        assert stats.power.sample_size(0.05, 0.1, users_per_day=1_000).days > 1
        assert sum(stats.bandit([0.0, 0.1, 0.2], [0.1, 0.1, 0.1]).weights or ()) == 10_000


class TestMany:
    """Thousands of comparisons are one call, and each is what it would be alone."""

    def test_batches_are_the_same_one_by_one(self) -> None:
        control, treatment = _arms((4, 3))
        for paired in (False, True):
            found = stats.ratios(control, treatment, paired=paired)
            assert found.p_value.shape == (4, 3)
            alone = stats.ratios(
                ClusterSums(control.num[2, 1], control.den[2, 1]),
                ClusterSums(treatment.num[2, 1], treatment.den[2, 1]),
                paired=paired,
            )
            one = found.at(2, 1)
            assert (one.p_value, one.lift_ci) == (
                pytest.approx(alone.p_value, rel=1e-12),
                pytest.approx(alone.lift_ci, rel=1e-12),
            )

    def test_looks_of_counts_against_shares(self) -> None:
        looks = [[0, 0], [30, 70], [480, 560]]
        found = sequential.multinomial(looks, [1, 1])
        assert found.p_value.tolist() == [None, pytest.approx(0.0247295, abs=5e-8), pytest.approx(0.203374, abs=5e-8)]
        assert found.status.tolist() == ["no units yet", "ok", "ok"]
        assert_clean(found)

    @pytest.mark.parametrize("shape", [(0,), (0, 3)])
    def test_no_comparison_at_all(self, shape: tuple[int, ...]) -> None:
        none, gauge = np.zeros((*shape, 8)), np.zeros((*shape, 5))
        sums = ClusterSums(none, none)
        assert stats.ratios(sums, sums).p_value.shape == shape
        assert stats.shift(gauge, gauge).p_value.shape == shape
        assert sequential.group_sequential(none, none, planned_effect=0.1).decision.shape == (*shape, 8)
        assert sequential.multinomial(np.zeros((*shape, 2)), [1, 1]).p_value.shape == shape


ENORMOUS = (1e9, 1e15, 1e100, 1e200, 1e300)


def _corners(n: float) -> dict[str, Callable[[], Any]]:
    """Every function on counts of size n, of which 0 and 1 are two."""
    num, den = np.floor(np.array([2.0, 3, 4, 3]) / 4 * n), np.floor(np.array([5.0, 5, 6, 5]) / 4 * n)
    arms = ClusterSums(num, den), ClusterSums(num[::-1] * 0.75, den[::-1])
    cells = [ClusterSums(np.stack([arm.num] * 3, -1), np.stack([arm.den] * 3, -1)) for arm in arms]
    epochs = [ClusterSums(cell.num.T, cell.den.T) for cell in cells]
    k, size = float(np.floor(n / 3)), float(n)
    buckets = np.floor(np.array([[5, 4, 1, 0], [6, 3, 1, 0.0]]) * n / 10)
    return {
        "ratios": lambda: stats.ratios(*arms),
        "ratios, paired": lambda: stats.ratios(*arms, paired=True),
        "ratios, one cluster": lambda: stats.ratios(ClusterSums([k], [size]), ClusterSums([k], [size])),
        "ratios, one cluster and four": lambda: stats.ratios(ClusterSums([k], [size]), arms[1]),
        "two-way": lambda: stats.two_way(cells[0], cells[1]),
        "stratified": lambda: stats.stratified(epochs[0], epochs[1]),
        "cuped": lambda: stats.cuped(*arms, *arms[::-1]),
        "jackknife": lambda: stats.jackknife(lambda t: stats.ClusterSums([1], [1]).ratio * t[0], np.stack([num, den])),
        "proportions": lambda: stats.proportions(control=(k, size), treatment=(size, size)),
        "counts": lambda: stats.counts(control=(0, size), treatment=(k if size else 0, size)),
        "means": lambda: stats.means(stats.Moments(size, 1.0, 2.0), stats.Moments(size, k, k)),
        "shift": lambda: stats.shift(num, den),
        "quantiles": lambda: stats.quantiles(EDGES, buckets, buckets[::-1], 0.9),
        "srm": lambda: stats.srm([k, size], [1, 1]),
        "srm of three": lambda: stats.srm([k, size, 0], [1, 2, 3]),
        "srm over epochs": lambda: stats.srm([[k, size, 0], [k, k, k]], [[1, 2, 3], [1, 1, 0]]),
        "confidence sequence": lambda: sequential.confidence_sequence([0.1, size], [size, 0.1], 3, planned_effect=0.1),
        "group-sequential": lambda: sequential.group_sequential([0.1, size], [size, 0.1], 3, planned_effect=0.1),
        "sequential counts": lambda: sequential.counts(control=(0, size), treatment=(k if size else 0, size)),
        "multinomial": lambda: sequential.multinomial([k, size, 0], [1, 2, 3]),
        "quantile sequence": lambda: sequential.quantile_sequence(EDGES, buckets[0], 0.9),
        "quantile test": lambda: sequential.quantile_test(EDGES, buckets[0], buckets[1], 0.9),
        "bayes": lambda: stats.bayes.ratio(math.log1p(size), 0.1 + size),
        "power": lambda: stats.power.sample_size(0.05, 0.1, users_per_day=size + 1),
        "mde": lambda: stats.power.mde(size, df=3),
        "bandit": lambda: stats.bandit([0.1, size], [0.1 + size, 0.1]),
        "bandit of counts": lambda: stats.bandit(successes=[0, k], trials=[size, size]),
    }


@pytest.mark.parametrize("n", [0.0, 1.0, *ENORMOUS])
@pytest.mark.parametrize("name", _corners(1.0))
def test_nothing_one_thing_and_enormous_numbers_have_an_answer_or_a_reason(name: str, n: float) -> None:
    # Warnings are errors here: an overflow on the way would raise.
    found = _corners(n)[name]()
    assert_clean(found)
    for status in np.asarray(found.status, dtype=object).flat:
        assert status
    p = getattr(found, "p_value", None)
    if p is not None:
        assert ((np.ma.filled(np.ma.asarray(p), 0.5) >= 0) & (np.ma.filled(np.ma.asarray(p), 0.5) <= 1)).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ClusterSums(1, 2), "last axis is the cluster"),
        (lambda: ClusterSums([], []), "no clusters"),
        (lambda: ClusterSums([math.nan], [1]), "NaN or infinity"),
        (lambda: ClusterSums([1], [-1]), "can't be negative"),
        (lambda: stats.proportions(control=(11, 10), treatment=(1, 10)), "successes <= trials"),
        (lambda: stats.counts(control=(0.5, 1), treatment=(1, 1)), "whole numbers"),
        (lambda: stats.shift(1, 2), "last axis"),
        (lambda: stats.quantiles([0.1, 1.0], [1, 2], [1, 2], 0.5), "the last one .Inf"),
        (lambda: stats.quantiles(EDGES, [1, 2, 3, 4], [1, 2, 3, 4], 1.5), "between 0 and 1"),
        (lambda: stats.srm([1], [1]), "two arms or more"),
        (lambda: stats.adjust([0.1], "tukey"), "valid: holm"),
        (lambda: sequential.confidence_sequence(0.1, 0.1), "give either planned_effect"),
        (lambda: sequential.multinomial([1, 2], [1, 0]), "above 0"),
        (lambda: sequential.multinomial([1, 2], [1, 1, 1]), "one weight an arm"),
        (lambda: stats.jackknife(lambda t: t.sum(), np.ones((2, 4))), "index leading axes only"),
        (lambda: stats.power.sample_size(0.05, 0.1, power=2), "power is 2"),
    ],
)
def test_what_is_wrong_is_named(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_no_degrees_of_freedom_are_a_reason() -> None:
    for df in (0.0, -3.0, math.nan):
        look = sequential.confidence_sequence(0.1, 0.05, df, planned_effect=0.1)
        planned = sequential.group_sequential([0.1, 0.1], [0.08, 0.05], df, planned_effect=0.1)
        assert look.p_value is look.ci is None
        assert look.status == "no degrees of freedom: nothing says how sure the standard error is"
        assert set(planned.status.tolist()) == {look.status}
        assert planned.p_value is None
