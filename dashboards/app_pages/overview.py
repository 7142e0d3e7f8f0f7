"""The triage list: what needs attention stands first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

import streamlit as st

from abkit.report import OverviewRow, overview
from abkit.report.format import escape_markdown
from dashboards.elements import lift_html, reason_html
from dashboards.reading import results

_SEARCH_FROM = 6
_PAGE = 50


@st.fragment(run_every=60)
def triage() -> None:
    """Draws the list, and looks again every minute."""
    rows = overview(results().evaluations, now=datetime.now(UTC))
    attention = sum(row.needs_attention for row in rows)
    ready = sum(row.group == "Ready to decide" for row in rows)
    with st.container(horizontal=True):
        for label, number in (
            ("Needs attention", attention),
            ("Ready to decide", ready),
            ("Running", len(rows) - attention - ready),
        ):
            st.metric(label, number, border=True)
    if len(rows) >= _SEARCH_FROM:
        words = st.text_input("Find", placeholder="Name, owner or verdict", icon=":material/search:").casefold().split()
        rows = tuple(row for row in rows if all(word in _searchable(row) for word in words))
        if not rows:
            st.info("No experiment matches.", icon=":material/search_off:")
    shown = rows[: st.session_state.get("shown", _PAGE)]
    for group, members in groupby(shown, key=lambda row: row.group):
        st.subheader(group)
        _cards(tuple(members))
    if len(shown) < len(rows):
        st.button(f"Show more ({len(rows) - len(shown)} left)", on_click=_show, args=(len(shown) + _PAGE,))


def _cards(rows: Sequence[OverviewRow]) -> None:
    for row in rows:
        with st.container(border=True):
            name, reason, lift = st.columns([3, 6, 3], vertical_alignment="center")
            with name:
                st.page_link(
                    "app_pages/result.py",
                    label=f"**{escape_markdown(row.name)}**",
                    query_params={"experiment": row.name},
                )
                facts = (row.strategy, row.owner, row.days_left, f"data {row.age}" if row.as_of != "—" else "")
                st.caption(" · ".join(escape_markdown(fact) for fact in facts if fact))
            reason.html(reason_html(row))
            lift.html(lift_html(row))


def _show(number: int) -> None:
    st.session_state["shown"] = number


def _searchable(row: OverviewRow) -> str:
    return " ".join((row.name, row.owner, row.strategy, row.banner.outcome.word)).casefold()


st.title("Experiments")
triage()
