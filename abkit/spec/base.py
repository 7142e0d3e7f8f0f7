"""What all models of the experiment file share."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

__all__ = ["DnsLabel", "Duration", "HeaderName", "LabelValue", "Model", "Moment", "parse_duration"]

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def _kebab(name: str) -> str:
    # apiVersion is Kubernetes' spelling; everything else in the file is kebab-case.
    return to_camel(name) if name == "api_version" else name.replace("_", "-")


class Model(BaseModel):
    """Frozen, knows no other fields than its own, kebab-case in the file and snake_case in Python."""

    shorthands: ClassVar[tuple[dict[str, Any], ...]] = ()
    """JSON Schemas of what is taken in place of the mapping; a validator of the model reads them."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=_kebab,
        validate_by_name=False,
        validate_by_alias=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The mapping's schema, or with shorthands a choice of it and them: editors then take what abkit takes."""
        schema = handler(core)
        if cls.shorthands:
            resolved = handler.resolve_ref_schema(schema)
            mapping = dict(resolved)
            resolved.clear()
            resolved.update({"anyOf": [*cls.shorthands, mapping]})
        return schema


def parse_duration(value: str) -> timedelta:
    """Read a duration as Prometheus writes it.

    Args:
        value: Such as `30s`, `1h30m`, `2d`.

    Raises:
        ValueError: It isn't one.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        msg = "should be a duration such as 30s, 5m, 1h30m or 14d"
        raise ValueError(msg)
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    msg = "should be a duration such as 30s, 5m, 1h30m or 14d"
    raise ValueError(msg)


def _moment(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            msg = "should be a time such as 2026-11-01 or 2026-11-01T12:00:00Z"
            raise ValueError(msg) from None
    if isinstance(value, datetime):
        # YAML's own times without a zone are UTC by its definition.
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value).astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    msg = "should be a time such as 2026-11-01 or 2026-11-01T12:00:00Z"
    raise ValueError(msg)


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    Field(json_schema_extra={"type": "string", "format": "duration", "examples": ["5m"]}),
]
"""A length of time, written as Prometheus does: `30s`, `5m`, `14d`."""

Moment = Annotated[datetime, BeforeValidator(_moment)]
"""A point in time, RFC 3339 or a date; kept in UTC."""

DnsLabel = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""Lower-case letters, digits and '-', at most 63: what Kubernetes takes as a name."""

LabelValue = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")]
"""What Kubernetes takes as a label's value: letters, digits, '-', '_' and '.', at most 63."""

HeaderName = Annotated[str, StringConstraints(strict=True, to_lower=True, pattern=r"^[A-Za-z0-9][-A-Za-z0-9_]{0,99}$")]
"""An HTTP header's name, kept in lower case as HTTP/2 sends it."""
