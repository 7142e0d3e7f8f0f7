"""A real Envoy with real traffic: users and where they go."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from abkit.assignment import bucket, replicate
from abkit.routing import assign, assign_many
from tests.routing.envoy.lab import Lab, lab
from tests.routing.envoy.upstreams import Answer, Ask, ask_all, upstreams

pytestmark = pytest.mark.envoy

IDS = [f"user-{number}" for number in range(10_000)]
RULES: list[dict[str, Any]] = [
    {"when": {"header": {"x-user-type": "vip"}}, "to": "treatment"},
    {"when": {"cookie": {"beta": {"prefix": "y"}}}, "to": "treatment"},
    {"when": {"device": "mobile", "path": {"prefix": "/app"}}, "to": "treatment"},
    {"when": {"query": {"geo": {"regex": "d[ek]"}}, "method": ["POST", "PUT"]}, "to": "treatment"},
    {"when": {"header": {"x-year": {"range": {"from": 2020, "to": 2023}}}}, "to": "treatment"},
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Envoy with a service for each thing that is tried."""
    with upstreams("v1", "v2", "v3") as versions, lab(tmp_path_factory.mktemp("traffic"), versions) as made:
        three = {"control": ("v1", 5_000), "b": ("v2", 3_000), "c": ("v3", 2_000)}
        made.spec("native", variants={n: {"version": v, "weight": w} for n, (v, w) in three.items()})
        made.spec(
            "buckets",
            variants={"control": {"version": "v1", "weight": 7_000}, "treatment": {"version": "v2", "weight": 3_000}},
            assignment={"unit": {"cookie": "uid"}, "layer": "search", "holdout": {"share": 500}, "replicates": 64},
        )
        made.spec("ramp", strategy="canary")
        made.spec("switch", strategy="blue-green", assignment={"unit": {"cookie": "uid"}})
        nobody = {"control": {"version": "v1", "weight": 10_000}, "treatment": {"version": "v2", "weight": 0}}
        made.spec("rules", variants=nobody, assignment={"rules": RULES, "layer": "rules"})
        made.spec(
            "wishes",
            variants=nobody,
            assignment={"forced": {"header": "x-want", "cookie": "want", "query": "want"}, "without-unit": "treatment"},
        )
        made.spec(
            "lots",
            variants={"control": {"version": "v1", "weight": 7_000}, "treatment": {"version": "v2", "weight": 3_000}},
            assignment={"without-unit": "random"},
        )
        made.spec("inside", mesh={"edge": "service", "envoy": {"native-hash": False}})
        made.write()
        made.start()
        yield made


def _split(answers: list[Answer]) -> Counter[str]:
    assert {one.status for one in answers} == {200}
    return Counter(one.version for one in answers)


@pytest.mark.parametrize(("service", "number"), [("native", 10_000), ("buckets", 4_000)])
def test_thousands_of_users_go_where_assign_says_and_again_after_a_restart(
    shop: Lab, service: str, number: int
) -> None:
    spec, ids = shop.specs[service], IDS[:number]
    cookie = spec.assignment.unit.cookie

    def send() -> list[Answer]:
        named = ({"cookie": f"a=1; {cookie}={unit}"} if cookie else {"x-user-id": unit} for unit in ids)
        return shop.ask_all(Ask(headers, host=service) for headers in named)

    answers = send()
    wanted = assign_many(spec, ids)
    for answer, one in zip(answers, wanted, strict=True):
        sent = answer.sent
        assert answer.version == one.version
        assert sent[f"x-ab-variant-{spec.layer}"] == one.variant
        assert sent[f"x-ab-assignment-{spec.layer}"] == one.assignment
        assert sent[f"x-ab-experiment-{spec.layer}"] == spec.name
        assert (sent[f"x-ab-bucket-{spec.layer}"], sent["x-ab-replicate"]) == (str(one.bucket), str(one.replicate))
    compared = Counter(one.variant for one in wanted if one.assignment == "hash")
    counts = _split([answer for answer, one in zip(answers, wanted, strict=True) if one.assignment == "hash"])
    total = sum(compared.values())
    for variant, weight in spec.split.items():
        share = weight / 10_000
        error = math.sqrt(share * (1 - share) / total)
        assert abs(counts[spec.variants[variant].version] / total - share) < 4 * error
    shop.stop()
    shop.start()
    assert [one.version for one in send()] == [one.version for one in answers]


