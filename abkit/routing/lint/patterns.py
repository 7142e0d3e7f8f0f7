"""Every place where a manifest matches requests by text, whatever the mesh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import re2

from abkit.routing.lint.objects import ARGO, FLAGGER, GATEWAY, ISTIO, LINKERD, Manifests, Object
from abkit.routing.lint.value import Value

__all__ = ["Pattern", "compiled", "patterns"]

_MAX_LENGTH: Final = 10_000
_STRING_MATCH: Final = ("string_match", "stringMatch")
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """One regular expression.

    Attributes:
        owner: The object it belongs to.
        value: Its text's place.
        part: What it is matched against: `header`, `query`, `path`, or the field's own name.
        name: The header's or parameter's name, in lower case; empty for other parts.
    """

    owner: Object
    value: Value
    part: str
    name: str


def compiled(pattern: str) -> Any:
    """The expression that RE2 makes of a text; RE2's words where it refuses it."""
    if len(pattern) > _MAX_LENGTH:
        return f"is longer than {_MAX_LENGTH:,} characters"
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        word = error.args[0] if error.args else error
        return word.decode(errors="replace") if isinstance(word, bytes) else str(word)
    except UnicodeError:
        return "holds half of a character"


def patterns(manifests: Manifests) -> Iterator[Pattern]:
    """All regular expressions of all manifests."""
    for one in manifests.of("VirtualService", ISTIO):
        for route in one.spec.items("http"):
            for match in route.items("match"):
                yield from _istio_match(one, match)
            if (at := route.get("rewrite", "uriRegexRewrite", "match")) is not None:
                yield Pattern(one, at, "rewrite", "")
            for origin in route.items("corsPolicy", "allowOrigins"):
                yield from _regex(one, origin, "origin", "")
    for one in manifests.of("Canary", FLAGGER):
        for match in (*one.spec.items("analysis", "match"), *one.spec.items("service", "match")):
            yield from _istio_match(one, match)
    for one in manifests.of("HTTPRoute", GATEWAY, LINKERD):
        for rule in one.spec.items("rules"):
            for match in rule.items("matches"):
                yield from _gateway_match(one, match)
    for one in manifests.of("Rollout", ARGO):
        for step in one.spec.items("strategy", "canary", "steps"):
            for match in step.items("setHeaderRoute", "match"):
                if (value := match.get("headerValue")) is not None:
                    yield from _regex(one, value, "header", match.word("headerName").lower())
    for one in manifests.envoys:
        yield from _envoy(one, one.root)
    for one in manifests.of("EnvoyFilter", ISTIO):
        for patch in one.spec.items("configPatches"):
            if (value := patch.get("patch", "value")) is not None:
                yield from _envoy(one, value)


def _regex(one: Object, holder: Value, part: str, name: str) -> Iterator[Pattern]:
    if (at := holder.get("regex")) is not None and at.text is not None:
        yield Pattern(one, at, part, name)


def _istio_match(one: Object, match: Value) -> Iterator[Pattern]:
    for field, part in (("headers", "header"), ("withoutHeaders", "header"), ("queryParams", "query")):
        if (named := match.get(field)) is not None:
            for key, item in named.fields():
                yield from _regex(one, item, part, key.lower())
    for field, part in (("uri", "path"), ("authority", "authority"), ("method", "method"), ("scheme", "scheme")):
        if (whole := match.get(field)) is not None:
            yield from _regex(one, whole, part, "")


def _gateway_match(one: Object, match: Value) -> Iterator[Pattern]:
    for field, part in (("headers", "header"), ("queryParams", "query")):
        for item in match.items(field):
            at = item.get("value")
            if item.word("type") == "RegularExpression" and at is not None and at.text is not None:
                yield Pattern(one, at, part, item.word("name").lower())
    at = match.get("path", "value")
    if match.word("path", "type") == "RegularExpression" and at is not None and at.text is not None:
        yield Pattern(one, at, "path", "")


def _envoy(one: Object, root: Value) -> Iterator[Pattern]:
    for own, value in root.walk():
        if not value.is_mapping:
            continue
        place = value.path.rpartition(".")[2]
        part = "header" if place.startswith("headers[") else "query" if place.startswith("query_param") else "other"
        holders = [value, *(inner for field in _STRING_MATCH if (inner := value.get(field)) is not None)]
        for holder in holders if own not in _STRING_MATCH else ():
            for field in ("safe_regex_match", "safeRegexMatch", "safe_regex", "safeRegex"):
                if (at := holder.get(field, "regex")) is not None and at.text is not None:
                    name = value.word("name").lower() if part == "header" else ""
                    yield Pattern(one, at, "path" if own == "match" else part, name)
        if (at := value.get("pattern", "regex")) is not None and at.text is not None:
            yield Pattern(one, at, "rewrite", "")
