from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from abkit.evidence import Evaluation, Reason, Verdict
from abkit.resources import folder
from abkit.store import Store
from tests.dashboards.conftest import MakeStore
from tests.report import samples

APP = folder("dashboards") / "streamlit_app.py"
RESULT = "app_pages/result.py"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    st.cache_data.clear()
    yield
    st.cache_data.clear()


def app(page: str | None = None, **query: str) -> AppTest:
    """The app after one run; whatever a page raises fails the test."""
    found = AppTest.from_file(APP, default_timeout=30)
    for name, value in query.items():
        found.query_params[name] = value
    found.run()
    if page is not None:
        found.switch_page(page).run()
    assert not found.exception, found.exception
    return found


def html_of(found: AppTest) -> str:
    return "\n".join(element.proto.body for element in found.get("html"))


def markdown_of(found: AppTest) -> str:
    return "\n".join(element.value for element in (*found.markdown, *found.caption, *found.subheader, *found.title))


def charts_of(found: AppTest) -> list[str]:
    """Each chart's specification with its data."""
    return [element.proto.SerializeToString().decode("utf-8", "replace") for element in found.get("vega_lite_chart")]


def test_the_overview_puts_what_needs_attention_first(store: MakeStore) -> None:
    store(samples.experiment(Verdict.SHIP), samples.canary(Verdict.ROLLBACK), samples.invalid(), samples.no_data())
    found = app()
    assert [element.value for element in found.metric] == ["3", "1", "0"]
    assert [element.value for element in found.subheader] == ["Needs attention", "Ready to decide"]
    body = html_of(found)
    order = [body.index(word) for word in ("Roll back", "Invalid", "No data", "Ship")]
    assert order == sorted(order)
    assert "+8.1 %" in body
    links = [element.proto for element in found.get("page_link")]
    assert re.search(r"payment\\-api\\-v7", links[0].label)
    assert links[0].query_string == "experiment=payment-api-v7"


def test_the_overview_finds_by_name_owner_and_verdict(store: MakeStore) -> None:
    store(*(samples.experiment(Verdict.KEEP_RUNNING, f"trial-{number}") for number in range(6)), samples.canary())
    found = app()
    found.text_input[0].set_value("payments PAUSE").run()
    assert [link.proto.query_string for link in found.get("page_link")] == ["experiment=payment-api-v7"]
    found.text_input[0].set_value("no such thing").run()
    assert found.info[0].value == "No experiment matches."


def test_many_experiments_come_page_by_page(store: MakeStore) -> None:
    store(*(samples.experiment(Verdict.KEEP_RUNNING, f"trial-{number}") for number in range(53)))
    found = app()
    assert len(found.get("page_link")) == 50
    found.button[0].click().run()
    assert len(found.get("page_link")) == 53


def test_the_result_shows_verdict_scorecard_trend_split_and_health(store: MakeStore) -> None:
    store(samples.experiment())
    found = app(RESULT)
    body = html_of(found)
    assert re.search(r'role="status".*Ship.*conversion of treatment', body, re.DOTALL)
    for text in ("3.21 %", "3.47 %", "+8.1 %", "[+4.7 %, +11.5 %]", "&lt; 0.001", "within margin", "as intended"):
        assert text in body
    assert "no series of istio_request_duration_milliseconds_bucket" in body
    bars, trend, split = charts_of(found)
    assert "Latency P99" in bars
    assert "split changed" in trend
    assert "49.9 %" in split
    assert [element.value for element in found.code] == list(samples.provenance().queries.values())
    assert not re.search(r"\bnan\b", body, re.IGNORECASE)


def test_absolute_changes_are_a_click_away(store: MakeStore) -> None:
    store(samples.experiment())
    found = app(RESULT)
    assert "pp</b>" not in html_of(found)
    found.segmented_control[0].set_value("Absolute").run()
    assert not found.exception
    assert "<b>+0.260 pp</b>" in html_of(found)


def test_another_metric_can_be_followed_over_time(store: MakeStore) -> None:
    store(samples.experiment())
    found = app(RESULT)
    picker = next(box for box in found.selectbox if box.label == "Metric")
    assert "latency-p99" not in picker.options
    picker.set_value("page-load-time").run()
    assert not found.exception
    assert '"margin"' in charts_of(found)[1]


def test_each_treatment_has_its_own_scorecard(store: MakeStore) -> None:
    store(samples.three_arms())
    found = app(RESULT)
    assert "+8.1 %" in html_of(found)
    found.segmented_control[0].set_value("large").run()
    assert not found.exception
    assert "−6.2 %</b>" in html_of(found)
    assert "+8.1 %</b>" not in html_of(found)


def test_a_canary_shows_stage_and_limits(store: MakeStore) -> None:
    store(samples.canary())
    body = html_of(app(RESULT))
    assert '<span class="now" title="now">● 10 %</span>' in body
    assert re.search(r"1\.14 %.*1\.00 %.*pause.*beyond", body, re.DOTALL)


