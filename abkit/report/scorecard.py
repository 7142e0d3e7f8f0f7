"""An evaluation on a terminal, from 80 columns up; in ASCII where the terminal knows no more.

Colour is rich's: none without a terminal or with NO_COLOR. No meaning is in the colour alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from abkit.evidence import Evaluation
from abkit.report.format import MISSING, plain
from abkit.report.insights import InsightTable
from abkit.report.pages import Banner, Failure, OverviewRow, ResultPage, bar_limit, result_page
from abkit.report.rows import MetricRow, SplitRow, StageView
from abkit.report.textbar import text_bar
from abkit.report.words import Outcome, Tone

__all__ = ["print_insights", "print_scorecard", "print_summary", "scorecard", "summary_table"]

_STYLES = {
    Tone.GOOD: "bold dodger_blue1",
    Tone.BAD: "bold dark_orange",
    Tone.WAIT: "bold",
    Tone.BROKEN: "bold medium_orchid",
}
_WIDEST = 120
_BAR = (9, 33)
# One character for one character, so that columns stay columns.
_ASCII = str.maketrans("—–−±·…✓✗◔≈○≠∅→←▲‖↶●━─┊≤≥∞×", "---~..vx~~o!0><^|<*=-|<>8x")


def print_scorecard(evaluation: Evaluation, console: Console) -> None:
    """Print the verdict, why, and the numbers behind it.

    Args:
        evaluation: What was concluded.
        console: Where to; its width, colours and encoding are honoured.
    """
    console.print(scorecard(evaluation, console.width))


def print_summary(rows: Sequence[OverviewRow | Failure], console: Console) -> None:
    """Print one line for each of many experiments."""
    console.print(summary_table(rows))


def print_insights(tables: Sequence[InsightTable], console: Console) -> None:
    """Print tables with the sentence on how to read each."""
    parts: list[RenderableType] = []
    for table in tables:
        parts += [_insight(table), Text(table.note, "dim"), Text()]
    console.print(_Encoded(Group(*parts)))


def scorecard(evaluation: Evaluation, width: int = 80) -> RenderableType:
    """The verdict, why, and the numbers behind it.

    Args:
        evaluation: What was concluded.
        width: Columns that there are.
    """
    width = min(width, _WIDEST)
    page = result_page(evaluation)
    parts: list[RenderableType] = [_banner(page, width)]
    if page.stage is not None:
        parts += [_stage(page.stage), Text()]
    parts += [_health(page), Text()]
    if not page.banner.trusted:
        parts += [Text("The numbers below are not to be believed until this is mended.", "bold"), Text()]
    for treatment in page.treatments:
        if rows := page.rows_of(treatment):
            parts += [_metrics(page, treatment, rows, width), *_notes(rows), Text()]
    if page.limits:
        parts += [_limits(page), Text()]
    if page.banner.trusted:
        for table in page.insights:
            if not table.over_time:
                parts += [_insight(table), Text()]
    if page.split:
        parts += [_split(page.split), Text()]
    if any(row.assumption for row in page.metrics):
        parts += [_methods(page.metrics), Text()]
    parts.append(_footer(page))
    return _Encoded(Group(*parts))


def summary_table(rows: Sequence[OverviewRow | Failure]) -> RenderableType:
    """One line for each of many experiments, in the order given; failures are rows like the others."""
    table = _table()
    table.add_column("Experiment", overflow="fold", min_width=12)
    table.add_column("Verdict", no_wrap=True)
    table.add_column("Lift", justify="right", no_wrap=True)
    table.add_column("Why", overflow="fold")
    for row in rows:
        if isinstance(row, Failure):
            failed = Text("! Failed", _STYLES[Tone.BROKEN])
            table.add_row(Text(plain(row.name)), failed, MISSING, Text(plain(row.message)))
            continue
        lift = MISSING if row.lift is None else row.lift.text
        why = Text(row.banner.headline)
        if row.stale:
            why.append(f" No new data since {row.as_of}.")
        table.add_row(Text(row.name), _outcome(row.banner.outcome), lift, why)
    return _Encoded(table)


class _Encoded:
    """Draws what it holds, in ASCII where the console can't write more."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        segments = console.render(self._inner, options)
        if not options.ascii_only:
            yield from segments
            return
        for text, style, control in segments:
            clean = text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
            yield Segment(clean, style, control)


