from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as oracle

from abkit.stats.crossing import Path


def test_three_looks_against_the_multivariate_normal() -> None:
    information, bounds, drift = [0.4, 1.0, 1.5], [2.6, 2.2, 2.0], 1.3
    path = Path(drift)
    stopped = []
    for at, bound in zip(information, bounds, strict=True):
        stopped.append(sum(path.crossing(at, -bound, bound)))
        path.go(at, -bound, bound)
    corr = [[math.sqrt(min(a, b) / max(a, b)) for b in information] for a in information]
    mean = drift * np.sqrt(information)
    for k in (1, 2, 3):
        upper = np.array(bounds[:k])
        cov = np.array(corr)[:k, :k]
        inside = oracle.multivariate_normal.cdf(upper, mean[:k], cov, abseps=1e-10, releps=1e-10, lower_limit=-upper)
        # The oracle is quasi-random from three looks on.
        assert 1 - sum(stopped[:k]) == pytest.approx(inside, abs=1e-7 if k == 3 else 1e-10)
    assert path.remaining == pytest.approx(1 - sum(stopped), abs=1e-12)


def test_nothing_is_lost_over_many_looks() -> None:
    path, out = Path(0.7), 0.0
    for k in range(1, 201):
        at = k / 200
        out += sum(path.crossing(at, -2.5, 2.5))
        path.go(at, -2.5, 2.5)
    assert out + path.remaining == pytest.approx(1.0, abs=1e-9)


def test_boundaries_solve_for_the_chance() -> None:
    path = Path()
    assert path.boundary(0.5, 0.01) == pytest.approx(oracle.norm.isf(0.01), abs=1e-9)
    assert path.boundary(0.5, 0.0) == math.inf
    path.go(0.5, -math.inf, 1.0)
    bound = path.boundary(1.0, 0.02)
    assert path.crossing(1.0, -math.inf, bound) == pytest.approx((0.0, 0.02), abs=1e-10)
    closed = Path()
    closed.go(1.0, 0.0, 0.0)
    assert closed.remaining == 0.0
    assert closed.crossing(2.0, -1.0, 1.0) == (0.0, 0.0)
