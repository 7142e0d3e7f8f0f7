"""The Streamlit dashboard: it draws what `abkit.report` hands it."""
