"""Experiments of every form, and requests that may meet their rules, for hypothesis."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import re2
from hypothesis import strategies as st

from abkit.routing import Request
from abkit.spec import Experiment, Match
from tests.routing.specs import experiment

LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,12}[a-z0-9])?", fullmatch=True)
WORDS = st.sampled_from(
    ["on", "off", "yes", "n", "null", "true", "1", "0x1f", "1e3", "0o7", "12", "1-1-1", "2026-11-01"]
)
NAME = st.one_of(LABEL, WORDS)
VERSION = st.one_of(
    st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,12}[A-Za-z0-9])?", fullmatch=True), st.just("1.10"), WORDS
)
SALT = st.one_of(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,30}", fullmatch=True), WORDS)
HEADER = st.one_of(st.from_regex(r"[a-z][-a-z0-9_]{0,20}", fullmatch=True), WORDS).filter(
    lambda name: not name.startswith("x-ab-") and name not in {"cookie", "x-user-id", "host"}
)
PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
NASTY = st.sampled_from(
    [
        '"',
        "'",
        "\\",
        "#",
        ": ",
        "- x",
        "{{x}}",
        "\u2028",
        "*a",
        "&a",
        "!!x",
        "]]",
        "--[[",
        '" .. os.exit() .. "',
        "%s",
        "${x}",
    ]
)
VALUE = st.one_of(PLAIN, NASTY, WORDS)
UNIT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)

_HOW = st.one_of(
    st.fixed_dictionaries({"exact": VALUE}),
    st.fixed_dictionaries({"prefix": VALUE}),
    st.fixed_dictionaries({"regex": VALUE.map(re2.escape)}),
    st.fixed_dictionaries({"range": st.fixed_dictionaries({"from": st.integers(0, 50), "to": st.integers(50, 9_999)})}),
)
_PATH = st.one_of(
    st.fixed_dictionaries({"exact": st.sampled_from(["/", "/cart", "/cart/1"])}),
    st.fixed_dictionaries({"prefix": st.sampled_from(["/", "/cart", "/cart/"])}),
    st.fixed_dictionaries({"regex": st.sampled_from(["/cart/[0-9]+", "/(cart|shop).*"])}),
)
_PARTS: dict[str, st.SearchStrategy[Any]] = {
    "header": st.dictionaries(HEADER, _HOW, min_size=1, max_size=2),
    "cookie": st.dictionaries(st.sampled_from(["beta", "plan"]), _HOW, min_size=1, max_size=1),
    "query": st.dictionaries(st.sampled_from(["beta", "v"]), _HOW, min_size=1, max_size=1),
    "path": _PATH,
    "method": st.lists(st.sampled_from(["GET", "POST", "PUT"]), min_size=1, max_size=2, unique=True),
    "device": st.lists(st.sampled_from(["mobile", "desktop", "bot"]), min_size=1, max_size=2, unique=True),
    "source": st.fixed_dictionaries({"labels": st.just({"app": "web"})}),
}


def matches(parts: Collection[str], depth: int = 1) -> st.SearchStrategy[dict[str, Any]]:
    """Conditions of these parts; one that asks for a header twice is left out."""
    chosen = {name: _PARTS[name] for name in parts}

    @st.composite
    def draw(draw: st.DrawFn) -> dict[str, Any]:
        names = draw(st.lists(st.sampled_from(sorted(chosen)), min_size=1, max_size=2, unique=True))
        found = {name: draw(chosen[name]) for name in names}
        if depth and draw(st.booleans()):
            rest = sorted(set(parts) - set(names))
            if rest:
                found["any"] = draw(st.lists(matches(rest, 0), min_size=1, max_size=2))
        return found

    return draw()


@st.composite
def experiments(draw: st.DrawFn, parts: Collection[str] = tuple(_PARTS), *, lots: bool = True) -> Experiment:
    """Experiments whose rules are of these parts."""
    names = draw(st.lists(NAME.filter(lambda name: name != "random"), min_size=2, max_size=4, unique=True))
    size = draw(st.sampled_from([10_000, 10_000, 5_000]))
    unit = 10_000 // size
    cuts = sorted(draw(st.lists(st.integers(0, size), min_size=len(names) - 1, max_size=len(names) - 1)))
    weights = [(high - low) * unit for low, high in zip([0, *cuts], [*cuts, size], strict=True)]
    first = draw(st.integers(0, 10_000 - size))
    rule = st.fixed_dictionaries({"when": matches(parts), "to": st.sampled_from(names)})
    assignment: dict[str, Any] = {
        "salt": draw(SALT),
        "layer": draw(NAME.filter(lambda name: name != "holdout")),
        "replicates": draw(st.sampled_from([8, 32, 256])),
        "without-unit": draw(st.sampled_from([*names, "random"] if lots else names)),
        "rules": draw(st.lists(rule, max_size=3)),
    }
    if size < 10_000:
        assignment["buckets"] = {"from": first, "to": first + size - 1}
    if draw(st.booleans()):
        assignment["holdout"] = {
            "share": draw(st.integers(1, 9_999)),
            "salt": draw(SALT.filter(lambda salt: salt != assignment["salt"])),
        }
    if draw(st.booleans()):
        assignment["forced"] = {"header": "x-force", **({"query": "force"} if "query" in parts else {})}
    return experiment(
        metadata={"name": draw(NAME), "owner": draw(VALUE), "hypothesis": draw(VALUE)},
        service={"name": "my-service", "namespace": "shop"},
        variants={
            one: {"version": draw(VERSION), "weight": weight} for one, weight in zip(names, weights, strict=True)
        },
        assignment=assignment,
    )


@st.composite
def requests(draw: st.DrawFn, spec: Experiment) -> Request:
    """A request that often meets a rule of an experiment."""
    found: dict[str, Any] = {"headers": {}, "query": {}, "path": "/", "method": "GET", "labels": {}}
    for rule in draw(st.lists(st.sampled_from(spec.assignment.rules), max_size=2)) if spec.assignment.rules else []:
        _meet(draw, rule.when, found)
    if draw(st.integers(0, 3)) == 0:
        found["headers"]["x-force"] = draw(st.sampled_from([*spec.variants, "nobody"]))
    if draw(st.integers(0, 3)) == 0:
        found["headers"][draw(HEADER)] = draw(VALUE)
    return Request(**found)


def _meet(draw: st.DrawFn, when: Match, found: dict[str, Any]) -> None:
    def near(how: Any) -> str:
        wish = how.exact or how.prefix or (str(how.range.from_) if how.range else None) or how.regex
        text = draw(st.sampled_from([wish, wish + "0", "7", wish.replace("\\", "")]))
        return str(text)

    found["headers"] |= {name: near(how) for name, how in when.header.items()}
    for name, how in when.cookie.items():
        pair = f"{name}={near(how).replace(';', '')}"
        found["headers"]["cookie"] = draw(st.sampled_from([pair, f"a=1; {pair}", f"{pair}; b=2", f"x{pair}"]))
    found["query"] |= {name: near(how) for name, how in when.query.items()}
    if when.path is not None:
        found["path"] = draw(st.sampled_from(["/", "/cart", "/cart/1", "/cart/x", "/shop", "/cartwheel"]))
    if when.method:
        found["method"] = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE"]))
    if when.device:
        agents = ["Mozilla/5.0 (iPhone; CPU)", "Mozilla/5.0 (Windows NT 10.0)", "Googlebot/2.1", "curl/8"]
        found["headers"]["user-agent"] = draw(st.sampled_from(agents))
    if when.source is not None:
        found["labels"] = draw(st.sampled_from([{"app": "web"}, {"app": "other"}, {}]))
    for one in (*when.all, *when.any):
        if draw(st.booleans()):
            _meet(draw, one, found)
