"""The two cookies: the unit's id, and the marker of experiments that the unit was already exposed to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from xxhash import xxh64_hexdigest

__all__ = ["MAX_SEEN_BYTES", "format_cookie", "parse_cookies", "read_seen", "valid_id", "valid_unit", "write_seen"]

MAX_SEEN_BYTES = 1_500
"""Longest marker: browsers give a cookie 4,096 bytes, and all cookies go along with every request."""

_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")
# Visible ASCII without what separates cookies and headers: a header sent twice, joined with a comma, is no id.
_UNIT = re.compile(r"[!#-+\--:<-\[\]-~]{1,128}")
_SEEN = re.compile(r"[0-9a-f]{8}(\.[a-z0-9][-a-z0-9_]{0,80})*")


def valid_id(value: str) -> bool:
    """Whether a cookie's value may be a unit's id: letters, digits and `._~-`, 128 at most."""
    return _ID.fullmatch(value) is not None


def valid_unit(value: str) -> bool:
    r"""Whether a trusted header's value may be a unit's id: visible ASCII but `,;"\`, 128 characters at most.

    >>> valid_unit("anna@example.org"), valid_unit("anna,berta"), valid_unit("")
    (True, False, False)
    """
    return _UNIT.fullmatch(value) is not None


def parse_cookies(header: str) -> Iterator[tuple[str, str]]:
    """Names and values of a `Cookie` header, in its order; malformed parts are passed over.

    >>> list(parse_cookies('a=1; b="2"; junk; a=3'))
    [('a', '1'), ('b', '2'), ('a', '3')]
    """
    for part in header.split(";"):
        name, separator, value = part.strip().partition("=")
        if separator and name:
            if len(value) >= 2 and value[0] == value[-1] == '"':
                value = value[1:-1]
            yield name, value


def format_cookie(name: str, value: str, *, max_age: int, same_site: str, secure: bool, domain: str | None) -> str:
    """Value of a `Set-Cookie` header, for the whole site and out of reach of scripts.

    >>> format_cookie("ab_uid", "7", max_age=60, same_site="Lax", secure=True, domain=None)
    'ab_uid=7; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure'
    """
    parts = [f"{name}={value}", f"Max-Age={max_age}", "Path=/", "HttpOnly", f"SameSite={same_site}"]
    if secure:
        parts.append("Secure")
    if domain is not None:
        parts.append(f"Domain={domain}")
    return "; ".join(parts)


def write_seen(unit: str, experiments: Iterable[str]) -> str:
    """Marker of the experiments that a unit was exposed to, oldest first.

    Where it grows too long, the oldest are left out. It names the unit too (by hash), so that a second user of the same
    browser is counted.

    >>> read_seen(write_seen("user-1", ["buy-now", "banner"]), "user-1")
    ('buy-now', 'banner')
    >>> read_seen(write_seen("user-1", ["buy-now"]), "user-2")
    ()
    """
    names = list(experiments)
    while len(text := ".".join([_tag(unit), *names])) > MAX_SEEN_BYTES:
        del names[0]
    return text


def read_seen(value: str, unit: str) -> tuple[str, ...]:
    """Experiments of a marker; none where it is malformed or another unit's."""
    if len(value) > MAX_SEEN_BYTES or _SEEN.fullmatch(value) is None:
        return ()
    tag, *names = value.split(".")
    return tuple(dict.fromkeys(names)) if tag == _tag(unit) else ()


def _tag(unit: str) -> str:
    return xxh64_hexdigest(unit.encode())[:8]
