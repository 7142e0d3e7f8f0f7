"""Pieces of HTML: verdict, tables, small bars. Every text is escaped here, once."""

from __future__ import annotations

from collections.abc import Sequence

from abkit.report import (
    Banner,
    HealthRow,
    InsightTable,
    LimitRow,
    MetricRow,
    Outcome,
    OverviewRow,
    ProvenanceRow,
    ResultPage,
    StageView,
)
from abkit.report.format import escape_html as esc

__all__ = [
    "banner_html",
    "chip",
    "facts_html",
    "health_html",
    "insight_html",
    "lift_html",
    "limits_html",
    "methods_html",
    "reason_html",
    "scorecard_html",
    "stage_html",
]


def chip(outcome: Outcome) -> str:
    """A conclusion: symbol, word and tone."""
    symbol = f'<i aria-hidden="true">{esc(outcome.symbol)}</i>'
    return f'<span class="ab-chip {outcome.tone}">{symbol}{esc(outcome.word)}</span>'


def banner_html(banner: Banner) -> str:
    """The verdict with its reasons."""
    left = f"<small>{esc(banner.days_left)}</small>" if banner.days_left else ""
    advice = "" if banner.advice == banner.headline else f'<p class="ab-advice">{esc(banner.advice)}</p>'
    reasons = "".join(f"<li>{esc(reason)}</li>" for reason in banner.reasons)
    return (
        f'<section class="ab ab-banner {banner.outcome.tone}" role="status" aria-label="Verdict">'
        f"<header>{chip(banner.outcome)}{left}</header>"
        f'<p class="ab-headline">{esc(banner.headline)}</p>{advice}{f"<ul>{reasons}</ul>" if reasons else ""}</section>'
    )


def scorecard_html(page: ResultPage, rows: Sequence[MetricRow], *, relative: bool) -> str:
    """The scorecard's numbers, by role."""
    names = (page.sequence_name, "fixed-horizon")
    first, second = names if page.sequence_decides else names[::-1]
    change = "Lift" if relative else "Difference"
    versions = {row.variant: row.version for row in page.split}
    head = "".join(
        f"<th{kind}>{text}</th>"
        for text, kind in (
            ("Metric", ""),
            (f"{esc(page.control)}<br>{esc(versions[page.control])}", ' class="num"'),
            (f"{esc(rows[0].variant)}<br>{esc(versions[rows[0].variant])}", ' class="num"'),
            (change, ' class="num"'),
            (f"{esc(page.confidence)} interval<br>{first}, {second}", ""),
            ("p", ' class="num"'),
            ("Result", ""),
        )
    )
    body, role = [], None
    for row in rows:
        if row.role is not role:
            role = row.role
            body.append(f'<tr class="ab-role"><td colspan="7">{esc(row.role_word)}</td></tr>')
        body.append(_scorecard_row(row, page.sequence_decides, relative))
    return f'<div class="ab ab-scroll"><table class="ab-table"><tr>{head}</tr>{"".join(body)}</table></div>'


def _scorecard_row(row: MetricRow, repeated: bool, relative: bool) -> str:
    change = row.lift if relative else row.effect
    other = change.fixed_text if repeated else change.sequence_text
    about = " ".join(part for part in (row.meaning, f"({row.direction})") if part)
    note = _why(row)
    if not note and row.margin_text:
        harm = f"harm at most {row.harm_text}, " if row.harm_text else ""
        note = f"<small>{esc(harm)}margin {esc(row.margin_text)}</small>"
    return (
        f"<tr><td><b>{esc(row.title)}</b><small>{esc(about)}</small></td>"
        f'<td class="num">{esc(row.baseline)}</td><td class="num">{esc(row.value)}</td>'
        f'<td class="num"><b>{esc(change.text)}</b></td>'
        f'<td style="white-space:nowrap">{esc(change.deciding_text)}<small>{esc(other)}</small></td>'
        f'<td class="num">{esc(row.p)}</td><td>{chip(row.outcome)}{note}</td></tr>'
    )


def health_html(rows: Sequence[HealthRow]) -> str:
    """Whether the numbers may be believed."""
    body = "".join(
        f"<tr><td>{f'<b>{esc(row.name)}</b>' if row.name else ''}</td><td>{chip(row.outcome)}"
        f"<small>{esc(row.message)}</small></td></tr>"
        for row in rows
    )
    return f'<div class="ab"><table class="ab-table ab-health">{body}</table></div>'


