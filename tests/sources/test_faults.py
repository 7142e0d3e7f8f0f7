"""Each fault, before each server and each way to read it: a typed error or the whole answer, in bounded time."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from abkit.errors import SourceError, SourceRefused, SourceUnreachable
from abkit.sources.base import Source
from abkit.sources.prometheus import WAYS, PrometheusSource
from abkit.sources.pushdown import PushDownSource
from abkit.sources.victoriametrics import VictoriaMetricsSource
from abkit.spec import Source as SourceSettings
from abkit.window import Window
from tests.faults import BOMB, FAULTS, FaultProxy, certificate, fault_proxy
from tests.servers import backfill, free_port, prometheus, victoriametrics
from tests.sources.data import Series, exposition, fetched, openmetrics
from tests.store.rows import START, living, ticking

WINDOW = Window(START, START + 3_600_000)
SELECTOR = 'c_total{ab_experiment="x"}'
READERS = [*WAYS, "prometheus", "victoriametrics", "push-down"]

Points = dict[str, list[tuple[int, float | str]]]


def _series() -> list[Series]:
    return [living(-1_800, 5_400), *(ticking(-1_800, 5_400, instance=str(i), ab_replicate=str(i)) for i in range(4))]


def _source(reader: str, url: str, **more: Any) -> Source:
    fields = {"timeout": "1s", "retries": 3} | more
    if reader == "victoriametrics":
        return VictoriaMetricsSource(SourceSettings.model_validate({"victoriametrics": url} | fields), backoff=0.01)
    settings = SourceSettings.model_validate({"prometheus": url} | fields)
    if reader == "push-down":
        return PushDownSource(settings, backoff=0.01)
    return PrometheusSource(settings, backoff=0.01, ways=[reader] if reader in WAYS else WAYS)


@dataclass(frozen=True)
class Place:
    """A reader, a proxy before its server, and what it reads undisturbed."""

    reader: str
    proxy: FaultProxy
    whole: Points

    def read(self, **settings: Any) -> Points:
        source = _source(self.reader, self.proxy.url, **settings)
        try:
            return fetched(source, SELECTOR, WINDOW)
        finally:
            source.close()


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("faults")
    with (
        prometheus(backfill(openmetrics(_series()), folder / "tsdb")) as url,
        victoriametrics(exposition(_series()), folder / "victoria") as victoria,
    ):
        yield dict.fromkeys(READERS, url) | {"victoriametrics": victoria}


@pytest.fixture(scope="module", params=READERS)
def shared(request: pytest.FixtureRequest, urls: dict[str, str]) -> Iterator[Place]:
    reader = request.param
    with fault_proxy(urls[reader]) as proxy:
        source = _source(reader, urls[reader], timeout="30s")
        whole = fetched(source, SELECTOR, WINDOW)
        source.close()
        assert sum(map(len, whole.values())) > 200
        yield Place(reader, proxy, whole)


@pytest.fixture
def place(shared: Place) -> Place:
    shared.proxy.fault, shared.proxy.spoiled, shared.proxy.token = None, lambda _: True, None
    shared.proxy.requests = 0
    return shared


def _timed(read: Callable[[], Any]) -> tuple[Any, float]:
    start = time.monotonic()
    try:
        found = read()
    except SourceError as error:
        found = error
    return found, time.monotonic() - start


@pytest.mark.prometheus
class TestFaults:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_once(self, place: Place, fault: str) -> None:
        """A fault that passes: the whole answer, or a typed error where another try is no remedy."""
        place.proxy.fault, passing = FAULTS[fault]
        place.proxy.spoiled = lambda number: number == 0
        found, seconds = _timed(place.read)
        if passing:
            assert found == place.whole
            assert place.proxy.requests > 1
        else:
            assert found == place.whole or isinstance(found, SourceError)
        assert seconds < 10

    @pytest.mark.parametrize("fault", FAULTS)
    def test_always(self, place: Place, fault: str) -> None:
        place.proxy.fault, passing = FAULTS[fault]
        found, seconds = _timed(lambda: place.read(retries=1))
        assert isinstance(found, SourceError)
        assert place.proxy.url in str(found)
        assert "\n" not in str(found)
        # Each way that there is, twice at most.
        assert seconds < 15
        assert place.proxy.requests <= 2 * 3 * (2 if passing else 1)

    def test_a_redirect_is_not_followed(self, place: Place) -> None:
        place.proxy.fault, _ = FAULTS["redirect"]
        with pytest.raises(SourceRefused, match="redirects"):
            place.read(retries=0)
        assert place.proxy.requests == 1

    def test_a_bomb_does_not_fill_the_memory(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("abkit.sources.transport._MOST_BYTES", 1 << 24)
        monkeypatch.setattr("abkit.sources.jsonlines._LONGEST_LINE", 1 << 24)
        place.proxy.fault, _ = FAULTS["gzip bomb"]
        with pytest.raises(SourceError):
            place.read(retries=0)  # the proxy makes it now, once
        tracemalloc.start()
        try:
            with pytest.raises(SourceError):
                place.read(retries=0, timeout="20s")
            assert tracemalloc.get_traced_memory()[1] < BOMB
        finally:
            tracemalloc.stop()

    def test_nobody_listens(self, place: Place) -> None:
        source = _source(place.reader, f"http://127.0.0.1:{free_port()}", retries=1)
        with pytest.raises(SourceUnreachable, match="refused"):
            fetched(source, SELECTOR, WINDOW)

    def test_a_token_that_expires_and_a_new_one(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.proxy.token = "n3w-s3cret"
        (tmp_path / "token").write_text("0ld-s3cret")
        settings = {"bearer-token-file": str(tmp_path / "token")}
        with pytest.raises(SourceRefused, match="HTTP 401, token expired: give bearer-token") as raised:
            place.read(**settings)
        assert "s3cret" not in str(raised.value)
        assert place.proxy.requests == 1
        (tmp_path / "token").write_text("n3w-s3cret\n")
        assert place.read(**settings) == place.whole


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path, Path]]:
    folder = tmp_path_factory.mktemp("certificates")
    return {
        "good": certificate(folder / "good", "127.0.0.1"),
        "of another host": certificate(folder / "other", "127.0.0.9"),
        "expired": certificate(folder / "expired", "127.0.0.1", days=-1),
    }


@pytest.mark.prometheus
class TestCertificates:
    @pytest.mark.parametrize("reader", READERS)
    @pytest.mark.parametrize(
        ("kind", "why"),
        [
            ("good", ""),
            ("of another host", "mismatch|doesn't match"),
            ("expired", "expired"),
            ("unknown", "issuer|self"),
        ],
    )
    def test_only_one_that_fits_is_trusted(
        self, reader: str, kind: str, why: str, urls: dict[str, str], authority: dict[str, tuple[Path, Path, Path]]
    ) -> None:
        certificate_, key, ca = authority["good" if kind == "unknown" else kind]
        tls = {} if kind == "unknown" else {"tls": {"ca-file": str(ca)}}
        with fault_proxy(urls[reader], (certificate_, key)) as proxy:
            source = _source(reader, proxy.url, **tls)
            if why:
                with pytest.raises(SourceUnreachable, match=f"TLS connection fails.*({why}).*ca-file"):
                    fetched(source, SELECTOR, WINDOW)
                assert proxy.requests == 0
            else:
                assert fetched(source, SELECTOR, WINDOW)
            source.close()
