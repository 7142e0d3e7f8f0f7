"""Distribution functions on arrays, stable for enormous counts.

`scipy.special` is imported on first use: who only builds sums pays nothing for it. `scipy.stats` isn't needed at all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ALTERNATIVES",
    "beta_log_ratio",
    "beta_quantile",
    "binomial_cdf",
    "binomial_log_pmf",
    "binomial_sf",
    "check_alternative",
    "check_confidence",
    "check_share",
    "deviance",
    "f_sf",
    "gamma_quantile",
    "log_beta_sf",
    "normal_cdf",
    "normal_log_cdf",
    "normal_quantile",
    "p_value",
    "student_cdf",
    "student_quantile",
    "t_to_z",
    "z_to_t",
]

ALTERNATIVES = ("two-sided", "greater", "less")
"""What may be asked about treatment - control."""

_LEAST = 1e-300
"""P values below it are taken for it: turning t into z and back needs them above the smallest float."""

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def check_alternative(alternative: str) -> None:
    """Refuse an unknown alternative.

    Raises:
        ValueError: It is none of `ALTERNATIVES`; the message lists them.
    """
    if alternative not in ALTERNATIVES:
        msg = f"alternative is {alternative!r}; valid: {', '.join(ALTERNATIVES)}"
        raise ValueError(msg)


def check_confidence(confidence: float) -> None:
    """Refuse a confidence outside 0 … 1."""
    check_share("confidence", confidence)


def check_share(name: str, share: float) -> None:
    """Refuse what should lie strictly between 0 and 1.

    Raises:
        ValueError: It doesn't.
    """
    if not 0 < share < 1:
        msg = f"{name} is {share!r}; it must lie between 0 and 1, both excluded"
        raise ValueError(msg)


def normal_cdf(z: ArrayLike) -> NDArray[np.float64]:
    """Standard normal distribution function."""
    from scipy.special import ndtr

    return np.asarray(ndtr(np.asarray(z, dtype=np.float64)))


def normal_log_cdf(z: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the standard normal distribution function, exact far out in the tail."""
    from scipy.special import log_ndtr

    return np.asarray(log_ndtr(np.asarray(z, dtype=np.float64)))


def normal_quantile(p: ArrayLike) -> NDArray[np.float64]:
    """Standard normal quantile."""
    from scipy.special import ndtri

    return np.asarray(ndtri(np.asarray(p, dtype=np.float64)))


def student_cdf(df: ArrayLike, t: ArrayLike) -> NDArray[np.float64]:
    """Distribution function of Student's t; df may be infinite.

    >>> float(student_cdf(31, 0.0)), round(float(student_cdf(np.inf, 1.96)), 3)
    (0.5, 0.975)
    """
    from scipy.special import stdtr

    dof, t = np.broadcast_arrays(np.asarray(df, dtype=np.float64), np.asarray(t, dtype=np.float64))
    normal = np.isinf(dof)
    # Far out scipy's stdtr overflows inside and answers NaN or 0.5: the tail is symmetric and 0 there.
    near = np.clip(t, -1e150, 1e150)
    return np.where(normal, normal_cdf(near), stdtr(np.where(normal, 1.0, dof), near))


def student_quantile(df: ArrayLike, p: ArrayLike) -> NDArray[np.float64]:
    """Quantile of Student's t; df may be infinite.

    >>> round(float(student_quantile(31, 0.975)), 4)
    2.0395
    """
    from scipy.special import betaln, stdtrit

    dof, p = np.broadcast_arrays(np.asarray(df, dtype=np.float64), np.asarray(p, dtype=np.float64))
    normal = np.isinf(dof)
    # Solved in the lower tail, where p has its full precision, and mirrored.
    lower = np.minimum(p, 1 - p)
    with np.errstate(all="ignore"):
        safe = np.where(normal, 1.0, dof)
        t = stdtrit(safe, lower)
        # Far out scipy's search gives up. There the tail is a power: P(T < -t) = x^(df/2) / (df·B(df/2, ½)), x = df/t².
        log_x = (2 / safe) * (np.log(lower) + np.log(safe) + betaln(safe / 2, 0.5))
        far = log_x < -30
        t = np.where(normal, normal_quantile(lower), np.where(far, -np.sqrt(safe) * np.exp(-log_x / 2), t))
    return np.where(p > 0.5, -t, t)


