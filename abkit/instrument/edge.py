"""Who a request belongs to: keep the unit's id or make one, compute its buckets, believe no client about them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from abkit.assignment import (
    BUCKETS,
    REPLICATE_HEADER,
    assignment_header,
    bucket,
    bucket_header,
    experiment_header,
    replicate,
    variant_header,
)
from abkit.errors import InputError
from abkit.instrument.context import Context, Mark
from abkit.instrument.cookies import format_cookie, parse_cookies, read_seen, valid_id, valid_unit, write_seen

__all__ = ["ONE_YEAR", "OURS", "Edge"]

ONE_YEAR = 365 * 24 * 3_600
"""Life of the cookies in seconds."""

OURS = "x-ab-"
"""Request headers with this prefix are abkit's own."""

_BUCKET_PREFIX = bucket_header("")
_VARIANT_PREFIX = variant_header("")
_ASSIGNMENTS = frozenset({"hash", "rule", "forced", "none"})
_NUMBER = re.compile(r"0|[1-9][0-9]{0,5}")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HEADER = re.compile(r"[a-z0-9][-a-z0-9]{0,99}")
_TOKEN = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_SALT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_DOMAIN = re.compile(r"\.?[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Edge:
    """How a service reads requests. One that clients can reach is an edge; one that only the mesh can is `behind_mesh`.

    An edge keeps the id of the cookie or makes one. It removes every `x-ab-` header that came with the request, and the
    unit's header too unless `trust_header`: else anybody could choose their variant.

    Attributes:
        layers: Layer → salt, as in the experiment files (`assignment.layer` and `assignment.salt`).
        header: Header that carries the unit's id from here on, and to here where it is trusted.
        cookie: Cookie that keeps the id of those who come without.
        seen_cookie: Cookie that marks the experiments that the unit was exposed to.
        trust_header: Take the id from `header`: right only where something before this service, such as a gateway that
            checks a token, sets it on every request and removes a client's.
        behind_mesh: Take the id, the buckets and the variants as they come, make none: for a service that is reached
            through the mesh alone.
        replicates: Number of hash replicates, as in the experiment files.
        secure: Send cookies over HTTPS only; where left out, those that are set over HTTPS are.
        same_site: `Lax`, `Strict` or `None`; the last needs `secure`.
        domain: Domain of the cookies; this host alone where left out.
        max_age: Life of the cookies in seconds.

    Raises:
        InputError: An attribute is out of its range.
    """

    layers: Mapping[str, str]
    header: str = "x-user-id"
    cookie: str = "ab_uid"
    seen_cookie: str = "ab_seen"
    trust_header: bool = False
    behind_mesh: bool = False
    replicates: int = 32
    secure: bool | None = None
    same_site: str = "Lax"
    domain: str | None = None
    max_age: int = ONE_YEAR

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))
        object.__setattr__(self, "header", self.header.lower())
        for layer, salt in self.layers.items():
            _check("layers", layer, _LABEL.fullmatch(layer), "lower-case letters, digits and '-', at most 63")
            _check(f"layers[{layer!r}]", salt, _SALT.fullmatch(salt), "letters, digits and '_.-', at most 100")
        # With '_' in it, servers could not tell it from its twin with '-'; proxies drop such headers.
        _check("header", self.header, _HEADER.fullmatch(self.header), "a header's name without '_', such as x-user-id")
        _check("header", self.header, not self.header.startswith(OURS), f"a name without the prefix {OURS}")
        for field in ("cookie", "seen_cookie"):
            name = getattr(self, field)
            _check(field, name, _TOKEN.fullmatch(name), "letters, digits and '_.-', at most 100")
        _check("seen_cookie", self.seen_cookie, self.seen_cookie != self.cookie, "another name than cookie has")
        _check("replicates", self.replicates, 8 <= self.replicates <= 256, "a number from 8 to 256")
        _check("same_site", self.same_site, self.same_site in {"Lax", "Strict", "None"}, "Lax, Strict or None")
        loose = self.same_site == "None" and not self.secure
        _check("same_site", self.same_site, not loose, "Lax or Strict, or else secure=True: browsers refuse it")
        _check("domain", self.domain, self.domain is None or _DOMAIN.fullmatch(self.domain), "a host's name")
        _check("max_age", self.max_age, self.max_age > 0, "a number of seconds above 0")

    def receive(self, headers: Iterable[tuple[str, str]]) -> Context:
        """Read a request.

        Args:
            headers: Its headers in their order, as often as they came; names in any case.

        Returns:
            Its context. `Context.headers` take the place of the headers that `drops` names.
        """
        request: dict[str, str] = {}
        for name, value in headers:
            key = name.lower()
            # A header that came twice fits no pattern of ours once it is joined, and so is as good as missing.
            joint = "; " if key == "cookie" else ","
            request[key] = f"{request[key]}{joint}{value}" if key in request else value
        cookies = list(parse_cookies(request.get("cookie", "")))
        unit = self._unit(request, cookies)
        minted = False
        buckets: dict[str, int] = {}
        marks: dict[str, Mark] = {}
        number: int | None = None
        if self.behind_mesh:
            buckets, number, marks = self._carried(request)
        else:
            if unit is None:
                unit, minted = uuid.uuid4().hex, True
            buckets = {layer: bucket(salt, unit) for layer, salt in self.layers.items()}
        if number is None and unit is not None:
            number = replicate(unit, self.replicates)
        seen = next((value for name, value in cookies if name == self.seen_cookie), "")
        return Context(
            unit=unit,
            minted=minted,
            replicate=number,
            buckets=MappingProxyType(buckets),
            marks=MappingProxyType(marks),
            headers=MappingProxyType(self._headers(unit, number, buckets, marks)),
            seen=() if unit is None else read_seen(seen, unit),
        )

    def drops(self, name: str, context: Context) -> bool:
        """Whether a request header goes, however it is written: `x-ab-` ones, the unit's, what the context has anew."""
        key = name.lower().replace("_", "-")
        # Behind the mesh a unit's header that is no id for us may still be one for the application.
        return key.startswith(OURS) or key in context.headers or (key == self.header and not self.behind_mesh)

    def set_cookies(self, context: Context, *, https: bool) -> list[str]:
        """Values of the `Set-Cookie` headers that the response needs.

        Args:
            context: The request's context.
            https: Whether the request came over HTTPS.
        """
        if context.unit is None:
            return []
        values = [(self.cookie, context.unit)] if context.minted else []
        if context.seen_changed:
            values.append((self.seen_cookie, write_seen(context.unit, context.seen)))
        return [
            format_cookie(
                name,
                value,
                max_age=self.max_age,
                same_site=self.same_site,
                secure=https if self.secure is None else self.secure,
                domain=self.domain,
            )
            for name, value in values
        ]

    def _unit(self, request: Mapping[str, str], cookies: Iterable[tuple[str, str]]) -> str | None:
        if self.trust_header or self.behind_mesh:
            unit = request.get(self.header, "").strip()
            if valid_unit(unit):
                return unit
            if self.behind_mesh:
                # What the edge sent on is the unit; a cookie beside it need not be.
                return None
        return next((value for name, value in cookies if name == self.cookie and valid_id(value)), None)

    def _carried(self, request: Mapping[str, str]) -> tuple[dict[str, int], int | None, dict[str, Mark]]:
        """Buckets, replicate and marks as the edge and the mesh wrote them; what is malformed is as good as missing."""
        buckets: dict[str, int] = {}
        marks: dict[str, Mark] = {}
        for name, value in request.items():
            for prefix in (_BUCKET_PREFIX, _VARIANT_PREFIX):
                layer = name.removeprefix(prefix)
                if layer == name or not _LABEL.fullmatch(layer):
                    continue
                if prefix == _BUCKET_PREFIX:
                    if (number := _read_number(value, BUCKETS)) is not None:
                        buckets[layer] = number
                elif (how := request.get(assignment_header(layer), "")) in _ASSIGNMENTS and _LABEL.fullmatch(value):
                    named = request.get(experiment_header(layer), "")
                    marks[layer] = Mark(value, how, named if _LABEL.fullmatch(named) else "")
        return buckets, _read_number(request.get(REPLICATE_HEADER, ""), self.replicates), marks

    def _headers(
        self, unit: str | None, number: int | None, buckets: Mapping[str, int], marks: Mapping[str, Mark]
    ) -> dict[str, str]:
        headers = {} if unit is None else {self.header: unit}
        if number is not None:
            headers[REPLICATE_HEADER] = str(number)
        headers |= {bucket_header(layer): str(index) for layer, index in buckets.items()}
        for layer, mark in marks.items():
            headers[variant_header(layer)] = mark.variant
            headers[assignment_header(layer)] = mark.assignment
            if mark.experiment:
                headers[experiment_header(layer)] = mark.experiment
        return headers


def _read_number(text: str, below: int) -> int | None:
    number = int(text) if _NUMBER.fullmatch(text) else below
    return number if number < below else None


def _check(field: str, value: object, good: object, right: str) -> None:
    if not good:
        msg = f"Edge: {field} should be {right} (got {value!r})"
        raise InputError(msg)
