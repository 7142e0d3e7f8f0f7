from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower, TTestPower

from abkit import stats
from abkit.stats import ClusterSums, power, sequential
from abkit.stats.designs import drift, power_of
from tests.stats.worlds import assert_clean

SIDES = {"two-sided": "two-sided", "greater": "larger"}


@pytest.mark.parametrize("alternative", sorted(SIDES))
@pytest.mark.parametrize(
    ("p0", "lift", "split"), [(0.05, 0.1, (0.5, 0.5)), (0.3, 0.02, (0.5, 0.5)), (0.1, 0.2, (0.9, 0.1))]
)
def test_sample_size_against_statsmodels(alternative: str, p0: float, lift: float, split: tuple[float, float]) -> None:
    p1 = p0 * (1 + lift)
    v0, v1 = p0 * (1 - p0), p1 * (1 - p1)
    plan = power.sample_size(p0, lift, 0.9, 0.95, alternative, split=split)
    # One variance in both arms is what statsmodels knows: that which gives the same V.
    ratio = split[1] / split[0]
    common = (v0 + v1 / ratio) / (1 + 1 / ratio)
    expected = NormalIndPower().solve_power(
        (p1 - p0) / math.sqrt(common), alpha=0.05, power=0.9, ratio=ratio, alternative=SIDES[alternative]
    )
    assert plan.units_control == math.ceil(expected)
    assert plan.units_treatment == math.ceil(plan.information * (v0 / split[0] + v1 / split[1]) * split[1])
    assert plan.lift == pytest.approx(lift)
    assert_clean(plan)


@given(effect=st.floats(0.005, 0.1), se=st.floats(0.004, 0.1), df=st.sampled_from([3, 8, 31, 62]))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_power_of_t_against_statsmodels(effect: float, se: float, df: int) -> None:
    for alternative, theirs in SIDES.items():
        expected = TTestPower().power(effect / se / math.sqrt(df + 1), df + 1, 0.05, alternative=theirs)
        found = power.achieved(effect, se, df, alternative=alternative).power
        if not math.isnan(expected):
            assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("df", [5, 31, math.inf])
@pytest.mark.parametrize("design", power.DESIGNS)
def test_the_smallest_effect_has_the_power_that_was_asked_for(df: float, design: str) -> None:
    plan = power.mde(0.013, df, 0.85, design=design)
    again = power.achieved(plan.effect, 0.013, df, design=design)
    assert again.power == pytest.approx(0.85, abs=1e-8)
    assert again.information == pytest.approx(1 / 0.013**2)
    assert power.mde(0.013, df, 0.85, alternative="less", design=design).effect < 0


def test_what_sequential_designs_cost() -> None:
    plans = {design: power.information(0.02, design=design) for design in power.DESIGNS}
    fixed = plans["fixed"].information
    assert fixed == pytest.approx(float(sequential.planned_information(0.02)), rel=1e-5)
    always = plans["always-valid"]
    assert 1.62 <= always.inflation <= 1.8
    assert 0.96 <= always.average * always.inflation <= 1.15
    assert plans["obrien-fleming"].inflation <= 1.1
    # Jennison & Turnbull, table 7.6, error spending of Pocock's type needs some 20 % more for five looks.
    assert plans["pocock"].inflation == pytest.approx(1.21, abs=0.01)
    for design, plan in plans.items():
        assert plan.information == pytest.approx(fixed * plan.inflation)
        assert (plan.average < 1) == (design != "fixed")


@pytest.mark.parametrize("design", ["always-valid", "obrien-fleming", "pocock"])
@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
def test_sequential_power_against_walks(design: str, alternative: str) -> None:
    walks, looks = 20_000, 7
    at = np.arange(1, looks + 1) / looks
    delta = drift(0.8, 0.95, alternative, design, looks)
    rng = np.random.default_rng(10)
    z = (np.cumsum(rng.standard_normal((walks, looks)) / math.sqrt(looks), 1) + delta * at) / np.sqrt(at)
    if design == "always-valid":
        found = sequential.confidence_sequence(
            z / np.sqrt(at), 1 / np.sqrt(at), planned_effect=delta, alternative=alternative
        )
        crossed = found.p_value.data <= 0.05
    else:
        bounds = sequential.boundaries(tuple(at.tolist()), 0.05, design, two_sided=alternative == "two-sided")
        crossed = (np.abs(z) if alternative == "two-sided" else z) >= bounds
    chance, used = power_of(delta, 0.95, alternative, design, looks)
    assert chance == pytest.approx(0.8, abs=1e-9)
    assert crossed.any(1).mean() == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / walks))
    stopped = np.where(crossed.any(1), at[crossed.argmax(1)], 1.0)
    assert stopped.mean() == pytest.approx(used, abs=4 * stopped.std() / math.sqrt(walks))


