from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy import stats as oracle

from abkit.canary import beyond, dispersion, slow_share
from tests.stats.worlds import assert_clean, monte_carlo

INF = float("inf")


@pytest.mark.parametrize(
    ("events", "trials", "limit", "verdict"),
    [
        (1, 10, 0.01, False),
        (1, 1, 0.01, False),
        (2, 10, 0.01, False),
        (8, 100, 0.01, True),
        (10, 1_000, 0.01, False),
        (30, 1_000, 0.01, True),
        (0, 10**12, 0.01, False),
        (10_000_100_000, 10**12, 0.01, False),
        (10_010_000_000, 10**12, 0.01, True),
    ],
)
def test_beyond_needs_certainty(events: float, trials: float, limit: float, verdict: bool) -> None:
    result = beyond(events, trials, limit)
    assert result.beyond is verdict
    assert result.beyond == (result.p_value <= 0.05)
    assert result.status == "ok"
    assert_clean(result)


def test_lower_limits_are_the_mirror() -> None:
    up, down = beyond(30, 1_000, 0.01), beyond(970, 1_000, 0.99, upper=False)
    assert down.e_value == pytest.approx(up.e_value, rel=1e-9)
    assert (down.beyond, down.share) == (True, 0.97)
    assert beyond(999, 1_000, 0.95, upper=False).within
    assert not beyond(999, 1_000, 0.999, upper=False).beyond


def test_within_is_certain_too() -> None:
    assert not beyond(0, 100, 0.01).within
    assert beyond(0, 1_000, 0.01).within
    assert not beyond(9, 1_000, 0.01).within


@pytest.mark.parametrize(("s", "f", "p0"), [(1, 9, 0.01), (8, 92, 0.01), (4, 296, 0.05), (6, 4, 0.5), (3, 100, 0.9)])
def test_e_value_against_quadrature(s: int, f: int, p0: float) -> None:
    prior = oracle.beta(1, max((1 - p0) / p0, 1))

    def integrand(p: float) -> float:
        return float(np.exp(s * np.log(p / p0) + f * np.log((1 - p) / (1 - p0))) * prior.pdf(p) / prior.sf(p0))

    e = integrate.quad(integrand, p0, 1, epsabs=0, limit=500, points=[max(p0 * 1.01, min(0.99, s / (s + f)))])[0]
    assert beyond(s, s + f, p0).e_value == pytest.approx(e, rel=1e-6)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.5])
def test_a_share_on_its_limit_is_rarely_called_beyond_it(limit: float) -> None:
    worlds, looks = 2_000, 200
    rng = np.random.default_rng(31)
    trials = 20.0 * np.arange(1, looks + 1)
    on = np.cumsum(rng.binomial(20, limit, (worlds, looks)), 1)
    result = beyond(on, trials, limit)
    assert result.beyond.any(1).mean() <= monte_carlo(0.05, worlds)
    assert result.within.any(1).mean() <= monte_carlo(0.05, worlds)
    # The exact test that may be read once, read at each look.
    assert np.any(oracle.binom.sf(on - 1, trials, limit) < 0.05, axis=1).mean() > 0.1
    worse = np.cumsum(rng.binomial(20, min(2 * limit, 0.9), (200, looks)), 1)
    assert beyond(worse, trials, limit).beyond.any(1).mean() > 0.99


def test_overdispersed_counts_need_their_dispersion() -> None:
    worlds, looks, cells = 800, 60, 32
    rng = np.random.default_rng(5)
    # Errors come in runs: beta-binomial cells of 40 requests, φ = 1 + 39 ρ.
    share = rng.beta(0.05 * 9, 0.95 * 9, (worlds, looks, cells))
    hits = rng.binomial(40, share)
    seen, trials = hits.sum(-1).cumsum(1), 40.0 * cells * np.arange(1, looks + 1)
    phi = dispersion(hits.reshape(worlds, -1), 40.0)
    assert float(np.mean(phi.value)) == pytest.approx(1 + 39 / 10, rel=0.05)
    naive = beyond(seen, trials, 0.05).beyond.any(1).mean()
    honest = beyond(seen, trials, 0.05, dispersion=phi.value.data[:, None]).beyond.any(1).mean()
    assert naive > 0.15
    assert honest <= monte_carlo(0.05, worlds)


