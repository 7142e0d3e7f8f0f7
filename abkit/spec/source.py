"""Where samples come from. Secrets are named by environment variable or file, never written into the file."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from abkit.spec.base import Duration, Model

__all__ = ["BasicAuth", "Source", "Tls"]

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


class Source(Model):
    """Where samples come from."""

    prometheus: str | None = None
    """Base URL of a Prometheus, such as http://prometheus:9090."""
    victoriametrics: str | None = None
    """Base URL of a VictoriaMetrics, such as http://victoriametrics:8428; of a cluster: its select address with tenant,
    such as http://vmselect:8481/select/0/prometheus."""
    recording: str | None = None
    """A Parquet recording, relative to the experiment file."""
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

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = ("prometheus", "victoriametrics", "recording")
        if len(named := [kind for kind in kinds if getattr(self, kind) is not None]) > 1:
            msg = f"give {' or '.join(named)}, not both"
            raise ValueError(msg)
        ways = [self.bearer_token_env, self.bearer_token_file, self.basic_auth]
        if sum(way is not None for way in ways) > 1:
            msg = "give one of bearer-token-env, bearer-token-file and basic-auth"
            raise ValueError(msg)
        return self
