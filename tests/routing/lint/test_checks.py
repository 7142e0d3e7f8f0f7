"""Each check beside its nearest good neighbour: it speaks of the one and not of the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import abkit.routing.lint
from abkit.routing.lint import Finding, lint
from tests.routing.lint.cases import CASES, DEFAULT, SUBSETS, TO, match, rule, service, two
from tests.routing.lint.test_manifests import EXPECT, FILES


def _checks(text: str) -> set[str]:
    return {one.check for one in lint([("a.yaml", text)])}


@pytest.mark.parametrize(("check", "bad", "good"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_bad_and_good(check: str, bad: str, good: str) -> None:
    assert check in _checks(bad)
    assert check not in _checks(good), [str(one) for one in lint([("a.yaml", good)]) if one.check == check]
    assert not {"not-yaml", "too-large"} & _checks(good)


def test_every_check_has_an_example() -> None:
    package = Path(abkit.routing.lint.__file__).parent
    calls = re.compile(
        r'(?:report\(\w+, [^"]+?, |_finding\(file, [\w.]+, |_Refused\(\w+, |_say\([\w.]+, )"([a-z0-9-]+)"'
    )
    named = {name for file in package.glob("*.py") for name in calls.findall(file.read_text())}
    shown = {case[0] for case in CASES}
    shown |= {
        name
        for file in FILES
        for found in EXPECT.findall(file.read_text().replace("\n", "\n"))
        for name in found.split(", ")
    }
    shown |= {
        name
        for file in FILES
        for line in file.read_text().splitlines()
        if (e := EXPECT.search(line))
        for name in e[1].split(", ")
    }
    assert len(named) > 60
    assert named - shown - {"too-large", "spec-conflict", "changed-by-hand"} == set(), (
        "those three have tests of their own"
    )


def _one(text: str, check: str) -> Finding:
    (found,) = (one for one in lint([("a.yaml", text)]) if one.check == check)
    return found


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ((".*[02468]$", ".*[13579]$"), "37.5 % of the users match nothing"),
        ((".*[02468]",), "37.5 % of the users match nothing and fall to the next route (it takes 31.25 % of them)"),
        ((".*[0-4][0-9]",), "60.94 % of the users"),
        ((".*[0-9][0-9]5",), "75.59 % of the users"),
        ((".*[a-f0-9]{31}[02468]",), "37.5 % of the users"),
        (("[0-9a-f]{8}-.*-[0-9a-f]{11}[0-4]",), "37.5 % of the users"),
        (("[0-9]+[02468]",), "all but a few of the users"),
        ((".*[0-7]",), "takes 80 % of decimal ids, but 50 % of hexadecimal ids"),
    ],
)
def test_the_share_that_a_decimal_expression_loses(patterns: tuple[str, ...], words: str) -> None:
    routes = [f"{{match: [{{headers: {{x-user-id: {{regex: '{one}'}}}}}}], {TO}}}" for one in patterns]
    assert words in _one(service(", ".join([*routes, DEFAULT])), "decimal-regex").why


def test_a_half_by_even_digits_is_told_its_hexadecimal_form() -> None:
    assert (
        "50 % of lower-case hexadecimal ids: .*[0-7]"
        in _one(match("x-uid: {regex: '.*[02468]'}"), "decimal-regex").correct
    )


def test_a_random_split_says_who_keeps_a_side() -> None:
    assert "82 % keep their side" in _one(two(90, 10), "random-split").why
    assert "50 % keep their side" in _one(two(50, 50), "random-split").why


def test_findings_name_file_line_and_field_also_inside_lists() -> None:
    inner = SUBSETS.replace("\n", "\n    ").rstrip()
    text = f"# a list\napiVersion: v1\nkind: List\nitems:\n  - {inner.replace('subsets', 'subset')}\n"
    found = _one(text, "unknown-field")
    assert (found.file, found.line, found.object) == ("a.yaml", 8, "DestinationRule shop/a")
    assert found.field == "spec.subset"
    assert "did you mean 'subsets'" in found.correct


@pytest.mark.parametrize(
    "change", [lambda t: t.encode("utf-16"), lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n")]
)
def test_encodings_and_line_ends(change: object) -> None:
    assert callable(change)
    text = rule("\n  trafficPolicy: {outlierDetection: {consecutiveErrors: 5}}")
    (found,) = lint([("a.yaml", change(text))])
    assert (found.check, found.line) == ("never-read", 5)


def test_anchors_and_merge_keys_are_followed() -> None:
    text = "a: &a {outlierDetection: {consecutiveErrors: 5}}\n" + rule("trafficPolicy: {<<: *a}")
    assert _one(text, "never-read").line == 1
    kept = rule("trafficPolicy: {<<: {outlierDetection: {consecutiveErrors: 5}}, outlierDetection: {interval: 1s}}")
    assert _checks(kept) == set()


def test_what_is_no_manifest_is_left_alone() -> None:
    for text in (
        "",
        "a: b\n",
        "- 1\n",
        "replicas: 1\nimage: {tag: 1.10}\n",
        "# nothing\n",
        "on: {push: {}}\na: 1\na: 2\n",
        "kind: Kustomization\n",
        "true\n",
    ):
        assert lint([("a.yaml", text)]) == ()
