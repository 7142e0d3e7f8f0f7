"""Whatever lies in a folder, the lint ends: with findings, never with an exception, and soon."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit.routing.lint import lint

FILES = sorted((Path(__file__).parent / "manifests").glob("*.yaml"))
TEXTS = [file.read_text() for file in FILES]
WHOLE = [file.read_text() for file in FILES if file.stem != "broken"]
WORDS = sorted({word for text in TEXTS for word in text.replace("{", " ").replace(":", " ").split() if word.isalnum()})

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    st.text(max_size=12),
    st.sampled_from(WORDS),
    st.sampled_from(["1s", "-1", ".*[02468]$", "(", "a.b", "*", "request.headers['x-id']", "\x00", "9" * 400]),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_any_bytes(content: bytes | str) -> None:
    lint([("any.yaml", content)])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_manifests_with_anything_anywhere(data: st.DataObject) -> None:
    documents = [one for one in yaml.safe_load_all(data.draw(st.sampled_from(WHOLE))) if one]
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = documents
        while isinstance(place, (dict, list)) and place:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(list(keys)))
            if not isinstance(place[key], (dict, list)) or data.draw(st.integers(0, 4)) == 0:
                place[key] = data.draw(values)
                break
            place = place[key]
    lint([("bent.yaml", yaml.safe_dump_all(documents, allow_unicode=True))])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(TEXTS), st.integers(0, 2000), st.integers(0, 40), st.text(max_size=6))
def test_manifests_with_characters_lost_and_added(text: str, start: int, length: int, added: str) -> None:
    lint([("cut.yaml", text[:start] + added + text[start + length :])])


BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: 1}}\n" for n in range(1, 60))


@pytest.mark.parametrize(
    ("text", "check"),
    [
        (BOMB, "too-large"),
        (MERGES, "too-large"),
        ("[" * 200_000, "not-yaml"),
        ("{a: " * 100_000, "not-yaml"),
        ("- " * 200_000, "not-yaml"),
        ("a: &a [*a]\n", "not-yaml"),
        ("a: *b\n", "not-yaml"),
        ("[\n---\n" * 50_000, "not-yaml"),
        ("x" * 10_000_001, "too-large"),
        ("- a\n" * 350_000, "too-large"),
        ("a: 1\n---\n" * 120_000, "too-large"),
    ],
    ids=[
        "aliases",
        "merges",
        "brackets",
        "braces",
        "dashes",
        "itself",
        "nothing",
        "documents",
        "bytes",
        "items",
        "many",
    ],
)
def test_what_is_made_to_exhaust(text: str, check: str) -> None:
    before = time.monotonic()
    found = lint([("bomb.yaml", text)])
    assert {one.check for one in found} == {check}
    assert len(found) <= 20
    assert time.monotonic() - before < 30, "a runaway takes hours"


def test_expressions_that_are_many_and_long_take_no_time_to_speak_of() -> None:
    rows = "".join(
        f"    - match: [{{headers: {{x-id-{n}: {{regex: '.*[0-4]{{1,{n % 9 + 1}}}'}}}}}}]\n" for n in range(2_000)
    )
    head = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n"
    )
    before = time.monotonic()
    lint(
        [("many.yaml", head + rows), ("long.yaml", head + f"    - match: [{{uri: {{regex: '{'(a*)*' * 5_000}'}}}}]\n")]
    )
    assert time.monotonic() - before < 60
