"""Settings: flags before `ABKIT_*` environment before `abkit.toml` in the working directory before defaults."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from abkit.errors import InputError, did_you_mean
from abkit.spec import parse_duration

__all__ = ["Settings", "load_settings"]

_FILE = Path("abkit.toml")
_FOR_EVER = "forever"
_SHORTEST = timedelta(days=3)
"""Minutes become hours from samples of the last 48 hours."""


class Settings(BaseSettings):
    """What holds for every command.

    >>> Settings(db="results.duckdb").db
    PosixPath('results.duckdb')
    """

    model_config = SettingsConfigDict(env_prefix="ABKIT_", toml_file=_FILE, extra="forbid", frozen=True)

    db: Path = Path("abkit.duckdb")
    """The store (`ABKIT_DB`)."""
    prometheus: str | None = None
    """Base URL of Prometheus for experiments that name no source (`ABKIT_PROMETHEUS`)."""
    metrics: Path | None = None
    """A folder of metrics of your own, `*.promql` (`ABKIT_METRICS`)."""
    state: Path = Path("~/.local/state/abkit")
    """Where the history of exports to clusters lies (`ABKIT_STATE`)."""
    lock_wait: Annotated[float, Field(ge=0, le=600)] = 10.0
    """How many seconds to wait for a store that another process holds (`ABKIT_LOCK_WAIT`)."""
    retention: str = "30d"
    """How long samples are kept, such as 30d; at least 3d; `forever` (`ABKIT_RETENTION`). Facts are kept for ever."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged, on stderr (`ABKIT_LOG_LEVEL`)."""
    log_format: Literal["auto", "text", "json"] = "auto"
    """Text on terminals and JSON lines elsewhere, or always one of them (`ABKIT_LOG_FORMAT`)."""
    debug: bool = False
    """Show tracebacks of abkit's own faults (`ABKIT_DEBUG`)."""

    @field_validator("retention")
    @classmethod
    def _is_a_retention(cls, text: str) -> str:
        if text != _FOR_EVER and parse_duration(text) < _SHORTEST:
            msg = f"should be at least {_SHORTEST.days}d, or {_FOR_EVER}"
            raise ValueError(msg)
        return text

    @property
    def keep_ms(self) -> int | None:
        """How long samples are kept; None for ever.

        >>> Settings(retention="7d").keep_ms
        604800000
        """
        return None if self.retention == _FOR_EVER else round(parse_duration(self.retention).total_seconds() * 1000)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, file, in this order."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**flags: object) -> Settings:
    """Settings with the flags that were given.

    Args:
        **flags: Values from the command line; None means not given.

    Raises:
        InputError: A value or a name is wrong, in the file or in the environment.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        name = str(detail["loc"][0]) if detail["loc"] else ""
        place = f"ABKIT_{name.upper()} or {_FILE}"
        if detail["type"] == "extra_forbidden":
            msg = f"{_FILE}: no such setting '{name}'; {did_you_mean(name, Settings.model_fields)}"
        else:
            msg = f"{place}: {name} {detail['msg'].removeprefix('Input ')} (got {detail['input']!r})"
        raise InputError(msg) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        msg = f"{_FILE}: can't be read: {error}"
        raise InputError(msg) from None
