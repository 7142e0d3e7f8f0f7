from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from abkit.evidence import Evaluation, Reason, Verdict
from abkit.report import Failure, overview, print_scorecard, print_summary, scorecard, summary_table
from tests.report import samples

ESCAPE = "\x1b"
EVERY = [
    samples.experiment(),
    samples.experiment(looks="fixed"),
    samples.invalid(),
    samples.no_data(),
    samples.canary(),
    samples.three_arms(),
]


def rendered(evaluation: Evaluation, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_scorecard(evaluation, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("evaluation", EVERY, ids=lambda found: f"{found.experiment}-{found.looks}")
def test_it_fits_and_no_number_is_cut(evaluation: Evaluation, width: int) -> None:
    text = rendered(evaluation, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for result in evaluation.metrics:
        assert result.metric in text


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_is_said_in_words_with_a_symbol(verdict: Verdict) -> None:
    sample = samples.canary(verdict) if verdict in {Verdict.PAUSE, Verdict.ROLLBACK} else samples.experiment(verdict)
    head = rendered(sample).splitlines()[1]
    assert re.search(rf"[^\w\s│] {str(verdict).replace('-', ' ').replace('rollback', 'roll back').upper()}", head)


def test_the_scorecard_says_the_numbers_and_why() -> None:
    text = rendered(samples.experiment(), 120)
    assert "better than the control." in text
    row = next(line for line in text.splitlines() if line.startswith("conversion "))
    assert re.search(r"3\.21 % +3\.47 % +\+8\.1 % \[\+4\.7 %, \+11\.5 %\].*━●━", row)
    assert "latency-p99 no data: no series of istio_request_duration_milliseconds_bucket in the window" in text
    assert "32 hash replicates" in text
    assert "As of: 11 Nov 2026, 00:00 UTC" in text
    assert "nan" not in text.lower()


def test_each_treatment_has_its_own_table() -> None:
    text = rendered(samples.three_arms())
    assert "green (v2-green) against control (v1)" in text
    assert "large (v2-large) against control (v1)" in text


def test_a_canary_shows_stage_and_limits() -> None:
    text = rendered(samples.canary())
    assert "5 % → [10 %] → 25 %" in text
    assert re.search(r"error-rate +treatment +1\.14 % +1\.00 % +pause +✗ beyond", text)


def test_an_invalid_result_warns_before_its_numbers() -> None:
    text = rendered(samples.invalid())
    assert text.index("not to be believed") < text.index("conversion")


def test_no_colour_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ESCAPE not in rendered(samples.experiment())
    monkeypatch.setenv("NO_COLOR", "1")
    silent = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor")
    print_scorecard(samples.experiment(), silent)
    assert isinstance(silent.file, io.StringIO)
    # NO_COLOR takes the colours; bold and dim are no colours.
    assert not re.search(r"\x1b\[[0-9;]*(3[0-8]|9[0-7])[;m]", silent.file.getvalue())


def test_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="256", no_color=False)
    print_scorecard(samples.experiment(), console)
    assert isinstance(console.file, io.StringIO)
    assert re.search(r"\x1b\[1;38;5;\d+m✓ SHIP", console.file.getvalue())


@pytest.mark.parametrize(
    "what", [scorecard(samples.canary(), 80), summary_table(overview([samples.experiment(), samples.no_data()]))]
)
def test_an_ascii_terminal_gets_ascii(what: RenderableType) -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii", errors="strict"), width=80)
    console.print(what)
    console.file.flush()
    text = raw.getvalue().decode("ascii")
    assert "?" not in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_text_of_the_file_is_no_markup_and_no_escape_code() -> None:
    hostile = samples.experiment(owner="[red]x[/red]", reasons=(Reason(code="c", message="[/bold] \x1b[2J boom"),))
    text = rendered(hostile)
    assert "[red]x[/red]" in text
    assert "[/bold] [2J boom" in text
    assert ESCAPE not in text


def test_a_long_name_is_folded_not_cut() -> None:
    name = "purchases-of-returning-customers-per-page-view-on-mobile-devices"[:63]
    renamed = [
        row.model_copy(update={"metric": name}) if row.metric == "conversion" else row for row in samples.metrics()
    ]
    text = rendered(samples.experiment(results=renamed))
    column = "".join(line[:30].split(" ")[0] for line in text.splitlines() if line and not line.startswith("│"))
    assert name in column
    assert max(cell_len(line) for line in text.splitlines()) <= 80


def test_the_summary_has_a_line_for_successes_and_failures() -> None:
    console = Console(file=io.StringIO(), width=100)
    rows = overview([samples.experiment(), samples.invalid(), samples.no_data()])
    print_summary(
        [*rows, Failure("checkout.yaml", "http://prometheus:9090: no answer: check the address [x]")], console
    )
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert re.search(r"buy-now-button +✓ Ship +\+8\.1 %", text)
    assert re.search(r"free-shipping-bar +! Invalid +—", text)
    assert re.search(r"checkout\.yaml +! Failed +— +http://prometheus:9090", text)
    assert "[x]" in text
    assert max(cell_len(line) for line in text.splitlines()) <= 100


def test_it_says_of_every_metric_how_it_was_judged_and_what_must_hold() -> None:
    evaluation = samples.experiment()
    told = " ".join(rendered(evaluation, 120).partition("How it was judged")[2].split())
    judged = [result for result in evaluation.metrics if result.assumption]
    assert judged
    assert all(result.metric in told for result in judged)
    assert "Users of one hash bucket" in told


def test_metrics_that_are_judged_in_the_same_way_share_a_line() -> None:
    evaluation = samples.experiment()
    alike = {"method": "counted", "replication": "32 hash replicates", "assumption": "They are independent."}
    metrics = [result.model_copy(update=alike) for result in evaluation.metrics]
    text = rendered(evaluation.model_copy(update={"metrics": tuple(metrics)}))
    assert text.count("They are independent.") == 1
    apart = metrics[0].model_copy(update={"variant": "other", "method": "borrowed"})
    text = rendered(evaluation.model_copy(update={"metrics": (*metrics, apart)}))
    assert f"{metrics[0].metric} (other)" in " ".join(text.split())
