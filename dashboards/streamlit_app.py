"""The dashboard: which experiment needs attention, and what one experiment found.

`abkit dashboard` starts it; `ABKIT_DB` names the store.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).resolve().parent
# The pages import from the package `dashboards`, whose parent is not on the path when Streamlit runs this file.
if str(_HERE.parent) not in sys.path:
    sys.path.append(str(_HERE.parent))

st.set_page_config(page_title="abkit", page_icon=str(_HERE / "icon.svg"), layout="wide")
st.html(_HERE / "style.css")

overview = st.Page("app_pages/overview.py", title="Overview", icon=":material/checklist:", default=True)
result = st.Page("app_pages/result.py", title="Result", icon=":material/insights:", url_path="result")
page = st.navigation([overview, result], position="top")

wanted = st.query_params.get("experiment")
if wanted and page == overview:
    # A permalink without a page's name means the experiment's result.
    st.switch_page(result, query_params={"experiment": wanted})
page.run()
