from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from abkit import stats

NAMES = {"holm": "holm", "benjamini-hochberg": "fdr_bh", "bonferroni": "bonferroni"}


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=20), method=st.sampled_from(sorted(NAMES)))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_against_statsmodels(p: list[float], method: str) -> None:
    np.testing.assert_allclose(stats.adjust(p, method), multipletests(p, method=NAMES[method])[1], rtol=1e-12)


@pytest.mark.parametrize("method", sorted(NAMES))
def test_gaps_stay_and_do_not_count(method: str) -> None:
    with_gaps = stats.adjust([0.01, None, 0.04, None, 0.03], method)
    without = stats.adjust([0.01, 0.04, 0.03], method)
    assert with_gaps.tolist() == [without[0], None, without[1], None, without[2]]
    assert stats.adjust([None, None], method).tolist() == [None, None]


def test_families_are_rows() -> None:
    rows = [[0.01, 0.02], [0.5, 0.01]]
    np.testing.assert_allclose(stats.adjust(rows), [stats.adjust(row) for row in rows])


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="holm, benjamini-hochberg, bonferroni"):
        stats.adjust([0.1], "hochberg")
    with pytest.raises(ValueError, match="between 0 and 1"):
        stats.adjust([1.1])
    with pytest.raises(ValueError, match="single number"):
        stats.adjust(0.1)


def test_e_bh_by_its_definition() -> None:
    rng = np.random.default_rng(1)
    e = np.exp(rng.normal(1, 2, (50, 8)))
    adjusted = stats.adjust_e(e)
    for alpha in (0.02, 0.1, 0.4):
        for row, found in zip(e, adjusted, strict=True):
            ordered = np.sort(row)[::-1]
            k = max((i + 1 for i in range(8) if ordered[i] >= 8 / ((i + 1) * alpha)), default=0)
            assert (found <= alpha).sum() == k
            if k:
                assert (row[found <= alpha] >= ordered[k - 1]).all()


def test_e_values_with_gaps_and_as_logarithms() -> None:
    gaps = stats.adjust_e([40.0, None, 2.0])
    assert gaps.tolist() == pytest.approx([stats.adjust_e([40.0, 2.0])[0], None, 0.5])
    huge = stats.adjust_e([2_000.0, 5.0, -3.0], logarithm=True)
    assert huge.tolist() == pytest.approx([0.0, 3 / 2 / np.exp(5.0), 1.0])
    masked = stats.adjust_e(np.ma.MaskedArray([40.0, 9.0], mask=[False, True]))
    assert masked.tolist() == [pytest.approx(1 / 40), None]
    with pytest.raises(ValueError, match="0 or more"):
        stats.adjust_e([-1.0])


def test_e_bh_keeps_the_false_share_at_any_look_under_dependence() -> None:
    worlds, looks, metrics, real = 400, 40, 10, 3
    rng = np.random.default_rng(2)
    information = np.linspace(0.05, 2.0, looks)
    steps = np.sqrt(np.diff(information, prepend=0.0))
    shared, own = rng.standard_normal((worlds, looks, 1)), rng.standard_normal((worlds, looks, metrics))
    walk = ((np.sqrt(0.6) * shared + np.sqrt(0.4) * own) * steps[:, None]).cumsum(1) / information[:, None]
    walk[..., :real] += 3.5
    found = stats.sequential.confidence_sequence(walk, 1 / np.sqrt(information)[:, None], planned_effect=2.8)
    discovered = stats.adjust_e(found.log_e_value, logarithm=True) <= 0.1
    # Stopped at the worst look there is for each world: the first with a false discovery, else the last.
    false, all_of_them = discovered[..., real:].sum(-1), discovered.sum(-1)
    share = np.where(all_of_them > 0, false / np.maximum(all_of_them, 1), 0.0)
    assert share[:, -1].mean() <= 0.1
    assert discovered[:, -1, :real].mean() > 0.5


def test_e_values_of_sequences_are_the_p_values_the_other_way_round() -> None:
    look = stats.sequential.confidence_sequence([0.05, 0.3, 40.0], 0.1, planned_effect=0.3)
    assert look.p_value.tolist() == pytest.approx(np.minimum(1, 1 / look.e_value).tolist())
    assert np.log(look.e_value.tolist()[:2]) == pytest.approx(look.log_e_value.tolist()[:2])
    assert look.e_value[2] == pytest.approx(np.finfo(float).max)
