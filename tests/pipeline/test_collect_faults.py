"""Whole pulls through a proxy that spoils some requests: the store holds all of a window or nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abkit.errors import SourceError
from abkit.pipeline.collect import collect
from abkit.pipeline.opening import open_source
from abkit.sources.prometheus import WAYS, PrometheusSource
from abkit.spec import Experiment
from abkit.store import Store
from tests.faults import FAULTS, fault_proxy
from tests.servers import backfill, prometheus, victoriametrics
from tests.sources.data import Series, exposition, openmetrics
from tests.store.rows import START, differences, experiment, living, tables, ticking

READERS = [*WAYS, "victoriametrics", "push-down"]
HALF, END = START + 1_800_000, START + 3_600_000


def _series() -> list[Series]:
    return [living(-1_800, 3_600), *(ticking(-1_800, 3_600, ab_replicate=str(i)) for i in range(3))]


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("faults")
    with (
        prometheus(backfill(openmetrics(_series()), folder / "tsdb")) as url,
        victoriametrics(exposition(_series()), folder / "victoria") as victoria,
    ):
        yield dict.fromkeys(READERS, url) | {"victoriametrics": victoria}


def _pull(reader: str, url: str, store: Store, until: int, timeout: str = "20s") -> None:
    kind = "victoriametrics" if reader == "victoriametrics" else "prometheus"
    settings = {kind: url, "timeout": timeout, "retries": 0} | ({"mode": reader} if reader == "push-down" else {})
    spec: Experiment = experiment(analysis={"start": "2026-11-01"}, source=settings)
    source = PrometheusSource(spec.sources[0], ways=[reader]) if reader in WAYS else open_source(spec, Path())
    try:
        collect(spec, source, store, now_ms=until)
    finally:
        source.close()


@pytest.mark.prometheus
@pytest.mark.parametrize(("fault", "reader"), list(zip(FAULTS, READERS * len(FAULTS), strict=False)))
def test_nothing_partial_is_kept(fault: str, reader: str, urls: dict[str, str], tmp_path: Path) -> None:
    """None, one or two requests of a pull pass: whatever it was that failed then, nothing of it stays."""
    whole, store = Store(tmp_path / "whole.duckdb"), Store(tmp_path / "x.duckdb")
    for until in (HALF, END):
        _pull(reader, urls[reader], whole, until)
    _pull(reader, urls[reader], store, HALF)
    before = tables(store.path)
    with fault_proxy(urls[reader]) as proxy:
        proxy.fault, _ = FAULTS[fault]
        for passing in (0, 1, 2):
            proxy.requests, proxy.spoiled = 0, lambda number, passing=passing: number >= passing  # type: ignore[misc]
            with pytest.raises(SourceError):
                _pull(reader, proxy.url, store, END, "1s")
            assert proxy.requests > passing
            assert tables(store.path) == before
        proxy.fault = None
        _pull(reader, proxy.url, store, END)
    assert differences(store.path, whole.path) == {}


@pytest.mark.prometheus
@pytest.mark.parametrize("reader", READERS)
def test_no_secret_is_kept_or_told(
    reader: str,
    urls: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ABKIT_TEST_TOKEN", "s3cret-token")
    kind = "victoriametrics" if reader == "victoriametrics" else "prometheus"
    settings = {"bearer-token-env": "ABKIT_TEST_TOKEN", "headers": {"X-Scope-OrgID": "tenant-7"}}
    with fault_proxy(urls[reader]) as proxy:
        proxy.token = "s3cret-token"
        mode = {"mode": reader} if reader == "push-down" else {}
        spec = experiment(analysis={"start": "2026-11-01"}, source={kind: proxy.url, **settings, **mode})
        source = PrometheusSource(spec.sources[0], ways=[reader]) if reader in WAYS else open_source(spec, Path())
        store = Store(tmp_path / "x.duckdb")
        report = collect(spec, source, store, now_ms=END)
        source.close()
        assert report.samples
        proxy.token = "another"
        with pytest.raises(SourceError) as raised:
            collect(spec, source, store, now_ms=END + 600_000)
    said = "".join(capfd.readouterr())
    for text in (store.path.read_bytes().decode("latin-1"), repr(report), str(raised.value), said):
        assert "s3cret" not in text
        assert "tenant-7" not in text
