"""A real Envoy takes what is exported while requests arrive, and loses none of them."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from abkit.export import Exporter, bundles
from abkit.export.envoy import EnvoyFiles
from abkit.export.ownership import Owner, owner_of
from abkit.export.steps import widened
from abkit.routing import resolve_splits
from abkit.spec import Experiment
from tests.export.sites import WHO
from tests.routing.envoy.upstreams import upstreams
from tests.routing.specs import experiment
from tests.servers import envoy, free_port

BUNDLE = "my-service.shop"


def spec(folder: Path, ports: dict[str, int], new: str) -> Experiment:
    admin, listen = ports["admin"], ports["listen"]
    upstreams = {version: f"127.0.0.1:{ports[version]}" for version in ("v1", new)}
    return experiment(
        variants={"control": {"version": "v1", "weight": 5_000}, "treatment": {"version": new, "weight": 5_000}},
        mesh={"envoy": {"listen": listen, "admin": admin, "upstreams": upstreams, "config-path": str(folder)}},
    )


def put(target: EnvoyFiles, one: Experiment, *weights: str) -> None:
    exporter = Exporter(target)
    ready = bundles([one], "envoy", resolve_splits([one], weights))
    exporter.apply(lambda: exporter.plan(ready), WHO)


class Load:
    """Requests of ever new users, one after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answers: list[tuple[float, str]] = []

    def ask(self, user: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", "/", headers={"x-user-id": user})
            answer = connection.getresponse()
            return answer.read().decode().partition("\n")[0] if answer.status == 200 else f"status {answer.status}"
        finally:
            connection.close()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            self.answers.append((time.monotonic(), self.ask(f"user-{number}")))

    def until(self, wanted: set[str]) -> None:
        """Wait until the last answers are of these versions and no other."""
        late = time.monotonic() + 30
        while time.monotonic() < late:
            begun = len(self.answers)
            while len(self.answers) < begun + 40 and time.monotonic() < late:
                time.sleep(0.01)
            if {answer for _, answer in self.answers[begun:]} == wanted:
                return
        raise AssertionError(Counter(answer for _, answer in self.answers[-100:]))

    def __enter__(self) -> Load:
        late = time.monotonic() + 30
        while True:
            try:
                self.ask("nobody")
            except OSError:
                assert time.monotonic() < late
                time.sleep(0.05)
            else:
                break
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)


@pytest.mark.envoy
def test_a_running_envoy_follows_and_fails_no_request(tmp_path: Path) -> None:
    target = EnvoyFiles(tmp_path)
    with upstreams("v1", "v2", "v3") as versions:
        ports = {**versions.ports, "listen": free_port(), "admin": free_port()}
        old, new = spec(tmp_path, ports, "v2"), spec(tmp_path, ports, "v3")
        put(target, old)
        with envoy(tmp_path / f"{BUNDLE}.envoy-bootstrap.yaml"), Load(ports["listen"]) as load:
            load.until({"v1", "v2"})
            put(target, old, "v2=0")
            load.until({"v1"})
            put(target, new)
            load.until({"v1", "v3"})
            put(target, new, "v3=100")
            load.until({"v3"})
            exporter = Exporter(target)
            for wanted in ({"v1", "v3"}, {"v1"}, {"v1", "v2"}):
                exporter.apply(lambda: (exporter.plan_rollback("envoy", BUNDLE),), WHO)
                load.until(wanted)
        assert {answer for _, answer in load.answers} == {"v1", "v2", "v3"}


def test_a_file_with_old_and_new_clusters_is_abkits_own(tmp_path: Path) -> None:
    ports = {name: number for number, name in enumerate(("v1", "v2", "v3", "listen", "admin"), start=2_000)}
    one, other = (
        bundles([made], "envoy", resolve_splits([made]))[0].manifests[0].text
        for made in (spec(tmp_path, ports, "v2"), spec(tmp_path, ports, "v3"))
    )
    wide = widened(one, other)
    assert wide is not None
    names = [found["name"] for found in yaml.safe_load(wide)["resources"]]
    assert len(names) == 3
    owner = owner_of(wide)
    assert owner == Owner(ours=True, intact=True, experiments=frozenset({"buy-now-button"}))
    assert widened(wide, wide) is None