def test_no_data_is_no_answer() -> None:
    result = beyond(0, 0, 0.01)
    assert (result.beyond, result.within, result.share, result.e_value, result.p_value) == (
        False,
        False,
        None,
        None,
        None,
    )
    assert result.status == "no data"
    many = beyond([0, 8], [0, 100], 0.01)
    assert many.beyond.tolist() == [False, True]
    assert many.at(1).beyond is True
    assert_clean(many)


@given(
    trials=st.floats(0, 1e12),
    share=st.floats(0, 1),
    limit=st.floats(1e-4, 1 - 1e-4),
    phi=st.floats(1, 100),
    upper=st.booleans(),
)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_no_nan_leaves_and_no_share_is_on_both_sides(
    trials: float, share: float, limit: float, phi: float, upper: bool
) -> None:
    result = beyond(trials * share, trials, limit, phi, upper=upper)
    assert_clean(result)
    assert not (result.beyond and result.within)
    if result.beyond:
        assert (result.share > limit) == upper
    # Less certain data is less certain.
    if not result.beyond:
        assert not beyond(trials * share, trials, limit, phi * 2, upper=upper).beyond


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((1, 10, 0.0), "limit"),
        ((1, 10, 1.0), "limit"),
        ((11, 10, 0.1), "events <= trials"),
        ((-1, 10, 0.1), "events <= trials"),
        ((float("nan"), 10, 0.1), "events <= trials"),
        ((1, 10, 0.1, 0.5), "at least 1"),
        ((1, 10, 0.1, 1.0, 2.0), "alpha"),
    ],
)
def test_nonsense_is_refused(args: tuple[float, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        beyond(*args)  # type: ignore[arg-type]


def test_dispersion_is_one_for_independent_events() -> None:
    rng = np.random.default_rng(2)
    den = rng.integers(20, 400, (300, 40)).astype(float)
    result = dispersion(rng.binomial(den.astype(int), 0.05), den)
    assert result.value.min() >= 1
    # χ²/df of 39 cells: mean 1, standard deviation .23; cut at 1 the mean is about 1.09.
    assert float(result.value.mean()) == pytest.approx(1.09, abs=0.03)
    num = rng.binomial(100, 0.2, 16).astype(float)
    one = dispersion(num, np.full(16, 100.0))
    chi2 = oracle.chi2_contingency(np.stack([num, 100 - num]), correction=False).statistic
    assert one.value == pytest.approx(max(1, chi2 / 15), rel=1e-9)
    assert (one.df, one.cells) == (15, 16)


def test_dispersion_without_enough_cells_is_missing() -> None:
    few = dispersion([1, 0, 0, 1] * 5, [10] * 20)
    assert few.value is None
    assert "expect 1 or more events" in few.status
    assert dispersion([0] * 10, [0] * 10).status == "no data"
    for num in ([0] * 10, [10] * 10):
        assert dispersion(num, [10] * 10).value is None
        assert_clean(dispersion(num, [10] * 10))
    with pytest.raises(ValueError, match="per cell"):
        dispersion(1, 10)
    with pytest.raises(ValueError, match="num <= den"):
        dispersion([11], [10])


def test_slow_share_uses_the_next_edge() -> None:
    edges = [0.25, 0.5, 1.0, INF]
    exact = slow_share(edges, [90, 5, 4, 1], 0.5)
    assert (exact.slow, exact.total, exact.edge, exact.exact) == (5.0, 100.0, 0.5, True)
    between = slow_share(edges, [90, 5, 4, 1], 0.6)
    assert (between.slow, between.edge, between.exact) == (1.0, 1.0, False)
    assert slow_share(edges, [90, 95, 99, 100], 0.5, cumulative=True).slow == 5.0
    over = slow_share(edges, [90, 5, 4, 1], 1.5)
    assert (over.slow, over.edge, over.status) == (None, None, "the last finite edge, 1, is below 1.5")
    many = slow_share(edges, [[90, 5, 4, 1], [0, 0, 0, 0]], 0.5)
    assert many.status.tolist() == ["ok", "no data"]
    for result in (exact, between, over, many, many.at(0)):
        assert_clean(result)
    with pytest.raises(ValueError, match="4 edges"):
        slow_share(edges, [1, 2], 0.5)
    with pytest.raises(ValueError, match="finite"):
        slow_share(edges, [1, 2, 3, 4], INF)
    with pytest.raises(ValueError, match="below 0"):
        slow_share(edges, [1, 2, 3, -4], 0.5)
