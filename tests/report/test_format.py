from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from abkit.report import format as fmt
from abkit.spec import Kind


@pytest.mark.parametrize(
    ("kind", "unit", "numbers", "shown"),
    [
        (Kind.PROPORTION, "", (0.0042, 0.00425), ("0.420 %", "0.425 %")),
        (Kind.PROPORTION, "", (1.0, 0.9991), ("100 %", "100 %")),
        (Kind.MEAN, "s", (0.842, 0.871), ("842 ms", "871 ms")),
        (Kind.MEAN, "s", (0.842, 1.0714), ("0.84 s", "1.07 s")),
        (Kind.QUANTILE, "ms", (842.0,), ("842 ms",)),
        (Kind.RATIO, "revenue per user", (12418.3, None), ("12,418", "—")),
        (Kind.RATIO, "", (0.0, 0.0), ("0", "0")),
        (Kind.RATIO, "", (-0.00001, 1.0), ("0.00", "1.00")),
        (None, "", (1e-12,), ("0.000000000",)),
    ],
)
def test_values_of_one_metric_share_unit_and_decimals(
    kind: Kind | None, unit: str, numbers: tuple[float | None, ...], shown: tuple[str, ...]
) -> None:
    assert fmt.values(kind, unit, *numbers) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0.081, "+8.1 %"), (-0.5, "−50.0 %"), (9.4, "+940 %"), (0.0, "0.0 %"), (0.00412, "+0.41 %"), (None, "—")],
)
def test_lifts_are_signed_percentages(number: float | None, shown: str) -> None:
    assert fmt.lift(number) == shown


def test_an_interval_without_any_bound_is_missing() -> None:
    assert fmt.lift_interval((None, None)) == fmt.MISSING
    assert fmt.lift_interval((0.01, None)) == "[+1.0 %, ∞)"


@pytest.mark.parametrize(
    ("number", "shown"), [(0.0009999, "< 0.001"), (0.001, "0.001"), (1.0, "1.000"), (0.0, "< 0.001")]
)
def test_small_p_values_are_never_shown_as_zero(number: float, shown: str) -> None:
    assert fmt.p_value(number) == shown


def test_text_from_files_cannot_steer_terminal_page_or_markup() -> None:
    hostile = "\x1b[2J<script>alert(1)</script> [x](javascript:1) $a$ :red[b]\u202e"
    assert "\x1b" not in fmt.plain(hostile)
    assert "\u202e" not in fmt.plain(hostile)
    assert "<" not in fmt.escape_html(hostile)
    marked = fmt.escape_markdown(hostile)
    assert all(marked[index - 1] == "\\" for index, character in enumerate(marked) if character in "<[$:(_")


def test_days_left_counts_down_and_then_up() -> None:
    end = datetime(2026, 11, 15, tzinfo=UTC)
    assert fmt.days_left(end, end - timedelta(days=1, hours=3)) == "1 day left"
    assert fmt.days_left(end, end) == "planned end reached"
    assert fmt.days_left(end, end + timedelta(days=2)) == "ended 2 days ago"
    assert fmt.days_left(None, end) == ""


def test_moments_are_shown_in_utc() -> None:
    local = datetime.fromisoformat("2026-11-04T01:30:00+05:00")
    assert fmt.moment(local) == "3 Nov 2026, 20:30 UTC"
