"""Charts of a result. Blue and orange, and always a symbol and a word: no meaning is in the colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import altair as alt

from abkit.report import MetricRow, SplitRow, Tone, TrendSeries, bar_limit

__all__ = ["interval_chart", "split_chart", "trend_chart"]

_TONES = {Tone.GOOD: "#2a7fc9", Tone.BAD: "#c8641a", Tone.WAIT: "#7c8896", Tone.BROKEN: "#9a55b8"}
_SHAPES = {Tone.GOOD: "circle", Tone.BAD: "triangle-down", Tone.WAIT: "diamond", Tone.BROKEN: "cross"}
Chart = alt.LayerChart | alt.FacetChart
"""What Streamlit draws."""

_ROW, _AXIS = 52, 60
_NEUTRAL = "#8b95a3"
_PERCENT = "datum.value === 0 ? '0 %' : format(datum.value * 100, '+,.3~r') + ' %'"
_BLUE, _ORANGE = _TONES[Tone.GOOD], _TONES[Tone.BAD]


def interval_chart(rows: Sequence[MetricRow]) -> Chart:
    """Lifts with both intervals, a metric a row, in the order given.

    Args:
        rows: One treatment's scorecard; rows without a lift keep their place and say why.
    """
    limit = _reach(rows)
    records = [_bar_record(row, limit) for row in rows]
    order = [str(record["label"]) for record in records]
    y = alt.Y(
        "label:N",
        sort=order,
        title=None,
        axis=alt.Axis(
            labelExpr="split(datum.label, '\\n')",
            labelLimit=230,
            labelFontSize=13,
            labelLineHeight=16,
            ticks=False,
            domain=False,
            labelPadding=10,
            labelOffset=-8,
        ),
    )
    scale = alt.Scale(domain=[-limit, limit], clamp=True, nice=False)
    axis = alt.Axis(labelExpr=_PERCENT, tickCount=7, title="Lift against the control")
    x = alt.X("estimate:Q", scale=scale, axis=axis)
    colour = alt.Color("colour:N", scale=None, legend=None)
    tooltip = [
        alt.Tooltip(f"{field}:N", title=title)
        for field, title in (
            ("title", "Metric"),
            ("baseline", "Control"),
            ("value", "Treatment"),
            ("lift", "Lift"),
            ("fixed", "Fixed-horizon"),
            ("sequence", "Always-valid"),
            ("p", "p"),
            ("outcome", "Result"),
        )
    ]
    base = _chart(records).encode(y=y, tooltip=tooltip)
    zero = _chart([{"zero": 0.0}]).mark_rule(color=_NEUTRAL, strokeWidth=1.5).encode(x="zero:Q")
    has = "isValid(datum.{0})".format
    sequence = base.mark_rule(strokeWidth=2).encode(x=alt.X("seq_low:Q", scale=scale), x2="seq_high:Q", color=colour)
    fixed = base.mark_rule(strokeWidth=9, strokeCap="butt", opacity=0.5).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q", color=colour
    )
    margin = base.mark_tick(color=_ORANGE, thickness=3, size=24).encode(x=alt.X("margin:Q", scale=scale))
    points = base.mark_point(filled=True, size=120, opacity=1).encode(
        x=x, color=colour, shape=alt.Shape("shape:N", scale=None, legend=None)
    )
    text = base.mark_text(dy=-15, fontWeight=600, fontSize=12).encode(x=x, text="text:N", color=colour)
    missing = base.mark_text(color=_NEUTRAL, fontSize=12, fontStyle="italic").encode(x=alt.datum(0.0), text="outcome:N")
    return alt.layer(
        zero,
        sequence.transform_filter(has("seq_low")),
        fixed.transform_filter(has("low")),
        margin.transform_filter(has("margin")),
        points.transform_filter(has("estimate")),
        text.transform_filter(has("estimate")),
        missing.transform_filter("!" + has("estimate")),
    ).properties(height=_ROW * len(rows) + _AXIS, width="container")


def trend_chart(series: TrendSeries, epochs: Sequence[datetime], margin: float | None = None) -> Chart:
    """Cumulative lift with both bands over time.

    Args:
        series: One metric of one treatment.
        epochs: Moments at which the split changed, marked by dashed rules.
        margin: A guardrail's margin, drawn as a line.
    """
    records: list[dict[str, object]] = [
        {
            "at": _utc(point.at),
            "lift": point.lift,
            "low": point.fixed[0] if point.fixed else None,
            "high": point.fixed[1] if point.fixed else None,
            "seq_low": point.sequence[0] if point.sequence else None,
            "seq_high": point.sequence[1] if point.sequence else None,
        }
        for point in series.points
    ]
    scale = alt.Scale(domain=_trend_domain(series, margin), nice=False)
    x = alt.X("at:T", scale=alt.Scale(type="utc"), title=None, axis=alt.Axis(format="%d %b", tickCount=8, grid=False))
    percent = "+.1%"

    def y(field: str) -> alt.Y:
        axis = alt.Axis(labelExpr=_PERCENT, title="Cumulative lift", tickCount=6)
        return alt.Y(f"{field}:Q", scale=scale, axis=axis)

    tooltip = [
        alt.Tooltip("at:T", title="Until", format="%d %b %Y %H:%M"),
        *(
            alt.Tooltip(f"{field}:Q", title=title, format=percent)
            for field, title in (
                ("lift", "Lift"),
                ("low", "Fixed-horizon, low"),
                ("high", "Fixed-horizon, high"),
                ("seq_low", "Always-valid, low"),
                ("seq_high", "Always-valid, high"),
            )
        ),
    ]
    base = _chart(records)
    layers: list[alt.Chart] = [
        base.transform_filter("isValid(datum.seq_low) && isValid(datum.seq_high)")
        .mark_area(color=_BLUE, opacity=0.14, clip=True, line={"color": _BLUE, "opacity": 0.35, "strokeWidth": 1})
        .encode(x=x, y=y("seq_low"), y2="seq_high"),
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_area(color=_BLUE, opacity=0.24, clip=True)
        .encode(x=x, y=y("low"), y2="high"),
        _chart([{"zero": 0.0}]).mark_rule(color=_NEUTRAL, strokeWidth=1.5).encode(y="zero:Q"),
        base.mark_line(color=_BLUE, strokeWidth=2.5, clip=True).encode(x=x, y=y("lift")),
        base.mark_point(color=_BLUE, filled=True, size=34, clip=True, opacity=1).encode(
            x=x, y=y("lift"), tooltip=tooltip
        ),
    ]
    if margin is not None:
        line = _chart([{"margin": margin, "text": "margin"}]).encode(y=y("margin"))
        layers += [
            line.mark_rule(color=_ORANGE, strokeWidth=2),
            line.mark_text(color=_ORANGE, align="right", dx=-4, dy=-8, fontWeight=600).encode(
                x=alt.value("width"), text="text:N"
            ),
        ]
    if epochs:
        changes = _chart([{"at": _utc(epoch), "text": "split changed"} for epoch in epochs]).encode(x=x)
        layers += [
            changes.mark_rule(color=_NEUTRAL, strokeDash=[5, 4], strokeWidth=1.5),
            changes.mark_text(color=_NEUTRAL, align="left", dx=5, dy=8, fontSize=11).encode(
                y=alt.value(0), text="text:N"
            ),
        ]
    return alt.layer(*layers).properties(height=320, width="container")


def split_chart(rows: Sequence[SplitRow]) -> Chart:
    """Observed shares as bars, intended shares as marks across them."""
    records: list[dict[str, object]] = [
        {
            "label": "\n".join(part for part in (row.variant, row.version) if part),
            "intended": row.intended,
            "observed": row.observed,
            "edge": max(row.observed or 0.0, row.intended),
            "intended_text": row.intended_text,
            "observed_text": row.observed_text,
            "count": row.count_text,
        }
        for row in rows
    ]
    top = max([share for row in rows for share in (row.intended, row.observed) if share is not None], default=1.0)
    scale = alt.Scale(domain=[0, min(top * 1.25, 1.25)], nice=False)
    y = alt.Y(
        "label:N",
        sort=[str(record["label"]) for record in records],
        title=None,
        axis=alt.Axis(
            labelExpr="split(datum.label, '\\n')",
            labelLimit=160,
            labelFontSize=13,
            ticks=False,
            domain=False,
            labelPadding=8,
            labelOffset=-8,
        ),
    )
    axis = alt.Axis(
        labelExpr="format(datum.value * 100, ',.3~r') + ' %'", tickCount=5, title=f"Share of the {rows[0].basis}"
    )
    base = _chart(records).encode(
        y=y,
        tooltip=[
            alt.Tooltip("label:N", title="Variant"),
            alt.Tooltip("observed_text:N", title="Observed"),
            alt.Tooltip("intended_text:N", title="Intended"),
            alt.Tooltip("count:N", title="Users"),
        ],
    )
    seen = base.transform_filter("isValid(datum.observed)")
    return alt.layer(
        seen.mark_bar(color=_BLUE, opacity=0.75, height=20, cornerRadiusEnd=3).encode(
            x=alt.X("observed:Q", scale=scale, axis=axis)
        ),
        base.mark_tick(color=_ORANGE, thickness=3, size=32).encode(x=alt.X("intended:Q", scale=scale, axis=axis)),
        seen.mark_text(align="left", dx=9, fontWeight=600, color=_NEUTRAL).encode(
            x=alt.X("edge:Q", scale=scale, axis=axis), text="observed_text:N"
        ),
    ).properties(height=_ROW * len(rows) + _AXIS, width="container")


def _chart(records: Sequence[dict[str, object]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=list(records)))


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _bar_record(row: MetricRow, limit: float) -> dict[str, object]:
    low, high = _clipped(row.lift.fixed, limit)
    seq_low, seq_high = _clipped(row.lift.sequence, limit)
    estimate = row.lift.estimate
    inside = estimate is None or abs(estimate) <= limit
    return {
        "label": f"{row.title}\n{row.role_word.lower()} · {row.outcome}",
        "title": row.title,
        "estimate": estimate if estimate is None else min(max(estimate, -limit), limit),
        "low": low,
        "high": high,
        "seq_low": seq_low,
        "seq_high": seq_high,
        "margin": row.margin if estimate is not None and row.margin is not None and abs(row.margin) <= limit else None,
        "colour": _TONES[row.outcome.tone],
        "shape": _SHAPES[row.outcome.tone],
        "lift": row.lift.text,
        "text": row.lift.text if inside else _pointed(row.lift.text),
        "baseline": row.baseline,
        "value": row.value,
        "fixed": row.lift.fixed_text,
        "sequence": row.lift.sequence_text,
        "p": row.p,
        "outcome": str(row.outcome),
    }


def _pointed(text: str) -> str:
    """A lift beyond the scale, with the way to where it lies."""
    return f"← {text}" if text.startswith("−") else f"{text} →"


def _clipped(bounds: tuple[float | None, float | None] | None, limit: float) -> tuple[float | None, float | None]:
    """An interval within the scale: open sides and what lies beyond reach to its edge."""
    if bounds is None or bounds == (None, None):
        return None, None
    low = -limit if bounds[0] is None else bounds[0]
    high = limit if bounds[1] is None else bounds[1]
    return min(max(low, -limit), limit), min(max(high, -limit), limit)


def _reach(rows: Sequence[MetricRow]) -> float:
    """Scale of the bars: the intervals, and the margins unless they are far out."""
    limit = bar_limit([row.lift.sequence or row.lift.fixed for row in rows])
    margins = [abs(row.margin) for row in rows if row.margin is not None and abs(row.margin) <= 3 * limit]
    return max([limit, *margins]) * 1.08


def _trend_domain(series: TrendSeries, margin: float | None) -> list[float]:
    """Scale of the trend, zero on it: the wide bands of the first looks don't flatten the rest."""
    settled = series.points[len(series.points) // 4 :]
    bounds = [bound for point in settled for ends in (point.fixed, point.sequence) if ends for bound in ends]
    shown = [0.0, *(bound for bound in bounds if bound is not None), *(point.lift for point in settled)]
    low, high = min(shown), max(shown)
    if margin is not None and abs(margin) <= 3 * max(high, -low):
        low, high = min(low, margin), max(high, margin)
    pad = 0.08 * (high - low or 1.0)
    return [low - pad, high + pad]
