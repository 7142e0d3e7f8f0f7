from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import betaln

from abkit.stats import sequential
from tests.stats.worlds import assert_clean, monte_carlo

COUNT = st.integers(0, 5_000)


def test_numbers_of_lindon_and_malek() -> None:
    found = sequential.counts(control=(30, 1), treatment=(70, 1))
    assert found.p_value == pytest.approx(0.0247295, abs=5e-8)
    assert found.log_ratio_ci == pytest.approx((0.0360119, 1.7557955), abs=5e-8)
    assert sequential.counts(control=(480, 1), treatment=(560, 1)).p_value == pytest.approx(0.2033740, abs=5e-8)
    # Equal exposures are the multinomial test of equal shares.
    same = sequential.multinomial([30, 70], [1, 1])
    assert found.log_e_value == pytest.approx(same.log_e_value, abs=1e-12)


def test_the_sequence_holds_what_the_plain_formula_does_not_reject() -> None:
    k, n0, n1, s0, s1 = 60.0, 3.0, 1.0, 90.0, 55.0
    prior = np.array([n1, n0]) / (n0 + n1) * k

    def log_e(log_ratio: float) -> float:
        share = n1 * math.exp(log_ratio) / (n0 + n1 * math.exp(log_ratio))
        after = betaln(prior[0] + s1, prior[1] + s0) - betaln(*prior)
        return float(after - s1 * math.log(share) - s0 * math.log(1 - share))

    found = sequential.counts((s0, n0), (s1, n1), confidence=0.9, concentration=k)
    top = math.log(s1 / n1 / (s0 / n0))
    ends = [brentq(lambda x: log_e(x) - math.log(10), low, high, xtol=1e-13) for low, high in ((-5.0, top), (top, 5.0))]
    assert found.log_ratio_ci == pytest.approx(ends, abs=1e-9)
    assert found.log_e_value == pytest.approx(log_e(0.0), abs=1e-9)
    assert found.lift_ci == pytest.approx(np.expm1(ends), rel=1e-8)


@given(k0=COUNT, k1=COUNT, n0=st.floats(0.1, 1e3), n1=st.floats(0.1, 1e3))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_duals_symmetry_and_no_nan(k0: int, k1: int, n0: float, n1: float) -> None:
    found, swapped = sequential.counts((k0, n0), (k1, n1)), sequential.counts((k1, n1), (k0, n0))
    assert_clean(found)
    if found.status != "ok":
        assert k0 + k1 == 0
        return
    low, high = found.log_ratio_ci
    if not math.isclose(found.p_value, 0.05, rel_tol=1e-6):
        assert (low <= 0 <= high) == (found.p_value > 0.05)
    assert swapped.log_e_value == pytest.approx(found.log_e_value, abs=1e-8)
    assert swapped.log_ratio_ci == pytest.approx((-high, -low), abs=1e-8)


def test_enormous_counts_and_gaps() -> None:
    huge = sequential.counts((10**12, 1), (10**12 + 8 * 10**6, 1))
    assert huge.log_ratio_ci[0] < 8e-6 < huge.log_ratio_ci[1]
    # At log ratio θ ± r both divergences have used up the same room: locally a parabola, 10¹²/4·r².
    room = -math.log(0.05) - huge.log_e_value + (8e6) ** 2 / 4e12
    assert huge.log_ratio_ci[1] - huge.log_ratio_ci[0] == pytest.approx(2 * math.sqrt(room / 2.5e11), rel=1e-3)
    gaps = sequential.counts(([0, 0, 5, 5], [0, 1, 1, 1]), ([1, 0, 0, 7], [1, 1, 1, 1]), dispersion=[1, 1, 1, 3])
    assert gaps.status.tolist()[:3] == ["no data in control", "no events in either arm: they can't be compared", "ok"]
    assert "dispersion above 1.25" in gaps.status[3]
    assert gaps.at(2).log_ratio_ci[0] == -math.inf
    assert_clean(gaps)
    with pytest.raises(ValueError, match="concentration"):
        sequential.counts((1, 1), (1, 1), concentration=0.0)


def test_read_after_every_event_while_the_shared_rate_moves() -> None:
    worlds, looks = 2_000, 60
    rng = np.random.default_rng(31)
    rate = 4 * (1 + 0.8 * np.sin(np.arange(looks) / 5))
    events = rng.poisson(np.broadcast_to(rate, (2, worlds, looks))).cumsum(-1)
    found = sequential.counts((events[0], 1.0), (events[1], 1.0))
    ever = (found.p_value.filled(1.0) < 0.05).any(1).mean()
    assert 0.003 < ever <= monte_carlo(0.05, worlds)
    # What the gate is for: one arm that is dispersed.
    burst = rng.poisson(rng.gamma(rate / 4, 4, (worlds, looks))).cumsum(-1)
    wrong = sequential.counts((events[0], 1.0), (burst, 1.0))
    assert (wrong.p_value.filled(1.0) < 0.05).any(1).mean() > 0.1
