from __future__ import annotations

import pytest

from abkit.report.textbar import text_bar


@pytest.mark.parametrize("width", [5, 9, 10, 33])
@pytest.mark.parametrize("estimate", [None, -0.3, -0.01, 0.0, 0.099, 2.0])
def test_a_bar_is_as_wide_as_asked(width: int, estimate: float | None) -> None:
    fixed = None if estimate is None else (estimate - 0.05, estimate + 0.05)
    assert len(text_bar(estimate, fixed, (None, 0.5), 0.1, width)) == width


def test_the_side_of_zero_is_the_sign() -> None:
    up, down = (text_bar(lift, None, None, 0.1, 21) for lift in (0.05, -0.05))
    assert up.index("●") > up.index("┊")
    assert down.index("●") < down.index("┊")


def test_what_lies_beyond_the_scale_is_an_arrow() -> None:
    assert text_bar(9.0, (5.0, 13.0), None, 0.1, 11) == "     ┊    →"
    assert text_bar(-9.0, (-13.0, -5.0), None, 0.1, 11) == "←    ┊     "


def test_without_numbers_only_zero_is_drawn() -> None:
    assert text_bar(None, None, None, 0.1, 11) == "     ┊     "
