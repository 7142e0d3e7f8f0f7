from __future__ import annotations

import numpy as np
import pytest

from abkit.errors import InputError
from abkit.simulate import simulate_totals

EVEN = {"control": 5_000, "treatment": 5_000}


def test_a_seed_gives_the_same_worlds_however_many() -> None:
    few = simulate_totals(worlds=2, split=EVEN, seed=4, users=500)
    more = simulate_totals(worlds=3, split=EVEN, seed=4, users=500)
    other = simulate_totals(worlds=2, split=EVEN, seed=5, users=500)
    assert np.array_equal(few.page_views, more.page_views[:2])
    assert np.array_equal(few.purchases, more.purchases[:2])
    assert not np.array_equal(few.page_views, other.page_views)
    assert not np.array_equal(more.page_views[0], more.page_views[1])


def test_another_split_moves_users_of_the_same_world() -> None:
    even = simulate_totals(worlds=2, split=EVEN, seed=4, users=500)
    ramped = simulate_totals(worlds=2, split={"control": 9_500, "treatment": 500}, seed=4, users=500)
    assert np.array_equal(even.page_views.sum(axis=2), ramped.page_views.sum(axis=2))
    assert np.array_equal(even.purchases.sum(axis=2), ramped.purchases.sum(axis=2))
    assert ramped.users[:, 1].sum() / ramped.users.sum() == pytest.approx(0.05, abs=0.03)
    assert (ramped.page_views[:, :, 1] <= even.page_views[:, :, 1]).all()


def test_shape_and_size_of_the_totals() -> None:
    totals = simulate_totals(worlds=20, split=EVEN, seed=1, users=2_000, days=3, views=30, replicates=16)
    assert totals.names == ("control", "treatment")
    assert totals.page_views.shape == totals.purchases.shape == (20, 3, 2, 16)
    assert totals.page_views.sum() == pytest.approx(20 * 2_000 * 30, rel=0.05)
    assert totals.purchases.sum() / totals.page_views.sum() == pytest.approx(0.06, rel=0.05)
    assert (totals.purchases <= totals.page_views).all()
    assert (totals.users.sum(axis=1) <= 2_000).all()


def test_users_are_sticky() -> None:
    # Overdispersion: a user's purchases vary far more between replicates than independent views would.
    totals = simulate_totals(worlds=30, split=EVEN, seed=1)
    seen, bought = totals.page_views.sum(axis=(1, 2)), totals.purchases.sum(axis=(1, 2))
    rate = bought.sum() / seen.sum()
    dispersion = np.mean((bought - seen * rate) ** 2 / (seen * rate * (1 - rate)))
    # 1 + (E[M²]/E[M] - 1)·ρ with ρ = 1/(a + b + 1): 1 + 180/9.
    assert dispersion == pytest.approx(21, rel=0.2)


def test_a_lift_moves_the_treatment_only() -> None:
    aa = simulate_totals(worlds=30, split=EVEN, seed=1, concentration=1e4)
    ab = simulate_totals(worlds=30, split=EVEN, seed=1, concentration=1e4, lift=0.2)

    def rate(arm: int, which: object = ab) -> float:
        return float(ab.purchases[:, :, arm].sum() / ab.page_views[:, :, arm].sum())

    assert rate(1) / rate(0) == pytest.approx(1.2, abs=0.02)
    assert rate(0) == pytest.approx(0.06, abs=0.001)
    assert np.array_equal(aa.page_views, ab.page_views)


def test_weights_must_sum_up() -> None:
    with pytest.raises(InputError, match="must sum to 10,000"):
        simulate_totals(worlds=1, split={"a": 1, "b": 2}, seed=1)
