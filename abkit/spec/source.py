"""Where samples come from. Secrets are named by environment variable or file, never written into the file."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from abkit.spec.base import Duration, Model

__all__ = ["BasicAuth", "Mode", "Source", "Sources", "Tls"]

LabelName = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
LabelText = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=500)]
EnvironmentName = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class BasicAuth(Model):
    """HTTP basic authentication."""

    username: str
    """The user's name."""
    password_env: EnvironmentName
    """Name of the environment variable that holds the password."""


class Tls(Model):
    """How the server's certificate is checked, and ours shown."""

    ca_file: str | None = None
    """Certificates of the authority to trust; the system's where left out."""
    cert_file: str | None = None
    """Our certificate, for mutual TLS."""
    key_file: str | None = None
    """Its key."""
    insecure_skip_verify: bool = False
    """Trust any certificate: for trials only."""


_READ = frozenset({"__name__", "job", "instance", "pod", "le", "version", "destination_version"})


class Mode(StrEnum):
    """What is asked of a server."""

    RAW = "raw"
    """All samples, as scraped: exact."""
    PUSH_DOWN = "push-down"
    """Sums over all series of a version, variant and replicate, made by the server, a step at a time: approximate, for
    fleets whose samples are too many."""


class Source(Model):
    """One place where samples come from: a server or a file."""

    prometheus: str | None = None
    """Base URL of a Prometheus, such as http://prometheus:9090."""
    victoriametrics: str | None = None
    """Base URL of a VictoriaMetrics, such as http://victoriametrics:8428; of a cluster: its select address with tenant,
    such as http://vmselect:8481/select/0/prometheus."""
    recording: str | None = None
    """A Parquet recording, relative to the experiment file."""
    openmetrics: str | None = None
    """An OpenMetrics file with timestamps, relative to the experiment file."""
    labels: dict[LabelName, LabelText] = Field(default_factory=dict)
    """Labels to add to all its series, such as cluster: several sources are told apart by them."""
    replica_labels: tuple[LabelName, ...] = ()
    """Labels that tell replicas of a server apart, such as [prometheus_replica, replica]: of series that are the same
    but for them, one counts, and another where it is silent."""
    mode: Mode = Mode.RAW
    """What is asked of a Prometheus."""
    step: Duration = timedelta(minutes=1)
    """Push-down: what one sum covers; a part of an hour."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Extra headers, such as X-Scope-OrgID. No secrets: the file is kept in git."""
    bearer_token_env: EnvironmentName | None = None
    """Name of the environment variable that holds a bearer token."""
    bearer_token_file: str | None = None
    """File that holds a bearer token, read anew for each pull."""
    basic_auth: BasicAuth | None = None
    """HTTP basic authentication."""
    tls: Tls = Tls()
    """Certificates."""
    timeout: Duration = timedelta(seconds=30)
    """How long one request may take."""
    retries: Annotated[int, Field(ge=0, le=10)] = 3
    """How often a request that failed for a passing reason is tried again."""

    @field_validator("prometheus", "victoriametrics")
    @classmethod
    def _url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            whole = parts.scheme in {"http", "https"} and bool(parts.hostname)
            _ = parts.port
        except ValueError:
            whole, parts = False, urlsplit("")
        if not whole:
            msg = "should be a URL such as http://prometheus:9090"
            raise ValueError(msg)
        if parts.username or parts.password:
            msg = "holds a password: use basic-auth with password-env instead"
            raise ValueError(msg)
        return url.rstrip("/")

    @property
    def places(self) -> tuple[str, ...]:
        """The kinds of places that are named: one at most."""
        kinds = ("prometheus", "victoriametrics", "recording", "openmetrics")
        return tuple(kind for kind in kinds if getattr(self, kind) is not None)

    @field_validator("labels")
    @classmethod
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if name in _READ or name.startswith("ab_"):
                msg = f"'{name}' says what a series counts, not which server it is from: add another, such as cluster"
                raise ValueError(msg)
        return labels

    @model_validator(mode="after")
    def _push_down(self) -> Self:
        if self.mode is Mode.PUSH_DOWN and self.places not in {(), ("prometheus",)}:
            msg = f"mode push-down needs prometheus: leave mode out for {self.places[0]}"
            raise ValueError(msg)
        if self.mode is Mode.PUSH_DOWN and self.replica_labels:
            msg = "mode push-down can't tell replicas apart: leave replica-labels out, and ask a server that does"
            raise ValueError(msg)
        step = self.step.total_seconds()
        if not 15 <= step <= 3600 or step != round(step) or 3600 % step:
            msg = "step should be a part of an hour, at least 15s, such as 1m or 5m"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.places) > 1:
            msg = f"give {' or '.join(self.places)}, not both"
            raise ValueError(msg)
        ways = [self.bearer_token_env, self.bearer_token_file, self.basic_auth]
        if sum(way is not None for way in ways) > 1:
            msg = "give one of bearer-token-env, bearer-token-file and basic-auth"
            raise ValueError(msg)
        return self


class _OneOrMore:
    """The JSON Schema of a list that may be written without brackets where it has one entry."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        several = handler(core)
        return {"anyOf": [several["items"], several]}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, (dict, Source)) else value


def _apart(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    seen: dict[tuple[tuple[str, str], ...], int] = {}
    for index, source in enumerate(sources if len(sources) > 1 else ()):
        if not source.places:
            msg = f"@{index}@@names no place: give prometheus, victoriametrics, openmetrics or recording"
            raise ValueError(msg)
        labels = tuple(sorted(source.labels.items()))
        if not labels or labels in seen:
            other = f"source {seen[labels] + 1}" if labels in seen else "the others"
            msg = f"@{index}@@can't be told from {other}: give each source labels of its own, such as cluster"
            raise ValueError(msg)
        seen[labels] = index
    return sources


Sources = Annotated[tuple[Source, ...], BeforeValidator(_listed), AfterValidator(_apart), _OneOrMore()]
"""One source, or a list of several that feed one experiment: each with labels of its own."""