def test_a_sample_ratio_mismatch_stands_in_place_of_the_scorecard(store: MakeStore) -> None:
    store(samples.invalid())
    found = app(RESULT)
    assert "Scorecard" in [element.value for element in found.expander[0].subheader]
    assert found.expander[0].label.startswith("Show the numbers, though they are not to be believed")
    body = html_of(found)
    assert body.index("Invalid") < body.index("mismatch") < body.index("3.21 %")


def test_no_data_is_a_page_and_not_an_error(store: MakeStore) -> None:
    store(samples.no_data())
    found = app(RESULT)
    assert "There is no data in the window" in html_of(found)
    assert charts_of(found) == []


@pytest.mark.parametrize("page", [None, RESULT])
def test_a_permalink_opens_its_experiment(store: MakeStore, page: str | None) -> None:
    store(samples.experiment(), samples.canary())
    found = AppTest.from_file(APP, default_timeout=30)
    found.query_params["experiment"] = "buy-now-button"
    if page is not None:
        found.switch_page(page)
        found.query_params["experiment"] = "buy-now-button"
    found.run()
    assert not found.exception
    assert [element.value for element in found.title] == ["buy\\-now\\-button"]


def test_choosing_an_experiment_changes_the_address(store: MakeStore) -> None:
    store(samples.experiment(), samples.canary())
    found = app(RESULT)
    assert found.query_params["experiment"] == "payment-api-v7"
    found.selectbox[0].set_value("buy-now-button").run()
    assert found.query_params["experiment"] == "buy-now-button"
    assert [element.value for element in found.title] == ["buy\\-now\\-button"]


def test_an_unknown_experiment_is_named_with_the_nearest(store: MakeStore) -> None:
    store(samples.experiment(), samples.canary())
    found = app(experiment="buy-now-buton")
    assert "did you mean 'buy\\-now\\-button'" in found.warning[0].value
    assert not found.title


@pytest.mark.parametrize("page", [None, RESULT])
def test_no_store_yet_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str | None) -> None:
    monkeypatch.setenv("ABKIT_DB", str(tmp_path / "none.duckdb"))
    found = app(page)
    assert "No store yet" in markdown_of(found)
    assert found.code[0].value == "abkit demo"
    assert not (tmp_path / "none.duckdb").exists()


def test_an_empty_store_says_what_to_run(store: MakeStore) -> None:
    path = store(samples.experiment())
    _execute(path, "DELETE FROM results; DELETE FROM verdicts")
    found = app()
    assert "No verdicts yet" in markdown_of(found)
    assert "abkit verdict" in found.code[0].value


def test_a_broken_file_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "broken.duckdb"
    path.write_text("no database" * 500)
    monkeypatch.setenv("ABKIT_DB", str(path))
    found = app()
    assert "The store can't be read" in markdown_of(found)


def test_a_newer_store_asks_for_an_upgrade(store: MakeStore) -> None:
    path = store(samples.experiment())
    _execute(path, "UPDATE schema_version SET version = 9999")
    found = app()
    assert "The store is from a newer abkit" in markdown_of(found)


def test_a_locked_store_is_a_sentence(store: MakeStore) -> None:
    path = store(samples.experiment())
    script = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        found = app()
        holder.communicate()
    assert "The store is busy" in markdown_of(found)


def test_a_new_verdict_is_seen(store: MakeStore) -> None:
    path = store(samples.experiment(Verdict.KEEP_RUNNING))
    found = app(RESULT)
    assert "Keep running" in html_of(found)
    Store(path).append_verdict(samples.experiment(Verdict.DO_NOT_SHIP))
    found.run()
    assert "Do not ship" in html_of(found)


def test_text_of_the_experiment_file_is_shown_and_never_obeyed(store: MakeStore) -> None:
    attack = '<img src=x onerror="alert(1)"> [x](javascript:alert) $\\pi$ :red[r]'
    store(samples.experiment(owner=attack, hypothesis=attack, reasons=(Reason(code="c", message=attack),)))
    for found in (app(), app(RESULT)):
        body = html_of(found)
        assert "<img" not in body
        assert "&lt;img src=x" in body
        text = markdown_of(found)
        assert "\\<img" in text
        assert not re.search(r"(?<!\\)[<$]|(?<!\\)\]\(|(?<!\\):red", text)


def _execute(path: Path, statements: str) -> None:
    import duckdb

    with duckdb.connect(path) as connection:
        connection.execute(statements)


def test_every_verdict_has_a_page(store: MakeStore) -> None:
    evaluations: list[Evaluation] = [samples.experiment(verdict, f"x-{verdict}") for verdict in Verdict]
    store(*evaluations)
    words = html_of(app())
    assert words.count('<span class="ab-chip') == len(evaluations)