def limits_html(rows: Sequence[LimitRow]) -> str:
    """Absolute limits against the values now."""
    body = "".join(
        f"<tr><td><b>{esc(row.title)}</b><small>{esc(row.variant)}</small></td>"
        f'<td class="num"><b>{esc(row.value)}</b></td><td class="num">{esc(row.limit)}</td><td>{esc(row.level)}</td>'
        f'<td class="num">{esc(row.p)}</td><td>{chip(row.outcome)}'
        f"{_why(row)}</td></tr>"
        for row in rows
    )
    head = (
        '<tr><th>Metric</th><th class="num">Now</th><th class="num">Limit</th><th>Beyond it</th>'
        '<th class="num">p</th><th>Result</th></tr>'
    )
    return f'<div class="ab ab-scroll"><table class="ab-table">{head}{body}</table></div>'


def stage_html(stage: StageView) -> str:
    """A canary's stages, the one it stands on marked."""
    words = {"done": "passed", "now": "now", "ahead": "to come"}
    steps = "".join(
        f'<span class="{state}" title="{words[state]}">{"● " if state == "now" else ""}{esc(share)}</span>'
        for share, state in stage.steps
    )
    return (
        f'<div class="ab"><p><b>{esc(stage.share)}</b> of the traffic, {esc(stage.place)}, since {esc(stage.since)}</p>'
        f'<div class="ab-steps">{steps}</div></div>'
    )


def methods_html(rows: Sequence[MetricRow]) -> str:
    """How each metric was computed and what must hold for it."""
    body = "".join(
        f"<tr><td><b>{esc(row.title)}</b></td><td>{esc(row.method)}</td><td>{esc(row.replication)}</td>"
        f"<td>{esc(row.assumption)}</td></tr>"
        for row in rows
    )
    head = "<tr><th>Metric</th><th>Method</th><th>Unit of replication</th><th>What must hold</th></tr>"
    return f'<div class="ab ab-scroll"><table class="ab-table">{head}{body}</table></div>'


def insight_html(insight: InsightTable) -> str:
    """A table beside the scorecard, with how to read it."""
    used = [
        place for place, name in enumerate(insight.columns) if name != "Note" or any(row[place] for row in insight.rows)
    ]

    def cells(tag: str, row: Sequence[str]) -> str:
        kinds = {place: ' class="num"' if place in insight.numeric else "" for place in used}
        return "".join(f"<{tag}{kinds[place]}>{esc(row[place])}</{tag}>" for place in used)

    head = f"<tr>{cells('th', insight.columns)}</tr>"
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in insight.rows)
    return (
        f'<div class="ab ab-scroll"><table class="ab-table">{head}{body}</table>'
        f'<small class="ab-note">{esc(insight.note)}</small></div>'
    )


def facts_html(rows: Sequence[ProvenanceRow]) -> str:
    """What the result was made from."""
    body = "".join(f"<dt>{esc(row.name)}</dt><dd>{esc(row.value)}</dd>" for row in rows)
    return f'<div class="ab"><dl class="ab-facts">{body}</dl></div>'


def reason_html(row: OverviewRow) -> str:
    """Verdict and reason of one experiment in the triage list."""
    stale = f" <b>The newest data came {esc(row.age)}.</b>" if row.stale else ""
    return f'<div class="ab ab-row">{chip(row.banner.outcome)}<p>{esc(row.banner.headline)}{stale}</p></div>'


def lift_html(row: OverviewRow) -> str:
    """Lift of the primary metric with a small bar on a scale of its own."""
    if row.lift is None or row.lift.estimate is None:
        return '<div class="ab ab-lift"><b>—</b><span class="ab-sub">no lift to show</span></div>'
    known = [bound for ends in (row.lift.fixed, row.lift.sequence) if ends for bound in ends if bound is not None]
    low, high = min(0.0, row.lift.estimate, *known), max(0.0, row.lift.estimate, *known)
    margin = (high - low or 1.0) * 0.06
    low, high = low - margin, high + margin

    def place(number: float) -> float:
        return 100 * (number - low) / (high - low)

    bars = ""
    for name, bounds in (("thin", row.lift.sequence), ("thick", row.lift.fixed)):
        if bounds is not None:
            left = 0.0 if bounds[0] is None else place(bounds[0])
            right = 100.0 if bounds[1] is None else place(bounds[1])
            bars += f'<span class="{name}" style="left:{left:.2f}%;width:{right - left:.2f}%"></span>'
    zero = f'<span class="zero" style="left:{place(0.0):.2f}%"></span>'
    dot = f'<span class="dot" style="left:{place(row.lift.estimate):.2f}%"></span>'
    return (
        f'<div class="ab {row.banner.outcome.tone} ab-lift"><b>{esc(row.lift.text)}</b>'
        f'<span class="ab-sub">{esc(row.metric)} {esc(row.lift.deciding_text)}</span>'
        f'<div class="ab-mini" aria-hidden="true">{zero}{bars}{dot}</div></div>'
    )


def _why(row: MetricRow | LimitRow) -> str:
    """Why a number is missing; the outcome beside it has said the class already."""
    reason = row.status.removeprefix(f"{row.outcome.word}: ")
    return f'<small class="ab-note">{esc(reason)}</small>' if reason else ""
