from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.assignment import bucket, replicate
from abkit.errors import InputError
from abkit.instrument import Edge, Mark

LAYERS = {"checkout": "buy-now-button-1", "banner": "banner-7"}


def test_a_newcomer_gets_an_id_and_its_buckets() -> None:
    edge = Edge(LAYERS)
    context = edge.receive([("Host", "shop")])
    assert context.minted
    assert context.unit is not None
    assert re.fullmatch("[0-9a-f]{32}", context.unit)
    assert context.buckets == {layer: bucket(salt, context.unit) for layer, salt in LAYERS.items()}
    assert context.replicate == replicate(context.unit)
    assert context.headers == {
        "x-user-id": context.unit,
        "x-ab-replicate": str(context.replicate),
        "x-ab-bucket-checkout": str(context.buckets["checkout"]),
        "x-ab-bucket-banner": str(context.buckets["banner"]),
    }
    assert edge.set_cookies(context, https=False) == [
        f"ab_uid={context.unit}; Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax"
    ]
    assert edge.receive([]).unit != context.unit


def test_the_cookie_keeps_its_id() -> None:
    edge = Edge(LAYERS)
    context = edge.receive([("Cookie", "lang=de; ab_uid=user-42")])
    assert (context.unit, context.minted) == ("user-42", False)
    assert context.buckets["checkout"] == 8_640
    assert edge.set_cookies(context, https=True) == []


@pytest.mark.parametrize("value", ["", "x" * 129, "a b", "ä", "<b>", "a,b", "a\r\nx: 1"])
def test_a_cookie_that_is_no_id_is_replaced(value: str) -> None:
    context = Edge(LAYERS).receive([("cookie", f"ab_uid={value}")])
    assert context.minted
    assert context.unit != value


def test_of_two_cookies_the_first_valid_counts() -> None:
    context = Edge(LAYERS).receive([("cookie", "ab_uid=not valid; ab_uid=one"), ("cookie", "ab_uid=two")])
    assert context.unit == "one"


def test_a_clients_word_is_not_taken() -> None:
    edge = Edge(LAYERS)
    spoofed = [
        ("X-User-Id", "somebody"),
        ("x-ab-bucket-checkout", "9999"),
        ("X-Ab-Replicate", "3"),
        ("x-ab-variant-checkout", "treatment"),
        ("x-ab-assignment-checkout", "hash"),
    ]
    context = edge.receive([*spoofed, ("cookie", "ab_uid=user-42")])
    assert context.unit == "user-42"
    assert context.buckets["checkout"] == 8_640
    assert context.marks == {}
    assert all(edge.drops(name, context) for name, _ in spoofed)
    for name in ("x_ab_bucket_checkout", "X_AB-Replicate", "x-ab-", "X_USER_ID", "x-ab-anything"):
        assert edge.drops(name, context)
    for name in ("x-abc", "x-user", "cookie", "x-user-id-2", "ab-x"):
        assert not edge.drops(name, context)


def test_a_trusted_header_counts_before_the_cookie() -> None:
    edge = Edge(LAYERS, trust_header=True)
    context = edge.receive([("X-User-Id", " anna@example.org "), ("cookie", "ab_uid=user-42")])
    assert (context.unit, context.minted) == ("anna@example.org", False)
    assert edge.receive([("cookie", "ab_uid=user-42")]).unit == "user-42"
    assert edge.receive([]).minted
    # Trusted is the unit alone.
    assert edge.receive([("x-user-id", "user-42"), ("x-ab-bucket-checkout", "1")]).buckets["checkout"] == 8_640


@pytest.mark.parametrize("values", [["a", "b"], ["a,b"], [""], ["ü"], ["x" * 129], ["a b"]])
def test_a_trusted_header_that_is_no_id_is_as_good_as_none(values: list[str]) -> None:
    headers = [("x-user-id", value) for value in values]
    assert Edge(LAYERS, trust_header=True).receive([*headers, ("cookie", "ab_uid=me")]).unit == "me"


def test_behind_the_mesh_everything_stays_as_it_came() -> None:
    edge = Edge({}, behind_mesh=True)
    context = edge.receive(
        [
            ("x-user-id", "user-42"),
            ("x-ab-replicate", "7"),
            ("x-ab-bucket-checkout", "123"),
            ("x-ab-variant-checkout", "treatment"),
            ("x-ab-assignment-checkout", "rule"),
            ("cookie", "ab_uid=other"),
        ]
    )
    assert (context.unit, context.minted, context.replicate) == ("user-42", False, 7)
    assert context.buckets == {"checkout": 123}
    assert context.marks == {"checkout": Mark("treatment", "rule")}
    assert context.headers == {
        "x-user-id": "user-42",
        "x-ab-replicate": "7",
        "x-ab-bucket-checkout": "123",
        "x-ab-variant-checkout": "treatment",
        "x-ab-assignment-checkout": "rule",
    }


