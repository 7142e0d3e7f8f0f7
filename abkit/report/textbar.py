"""An interval as a bar of text, for terminals."""

from __future__ import annotations

from abkit.evidence import Interval

__all__ = ["text_bar"]


def text_bar(
    estimate: float | None, fixed: Interval | None, sequence: Interval | None, limit: float, width: int
) -> str:
    """Draw a change with its intervals around zero.

    Thick is the fixed-horizon interval, thin the confidence sequence, a dot the estimate, `┊` zero; an arrow says that
    the bar goes on beyond the scale.

    Args:
        estimate: The change; an empty bar where there is none.
        fixed: Fixed-horizon interval; open sides reach to the edge.
        sequence: Confidence sequence.
        limit: The scale runs from -limit to +limit.
        width: Characters, at least 5.

    Returns:
        Exactly `width` characters.

    >>> text_bar(0.05, (0.02, 0.08), (-0.01, 0.11), 0.1, 21)
    '         ─┊─━━━●━━━─→'
    """
    cells = [" "] * width
    middle = (width - 1) / 2

    def cell(number: float) -> int:
        return round(middle + number / limit * middle)

    def fill(bounds: Interval | None, mark: str) -> None:
        if bounds is None or bounds == (None, None):
            return
        low = -1 if bounds[0] is None else cell(bounds[0])
        high = width if bounds[1] is None else cell(bounds[1])
        for position in range(max(low, 0), min(high, width - 1) + 1):
            cells[position] = mark
        if low < 0:
            cells[0] = "←"
        if high > width - 1:
            cells[-1] = "→"

    fill(sequence, "─")
    fill(fixed, "━")
    cells[round(middle)] = "┊"
    if estimate is not None and 0 <= cell(estimate) < width:
        cells[cell(estimate)] = "●"
    return "".join(cells)