def test_a_ramp_under_load_moves_no_user_back_and_fails_no_request(shop: Lab) -> None:
    ids = IDS[:400]
    rounds: list[list[Answer]] = []
    ended = threading.Event()
    failures: list[Exception] = []

    def load() -> None:
        try:
            while not ended.is_set():
                rounds.append(ask_all(shop.port, [Ask({"x-user-id": unit}, host="ramp") for unit in ids]))
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for percent in (5, 10, 25, 50, 100):
            shop.apply(ramp={"v2": percent})
            before = len(rounds)
            deadline = time.monotonic() + 60
            while len(rounds) < before + 2:  # one round that began after the change has ended
                assert time.monotonic() < deadline
                time.sleep(0.01)
            there = {unit for unit, one in zip(ids, rounds[-1], strict=True) if one.version == "v2"}
            split = assign_many(shop.specs["ramp"], ids, shop.splits["ramp"])
            assert there == {one.unit for one in split if one.version == "v2"}
    finally:
        ended.set()
        thread.join(60)
    assert not failures
    assert len(rounds) >= 10
    for answers in zip(*rounds, strict=True):
        assert {one.status for one in answers} == {200}
        seen = [one.version for one in answers]
        assert seen == sorted(seen), "a user went back"
    assert set(seen) == {"v1", "v2"}


def test_blue_green_switches_all_and_back(shop: Lab) -> None:
    def versions() -> set[str]:
        return set(_split(shop.ask_all(Ask({"cookie": f"uid={unit}"}, host="switch") for unit in IDS[:100])))

    assert versions() == {"v2"}
    shop.apply(switch={"v2": 0})
    assert versions() == {"v1"}


def test_two_experiments_are_independent(shop: Lab) -> None:
    ids = IDS[:3_000]
    native = [one.version for one in shop.users("native", ids)]
    other = [one.version for one in shop.ask_all(Ask({"cookie": f"uid={unit}"}, host="buckets") for unit in ids)]
    table = Counter(zip(native, other, strict=True))
    counts = np.array([[table[one, two] for two in ("v1", "v2")] for one in ("v1", "v2", "v3")])
    assert counts.min() > 100
    assert chi2_contingency(counts).pvalue > 0.001
    # The test would see what an unsalted hash does.
    alike = Counter(zip(native, native, strict=True))
    counts = np.array([[alike[one, two] + 1 for two in ("v1", "v2", "v3")] for one in ("v1", "v2", "v3")])
    assert chi2_contingency(counts).pvalue < 1e-100


def test_ids_of_every_length_have_pythons_buckets(shop: Lab) -> None:
    draw = random.Random(7)
    letters = "abcXYZ019-_.~é߀漢😀"
    units = []
    for length in range(1, 91):
        for _ in range(3):
            text = "".join(draw.choice(letters) for _ in range(length)).encode()[:length].decode(errors="ignore")
            units.append(text.ljust(1, "x") + "x" * (length - len(text.encode())))
    assert {len(unit.encode()) for unit in units} >= set(range(1, 91))
    for unit, answer in zip(units, shop.users("native", units), strict=True):
        sent = answer.sent
        assert sent["x-ab-bucket-native"] == str(bucket("native", unit)), unit
        assert sent["x-ab-replicate"] == str(replicate(unit)), unit
        assert answer.version == assign(shop.specs["native"], unit).version, unit


def test_ids_that_are_no_utf8_have_one_bucket_everywhere(shop: Lab) -> None:
    draw = random.Random(8)
    units = [bytes(draw.randrange(0x80, 0x100) for _ in range(draw.randrange(1, 40))) for _ in range(200)]
    versions: Counter[str] = Counter()
    for answer in shop.ask_all(Ask({"x-user-id": unit}, host="native") for unit in units):
        place = int(answer.sent["x-ab-bucket-native"])
        assert answer.version == ("v1" if place < 5_000 else "v2" if place < 8_000 else "v3")
        versions[answer.version] += 1
    assert min(versions.values()) > 20


SPOOFED = {
    "x-ab-replicate": "99",
    "x-ab-bucket-native": "1",
    "x-ab-bucket-search": "1",
    "x-ab-bucket-holdout": "1",
    "x-ab-variant-native": "c",
    "x-ab-experiment-native": "other",
    "x-ab-assignment-native": "hash",
}


def test_what_clients_send_under_our_names_counts_for_nothing(shop: Lab) -> None:
    for unit in ("user-1", "user-2", "user-3", "user-4"):
        wanted = assign(shop.specs["native"], unit)
        answer = shop.ask("native", x_user_id=unit, **SPOOFED)
        assert answer.version == wanted.version
        assert answer.sent["x-ab-bucket-native"] == str(wanted.bucket)
        assert answer.sent["x-ab-replicate"] == str(wanted.replicate)
        assert answer.sent["x-ab-variant-native"] == wanted.variant
        # The next service would believe it.
        assert not {"x-ab-bucket-search", "x-ab-bucket-holdout"} & set(answer.sent)
    without = shop.ask("native", **SPOOFED)
    assert (without.version, without.sent["x-ab-assignment-native"]) == ("v1", "none")
    assert not {"x-ab-bucket-native", "x-ab-replicate"} & set(without.sent)
    assert shop.ask("buckets", x_ab_bucket_search="9999", x_ab_bucket_holdout="9999").version == "v1"


