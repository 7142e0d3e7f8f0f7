"""HTTP to a server of samples: authentication, bounded time, retries, and errors that say what to do."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from prometheus_api_client import PrometheusConnect
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from abkit.errors import InputError, SourceAnswer, SourceError, SourceRefused, SourceUnreachable
from abkit.spec import Source as SourceSettings

__all__ = ["Answer", "Connection", "TooMuch"]

Taken = TypeVar("Taken")

_PASSING: Final = {429, 500, 502, 503, 504}
_CONNECT_SECONDS: Final = 10.0
_LONGEST_PAUSE: Final = 30.0
_MOST_BYTES: Final = 1 << 29
_PIECE_BYTES: Final = 1 << 18
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

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
class Answer:
    """An answer with status 200, as it comes.

    Attributes:
        headers: Of the answer; names in any case.
        pieces: The body, piece by piece, each of bounded size.
    """

    headers: Mapping[str, str]
    pieces: Iterator[bytes]


class _Failed(Exception):
    """A request that failed: how, how long to wait, and whether another try may help."""

    def __init__(self, error: SourceError, *, again: bool, pause: float = 0.0) -> None:
        self.error = error
        self.again = again
        self.pause = pause
        super().__init__(str(error))


class Connection:
    """A connection to one server, on prometheus-api-client's.

    Args:
        settings: The experiment's source; must name a server.
        folder: What relative paths of certificates and token files start from.
        backoff: Seconds before the first retry; doubled for each further one.

    Raises:
        InputError: A secret's variable or a file is missing, or a header is malformed.
    """

    def __init__(self, settings: SourceSettings, folder: Path, *, backoff: float) -> None:
        url = settings.prometheus or settings.victoriametrics
        if url is None:
            msg = "source: names no server: give prometheus: http://…"
            raise InputError(msg)
        self._settings = settings
        self._backoff = backoff
        self.place = _without_secrets(url)
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
            url=url.rstrip("/"),
            headers=headers,
            auth=auth,
            session=self._session,
            retry=Retry(total=0, redirect=False, status=False),
        )

    def post(self, path: str, form: Mapping[str, str]) -> bytes:
        """Send a form and read the whole answer.

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
        return self.ask(path, form, lambda answer: b"".join(self._at_most(answer.pieces)))

    def ask(
        self,
        path: str,
        data: Mapping[str, str] | bytes,
        take: Callable[[Answer], Taken],
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Taken:
        """Send a form or bytes, and hand the answer over while it comes: nobody needs to hold all of it.

        Args:
            path: Such as `/api/v1/export`.
            data: A form's fields, or the body.
            take: Reads the answer's pieces. Where the answer breaks off it is called again with the next one, so it
                begins anew each time. What it raises itself is final.
            headers: Beside or in place of those that every request has, such as `Content-Type`.

        Returns:
            What `take` made of an answer with status 200.

        Raises:
            SourceUnreachable: No connection, or it broke, each time.
            SourceRefused: An HTTP error; `TooMuch` where a smaller question may help.
            SourceAnswer: The answer breaks off, each time.
        """
        attempt = 0
        while True:
            try:
                return self._once(path, data, take, headers)
            except _Failed as failed:
                if not failed.again or attempt >= self._settings.retries:
                    raise failed.error from None
                pause = min(self._backoff * 2.0**attempt, _LONGEST_PAUSE) * (1 + random.random() / 4)  # noqa: S311
                time.sleep(max(pause, failed.pause))
            attempt += 1

    def close(self) -> None:
        """Close all connections."""
        self._connect.close()

    def _once(
        self, path: str, data: Mapping[str, str] | bytes, take: Callable[[Answer], Taken], headers: Mapping[str, str]
    ) -> Taken:
        limit = self._settings.timeout.total_seconds()
        deadline = time.monotonic() + limit
        try:
            with self._session.post(
                self._connect.url + path,
                data=data if isinstance(data, bytes) else dict(data),
                # The default asks for gzip, which costs the server ten times what the query does.
                headers={
                    **self._connect.headers,
                    "Accept-Encoding": "identity",
                    "Accept": "application/json",
                    **headers,
                },
                auth=self._connect.auth,
                timeout=(min(_CONNECT_SECONDS, limit), limit),
                verify=self._verify,
                cert=self._certificate,
                allow_redirects=False,
                stream=True,
            ) as response:
                pieces = self._pieces(response, deadline)
                if response.status_code == requests.codes.ok:
                    return take(Answer(response.headers, pieces))
                raise self._refused(response, b"".join(self._at_most(pieces)))
        except requests.exceptions.SSLError as error:
            msg = f"{self.place}: the TLS connection fails: {_reason(error)}: check source.tls (ca-file) and the URL"
            raise _Failed(SourceUnreachable(msg), again=False) from None
        except requests.exceptions.Timeout:
            raise self._slow() from None
        except (requests.exceptions.RequestException, HTTPError, OSError) as error:
            words = _reason(error)
            msg = f"{self.place}: can't be reached: {words}: check the URL, that the server runs, and the network"
            raise _Failed(SourceUnreachable(msg), again=True) from None

    def _pieces(self, response: requests.Response, deadline: float) -> Iterator[bytes]:
        held = 0
        try:
            # read1 returns what has come: a slow drip can't outlast the deadline.
            while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
                held += len(piece)
                yield piece
                if time.monotonic() > deadline:
                    raise self._slow()
        except HTTPError as error:
            if "timed out" in str(error).lower():
                raise self._slow() from None
            raise self._broken(held, f": {_reason(error)}") from None
        except OSError as error:
            raise self._broken(held, f": {_reason(error)}") from None
        if response.raw.length_remaining:
            raise self._broken(held)

    def _at_most(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        held = 0
        for piece in pieces:
            held += len(piece)
            if held > _MOST_BYTES:
                msg = f"{self.place}: answers with more than {_MOST_BYTES >> 20} MB at once"
                raise TooMuch(msg, requests.codes.ok)
            yield piece

    def _broken(self, held: int, why: str = "") -> _Failed:
        msg = f"{self.place}: the answer breaks off after {held:,} bytes{why}: try again"
        return _Failed(SourceAnswer(msg), again=True)

    def _slow(self) -> _Failed:
        limit = self._settings.timeout.total_seconds()
        msg = f"{self.place}: no whole answer within {limit:g} s: raise source.timeout, or ask the server's operators"
        return _Failed(SourceUnreachable(msg), again=True)

    def _refused(self, response: requests.Response, body: bytes) -> _Failed:
        status = response.status_code
        if 300 <= status < 400:
            target = _without_secrets(response.headers.get("Location", "elsewhere"))
            msg = f"{self.place}: redirects (HTTP {status}) to {self._clean(target)}: name the final address"
            return _Failed(SourceRefused(msg, status), again=False)
        said = self._clean(_server_words(body))
        remedy = _REMEDY.get(status, "look at the server's log" if status >= 500 else "check the URL")
        msg = f"{self.place}: HTTP {status}{f', {said}' if said else ''}: {remedy}"
        large = re.search(r"too many|too large|exceed|limit", said, re.IGNORECASE) and "parse error" not in said
        if status in {400, 413, 422} and large:
            return _Failed(TooMuch(msg, status), again=False)
        return _Failed(SourceRefused(msg, status), again=status in _PASSING, pause=_retry_after(response.headers))

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


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
