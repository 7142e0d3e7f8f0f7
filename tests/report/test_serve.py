from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from abkit.errors import InputError
from abkit.report import serve


def test_the_command_starts_streamlit_quietly_on_loopback(tmp_path: Path) -> None:
    argv, env = serve.command(tmp_path / "a.duckdb", "127.0.0.1", serve.choose_port())
    assert argv[:4] == [sys.executable, "-m", "streamlit", "run"]
    assert Path(argv[4]).is_file()
    options = dict(zip(argv[5::2], argv[6::2], strict=True))
    assert options["--server.address"] == "127.0.0.1"
    assert options["--server.headless"] == "true"
    assert options["--browser.gatherUsageStats"] == "false"
    assert env["ABKIT_DB"] == str(tmp_path / "a.duckdb")


def test_a_port_in_use_is_refused_by_name() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"port {port}: can't listen there .* give another --port"):
            serve.command("a.duckdb", "127.0.0.1", port)


def test_without_a_port_a_free_one_is_found_beside_a_taken_default(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(serve, "DEFAULT_PORT", taken.getsockname()[1])
        assert serve.choose_port("127.0.0.1") not in {0, taken.getsockname()[1]}


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 0), ("127.0.0.1", 70_000), ("192.0.2.1", None)])
def test_what_can_not_be_listened_on_is_refused(host: str, port: int | None) -> None:
    with pytest.raises(InputError):
        serve.choose_port(host, port)


def test_missing_packages_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "streamlit", None)
    with pytest.raises(InputError, match=r"needs streamlit: pip install 'abkit\[dashboard\]'"):
        serve.command("a.duckdb")
