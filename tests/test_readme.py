"""What the README shows is true: its code runs, its experiment file is valid, its commands exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from abkit import spec
from abkit.cli import app
from abkit.queries import resolve
from tests.benchmarks.calibration.command import SITUATIONS
from tests.routing.capabilities import table

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_its_pictures_are_there() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (Path(__file__).resolve().parent.parent / picture).read_bytes().startswith(b"\x89PNG")


def test_the_experiment_file_is_valid() -> None:
    (text,) = blocks("yaml")
    experiment = spec.loads(text)
    assert [metric.name for metric in resolve(experiment)][:2] == ["conversion", "error-rate"]


def test_the_service_counts_what_a_user_does() -> None:
    from prometheus_client import REGISTRY

    (code,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    answer = names["application"](
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.url_scheme": "https"}, lambda *_: lambda _data: None
    )
    assert b"".join(answer) == b"hello"
    families = {"ab_page_views_total": 1.0, "ab_exposed_users_total": 1.0}
    for family, wanted in families.items():
        samples = [s for metric in REGISTRY.collect() for s in metric.samples if s.name == family]
        mine = [s.value for s in samples if s.labels["ab_experiment"] == "my-service"]
        assert sum(mine) == wanted, family


@pytest.mark.parametrize("command", sorted(get_command(app).commands))  # type: ignore[attr-defined]
def test_every_command_is_in_the_table_and_has_examples(command: str) -> None:
    assert re.search(rf"^\| `abkit {command}\b", README, flags=re.MULTILINE), "say it in the README's table"
    help_text = get_command(app).commands[command].help or ""  # type: ignore[attr-defined]
    assert help_text
    assert command == "demo" or "Examples:" in help_text


def test_the_calibration_lists_every_method_of_every_situation_and_none_that_breaks_its_promise() -> None:
    told = re.findall(r"^\| (.+?) \| (.+?) \| .+? \| (valid|never) \| [\d,]+ \| .+ \| (.+?) \|$", README, re.MULTILINE)
    made = {
        (situation.name, method.name, "valid" if method.valid else "never")
        for situation in SITUATIONS.values()
        for method in situation.methods
    }
    assert {row[:3] for row in told} == made, "print the table again: make calibrate"
    assert {row[3] for row in told if row[2] == "valid"} == {"ok", "refused"}


def test_the_table_of_meshes_is_what_they_can() -> None:
    assert "\n".join(table()) in README, "print the table again: python -m tests.routing.capabilities"


def test_the_keys_of_an_analysis_are_keys() -> None:
    rows = re.search(r"^## How it may be judged\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    assert rows is not None
    told = "\n".join(re.findall(r"^\| (`.+?) \|", rows.group(1), re.MULTILINE))
    lines = re.findall(r"`([^`]+)`", told)
    assert len(lines) == 9
    for line in lines:
        text = f"service: shop\nvariants: {{control: v1, treatment: v2}}\nmetrics: [conversion]\nanalysis:\n  {line}\n"
        spec.loads(f"{text}  start: 2026-11-01\n")