def _outcome(outcome: Outcome, *, upper: bool = False) -> Text:
    text = str(outcome)
    return Text(text.upper() if upper else text, _STYLES[outcome.tone])


def _banner(page: ResultPage, width: int) -> Panel:
    banner: Banner = page.banner
    head = Table.grid(expand=True, padding=(0, 1))
    head.add_column(overflow="fold")
    head.add_column(justify="right", no_wrap=True, style="dim")
    what = " · ".join(part for part in (page.strategy, page.owner) if part)
    head.add_row(
        Text.assemble(_outcome(banner.outcome, upper=True), "   ", (page.name, "bold"), (f"  {what}", "dim")),
        banner.days_left,
    )
    lines: list[RenderableType] = [head, Text(banner.headline, "bold")]
    if banner.headline != banner.advice:
        lines.append(Text(banner.advice))
    for reason in banner.reasons:
        bullet = Table.grid(padding=(0, 1))
        bullet.add_row("·", Text(reason))
        lines.append(bullet)
    return Panel(Group(*lines), box=box.ROUNDED, border_style=_STYLES[banner.outcome.tone], width=width)


def _stage(stage: StageView) -> Text:
    line = Text.assemble(("Stage   ", "bold"), f"{stage.share} of the traffic, {stage.place}")
    if stage.since != MISSING:
        line.append(f", since {stage.since}")
    line.append("\n        ")
    for number, (share, state) in enumerate(stage.steps):
        line.append(" → " if number else "", "dim")
        line.append(f"[{share}]" if state == "now" else share, "bold" if state == "now" else "dim")
    return line


def _health(page: ResultPage) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in page.health:
        table.add_row(row.name, _outcome(row.outcome), Text(row.message))
    return table


def _metrics(page: ResultPage, treatment: str, rows: Sequence[MetricRow], width: int) -> Table:
    repeated = page.sequence_decides
    intervals = [(row.lift.deciding_text, row.lift.fixed_text if repeated else row.lift.sequence_text) for row in rows]
    names_of = (page.sequence_name, "fixed-horizon")
    first, second = names_of if repeated else names_of[::-1]
    versions = {share.variant: share.version for share in page.split}
    table = _table(f"{_named(treatment, versions)} against {_named(page.control, versions)}", gap=0)
    columns = [("Control", [row.baseline for row in rows]), ("Treatment", [row.value for row in rows])]
    columns.append(("Lift", [text for row in rows for text in (row.lift.text, _p(row.p))]))
    columns.append((f"{page.confidence} interval\n{first}\n{second}", [text for pair in intervals for text in pair]))
    taken = sum(_widest(header, texts) + 1 for header, texts in columns)
    wanted = min(_widest("Metric", [line for row in rows for line in _name(row).plain.split("\n")]), 30)
    # The bar is worth folding long names for, down to a point.
    names = max(min(wanted, width - taken - _BAR[0] - 1), min(wanted, 14))
    bar = min(width - taken - names - 1, _BAR[1])
    table.add_column("Metric", overflow="fold", width=names if bar >= _BAR[0] else None)
    for header, _ in columns:
        left = header.startswith(page.confidence)
        table.add_column(header, justify="left" if left else "right", no_wrap=True)
    limit = bar_limit([row.lift.deciding or row.lift.fixed for row in rows])
    if bar >= _BAR[0]:
        scale = f"±{limit * 100:.3g} %"
        table.add_column(scale.center(bar), no_wrap=True, width=bar)
    role = None
    for row, (upper, lower) in zip(rows, intervals, strict=True):
        if row.role is not role:
            role = row.role
            table.add_row(Text(row.role_word, "dim italic"))
        lift = Text.assemble(row.lift.text, "\n", (_p(row.p), "dim"))
        cells: list[RenderableType] = [
            _name(row),
            row.baseline,
            row.value,
            lift,
            Text.assemble(upper, "\n", (lower, "dim")),
        ]
        if bar >= _BAR[0]:
            drawn = text_bar(row.lift.estimate, row.lift.fixed, row.lift.sequence, limit, bar)
            cells.append(Text(drawn, _STYLES[row.outcome.tone].removeprefix("bold ").replace("bold", "")))
        table.add_row(*cells)
    return table


