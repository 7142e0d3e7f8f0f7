"""HTTP to a Prometheus: authentication, bounded time, retries, and errors that say what to do."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import requests
from prometheus_api_client import PrometheusConnect
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from abkit.errors import InputError, SourceAnswer, SourceError, SourceRefused, SourceUnreachable
from abkit.spec import Source as SourceSettings

__all__ = ["Connection", "TooMuch"]

_PASSING: Final = {429, 500, 502, 503, 504}
_CONNECT_SECONDS: Final = 10.0
_LONGEST_PAUSE: Final = 30.0
_MOST_BYTES: Final = 1 << 29

_REMEDY: Final = {
    400: "the server does not understand the query: check the metric's selector",
    401: "give bearer-token-env, bearer-token-file or basic-auth in source, and check the token",
    403: "the credentials may not read this: ask for the right, or check X-Scope-OrgID in headers",
    404: "is the URL the base of a Prometheus, without /api/v1?",
    422: "the server can't run the query: check the metric's selector, or raise the server's limits",
    429: "too many requests: try later",
}


class TooMuch(SourceRefused):
    """The server, or this end, takes no answer of this size: ask for less at a time."""


class _NoAuth(AuthBase):
    """Sends what the headers say: requests would else take a password from ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """A connection to one server, on prometheus-api-client's.

    Args:
        settings: The experiment's source; `prometheus` must be set.
        folder: What relative paths of certificates and token files start from.
        backoff: Seconds before the first retry; doubled for each further one.

    Raises:
        InputError: A secret's variable or a file is missing, or a header is malformed.
    """

    def __init__(self, settings: SourceSettings, folder: Path, *, backoff: float) -> None:
        if settings.prometheus is None:
            msg = "source: names no Prometheus: give prometheus: http://…"
            raise InputError(msg)
        self._settings = settings
        self._backoff = backoff
        self.place = _without_secrets(settings.prometheus)
        headers = dict(settings.headers)
        self._secrets: list[str] = []
        auth: Any = _NoAuth()
        if token := _token(settings, folder):
            headers["Authorization"] = f"Bearer {token}"
            self._secrets.append(token)
        elif settings.basic_auth is not None:
            password = _environment(settings.basic_auth.password_env, "source.basic-auth.password-env")
            auth = (settings.basic_auth.username, password)
            encoded = base64.b64encode(f"{settings.basic_auth.username}:{password}".encode()).decode()
            self._secrets += [password, encoded]
        for name, value in headers.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not re.fullmatch(r"[^\x00-\x1f\x7f]*", value):
                msg = f"source.headers: '{name[:60]}': a name has no spaces, and a value no line breaks"
                raise InputError(msg)
        self._verify: bool | str = _file(settings.tls.ca_file, folder, "source.tls.ca-file") or True
        if settings.tls.insecure_skip_verify:
            self._verify = False
        certificate = _file(settings.tls.cert_file, folder, "source.tls.cert-file")
        key = _file(settings.tls.key_file, folder, "source.tls.key-file")
        self._certificate = (certificate, key) if certificate and key else certificate
        self._session = requests.Session()
        # Retries are ours: the library's would hide what the server said.
        self._connect = PrometheusConnect(
            url=settings.prometheus.rstrip("/"),
            headers=headers,
            auth=auth,
            session=self._session,
            retry=Retry(total=0, redirect=False, status=False),
        )

    def post(self, path: str, form: Mapping[str, str]) -> bytes:
        """Send a form and read the answer.

        Args:
            path: Such as `/api/v1/query`.
            form: Its fields.

        Returns:
            The body of an answer with status 200.

        Raises:
            SourceUnreachable: No connection, or it broke, each time.
            SourceRefused: An HTTP error; `TooMuch` where a smaller question may help.
            SourceAnswer: The answer breaks off, each time.
        """
        for attempt in range(self._settings.retries + 1):
            pause = min(self._backoff * 2.0**attempt, _LONGEST_PAUSE) * (1 + random.random() / 4)  # noqa: S311
            try:
                reply = self._once(path, form)
            except SourceError as error:
                failure: SourceError = error
            else:
                if reply.status == requests.codes.ok:
                    return reply.body
                failure = self._refused(reply)
                if reply.status not in _PASSING:
                    raise failure
                pause = max(pause, _retry_after(reply.headers))
            if attempt < self._settings.retries and not isinstance(failure, TooMuch | _Final):
                time.sleep(pause)
                continue
            break
        raise failure

    def close(self) -> None:
        """Close all connections."""
        self._connect.close()

    def _once(self, path: str, form: Mapping[str, str]) -> _Reply:
        limit = self._settings.timeout.total_seconds()
        deadline = time.monotonic() + limit
        try:
            with self._session.post(
                self._connect.url + path,
                data=dict(form),
                # The default asks for gzip, which costs the server ten times what the query does.
                headers={**self._connect.headers, "Accept-Encoding": "identity", "Accept": "application/json"},
                auth=self._connect.auth,
                timeout=(min(_CONNECT_SECONDS, limit), limit),
                verify=self._verify,
                cert=self._certificate,
                allow_redirects=False,
                stream=True,
            ) as response:
                return _Reply(response.status_code, response.headers, self._body(response, deadline))
        except requests.exceptions.SSLError as error:
            msg = f"{self.place}: the TLS connection fails: {_reason(error)}: check source.tls (ca-file) and the URL"
            raise _Final(msg) from None
        except requests.exceptions.Timeout:
            raise self._slow() from None
        except (requests.exceptions.RequestException, HTTPError, OSError) as error:
            words = _reason(error)
            msg = f"{self.place}: can't be reached: {words}: check the URL, that the server runs, and the network"
            raise SourceUnreachable(msg) from None

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        parts: list[bytes] = []
        held = 0
        try:
            # read1 returns what has come: a slow drip can't outlast the deadline.
            while part := response.raw.read1(1 << 20, decode_content=True):
                parts.append(part)
                held += len(part)
                if held > _MOST_BYTES:
                    msg = f"{self.place}: answers with more than {_MOST_BYTES >> 20} MB at once"
                    raise TooMuch(msg, response.status_code)
                if time.monotonic() > deadline:
                    raise self._slow()
        except HTTPError as error:
            if "timed out" in str(error).lower():
                raise self._slow() from None
            msg = f"{self.place}: the answer breaks off after {held:,} bytes: {_reason(error)}: try again"
            raise SourceAnswer(msg) from None
        if response.raw.length_remaining:
            msg = f"{self.place}: the answer breaks off after {held:,} bytes: try again"
            raise SourceAnswer(msg)
        return b"".join(parts)

    def _slow(self) -> SourceUnreachable:
        limit = self._settings.timeout.total_seconds()
        return SourceUnreachable(
            f"{self.place}: no whole answer within {limit:g} s: raise source.timeout, or ask the server's operators"
        )

    def _refused(self, reply: _Reply) -> SourceRefused:
        if 300 <= reply.status < 400:
            target = _without_secrets(reply.headers.get("Location", "elsewhere"))
            msg = f"{self.place}: redirects (HTTP {reply.status}) to {self._clean(target)}: name the final address"
            return SourceRefused(msg, reply.status)
        said = self._clean(_server_words(reply.body))
        remedy = _REMEDY.get(reply.status, "look at the server's log" if reply.status >= 500 else "check the URL")
        msg = f"{self.place}: HTTP {reply.status}{f', {said}' if said else ''}: {remedy}"
        large = re.search(r"too many|too large|exceed|limit", said, re.IGNORECASE) and "parse error" not in said
        if reply.status in {400, 413, 422} and large:
            return TooMuch(msg, reply.status)
        return SourceRefused(msg, reply.status)

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class _Final(SourceUnreachable):
    """No retry will help."""


