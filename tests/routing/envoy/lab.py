"""A real Envoy with many services behind it, and how their experiment files are put in force."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from abkit.routing import Manifest, build_plan, merge_plans, resolve_split
from abkit.routing.envoy import files
from abkit.spec import Experiment
from tests.routing.envoy.upstreams import DEEP, Answer, Ask, Upstreams, ask, ask_all
from tests.servers import ENVOY, envoy, free_port

__all__ = ["ENVOY", "Lab", "assembled", "lab"]


class Lab:
    """Files in a folder, and the Envoy that reads them."""

    def __init__(self, folder: Path, versions: Upstreams) -> None:
        self.folder, self.versions = folder, versions
        self.port, self.admin_port = free_port(), free_port()
        self.specs: dict[str, Experiment] = {}
        self.splits: dict[str, Mapping[str, int]] = {}
        self.url = ""
        self._running = ExitStack()

    def spec(self, service: str, **changes: Any) -> Experiment:
        """An experiment on a service that this Envoy serves; kept."""
        mesh = changes.pop("mesh", {})
        places = {version: f"127.0.0.1:{port}" for version, port in self.versions.ports.items()}
        own = {"name": "lab", "listen": self.port, "admin": self.admin_port, "upstreams": places}
        document: dict[str, Any] = {
            "service": {"name": service, "namespace": "shop"},
            "variants": {"control": {"version": "v1"}, "treatment": {"version": "v2"}},
            "metrics": ["conversion"],
            "mesh": {**mesh, "envoy": {**own, **mesh.get("envoy", {})}},
        }
        spec = Experiment.model_validate(document | changes)
        self.specs[spec.name] = spec
        return spec

    def files(self) -> tuple[Manifest, ...]:
        """What the experiments make."""
        plans = (build_plan(spec, self.splits.get(name)) for name, spec in self.specs.items())
        return files(merge_plans(plans), str(self.folder))

    def write(self) -> None:
        """Put the files in place, each at once."""
        for file in self.files():
            fresh = self.folder / f".{file.filename}"
            fresh.write_text(file.text)
            os.replace(fresh, self.folder / file.filename)  # noqa: PTH105

    def apply(self, **weights: Mapping[str, float]) -> None:
        """Give experiments other splits, version → percent, and wait until Envoy has them."""
        for name, percent in weights.items():
            self.splits[name] = resolve_split(self.specs[name], percent)
        self.write()
        wanted = [yaml.safe_load(file.text)["version_info"] for file in self.files()[:2]]
        deadline = time.monotonic() + 20
        while (said := self._versions()) != wanted:
            assert time.monotonic() < deadline, f"Envoy has {said}, not {wanted}"
            time.sleep(0.02)

    def _versions(self) -> list[str]:
        lines = requests.get(f"{self.url}/stats?filter=version_text", timeout=5).text.splitlines()
        found = dict(line.split(": ") for line in lines)
        return [
            found[name].strip('"') for name in ("cluster_manager.cds.version_text", "http.abkit.rds.abkit.version_text")
        ]

    def start(self) -> None:
        """Start Envoy."""
        self.url = self._running.enter_context(envoy(self.folder / "lab.envoy-bootstrap.yaml"))

    def stop(self) -> None:
        """End it."""
        self._running.close()

    def ask(self, service: str, path: str = "/", method: str = "GET", **headers: str) -> Answer:
        """One request; underscores in the names of headers stand for dashes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.port, Ask(sent, path, method, service))

    def ask_all(self, asks: Iterable[Ask], deep: int = DEEP) -> list[Answer]:
        """Many requests."""
        return ask_all(self.port, asks, deep)

    def users(self, service: str, units: Iterable[str], **headers: str) -> list[Answer]:
        """A request of each unit."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask_all(Ask({"x-user-id": unit, **sent}, host=service) for unit in units)

    def counters(self, pattern: str) -> dict[str, int]:
        """Envoy's own statistics."""
        lines = requests.get(f"{self.url}/stats?filter={pattern}", timeout=5).text.splitlines()
        return {name: int(value) for name, _, value in (line.rpartition(": ") for line in lines) if value.isdigit()}


@contextmanager
def lab(folder: Path, versions: Upstreams) -> Iterator[Lab]:
    """A lab whose Envoy, once started, ends with the block."""
    made = Lab(folder, versions)
    try:
        yield made
    finally:
        made.stop()


def assembled(manifests: Iterable[Manifest]) -> dict[str, Any]:
    """The files as one static configuration, which `envoy --mode validate` reads all of."""
    documents = [yaml.safe_load(manifest.text) for manifest in manifests]
    [start] = [one for one in documents if "node" in one]
    resources = [one for document in documents for one in document.get("resources", ())]
    of = {
        kind: [one for one in resources if one["@type"].endswith(f".{kind}")]
        for kind in ("Cluster", "RouteConfiguration", "Listener")
    }
    [routes], [listener] = of["RouteConfiguration"], of["Listener"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager.pop("rds")["route_config_name"] == routes["name"]
    manager["route_config"] = routes
    static = {"clusters": of["Cluster"], "listeners": [listener]}
    for one in (*static["clusters"], routes, listener):
        del one["@type"]
    assert set(start.pop("dynamic_resources")) == {"cds_config", "lds_config"}
    return {**start, "static_resources": static}
