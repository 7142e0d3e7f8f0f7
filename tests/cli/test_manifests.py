"""`abkit validate --manifests`: what it reads, prints and ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abkit.resources import folder
from tests.cli.runner import abkit

EXAMPLE = folder("data") / "experiments" / "buy-now-button.yaml"
RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: my-service, namespace: shop}
spec:
  host: reviews
  trafficPolicy:
    outlierDetection: {%s: 5}
"""
SERVICE = """\
apiVersion: networking.istio.io/v1%s
kind: VirtualService
metadata: {name: by-hand, namespace: shop}
spec:
  hosts: [my-service]
  http:
    - route: [{destination: {host: my-service}}]
"""


def test_errors_have_place_reason_and_correct_form_and_end_with_2(tmp_path: Path) -> None:
    (tmp_path / "deploy" / "reviews").mkdir(parents=True)
    (tmp_path / "deploy" / "reviews" / "rule.yml").write_text(RULE % "consecutiveErrors")
    (tmp_path / "deploy" / "good.yaml").write_text(SERVICE % "")
    (tmp_path / "deploy" / "notes.txt").write_text("not: [read")
    (tmp_path / "deploy" / ".git").mkdir()
    (tmp_path / "deploy" / ".git" / "x.yaml").write_text("not: [read")
    ran = abkit("validate", "--manifests", "deploy", cwd=tmp_path, COLUMNS="80")
    assert ran.code == 2
    lines = ran.out.splitlines()
    assert lines[0].startswith("deploy/reviews/rule.yml:7: error: DestinationRule shop/my-service: spec.trafficPolicy.")
    assert "never read" in ran.out
    assert "correct: consecutive5xxErrors: 5" in ran.out
    assert lines[-1] == "✗ 2 files of manifests: 1 error"
    assert all(len(line) <= 80 for line in lines if not line.startswith("deploy/"))
    assert not any(line.endswith(" ") for line in lines)


def test_warnings_and_notes_alone_end_with_0(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(SERVICE % "beta1")
    ran = abkit("validate", "--manifests", ".", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert "old.yaml:1: note: VirtualService shop/by-hand: apiVersion" in ran.out
    assert "✓ 1 file of manifests: 1 note" in ran.out
    (tmp_path / "old.yaml").write_text(SERVICE % "")
    assert abkit("validate", "--manifests", ".", cwd=tmp_path).out == "✓ 1 file of manifests: nothing found\n"


def test_json_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "rule.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": []}))
    (tmp_path / "rule.yaml").write_text(RULE % "consecutiveErrors")
    ran = abkit("validate", "--manifests", ".", "--json", cwd=tmp_path)
    document = json.loads(ran.out)
    assert (ran.code, ran.err, document["valid"]) == (2, "", False)
    (found,) = document["manifests"]["findings"]
    assert document["manifests"]["files"] == 2
    assert {key: found[key] for key in ("file", "line", "check", "severity", "object")} == {
        "file": "rule.yaml",
        "line": 7,
        "check": "never-read",
        "severity": "error",
        "object": "DestinationRule shop/my-service",
    }


def test_experiments_and_manifests_together_have_one_owner_a_host(tmp_path: Path) -> None:
    (tmp_path / "hand.yaml").write_text(SERVICE % "")
    ran = abkit("validate", EXAMPLE, "--manifests", "hand.yaml", cwd=tmp_path)
    assert ran.code == 2
    assert "hand.yaml:5: error" in ran.out
    assert "the experiment buy-now-button" in " ".join(ran.out.split())
    assert abkit("validate", "--manifests", "hand.yaml", cwd=tmp_path).code == 0
    assert abkit("routes", EXAMPLE, "-o", "ours", cwd=tmp_path).code == 0
    assert abkit("validate", EXAMPLE, "--manifests", "ours", cwd=tmp_path).code == 0
    both = abkit("validate", EXAMPLE, "--manifests", "ours", "--manifests", "hand.yaml", cwd=tmp_path)
    assert "IST0109" in both.out


@pytest.mark.parametrize(("place", "words"), [("none", "no such folder"), (".", "holds no manifests")])
def test_a_place_without_manifests(place: str, words: str, tmp_path: Path) -> None:
    ran = abkit("validate", "--manifests", place, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err


def test_nothing_in_a_manifest_reaches_the_terminal_as_control_characters(tmp_path: Path) -> None:
    text = RULE % "consecutiveErrors"
    (tmp_path / "bad.yaml").write_text(text.replace("name: my-service", 'name: "a\\e[31m[bold]b"'))
    ran = abkit("validate", "--manifests", ".", cwd=tmp_path)
    assert "\x1b" not in ran.out
    assert "\\x1b[31m[bold]b" in ran.out
