"""How the dashboard is started: a Streamlit server of its own, on loopback, that tells nobody."""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from abkit.errors import InputError
from abkit.resources import folder

__all__ = ["DEFAULT_PORT", "choose_port", "command", "url"]

DEFAULT_PORT = 8501
"""Tried first where no port is given."""

_NEEDED = ("streamlit", "altair", "pandas")


def command(db: Path | str, host: str = "127.0.0.1", port: int | None = None) -> tuple[list[str], dict[str, str]]:
    """What to run, and with which environment.

    Call `choose_port` first where the address is to be printed, and pass on what it gives.

    Args:
        db: The store's file; it need not exist yet.
        host: Address to listen on.
        port: Port to listen on; a free one is taken where left out.

    Returns:
        Arguments and environment, for `subprocess.Popen(argv, env=env)`.

    Raises:
        InputError: Streamlit isn't installed, the address can't be had, or the port is in use.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        msg = f"the dashboard needs {', '.join(missing)}: pip install 'abkit[dashboard]'"
        raise InputError(msg)
    chosen = choose_port(host, port)
    argv = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(folder("dashboards") / "streamlit_app.py"),
        "--server.address",
        host,
        "--server.port",
        str(chosen),
        "--server.headless",
        "true",
        "--server.fileWatcherType",
        "none",
        "--browser.gatherUsageStats",
        "false",
        "--logger.level",
        "warning",
    ]
    return argv, {**os.environ, "ABKIT_DB": str(Path(db).resolve())}


def choose_port(host: str = "127.0.0.1", port: int | None = None) -> int:
    """A port that is free now.

    Args:
        host: Address to listen on.
        port: The wanted port; where left out, `DEFAULT_PORT` if it is free, else any.

    Raises:
        InputError: The port is in use or forbidden, or the address isn't one of this machine.
    """
    if port is not None and not 1 <= port <= 65535:
        msg = f"port {port}: should be between 1 and 65535"
        raise InputError(msg)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        msg = f"host {host}: no address of this name ({error.strerror}): give --host 127.0.0.1"
        raise InputError(msg) from None
    if port is not None:
        return _bind(family, str(address[0]), port)
    try:
        return _bind(family, str(address[0]), DEFAULT_PORT)
    except InputError:
        return _bind(family, str(address[0]), 0)


def url(host: str, port: int) -> str:
    """The address to open in a browser.

    >>> url("127.0.0.1", 8501), url("0.0.0.0", 80), url("::1", 8501)
    ('http://127.0.0.1:8501', 'http://127.0.0.1:80', 'http://[::1]:8501')
    """
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # a listener on all is reached here
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _bind(family: int, address: str, port: int) -> int:
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # As the server does: a port whose last connection has just ended is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError as error:
            msg = f"{address} port {port}: can't listen there ({error.strerror}): give another --port or --host"
            raise InputError(msg) from None
        return int(listener.getsockname()[1])
