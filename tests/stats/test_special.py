from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special
from scipy import stats as oracle

from abkit.stats.special import (
    beta_log_ratio,
    binomial_cdf,
    binomial_log_pmf,
    binomial_sf,
    log_beta_sf,
    p_value,
    student_cdf,
    student_quantile,
)


@pytest.mark.parametrize("df", [1, 2, 5, 31, 62, 1e6, np.inf])
def test_student_against_scipy(df: float) -> None:
    t = np.array([-40, -3.5, -1, 0, 0.1, 2, 8])
    np.testing.assert_allclose(student_cdf(df, t), oracle.t.cdf(t, df), rtol=1e-9)
    p = np.array([1e-12, 0.001, 0.3, 0.5, 0.9, 0.975, 0.9999])
    np.testing.assert_allclose(student_quantile(df, p), oracle.t.ppf(p, df), rtol=1e-8, atol=1e-8)


def test_p_values_stay_p_values_far_out() -> None:
    for t in (0.0, 1e-300, 1e200, -1e200, 1e308):
        for df in (1.0, 31.0, np.inf):
            for alternative in ("two-sided", "greater", "less"):
                assert 0 <= float(p_value(t, df, alternative)) <= 1


@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (10, 0.05), (500, 0.5), (10_000, 0.001), (10**6, 0.95)])
def test_binomial_against_scipy(n: int, p: float) -> None:
    k = np.unique(np.clip(np.round(n * p + np.array([-50, -10, -2, -1, 0, 1, 2, 10, 50])), 0, n))
    np.testing.assert_allclose(binomial_log_pmf(k, n, p), oracle.binom.logpmf(k, n, p), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(binomial_cdf(k, n, p), oracle.binom.cdf(k, n, p), rtol=1e-9)
    np.testing.assert_allclose(binomial_sf(k, n, p), oracle.binom.sf(k - 1, n, p), rtol=1e-9)


def test_beta_ratio_is_exact_where_the_plain_formula_still_is_and_smooth_where_not() -> None:
    for a, b, p in [(1, 1, 0.5), (0.5, 3, 0.1), (30, 70, 0.3), (900, 100, 0.5)]:
        plain = special.betaln(a, b) - a * np.log(p) - b * np.log1p(-p)
        assert float(beta_log_ratio(a, b, p)) == pytest.approx(plain, rel=1e-10)
    # At the maximum of the likelihood Laplace's approximation is exact for 10¹² counts: ½ ln(2π / (n p q)).
    n, p = 1e12, 0.01
    assert float(beta_log_ratio(n * p, n * (1 - p), p)) == pytest.approx(
        0.5 * np.log(2 * np.pi / (n * p * (1 - p))), abs=1e-9
    )


def test_beta_tail_against_quadrature_and_across_the_underflow() -> None:
    assert float(log_beta_sf(0.3, 2, 5)) == pytest.approx(np.log(oracle.beta.sf(0.3, 2, 5)), rel=1e-12)
    a, b, x = 20.0, 80_000.0, 0.01

    def density(p: float) -> float:
        return float(np.exp((a - 1) * np.log(p / x) + (b - 1) * (np.log1p(-p) - np.log1p(-x))))

    area = integrate.quad(density, x, x * 1.2, epsabs=0)[0]
    reference = np.log(area) + (a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - special.betaln(a, b)
    assert reference < np.log(1e-300)
    assert float(log_beta_sf(x, a, b)) == pytest.approx(reference, abs=2e-3)