def test_clusters_users_and_days() -> None:
    plain = power.sample_size(0.05, 0.1)
    sticky = power.sample_size(0.05, 0.1, design_effect=4, units_per_user=8, users_per_day=1_000)
    assert sticky.units == pytest.approx(4 * plain.units, rel=1e-4)
    assert sticky.users == math.ceil(sticky.units / 8)
    assert sticky.days == math.ceil(sticky.users / 1_000)
    revenue = power.sample_size(12.0, effect=0.5, variance=400.0)
    assert revenue.units_control == math.ceil(2 * 400 * revenue.information)
    many = power.sample_size([0.05, 0.1, 0.9], [0.1, -0.1, 0.2])
    assert many.status.tolist() == ["ok", "ok", "the treatment's proportion would not lie between 0 and 1"]
    assert many.at(2).units is None
    against = power.sample_size(0.1, -0.1, alternative="greater")
    assert (against.units, against.status) == (None, "the effect lies against the alternative, greater")
    assert_clean(many)
    assert_clean(against)


def test_design_effect_measures_what_users_do() -> None:
    rng = np.random.default_rng(11)
    users, visits, clusters = 40, 8, 32
    share = rng.beta(1, 9, (200, clusters, users))
    arm = ClusterSums(rng.binomial(visits, share).sum(-1), np.full((200, clusters), users * visits))
    # Beta(1, 9): the correlation within a user is 1/(1 + 9 + 1).
    assert float(power.design_effect(arm).mean()) == pytest.approx(power.kish(visits, 1 / 11), rel=0.05)
    assert power.design_effect(ClusterSums([0, 0], [5, 5])) is None
    planned = power.sample_size(0.1, 0.2, design_effect=power.kish(visits, 1 / 11))
    per_arm = int(planned.units_control / visits / clusters) + 1
    wins = []
    for p in (10.0, 10.0 / 1.2):
        # The same correlation at 0.1 and 0.12.
        a = 11 - 1
        mean = 1.0 / p
        drawn = rng.beta(mean * a, (1 - mean) * a, (300, clusters, per_arm))
        wins.append(ClusterSums(rng.binomial(visits, drawn).sum(-1), np.full((300, clusters), per_arm * visits)))
    found = stats.ratios(wins[0], wins[1], paired=True)
    assert (found.p_value < 0.05).mean() == pytest.approx(0.8, abs=0.09)


def test_recurring_users_cap_what_can_be_found() -> None:
    t = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    seen = 5_000 * t / (t + 1.07)
    need = power.days(0.045, t, seen)
    # δ√I = 2.80 at that day.
    there = 5_000 * need.days / (need.days + 1.07)
    assert 0.045 * math.sqrt(there) == pytest.approx(drift(0.8, 0.95, "two-sided", "fixed"), rel=1e-8)
    never = power.days(0.03, t, seen)
    assert never.days is None
    assert never.status == "recurring users cap the information: this effect is not found, however long it runs"
    assert never.smallest == pytest.approx(2.80158 / math.sqrt(5_000), rel=1e-4)
    assert_clean(never)
    # New users each day: no cap, and a date.
    open_end = power.days(0.03, t, 500 * t)
    assert open_end.smallest is None
    assert open_end.days == pytest.approx(2.8015818**2 / 0.03**2 / 500, rel=1e-6)
    # A sequential design wants more, and meets the cap sooner.
    assert power.days(0.045, t, seen, design="always-valid").days is None


def test_mde_of_a_comparison() -> None:
    rng = np.random.default_rng(12)
    views = np.full((2, 32), 400)
    top = rng.binomial(views, 0.1)
    top[1] = 0
    found = stats.ratios(ClusterSums(top, views), ClusterSums(rng.binomial(views, 0.1), views), paired=True)
    plan = power.mde(found)
    size = drift(0.8, 0.95, "two-sided", "fixed", None, 31.0)
    assert plan.at(0).lift == pytest.approx(math.expm1(size * found.at(0).lift_se))
    assert plan.status.tolist() == ["ok", "no events in control"]
    assert plan.replication == found.replication
    assert_clean(plan)


def test_nonsense_is_refused() -> None:
    for call, words in (
        (lambda: power.information(0.1, design="bayes"), "valid: fixed, always-valid, obrien-fleming, pocock"),
        (lambda: power.information(0.1, power=0.01), "rejects that often"),
        (lambda: power.information(0.1, looks=0, design="pocock"), "at least 1"),
        (lambda: power.sample_size(0.1), "either lift"),
        (lambda: power.sample_size(1.1, 0.1), "proportion"),
        (lambda: power.sample_size(0.1, 0.1, split=(0.9, 0.9)), "split"),
        (lambda: power.sample_size(0.1, 0.1, design_effect=0), "design_effect"),
        (lambda: power.kish(0.5, 0.1), "size"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    assert power.information(0.0).status == "an effect of 0 can't be found"
    assert power.mde([None, 0.0, 0.1]).status.tolist() == ["no standard error"] * 2 + ["ok"]
    assert power.mde(0.1, df=0.5).status == "no standard error"
