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
