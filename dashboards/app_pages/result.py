"""One experiment: verdict, scorecard, trend, split, health, limits, and what it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from abkit.errors import did_you_mean
from abkit.report import MetricRow, ResultPage, overview, result_page
from abkit.report.format import escape_markdown
from dashboards.charts import interval_chart, split_chart, trend_chart
from dashboards.elements import (
    banner_html,
    facts_html,
    health_html,
    insight_html,
    limits_html,
    methods_html,
    scorecard_html,
    stage_html,
)
from dashboards.reading import results


def choose(names: Sequence[str]) -> str:
    """The experiment of the address, or the first of the triage list; the address follows the choice."""
    wanted = st.query_params.get("experiment")
    if wanted is not None and wanted not in names:
        hint = did_you_mean(wanted, names)
        st.warning(escape_markdown(f"No experiment is called {wanted!r}; {hint}."), icon=":material/search_off:")
    index = names.index(wanted) if wanted in names else None if wanted else 0
    chosen = st.selectbox(
        "Experiment", names, index=index, placeholder="Choose an experiment", label_visibility="collapsed"
    )
    if chosen is None:
        st.stop()
    if chosen != wanted:
        st.query_params["experiment"] = chosen
    return chosen


@st.fragment(run_every=60)
def draw() -> None:
    """Draws the page, and looks again every minute."""
    evaluations = {found.experiment: found for found in results().evaluations}
    left, right = st.columns([7, 3], vertical_alignment="center")
    with right:
        evaluation = evaluations[choose([row.name for row in overview(evaluations.values())])]
    page = result_page(evaluation, now=datetime.now(UTC))
    left.title(escape_markdown(page.name), anchor=False)
    facts = (page.strategy, page.owner, f"as of {page.as_of}" if evaluation.as_of else "")
    st.caption(" · ".join(escape_markdown(fact) for fact in facts if fact))
    if page.hypothesis:
        st.markdown(f":material/lightbulb: *{escape_markdown(page.hypothesis)}*")
    st.html(banner_html(page.banner))
    if page.stage is not None:
        st.subheader("Stage", anchor=False)
        st.html(stage_html(page.stage))
    if page.limits:
        st.subheader("Limits", anchor=False)
        with st.container(border=True):
            st.html(limits_html(page.limits))
    if page.banner.trusted:
        numbers(page)
        checks(page)
    else:
        # What can't be believed stands back behind the reason why.
        checks(page)
        with st.expander("Show the numbers, though they are not to be believed", icon=":material/warning:"):
            numbers(page)
    background(page, evaluation.to_json())


def numbers(page: ResultPage) -> None:
    """Scorecard and trend of one treatment."""
    if not page.metrics:
        return
    treatments = [name for name in page.treatments if page.rows_of(name)]
    treatment = treatments[0]
    if len(treatments) > 1:
        treatment = st.segmented_control("Treatment", treatments, default=treatment, required=True) or treatment
    rows = page.rows_of(treatment)
    st.subheader("Scorecard", anchor=False)
    with st.container(border=True):
        if any(row.lift.estimate is not None for row in rows):
            st.altair_chart(interval_chart(rows), width="stretch", alt=_described(rows))
            st.caption(_legend(page, rows))
        views = ("Relative", "Absolute")
        view = st.segmented_control("Changes", views, default=views[0], required=True, label_visibility="collapsed")
        st.html(scorecard_html(page, rows, relative=view != "Absolute"))
    trends(page, treatment, rows)
    insights(page)


def trends(page: ResultPage, treatment: str, rows: Sequence[MetricRow]) -> None:
    """Cumulative lift over time of one metric."""
    series = {found.metric: found for found in page.trend if found.variant == treatment}
    metrics = [row.metric for row in rows if row.metric in series]
    if not metrics:
        return
    st.subheader("Lift over time", anchor=False)
    with st.container(border=True):
        titles = {row.metric: row.title for row in rows}
        metric = st.selectbox("Metric", metrics, format_func=lambda name: titles[name], width=320)
        margin = next(row.margin for row in rows if row.metric == metric)
        chart = trend_chart(series[metric], page.epochs, margin)
        last = series[metric].points[-1]
        st.altair_chart(chart, width="stretch", alt=f"Cumulative lift of {metric}, {last.lift:+.1%} at the end")
        st.caption(
            f"Line: cumulative lift. Dark band: fixed-horizon {page.confidence} interval. "
            f"Light band: {page.sequence_name} {page.confidence} interval. Dashed: the split changed. Times are UTC."
        )


def insights(page: ResultPage) -> None:
    """Power, probabilities, segments and time, a tab each."""
    if not page.insights:
        return
    st.subheader("More about it", anchor=False)
    with st.container(border=True):
        tabs = st.tabs([escape_markdown(table.title) for table in page.insights])
        for tab, table in zip(tabs, page.insights, strict=True):
            tab.html(insight_html(table))


def checks(page: ResultPage) -> None:
    """Split against intended, and health."""
    left, right = st.columns(2)
    with left:
        st.subheader("Split", anchor=False)
        with st.container(border=True):
            if any(row.observed is not None for row in page.split):
                shares = "; ".join(f"{r.variant} {r.observed_text}, intended {r.intended_text}" for r in page.split)
                st.altair_chart(split_chart(page.split), width="stretch", alt=f"Split: {shares}")
                counts = ", ".join(f"{row.variant} {row.count_text}" for row in page.split if row.count_text != "—")
                users = f" Users: {counts}." if counts else ""
                st.caption(escape_markdown(f"Bar: observed. Orange mark: intended.{users}"))
            else:
                st.info("Nothing was observed yet.", icon=":material/hourglass_empty:")
    with right:
        st.subheader("Health", anchor=False)
        with st.container(border=True):
            st.html(health_html(page.health))


def background(page: ResultPage, document: str) -> None:
    """What the result was made from, and how to take it away."""
    if page.metrics:
        with st.expander("Methods and assumptions", icon=":material/function:"):
            for treatment in page.treatments:
                if rows := page.rows_of(treatment):
                    st.html(methods_html(rows))
                    break  # methods are the same for all treatments
    if page.queries:
        with st.expander("Queries", icon=":material/code:"):
            for name, query in page.queries:
                st.caption(escape_markdown(name))
                st.code(query, language="promql", wrap_lines=True)
    with st.expander("Provenance", icon=":material/history:"):
        st.html(facts_html(page.provenance))
    st.download_button(
        "Download as JSON",
        document,
        file_name=f"{page.name}.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
    )


def _legend(page: ResultPage, rows: Sequence[MetricRow]) -> str:
    decides = "thin" if page.sequence_decides else "thick"
    size = page.confidence
    text = (
        f"Thick: fixed-horizon {size} interval, thin: {page.sequence_name} {size} interval (the {decides} one decides)."
    )
    return text + (" Orange mark: a guardrail's margin." if any(row.margin is not None for row in rows) else "")


def _described(rows: Sequence[MetricRow]) -> str:
    return "Lifts: " + "; ".join(f"{row.title} {row.lift.text}, {row.outcome.word}" for row in rows)


draw()
