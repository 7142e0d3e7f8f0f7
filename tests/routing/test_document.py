from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from abkit.routing.base import Manifest
from abkit.routing.document import content_hash, join, stamp, to_yaml

text = st.one_of(
    st.text(st.characters(codec="utf-8")),
    st.sampled_from(
        ["on", "Off", "y", "NO", "null", "~", "1e3", "0o7", "0x1", "1_000", "2026-11-01", "=", "<<", "", "12:30:45"]
    ),
)
keys = text.filter(lambda key: len(key) < 60)
documents = st.dictionaries(
    keys,
    st.recursive(
        st.one_of(text, st.integers(), st.booleans()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(deadline=None)
@given(documents)
def test_reads_back_as_it_was_written(document: dict[str, Any]) -> None:
    written = to_yaml(document)
    assert yaml.safe_load(written) == document
    assert written.isascii()
    # Without any resolver every string that stands bare would still be one: none depends on a parser's idea of types.
    assert list(yaml.safe_load(written)) == list(document)


def test_programs_stand_as_blocks_where_yaml_keeps_them() -> None:
    assert to_yaml({"a": "x\n  y\n"}) == "a: |\n  x\n    y\n"
    for text in ("x\ny", " x\ny\n", "x \ny\n", "x\n\n", "\nx\n", "x\ty\n", "é\n", "\n", "x\n\ny\n"):
        assert yaml.safe_load(to_yaml({"a": [text], "b": {"c": text}})) == {"a": [text], "b": {"c": text}}


def test_what_is_no_document() -> None:
    for value in (float("nan"), float("inf"), None, 1e-7, object(), {"k" * 2_000: 1}):
        with pytest.raises(TypeError, match=r"can't be written as YAML|too long for YAML"):
            to_yaml({"a": value})


def _strings(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [one for value in document.values() for one in _strings(value)]
    if isinstance(document, list):
        return [one for value in document for one in _strings(value)]
    return [document] if isinstance(document, str) else []


@settings(deadline=None)
@given(documents)
def test_every_string_value_is_quoted_and_every_bare_key_is_a_plain_word(document: dict[str, Any]) -> None:
    quoted: list[str] = []
    for event in yaml.parse(to_yaml(document)):
        if isinstance(event, yaml.ScalarEvent):
            if event.style in {'"', "|"}:
                quoted.append(event.value)
            else:
                # Bare: an integer, a boolean that we wrote as one, or a key that no YAML reads as anything but text.
                word = event.value
                assert event.style is None
                assert word.lstrip("-").isdigit() or word in {"true", "false"} or word[0].isalpha()
                assert word.lower() not in {"y", "n", "yes", "no", "on", "off", "null", "~"}
    for value in _strings(document):
        assert value in quoted


def test_looks() -> None:
    document = {"kind": "Service", "on": {"a": []}, "list": ["x", {"b": True}], "empty": {}, "port": 80}
    assert to_yaml(document, ["first", "second"]) == (
        '# first\n# second\nkind: "Service"\n"on":\n  a: []\nlist:\n  - "x"\n  - b: true\nempty: {}\nport: 80\n'
    )


def test_long_values_stay_on_their_line() -> None:
    assert to_yaml({"a": "word " * 100}).count("\n") == 1


@pytest.mark.parametrize("comment", ["a\nkind: Secret", "a\rb", "ü", "a\x00"])
def test_comments_cannot_end_their_line(comment: str) -> None:
    with pytest.raises(ValueError, match="one line of ASCII"):
        to_yaml({}, [comment])


def test_hash_knows_content_but_neither_order_nor_itself() -> None:
    one = {"kind": "A", "metadata": {"name": "x", "labels": {"team": "t"}}, "spec": {"a": 1, "b": "2"}}
    other = {"spec": {"b": "2", "a": 1}, "metadata": {"labels": {"team": "t"}, "name": "x"}, "kind": "A"}
    assert content_hash(one) == content_hash(other) == content_hash(stamp(one))
    assert stamp(one)["metadata"]["labels"] == {"team": "t", "abkit.dev/content-hash": content_hash(one)}
    assert one["metadata"] == {"name": "x", "labels": {"team": "t"}}
    for changed in ({**one, "kind": "B"}, {**one, "spec": {"a": 1, "b": 2}}, {**one, "metadata": {"name": "x"}}):
        assert content_hash(changed) != content_hash(one)


def test_join_is_a_stream() -> None:
    stream = join([Manifest("a", to_yaml({"a": "1"}, ["c"])), Manifest("b", to_yaml({"b": "2"}, ["d"]))])
    assert list(yaml.safe_load_all(stream)) == [{"a": "1"}, {"b": "2"}]