def test_behind_the_mesh_nothing_is_made_up() -> None:
    edge = Edge(LAYERS, behind_mesh=True)
    context = edge.receive([("cookie", "ab_uid=other")])
    assert (context.unit, context.replicate, context.buckets, context.marks) == (None, None, {}, {})
    assert context.headers == {}
    assert edge.set_cookies(context, https=False) == []
    # The replicate is the unit's own, whoever computes it.
    assert edge.receive([("x-user-id", "user-42")]).replicate == replicate("user-42")
    # An id that is none for us may be one for the application.
    odd = edge.receive([("x-user-id", "Müller, A.")])
    assert odd.unit is None
    assert not edge.drops("x-user-id", odd)


@pytest.mark.parametrize(
    "value", ["", "00012", "10000", "99999", "-1", "1.0", "abc", " 1", "1,1", "٣", "1e3", "1" * 400]
)
def test_behind_the_mesh_malformed_buckets_are_missing(value: str) -> None:
    context = Edge({}, behind_mesh=True).receive([("x-ab-bucket-checkout", value)])
    assert context.buckets == {}
    assert context.headers == {}


@pytest.mark.parametrize(
    "headers",
    [
        [("x-ab-variant-checkout", "treatment")],
        [("x-ab-variant-checkout", "treatment"), ("x-ab-assignment-checkout", "won")],
        [("x-ab-variant-checkout", "Treat\nment"), ("x-ab-assignment-checkout", "hash")],
        [("x-ab-variant-", "treatment"), ("x-ab-assignment-", "hash")],
        [("x-ab-assignment-checkout", "hash")],
        [("x-ab-variant-checkout", "a"), ("x-ab-variant-checkout", "b"), ("x-ab-assignment-checkout", "hash")],
    ],
)
def test_behind_the_mesh_malformed_marks_are_missing(headers: list[tuple[str, str]]) -> None:
    assert Edge({}, behind_mesh=True).receive(headers).marks == {}


def test_number_of_replicates() -> None:
    assert Edge(LAYERS, replicates=64).receive([("cookie", "ab_uid=user-42")]).replicate == replicate("user-42", 64)
    behind = Edge({}, behind_mesh=True, replicates=64)
    assert behind.receive([("x-ab-replicate", "63")]).replicate == 63
    assert behind.receive([("x-ab-replicate", "64")]).replicate is None


@pytest.mark.parametrize(
    ("options", "https", "ending"),
    [
        ({}, False, "SameSite=Lax"),
        ({}, True, "SameSite=Lax; Secure"),
        ({"secure": True}, False, "SameSite=Lax; Secure"),
        ({"secure": False}, True, "SameSite=Lax"),
        (
            {"same_site": "None", "secure": True, "domain": "example.org"},
            True,
            "SameSite=None; Secure; Domain=example.org",
        ),
    ],
)
def test_cookie_attributes(options: dict[str, Any], https: bool, ending: str) -> None:
    edge = Edge(LAYERS, **options)
    [cookie] = edge.set_cookies(edge.receive([]), https=https)
    assert cookie.endswith("HttpOnly; " + ending)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": {"Check Out": "s"}}, "layers should be lower-case letters"),
        ({"layers": {"checkout": "a:b\n"}}, "layers['checkout'] should be letters"),
        ({"header": "x user"}, "header should be a header's name"),
        ({"header": "x_user_id"}, "header should be a header's name without '_'"),
        ({"header": "x-ab-me"}, "header should be a name without the prefix x-ab-"),
        ({"cookie": "a=b"}, "cookie should be"),
        ({"seen_cookie": "ab_uid"}, "seen_cookie should be another name"),
        ({"replicates": 4}, "replicates should be a number from 8 to 256 (got 4)"),
        ({"same_site": "lax"}, "same_site should be Lax, Strict or None (got 'lax')"),
        ({"same_site": "None"}, "secure=True"),
        ({"domain": "a; Secure"}, "domain should be a host's name"),
        ({"max_age": 0}, "max_age should be"),
    ],
)
def test_wrong_settings(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as raised:
        Edge(**({"layers": LAYERS} | options))
    assert words in str(raised.value)


def test_is_frozen_and_keeps_its_own_layers() -> None:
    given_layers = dict(LAYERS)
    edge = Edge(given_layers)
    given_layers["more"] = "x"
    assert set(edge.layers) == set(LAYERS)
    with pytest.raises(FrozenInstanceError):
        edge.header = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        edge.layers["more"] = "x"  # type: ignore[index]


names = st.sampled_from(
    [
        "cookie",
        "Cookie",
        "x-user-id",
        "x-ab-replicate",
        "x-ab-bucket-checkout",
        "x-ab-variant-a",
        "x-ab-assignment-a",
        "X",
    ]
)


@given(st.lists(st.tuples(names, st.text(st.characters(max_codepoint=255))), max_size=8), st.booleans(), st.booleans())
def test_whatever_comes_what_goes_on_is_clean(
    headers: list[tuple[str, str]], trust_header: bool, behind_mesh: bool
) -> None:
    edge = Edge(LAYERS, trust_header=trust_header, behind_mesh=behind_mesh)
    context = edge.receive(headers)
    for text in [*context.headers.keys(), *context.headers.values(), *edge.set_cookies(context, https=True)]:
        assert text.isascii()
        assert text.isprintable()
    if not behind_mesh:
        assert context.unit
        assert set(context.buckets) == set(LAYERS)