def test_neither_does_what_is_written_with_underscores(shop: Lab) -> None:
    sent = {"x_ab_variant_native": "c", "x-ab_bucket-native": "1", "X_AB_REPLICATE": "9", "x_about": "kept", "a_b": "2"}
    [answer] = shop.ask_all([Ask({"x-user-id": "user-1", **sent}, host="native")])
    left = {name for name in answer.sent if "_" in name}
    assert left == {"x_about", "a_b"}


def test_an_empty_id_is_none(shop: Lab) -> None:
    answers = shop.users("native", [""] * 50)
    assert set(_split(answers)) == {"v1"}
    assert {one.sent["x-ab-assignment-native"] for one in answers} == {"none"}


@pytest.mark.parametrize(
    ("version", "request_"),
    [
        ("v2", Ask({"x-user-type": "vip"})),
        ("v1", Ask({"x-user-type": "VIP"})),
        ("v2", Ask({"cookie": "a=1; beta=yes; c=2"})),
        ("v1", Ask({"cookie": "xbeta=yes; beta=no"})),
        ("v2", Ask({"user-agent": "Mozilla/5.0 (iPhone; CPU)"}, "/app/1?x=/")),
        ("v1", Ask({"user-agent": "Mozilla/5.0 (Windows NT 10.0)"}, "/app/1")),
        ("v1", Ask({"user-agent": "Mozilla/5.0 (iPhone; CPU)"}, "/?p=/app")),
        ("v2", Ask({}, "/?a=1&geo=de", "POST")),
        ("v1", Ask({}, "/?geo=def", "PUT")),
        ("v1", Ask({}, "/?geo=de", "GET")),
        ("v2", Ask({"x-year": "2021"})),
        ("v1", Ask({"x-year": "02021"})),
    ],
)
def test_rules(shop: Lab, version: str, request_: Ask) -> None:
    [answer] = shop.ask_all([Ask(request_.headers, request_.path, request_.method, "rules")])
    assert answer.version == version
    assert answer.sent["x-ab-assignment-rules"] == ("rule" if version == "v2" else "none")


def test_testers_get_what_they_ask_for(shop: Lab) -> None:
    for ways in ({"x_want": "treatment"}, {"cookie": "want=treatment"}, {"path": "/?want=treatment"}):
        answer = shop.ask("wishes", x_user_id="user-1", **ways)
        assert (answer.version, answer.sent["x-ab-assignment-wishes"]) == ("v2", "forced")
    assert shop.ask("wishes", x_user_id="user-1", x_want="nobody").version == "v1"
    assert shop.ask("wishes").version == "v2"


def test_a_lot_is_drawn_for_each_request_and_says_so(shop: Lab) -> None:
    answers = shop.ask_all([Ask(host="lots")] * 2_000)
    counts = _split(answers)
    assert abs(counts["v2"] / 2_000 - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2_000)
    assert {one.sent["x-ab-assignment-lots"] for one in answers} == {"none"}
    assert {(one.version, one.sent["x-ab-variant-lots"]) for one in answers} == {("v1", "control"), ("v2", "treatment")}


def test_behind_another_service_its_buckets_count_and_malformed_ones_do_not(shop: Lab) -> None:
    for text, version in (("0", "v1"), ("4999", "v1"), ("5000", "v2"), ("9999", "v2")):
        answer = shop.ask("inside", x_ab_bucket_inside=text)
        assert (answer.version, answer.sent["x-ab-assignment-inside"]) == (version, "hash")
    for text in ("07000", "+7000", "7000.0", "10000", "-1", "7e3", "7000,7000", ""):
        answer = shop.ask("inside", x_ab_bucket_inside=text)
        assert (answer.version, answer.sent["x-ab-assignment-inside"]) == ("v1", "none"), text


def test_hosts(shop: Lab) -> None:
    for host in ("native", "native.shop", "native.shop.svc.cluster.local:80"):
        assert shop.ask(host, x_user_id="user-1").status == 200
    assert shop.ask("nobody").status == 404


def test_what_envoy_cannot_take_leaves_it_as_it_was(shop: Lab) -> None:
    before = _split(shop.users("native", IDS[:100]))
    rejected = "http.abkit.rds.abkit.update_rejected"
    already = shop.counters(rejected)[rejected]
    fresh, place = (Path(shop.folder / name) for name in (".broken", "lab.envoy-2-rds.yaml"))
    text = place.read_text()
    fresh.write_text(text.replace('prefix: "/"', 'prefixes: "/"'))
    fresh.replace(place)
    deadline = time.monotonic() + 20
    while shop.counters(rejected)[rejected] == already:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert _split(shop.users("native", IDS[:100])) == before
    shop.apply()
