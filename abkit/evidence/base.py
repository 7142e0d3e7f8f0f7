"""What all evidence is made of: frozen models, and statuses that say why a number is missing."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

__all__ = ["Interval", "Model", "Status", "StatusCode"]

Interval = tuple[float | None, float | None]
"""Low and high; None where it is open on that side."""


class Model(BaseModel):
    """Frozen; neither NaN nor infinity can be in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class StatusCode(StrEnum):
    """Whether a number is there and may be relied on, and if not, why."""

    OK = "ok"
    NO_DATA = "no data"
    NOT_RANDOMISED = "not randomised"
    NOT_USER_LEVEL = "not user-level"
    TOO_FEW = "too few"
    UNDEFINED = "undefined"
    DESCRIPTIVE = "descriptive"
    UNAVAILABLE = "unavailable"


class Status(Model):
    """A status with its reason; one sentence in JSON.

    >>> Status(code=StatusCode.TOO_FEW, reason="two users").model_dump_json()
    '"too few: two users"'
    """

    code: StatusCode = StatusCode.OK
    """The class of it."""
    reason: str = ""
    """One sentence; empty when all is well."""

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}" if self.reason else str(self.code)

    @model_serializer(mode="wrap")
    def _sentence(self, plain: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        return str(self) if info.mode_is_json() else plain(self)

    @model_validator(mode="before")
    @classmethod
    def _parsed(cls, data: Any) -> Any:
        if isinstance(data, str):
            code, _, reason = data.partition(": ")
            return {"code": code, "reason": reason}
        return data
