"""`abkit export` and `abkit rollback`: what they print, write and end with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abkit.resources import folder
from tests.cli.runner import abkit

EXAMPLE = folder("data") / "experiments" / "buy-now-button.yaml"
CANARY = folder("data") / "experiments" / "checkout-canary.yaml"
ROUTES = "my-service.shop.virtualservice.yaml"


def test_there_and_back(tmp_path: Path) -> None:
    first = abkit("export", EXAMPLE, "--to", "ours", cwd=tmp_path)
    assert (first.code, first.err) == (0, "")
    assert f"+ {ROUTES}" in first.out
    assert "my-service.shop: version 1 at ours" in first.out
    before = (tmp_path / "ours" / ROUTES).read_bytes()
    assert "ours: nothing to do" in abkit("export", EXAMPLE, "--to", "ours", cwd=tmp_path).out
    again = abkit("export", EXAMPLE, "--to", "ours", "--weights", "v2=25", "--json", cwd=tmp_path)
    (bundle,) = json.loads(again.out)["bundles"]
    assert bundle["splits"] == {"buy-now-button": {"control": 7_500, "treatment": 2_500}}
    assert (bundle["version"], bundle["mesh"], bundle["bundle"]) == (2, "istio", "my-service.shop")
    assert [one["name"] for one in bundle["changes"] if one["status"] == "differs"] == [ROUTES]
    assert abkit("rollback", EXAMPLE, "--to", "ours", cwd=tmp_path).code == 0
    assert (tmp_path / "ours" / ROUTES).read_bytes() == before
    versions = json.loads(abkit("rollback", EXAMPLE, "--to", "ours", "--list", "--json", cwd=tmp_path).out)["versions"]
    assert [(one["number"], one["action"], one["content"]) for one in versions] == [
        (1, "export", 1),
        (2, "export", 2),
        (3, "rollback", 1),
    ]
    listed = abkit("rollback", EXAMPLE, "--to", "ours", "--list", cwd=tmp_path).out.splitlines()
    assert "Route buy-now-button at control 75 %, treatment 25 %" in listed[1]


def test_nothing_is_written_to_look(tmp_path: Path) -> None:
    for option in ("--dry-run", "--diff", "--check"):
        ran = abkit("export", EXAMPLE, "--to", "ours", option, cwd=tmp_path)
        assert ran.code == (5 if option == "--check" else 0)
        assert ROUTES in ran.out
        assert "\x1b[" not in ran.out
        assert list(tmp_path.iterdir()) == []
    abkit("export", EXAMPLE, "--to", "ours", cwd=tmp_path)
    shown = abkit("export", EXAMPLE, "--to", "ours", "--weights", "v2=25", "--diff", cwd=tmp_path).out
    assert '\n-    abkit.dev/split: "control=5000,treatment=5000"' in shown
    assert '\n+    abkit.dev/split: "control=7500,treatment=2500"' in shown
    document = json.loads(
        abkit("export", EXAMPLE, "--to", "ours", "--weights", "v2=25", "--diff", "--json", cwd=tmp_path).out
    )
    assert document["dry_run"] is True
    assert "control=7500" in document["bundles"][0]["diff"]


def test_check_ends_with_5_for_drift(tmp_path: Path) -> None:
    abkit("export", EXAMPLE, "--to", "ours", cwd=tmp_path)
    assert abkit("export", EXAMPLE, "--to", "ours", "--check", cwd=tmp_path).code == 0
    path = tmp_path / "ours" / ROUTES
    path.write_text(path.read_text().replace('"v2"', '"v1"'))
    ran = abkit("export", EXAMPLE, "--to", "ours", "--check", "--json", cwd=tmp_path)
    document = json.loads(ran.out)
    assert (ran.code, document["in_sync"], document["unfinished"]) == (5, False, False)
    states = {one["name"]: one["status"] for one in document["bundles"][0]["changes"]}
    assert states.pop(ROUTES) == "edited"
    assert set(states.values()) == {"in-sync"}
    for command in (("export", "--weights", "v2=25"), ("rollback",)):
        ran = abkit(command[0], EXAMPLE, "--to", "ours", *command[1:], cwd=tmp_path)
        assert (ran.code, ran.out) == (5, "")
        assert f"ours: {ROUTES}: was changed since abkit wrote it: restore it, or move it away" in ran.err


def test_a_step_of_a_canary_to_envoys_files(tmp_path: Path) -> None:
    ran = abkit("export", CANARY, "--to", "envoy:live", "--step", "2", cwd=tmp_path)
    assert ran.code == 0, ran.err
    start = tmp_path / "live" / "checkout.shop.envoy-bootstrap.yaml"
    assert f"{tmp_path}/live/checkout.shop.envoy-1-cds.yaml" in start.read_text(), "Envoy reads them where they are"
    assert abkit("export", CANARY, "--to", "envoy:live", "--step", "2", "--check", cwd=tmp_path).code == 0
    assert abkit("rollback", CANARY, "--to", "envoy:live", cwd=tmp_path).code == 0
    assert [path.name for path in (tmp_path / "live").iterdir()] == [".abkit"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--to", "envoy:x", "--mesh", "istio"), 2, "takes Envoy's files"),
        (("--to", "git:"), 2, "should be DIR"),
        (("--to", ""), 2, "should be DIR"),
        (("--to", "git:."), 2, "lies in no git work tree"),
        (("--to", "x", "--mesh", "isto"), 2, "did you mean 'istio'"),
        (("--to", "x", "--step", "2"), 2, "has strategy 'ab'"),
        (("--to", "/proc/x"), 3, "/proc/x"),
        (("--to", "/dev/null"), 3, "/dev/null"),
    ],
)
def test_what_is_wrong_is_named(arguments: tuple[str, ...], code: int, words: str, tmp_path: Path) -> None:
    ran = abkit("export", EXAMPLE, *arguments, cwd=tmp_path)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err


def test_a_damaged_history_is_named(tmp_path: Path) -> None:
    abkit("export", EXAMPLE, "--to", "ours", cwd=tmp_path)
    version = tmp_path / "ours" / ".abkit" / "istio" / "my-service.shop" / "000001"
    version.write_text("{}")
    ran = abkit("rollback", EXAMPLE, "--to", "ours", cwd=tmp_path)
    assert ran.code == 3
    assert f"{version.relative_to(tmp_path)}: can't be read as abkit's history" in ran.err
