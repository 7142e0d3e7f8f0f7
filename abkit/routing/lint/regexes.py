"""Regular expressions that RE2 refuses, or that match something else than was meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import re2

from abkit.routing.lint.decimals import Lost, is_id_header, lost
from abkit.routing.lint.finding import Finding, Severity
from abkit.routing.lint.objects import Manifests, report
from abkit.routing.lint.patterns import Pattern, compiled, patterns

__all__ = ["check"]

# Their values are long: who matches a word in them means a part.
_LONG: Final = frozenset({"user-agent", "cookie", "referer", "accept", "accept-language", "x-forwarded-for"})
_METACHARACTERS: Final = frozenset("\\.^$|?*+()[]{}")
_MAX_GROUPS: Final = 200


def check(manifests: Manifests) -> Iterator[Finding]:
    """Findings about regular expressions."""
    by_header: defaultdict[tuple[int, str], list[Pattern]] = defaultdict(list)
    for pattern in patterns(manifests):
        text = pattern.value.text or ""
        if not text:
            continue  # an empty one has a check of its own
        expression = compiled(text)
        if isinstance(expression, str):
            why = f"RE2 refuses '{text[:100]}': {expression}"
            correct = "RE2 has no lookaround and no backreferences: https://github.com/google/re2/wiki/Syntax"
            yield report(pattern.owner, pattern.value, "regex", why, correct)
            continue
        yield from _parts(pattern, text)
        if pattern.part == "header" and is_id_header(pattern.name):
            by_header[id(pattern.owner), pattern.name].append(pattern)
    for (_, header), group in list(by_header.items())[:_MAX_GROUPS]:
        yield from _decimals(header, group)


def _open_ended(text: str) -> bool:
    """Whether a text of any length can match: a star, a plus or an open brace that isn't escaped."""
    bare = text.replace("\\\\", "").replace("\\*", "").replace("\\+", "").replace("\\{", "")
    return any(sign in bare for sign in ("*", "+", ",}"))


def _parts(pattern: Pattern, text: str) -> Iterator[Finding]:
    if pattern.part == "header" and pattern.name in _LONG and not _open_ended(text):
        why = f"'{text[:100]}' must match the whole {pattern.name}, which holds more than that: it never does"
        yield report(pattern.owner, pattern.value, "regex-part", why, f".*{_group(text)}.*", Severity.WARNING)
    elif pattern.part == "path" and not re2.match(r"\^?[(\[]*(?:\?:)?[/.\\^(\[]", text):
        why = f"'{text[:100]}' must match the whole path, which begins with /: it never does"
        yield report(pattern.owner, pattern.value, "regex-part", why, f"/.*{_group(text)}.*", Severity.WARNING)
    elif pattern.part in {"header", "query"} and not _METACHARACTERS.intersection(text) and not pattern.owner.intact:
        why = f"'{text[:100]}' matches this very value and no longer one: an expression must match in full"
        correct = f"exact: '{text[:100]}', or regex: '.*{text[:100]}.*' for a part"
        yield report(pattern.owner, pattern.value, "regex-part", why, correct, Severity.WARNING)


def _group(text: str) -> str:
    bare = text[:100].removeprefix("^").removesuffix("$")
    return f"({bare})" if "|" in bare else bare


def _decimals(header: str, group: Sequence[Pattern]) -> Iterator[Finding]:
    texts = list(dict.fromkeys(pattern.value.text or "" for pattern in group))
    for found in lost(header, texts):
        first = next(pattern for pattern in group if pattern.value.text in found.patterns)
        shown = " and ".join(f"'{text[:60]}'" for text in found.patterns[:3])
        matched = ", ".join(f"{100 * share:.4g} %" for share in found.shares[:3])
        ids = "hexadecimal ids (md5, UUID)"
        if found.sure:
            why = (
                f"{shown} {'reads' if len(found.patterns) == 1 else 'read'} decimal digits: with {ids} "
                f"{_percent(found.share)} of the users match nothing and fall to the next route "
                f"({'these take' if len(found.patterns) > 1 else 'it takes'} {matched} of them)"
            )
        else:
            why = f"{shown} takes {100 * found.decimal:.4g} % of decimal ids, but {matched} of {ids}"
        correct = "let the edge hash the id and route on its bucket header (abkit routes writes it)" + _hex(found)
        severity = Severity.ERROR if found.sure else Severity.WARNING
        yield report(first.owner, first.value, "decimal-regex", why, correct, severity)


def _percent(share: float) -> str:
    return "all but a few" if share > 0.9999 else f"{100 * share:.4g} %"


def _hex(found: Lost) -> str:
    sixteenths = 16 * found.decimal
    if len(found.patterns) > 1 or found.tail != 1 or sixteenths != int(sixteenths) or not 0 < sixteenths < 16:
        return ""
    last = "0123456789abcdef"[int(sixteenths) - 1]
    return f"; for {100 * found.decimal:g} % of lower-case hexadecimal ids: .*[0-{last}]".replace("[0-0]", "0").replace(
        "[0-a]", "[0-9a]"
    )
