"""What must hold for every two-arm estimator, whatever the numbers are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from abkit import stats
from tests.stats.worlds import assert_clean

Cells = NDArray[np.float64]
"""Sums by (epoch, replicate, pod)."""

EDGES = np.array([0.1, 0.2, 0.4, 0.8, np.inf])
SHAPE = (2, 8, 3)

settled = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@dataclass(frozen=True)
class Arm:
    num: Cells
    den: Cells

    def sums(self, *axes: int) -> stats.ClusterSums:
        return stats.ClusterSums(self.num.sum(axes), self.den.sum(axes))


def _ratios(control: Arm, treatment: Arm) -> Any:
    return stats.ratios(control.sums(0, 2), treatment.sums(0, 2))


def _paired(control: Arm, treatment: Arm) -> Any:
    return stats.ratios(control.sums(0, 2), treatment.sums(0, 2), paired=True)


def _instances(control: Arm, treatment: Arm) -> Any:
    return stats.ratios(control.sums(0, 1), treatment.sums(0, 1), cluster="instance", instances=True)


def _stratified(control: Arm, treatment: Arm) -> Any:
    return stats.stratified(control.sums(2), treatment.sums(2))


def _two_way(control: Arm, treatment: Arm) -> Any:
    return stats.two_way(control.sums(0), treatment.sums(0))


def _cuped(control: Arm, treatment: Arm) -> Any:
    pre, post = (
        [stats.ClusterSums(arm.num[epoch].sum(-1), arm.den[epoch].sum(-1)) for arm in (control, treatment)]
        for epoch in (0, 1)
    )
    return stats.cuped(post[0], post[1], pre[0], pre[1])


def _proportions(control: Arm, treatment: Arm) -> Any:
    return stats.proportions((control.num.sum(), control.den.sum()), (treatment.num.sum(), treatment.den.sum()))


def _counts(control: Arm, treatment: Arm) -> Any:
    both = [(arm.num.sum(), arm.den.sum()) for arm in (control, treatment)]
    return stats.counts(both[0], both[1], dispersion=1.0)


def _quantiles(control: Arm, treatment: Arm) -> Any:
    # Counts by (pod, bucket): five replicates stand in for the buckets.
    found = [arm.den.sum(0)[:5].T for arm in (control, treatment)]
    return stats.quantiles(EDGES, found[0], found[1], 0.5)


CLUSTERED: dict[str, Callable[[Arm, Arm], Any]] = {
    "ratios": _ratios,
    "paired": _paired,
    "instances": _instances,
    "stratified": _stratified,
    "two-way": _two_way,
    "cuped": _cuped,
}
ALL = CLUSTERED | {"proportions": _proportions, "counts": _counts, "quantiles": _quantiles}

whole = arrays.arrays(np.int64, SHAPE, elements=st.integers(0, 40))
share = arrays.arrays(np.float64, SHAPE, elements=st.floats(0, 1, allow_nan=False, width=32))


@st.composite
def arms(draw: st.DrawFn) -> tuple[Arm, Arm]:
    """Two arms of proportions: events are among the exposures; many of the cells are empty."""
    found = []
    for _ in range(2):
        den = draw(whole).astype(np.float64)
        found.append(Arm(np.floor(den * draw(share)), den))
    return found[0], found[1]


def _same(x: Any, y: Any, rel: float = 1e-6) -> bool:
    if x is None or y is None:
        return x is None and y is None
    return bool(x == pytest.approx(y, rel=rel, abs=1e-9))


def _p_values(result: Any) -> list[float | None]:
    return [result.p_value, getattr(result, "lift_p_value", None)]


@pytest.mark.parametrize("name", ALL)
@given(world=arms())
@settled
def test_nothing_that_leaves_is_nan(name: str, world: tuple[Arm, Arm]) -> None:
    result = ALL[name](*world)
    assert_clean(result)
    assert all(p is None or 0 <= p <= 1 for p in _p_values(result))
    assert result.status == "ok" or result.p_value is None


@pytest.mark.parametrize("name", ALL)
@given(world=arms())
@settled
def test_swapping_arms_flips_the_sign_and_keeps_p(name: str, world: tuple[Arm, Arm]) -> None:
    there, back = ALL[name](*world), ALL[name](*world[::-1])
    assert all(_same(p, q) for p, q in zip(_p_values(there), _p_values(back), strict=True))
    effect, other = getattr(there, "effect", None), getattr(back, "effect", None)
    assert _same(effect, None if other is None else -other)


@pytest.mark.parametrize("name", CLUSTERED)
@given(world=arms(), seed=st.integers(0, 99))
@settled
def test_order_and_unit_of_what_is_counted_do_not_matter(name: str, world: tuple[Arm, Arm], seed: int) -> None:
    plain = ALL[name](*world)
    rng = np.random.default_rng(seed)
    replicates, pods = rng.permutation(SHAPE[1]), rng.permutation(SHAPE[2])
    moved = ALL[name](*(Arm(a.num[:, replicates][..., pods], a.den[:, replicates][..., pods]) for a in world))
    assert all(_same(p, q) for p, q in zip(_p_values(plain), _p_values(moved), strict=True))
    cents = ALL[name](*(Arm(a.num * 128.0, a.den) for a in world))
    assert all(_same(p, q, 1e-7) for p, q in zip(_p_values(plain), _p_values(cents), strict=True))
    assert _same(plain.lift, cents.lift, 1e-9)
    if plain.effect is not None:
        assert cents.effect == pytest.approx(128.0 * plain.effect, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["ratios", "paired", "instances", "two-way"])
@given(world=arms())
@settled
def test_merging_clusters_keeps_the_estimates(name: str, world: tuple[Arm, Arm]) -> None:
    plain = ALL[name](*world)
    halves = [
        Arm(*(x.reshape(SHAPE[0], SHAPE[1] // 2, 2, SHAPE[2]).sum(2) for x in (arm.num, arm.den))) for arm in world
    ]
    merged = ALL[name](*halves)
    assert _same(plain.control, merged.control, 1e-12)
    assert _same(plain.treatment, merged.treatment, 1e-12)
    assert _same(plain.lift, merged.lift, 1e-9)


@pytest.mark.parametrize("name", ALL)
def test_corner_worlds_have_an_answer_or_a_reason(name: str) -> None:
    none, some = np.zeros(SHAPE), np.full(SHAPE, 20.0)
    lone = np.zeros(SHAPE)
    lone[0, 0, 0] = lone[1, 0, 0] = 20.0
    huge: Cells = np.random.default_rng(1).integers(1, 9, SHAPE).astype(np.float64) * 1e14
    for control, treatment in [
        (Arm(none, none), Arm(none, none)),
        (Arm(none, some), Arm(none, some)),
        (Arm(none, some), Arm(some, some)),
        (Arm(some, some), Arm(some, some)),
        (Arm(lone, lone), Arm(lone, lone)),
        (Arm(huge, 2 * huge), Arm(huge[:, ::-1], 2 * huge)),
        (Arm(none, none), Arm(some, some)),
    ]:
        result = ALL[name](control, treatment)
        assert_clean(result)
        assert result.p_value is not None or result.status not in {"ok", ""}


@pytest.mark.parametrize("name", ALL)
def test_equal_arms_differ_by_nothing(name: str) -> None:
    rng = np.random.default_rng(7)
    den = rng.integers(50, 90, SHAPE).astype(np.float64)
    arm = Arm(rng.binomial(den.astype(np.int64), 0.3).astype(np.float64), den)
    result = ALL[name](arm, arm)
    if result.p_value is None:
        # The same replicates in both arms: nothing varies between them.
        assert name in {"paired", "stratified", "cuped", "two-way"}, result.status
    else:
        assert result.p_value == pytest.approx(1.0)
