"""Objects of Kubernetes' own kinds in the form that an API server stores them in.

A server reads a Deployment into its own types and writes it again: `cpu: "0.5"` comes back as `500m`, an empty value of
a variable doesn't come back. What is applied in that form already is found again as it was, and so its hash agrees.
Custom resources are stored as they are written.

Reference: Quantity.CanonicalizeBytes in https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from abkit.routing.document import stamp

__all__ = ["quantity", "stored_form"]

_QUANTITY: Final = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<suffix>n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_DECIMAL: Final = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_THOUSAND, _KIBI, _ONE = 1_000, 1_024, _DECIMAL.index("")


def stored_form(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object as a server gives it back; custom resources as they are.

    Args:
        document: The object, with the label of its hash.
    """
    group, _, _ = str(document["apiVersion"]).rpartition("/")
    if "." in group and not group.endswith(".k8s.io"):
        return document
    form = _form(document)
    return document if form == document else stamp(form)


def _form(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        if key in {"requests", "limits"}:
            return {name: quantity(one) if isinstance(one, str) else one for name, one in value.items()}
        return {name: _form(one, name) for name, one in value.items()}
    if isinstance(value, list):
        found = [_form(one) for one in value]
        return [_without_empty(one) for one in found] if key == "env" else found
    return value


def _without_empty(variable: Any) -> Any:
    return {key: one for key, one in variable.items() if (key, one) != ("value", "")}


def quantity(text: str) -> str:
    """A quantity as a server writes it; anything else as it is.

    >>> [quantity(text) for text in ("0.5", "1000m", "1.5Gi", "1024Mi", "512", "0.5Ki")]
    ['500m', '1', '1536Mi', '1Gi', '512', '512']
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return text
    number, suffix = Fraction(found["number"]), found["suffix"] or ""
    if suffix in _BINARY[1:]:
        value = number * _KIBI ** _BINARY.index(suffix)
        if value.denominator == 1 and value >= _KIBI:
            return _shortest(int(value), 0, _KIBI, _BINARY)
        return _shortest(_up(value * _THOUSAND**_ONE), 0, _THOUSAND, _DECIMAL)
    value = number * Fraction(_THOUSAND) ** _DECIMAL.index(suffix)
    return _shortest(_up(value), 0, _THOUSAND, _DECIMAL)


def _up(value: Fraction) -> int:
    """Nothing finer than a nano exists: rounded up."""
    return -(-value.numerator // value.denominator)


def _shortest(value: int, place: int, base: int, suffixes: tuple[str, ...]) -> str:
    while value and value % base == 0 and place + 1 < len(suffixes):
        value, place = value // base, place + 1
    return f"{value}{suffixes[place]}" if value else "0"
