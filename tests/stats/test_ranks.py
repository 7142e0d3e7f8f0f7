from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from abkit import stats
from abkit.stats import ranks
from tests.stats.worlds import assert_clean, monte_carlo, rejected

ALTERNATIVES = ["two-sided", "greater", "less"]
VALUES = st.lists(st.integers(-6, 6).map(lambda x: x / 4), min_size=1, max_size=25)


def _options(found: stats.Shift, alternative: str) -> dict[str, Any]:
    return {"alternative": alternative, "method": "exact" if found.exact else "asymptotic"}


@given(x=VALUES, y=VALUES, alternative=st.sampled_from(ALTERNATIVES))
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_p_values_against_scipy_with_ties(x: list[float], y: list[float], alternative: str) -> None:
    found = stats.shift(x, y, alternative=alternative)
    assert_clean(found)
    assert found.shift == np.median(np.subtract.outer(y, x))
    if found.status != "ok":
        assert len(set(x + y)) == 1
        return
    expected = mannwhitneyu(y, x, **_options(found, alternative))
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-8, abs=1e-14)
    assert found.u == expected.statistic
    turned = stats.shift(y, x)
    assert (turned.shift, turned.superiority) == (-found.shift, pytest.approx(1 - found.superiority))


@pytest.mark.parametrize(("n", "m"), [(3, 4), (8, 6), (12, 30), (49, 49), (50, 20), (200, 150)])
@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_p_values_against_scipy_without_ties(n: int, m: int, alternative: str) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.normal(0.4, 1, m)
    found = stats.shift(x, y, alternative=alternative)
    assert found.exact == (max(n, m) < 50)
    expected = mannwhitneyu(y, x, **_options(found, alternative))
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-8)


def test_the_example_of_hollander_and_wolfe() -> None:
    # Permeability of the chorioamnion, in the documentation of R's wilcox.test: W = 35, p = 0.1272.
    term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    early = [1.15, 0.88, 0.90, 0.74, 1.21]
    found = stats.shift(early, term, 0.95, "greater")
    assert found.u == 35
    assert found.p_value == pytest.approx(0.1272, abs=5e-5)
    assert found.shift == pytest.approx(0.305)


@pytest.mark.parametrize(("n", "m", "digits"), [(7, 9, 6), (20, 31, 6), (60, 70, 6), (60, 70, 1)])
@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_the_interval_is_where_the_test_starts_to_reject(n: int, m: int, digits: int, alternative: str) -> None:
    rng = np.random.default_rng(n + m)
    x, y = rng.normal(size=n).round(digits), rng.normal(0.2, 1, m).round(digits)
    found = stats.shift(x, y, 0.9, alternative)
    step = 1e-7
    for end, inward in zip(found.shift_ci, (step, -step), strict=True):
        if np.isinf(end):
            continue
        inside = stats.shift(x, y - end - inward, 0.9, alternative).p_value
        outside = stats.shift(x, y - end + inward, 0.9, alternative).p_value
        assert inside > 0.1 >= outside


def test_selection_finds_what_writing_out_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    pairs = [
        (rng.normal(size=700), rng.normal(size=900)),
        (rng.integers(0, 4, 700) / 10, rng.integers(0, 4, 900) / 10),
        (rng.lognormal(0, 4, 700), rng.lognormal(0, 4, 900)),
        (np.full(700, 1.5), np.append(np.full(899, 1.5), 3.0)),
    ]
    plain = [stats.shift(x, y) for x, y in pairs]
    monkeypatch.setattr(ranks, "_ALL_PAIRS", 4_000)
    for (x, y), expected in zip(pairs, plain, strict=True):
        found = stats.shift(x, y)
        assert found.shift == pytest.approx(expected.shift, abs=1e-14)
        assert found.shift_ci == pytest.approx(expected.shift_ci, abs=1e-14)


def test_a_hundred_thousand_values_an_arm_are_no_matter() -> None:
    rng = np.random.default_rng(3)
    found = stats.shift(rng.normal(size=100_000), rng.normal(0.05, 1, 100_000))
    low, high = found.shift_ci
    assert low < 0.05 < high
    assert high - low < 0.03


def test_rows_gaps_and_reasons() -> None:
    gaps: list[Any] = [[1.0, None, 3.0], [None, None, None], [2.0, 2.0, 2.0]]
    found = stats.shift(gaps, [[2.0, 4.0], [1.0, 2.0], [2.0, 2.0]], 0.8)
    assert found.status.tolist() == ["ok", "no data in control", "all values are equal: ranks say nothing"]
    assert found.n_control.tolist() == [2, 0, 3]
    assert found.at(0).p_value == stats.shift([1.0, 3.0], [2.0, 4.0], 0.8).p_value
    assert (found.at(2).shift, found.at(2).p_value) == (0.0, None)
    assert_clean(found)
    few = stats.shift([1.0, 2.0], [3.0, 4.0])
    assert few.shift_ci == (-np.inf, np.inf)
    with pytest.raises(ValueError, match="finite"):
        stats.shift([1.0, np.inf], [1.0])


@pytest.mark.parametrize("size", [12, 60])
def test_a_a(size: int) -> None:
    worlds = 1_500
    rng = np.random.default_rng(8)
    found = stats.shift(rng.lognormal(0, 1, (worlds, size)), rng.lognormal(0, 1, (worlds, size)), 0.95)
    assert 0.02 < rejected(found.p_value) <= monte_carlo(0.05, worlds)
    low, high = found.shift_ci
    assert ((low > 0) | (high < 0)).mean() == rejected(found.p_value)