def _name(row: MetricRow) -> Text:
    name = Text.assemble((row.metric, "bold"), "\n", _outcome(row.outcome))
    if row.margin_text:
        name.append(f"\nmargin {row.margin_text}", "dim")
    return name


def _named(variant: str, versions: dict[str, str]) -> str:
    return f"{variant} ({versions[variant]})" if versions.get(variant) else variant


def _p(text: str) -> str:
    return "" if text == MISSING else f"p {text}" if text.startswith("<") else f"p = {text}"


def _widest(header: str, texts: Sequence[str]) -> int:
    return max(cell_len(text) for text in (*header.split("\n"), *texts))


def _notes(rows: Sequence[MetricRow]) -> list[RenderableType]:
    """Why numbers are missing or must be read with care."""
    noted = [row for row in rows if row.status]
    if not noted:
        return []
    table = Table.grid(padding=(0, 1))
    for row in noted:
        table.add_row(Text(row.outcome.symbol), Text(row.metric, "bold"), Text(row.status))
    return [table]


def _limits(page: ResultPage) -> Table:
    table = _table("Limits")
    table.add_column("Metric", overflow="fold")
    table.add_column("Variant", overflow="fold")
    for header in ("Now", "Limit"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("Asks for", no_wrap=True)
    table.add_column("Result", overflow="fold")
    for row in page.limits:
        result = _outcome(row.outcome)
        if row.status:
            result = Text.assemble(row.outcome.symbol, " ", row.status)
        table.add_row(Text(row.metric, "bold"), Text(row.variant), row.value, row.limit, row.level, result)
    return table


def _insight(insight: InsightTable) -> Table:
    table = _table(insight.title)
    # An empty column of notes would take the room of the others.
    used = [
        place for place, name in enumerate(insight.columns) if name != "Note" or any(row[place] for row in insight.rows)
    ]
    for place in used:
        name = insight.columns[place]
        table.add_column(name, justify="right" if place in insight.numeric else "left", overflow="fold")
    for row in insight.rows:
        table.add_row(*(Text(row[place], "bold" if place == 0 else "") for place in used))
    return table


def _split(rows: Sequence[SplitRow]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for number, row in enumerate(rows):
        users = f"{row.count_text} users" if row.count_text != MISSING else f"of {row.basis}"
        label = f"{row.variant} ({row.version})" if row.version else row.variant
        table.add_row("" if number else "Split", label, row.observed_text, f"intended {row.intended_text}", users)
    return table


def _methods(rows: Sequence[MetricRow]) -> Table:
    """How each metric was computed, on what, and what must hold: metrics that have that in common share a line."""
    groups: dict[tuple[str, str, str], list[MetricRow]] = {}
    for row in rows:
        if row.assumption:
            groups.setdefault((row.method, row.replication, row.assumption), []).append(row)
    shared = Counter(metric for same in groups.values() for metric in {row.metric for row in same})
    table = _table("How it was judged", gap=2)
    table.add_column("Metric", max_width=24)
    table.add_column("Method · unit of replication · what must hold", overflow="fold")
    for (method, replication, assumption), same in groups.items():
        # A metric is judged in the same way for all treatments, but where one of them has a single pod, or few events.
        names = dict.fromkeys(
            row.metric if shared[row.metric] == 1 else f"{row.metric} ({row.variant})" for row in same
        )
        table.add_row(", ".join(names), Text(f"{method} · {replication} · {assumption}", "dim"))
    return table


def _footer(page: ResultPage) -> Text:
    facts = [f"{row.name}: {row.value}" for row in page.provenance]
    return Text(" · ".join((*facts, f"Looks: {page.looks}")), "dim")


def _table(heading: str | None = None, gap: int = 1) -> Table:
    title = None if heading is None else Text(heading, "bold")
    return Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0), title=title, title_justify="left"
    )