def _server_words(body: bytes) -> str:
    text = body[:4_000].decode(errors="replace")
    try:
        fields = json.loads(body[:100_000])
        text = str(fields["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        text = re.sub(r"(?is)<(script|style).*?</\1>|<[^>]*>", " ", text)
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= 200 else line[:199] + "…"


def _retry_after(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "")
    # A date is possible too; nobody sends one here, and the back-off alone does.
    return min(float(text), _LONGEST_PAUSE) if re.fullmatch(r"\d{1,6}", text) else 0.0


def _reason(error: BaseException) -> str:
    """The innermost cause's words, one line."""
    cause: BaseException = error
    while True:
        inner = getattr(cause, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((each for each in cause.args if isinstance(each, BaseException)), None)
        if inner is None or inner is cause:
            break
        cause = inner
    words = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    words = re.sub(r"^<[^>]*>:\s*|^HTTPS?Connection(Pool)?\([^)]*\):?\s*", "", " ".join(words.split()))
    return words[:200]


def _without_secrets(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "a malformed address"
    return urlunsplit((parts.scheme, host + port, parts.path.rstrip("/"), "", ""))


def _token(settings: SourceSettings, folder: Path) -> str | None:
    if settings.bearer_token_env is not None:
        return _environment(settings.bearer_token_env, "source.bearer-token-env")
    path = _file(settings.bearer_token_file, folder, "source.bearer-token-file")
    if path is None:
        return None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token:
        msg = f"source.bearer-token-file: {path} holds no token that can be read"
        raise InputError(msg)
    return token


def _environment(name: str, field: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        msg = f"{field}: the environment variable {name} is not set: set it to the secret"
        raise InputError(msg)
    return value


def _file(name: str | None, folder: Path, field: str) -> str | None:
    if name is None:
        return None
    path = folder / name
    if not path.is_file():
        msg = f"{field}: no such file: {path}"
        raise InputError(msg)
    return str(path)