def p_value(t: ArrayLike, df: ArrayLike, alternative: str) -> NDArray[np.float64]:
    """P value of a t statistic.

    Args:
        t: (Estimate - null) / standard error.
        df: Degrees of freedom; infinite for the normal.
        alternative: One of `ALTERNATIVES`.
    """
    t = np.asarray(t, dtype=np.float64)
    if alternative == "greater":
        return student_cdf(df, -t)
    if alternative == "less":
        return student_cdf(df, t)
    return np.minimum(2 * student_cdf(df, -np.abs(t)), 1.0)


def f_sf(df1: ArrayLike, df2: ArrayLike, x: ArrayLike) -> NDArray[np.float64]:
    """P(F > x) of Snedecor's F; df2 may be infinite: then it is that of χ²(df1)/df1.

    >>> round(float(f_sf(2, np.inf, 3.0)), 6), round(float(f_sf(2, 30, 3.32)), 3)
    (0.049787, 0.05)
    """
    from scipy.special import fdtrc, gammaincc

    a, b, x = (np.asarray(v, dtype=np.float64) for v in np.broadcast_arrays(df1, df2, x))
    endless = np.isinf(b)
    return np.where(endless, gammaincc(a / 2, a * x / 2), fdtrc(a, np.where(endless, 1.0, b), x))


def t_to_z(t: ArrayLike, df: ArrayLike) -> NDArray[np.float64]:
    """T → z with the same tail: far out the tail is cut at 10⁻³⁰⁰, which only weakens the evidence."""
    t = np.asarray(t, dtype=np.float64)
    tail = np.maximum(p_value(np.abs(t), df, "greater"), _LEAST)
    return np.where(np.isinf(df), t, np.sign(t) * -normal_quantile(tail))


def z_to_t(z: ArrayLike, df: ArrayLike) -> NDArray[np.float64]:
    """Z > 0 → t with the same tail.

    >>> round(float(z_to_t(1.959964, 31)), 4)
    2.0395
    """
    tail = np.maximum(normal_cdf(-np.asarray(z, dtype=np.float64)), _LEAST)
    return np.where(np.isinf(df), z, -student_quantile(df, tail))


def _stirling_error(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ln Γ(x) minus Stirling's formula for it, x > 0."""
    from scipy.special import gammaln

    small = np.minimum(x, 16.0)
    direct = gammaln(small) - ((small - 0.5) * np.log(small) - small + _HALF_LOG_2PI)
    large = np.maximum(x, 16.0)
    inverse = 1 / (large * large)
    series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse / 1188)))) / large
    return np.where(x < 16, direct, series)


def deviance(x: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """X ln(x / mean) - x + mean without the cancellation; x ≥ 0, mean > 0.

    >>> bool(deviance(np.array(5.0), np.array(5.0)) == 0)
    True
    """
    d = x - mean
    near = np.abs(d) < 0.1 * mean
    with np.errstate(divide="ignore", invalid="ignore"):
        close = np.where(near, x * np.log1p(np.where(near, d / mean, 0.0)) - d, 0.0)
        far = np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0) / mean), 0.0) - d
    return np.where(near, close, far)


