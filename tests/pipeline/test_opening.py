"""Which source an experiment is read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from abkit.errors import InputError
from abkit.pipeline.opening import open_source
from abkit.resources import folder
from abkit.sources.base import Source
from abkit.window import Window
from tests.sources.data import Series, fetched, write_recording
from tests.store.rows import experiment

HERE = Path()
URL = "http://prometheus:9090"


def _name(source: Any, **named: Any) -> str:
    opened: Source = open_source(experiment(source=source), HERE, **named)
    opened.close()
    return opened.name


@pytest.mark.parametrize(
    ("source", "named", "name"),
    [
        ({"prometheus": URL}, {}, f"prometheus {URL}"),
        ({"victoriametrics": "http://vm:8428"}, {}, "victoriametrics http://vm:8428"),
        ({"openmetrics": "x.om"}, {}, "openmetrics x.om"),
        ({"recording": "x.parquet"}, {}, "recording x.parquet"),
        ([{"prometheus": URL}], {}, f"prometheus {URL}"),
        ({"recording": "x.parquet"}, {"prometheus": URL}, f"prometheus {URL}"),
        ({"victoriametrics": "http://vm:8428"}, {"prometheus": URL}, f"prometheus {URL}"),
        ({"prometheus": URL}, {"recording": Path("y.parquet")}, "recording y.parquet"),
        ({"prometheus": URL}, {"fallback": "http://other"}, f"prometheus {URL}"),
        ({}, {"fallback": URL}, f"prometheus {URL}"),
        (
            [{"prometheus": URL, "labels": {"cluster": "a"}}, {"victoriametrics": URL, "labels": {"cluster": "b"}}],
            {},
            f"prometheus {URL} and victoriametrics {URL}",
        ),
    ],
)
def test_what_is_opened(source: Any, named: Any, name: str) -> None:
    assert _name(source, **named) == name


def test_nothing_is_named() -> None:
    with pytest.raises(InputError, match="no source: give"):
        _name({})
    with pytest.raises(InputError, match="--prometheus and --recording"):
        _name({}, prometheus=URL, recording=Path("x"))
    with pytest.raises(InputError, match="--prometheus: should be a URL"):
        _name({}, prometheus="nonsense")


def test_another_address_keeps_the_settings_of_one_source_but_not_of_one_of_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a server may see: a token is for the server that the file names it for."""
    secret = {"bearer-token-env": "ABKIT_TEST_TOKEN"}
    with pytest.raises(InputError, match="ABKIT_TEST_TOKEN is not set"):
        _name({"prometheus": URL, **secret}, prometheus="http://other")
    several = [
        {"prometheus": URL, "labels": {"cluster": "a"}, **secret},
        {"prometheus": "http://second:9090", "labels": {"cluster": "b"}, **secret},
    ]
    assert _name(several, prometheus="http://other") == "prometheus http://other"
    with pytest.raises(InputError, match="ABKIT_TEST_TOKEN is not set"):
        _name(several, prometheus=URL)


def test_labels_and_replicas_of_recordings(tmp_path: Path) -> None:
    window = Window(0, 60_000)
    for name in "ab":
        points = [(t, float(t)) for t in range(0, 60_000, 15_000)]
        write_recording([Series({"__name__": "x", "pod": "p"}, points)], tmp_path / name, window)
    files = [{"recording": name, "labels": {"replica": name, "cluster": "c"}} for name in "ab"]
    files[0]["replica-labels"] = ["replica"]
    source = open_source(experiment(source=files), tmp_path)
    assert fetched(source, "x", window) == {
        '{"__name__":"x","cluster":"c","pod":"p"}': [(t, float(t)) for t in range(0, 60_000, 15_000)]
    }
    assert source.way == "recording, one of each replica"


def test_the_example_is_read() -> None:
    from abkit.spec import load

    path = folder("data") / "experiments" / "buy-now-button.yaml"
    assert open_source(load(path), path.parent).span() is not None