def binomial_log_pmf(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the binomial probability, by Loader's saddle point: right for n = 10¹² as for n = 10.

    C. Loader (2000), Fast and Accurate Computation of Binomial Probabilities.

    >>> round(math.exp(binomial_log_pmf(3, 10, 0.5)), 10)
    0.1171875
    """
    k, n, p = (np.asarray(x, dtype=np.float64) for x in np.broadcast_arrays(k, n, p))
    inner = (k > 0) & (k < n)
    kk, nn = np.where(inner, k, 1.0), np.where(inner, n, 2.0)
    # Γ(n + 1) = n Γ(n): hence the ½ ln(n / 2π k (n - k)).
    middle = (
        _stirling_error(nn)
        - _stirling_error(kk)
        - _stirling_error(nn - kk)
        - deviance(kk, nn * p)
        - deviance(nn - kk, nn * (1 - p))
        + 0.5 * np.log(nn / (kk * (nn - kk)))
        - _HALF_LOG_2PI
    )
    edge = np.where(k <= 0, n * np.log1p(-p), n * np.log(p))
    return np.where(inner, middle, edge)


def binomial_cdf(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> NDArray[np.float64]:
    """P(X ≤ k) of a binomial count."""
    from scipy.special import betainc

    k, n, p = (np.asarray(x, dtype=np.float64) for x in np.broadcast_arrays(k, n, p))
    inner = (k >= 0) & (k < n)
    body = betainc(np.where(inner, n - k, 1.0), np.where(inner, k + 1, 1.0), 1 - p)
    return np.where(inner, body, np.where(k < 0, 0.0, 1.0))


def binomial_sf(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> NDArray[np.float64]:
    """P(X ≥ k) of a binomial count."""
    from scipy.special import betainc

    k, n, p = (np.asarray(x, dtype=np.float64) for x in np.broadcast_arrays(k, n, p))
    inner = (k > 0) & (k <= n)
    body = betainc(np.where(inner, k, 1.0), np.where(inner, n - k + 1, 1.0), p)
    return np.where(inner, body, np.where(k <= 0, 1.0, 0.0))


def beta_log_ratio(a: ArrayLike, b: ArrayLike, p: ArrayLike) -> NDArray[np.float64]:
    """Ln( B(a, b) / (pᵃ (1-p)ᵇ) ), without the cancellation of terms of size 10¹³ that lnB alone would bring.

    >>> round(float(beta_log_ratio(1, 1, 0.5)), 10) == round(math.log(4), 10)
    True
    """
    a, b, p = (np.asarray(x, dtype=np.float64) for x in np.broadcast_arrays(a, b, p))
    n = a + b
    return (
        _HALF_LOG_2PI
        + 0.5 * (np.log(n) - np.log(a) - np.log(b))
        + deviance(a, n * p)
        + deviance(b, n * (1 - p))
        + _stirling_error(a)
        + _stirling_error(b)
        - _stirling_error(n)
    )


def beta_quantile(p: ArrayLike, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Quantile of a beta variable; a shape of 0 puts all mass on its end.

    >>> round(float(beta_quantile(0.5, 2, 2)), 6)
    0.5
    """
    from scipy.special import betaincinv

    p, a, b = (np.asarray(v, dtype=np.float64) for v in np.broadcast_arrays(p, a, b))
    inner = (a > 0) & (b > 0)
    body = betaincinv(np.where(inner, a, 1.0), np.where(inner, b, 1.0), p)
    return np.where(inner, body, np.where(a > 0, 1.0, 0.0))


def gamma_quantile(p: ArrayLike, shape: ArrayLike) -> NDArray[np.float64]:
    """Quantile of a gamma variable of scale 1; 0 for shape 0.

    >>> round(float(gamma_quantile(0.975, 1)), 6)
    3.688879
    """
    from scipy.special import gammaincinv

    p, a = (np.asarray(v, dtype=np.float64) for v in np.broadcast_arrays(p, shape))
    return np.where(a > 0, gammaincinv(np.where(a > 0, a, 1.0), p), 0.0)


def log_beta_sf(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Ln P(X > x) of a beta variable; where that underflows, by the first term of its tail.

    Args:
        x: 0 < x < 1.
        a: First shape, > 0.
        b: Second shape, > 0.
    """
    from scipy.special import betaincc

    x, a, b = (np.asarray(v, dtype=np.float64) for v in np.broadcast_arrays(x, a, b))
    tail = np.asarray(betaincc(a, b, x))
    under = tail < 1e-290
    # The density falls as exp(-slope · (p - x)) beyond x: integrated, density / slope.
    slope = np.where(under, (b - 1) / (1 - x) - (a - 1) / x, 1.0)
    slope = np.where(slope > 0, slope, 1.0)
    first = -beta_log_ratio(a, b, x) - np.log(x) - np.log1p(-x) - np.log(slope)
    return np.where(under, first, np.log(np.where(under, 1.0, tail)))
