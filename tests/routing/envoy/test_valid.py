"""Envoy itself takes what is written for it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abkit.errors import RoutingError
from abkit.resources import folder
from abkit.routing import Manifest, render, render_many
from abkit.spec import Experiment, load
from tests.routing.envoy.lab import ENVOY, assembled
from tests.routing.specs import experiment
from tests.routing.strategies import experiments

pytestmark = pytest.mark.envoy

SPECS = sorted((folder("data") / "experiments").glob("*.yaml"))
PARTS = ("header", "cookie", "query", "path", "method", "device")


def refused(manifests: Iterable[Manifest], place: Path) -> str:
    """What Envoy has against it; empty for nothing."""
    place.write_text(json.dumps(assembled(manifests)))
    ran = subprocess.run([ENVOY, "--mode", "validate", "-c", place], capture_output=True, timeout=60, check=False)
    return "" if ran.returncode == 0 else ran.stderr.decode()[-800:]


def _rendered(spec: Experiment) -> tuple[Manifest, ...]:
    try:
        return render(spec, "envoy")
    except RoutingError as error:
        assert "can't match by the calling workload" in str(error)  # noqa: PT017  said, and not left out
        return ()


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_every_example(file: Path, tmp_path: Path) -> None:
    manifests = _rendered(load(file))
    assert manifests or "source" in file.read_text()
    if manifests:
        assert refused(manifests, tmp_path / "envoy.json") == ""


def test_what_is_bent_is_refused(tmp_path: Path) -> None:
    manifests = render(experiment(), "envoy")
    for old, new in (("xxh64(text)", "xxh64(text"), ("weight: 5000", "weight: 0"), ('prefix: "/"', 'prefixes: "/"')):
        bent = [Manifest(one.filename, one.text.replace(old, new)) for one in manifests]
        assert bent != list(manifests)
        assert refused(bent, tmp_path / "envoy.json")


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(specs=st.lists(experiments(PARTS), min_size=4, max_size=4))
def test_whatever_a_spec_holds(specs: list[Experiment], tmp_path: Path) -> None:
    # Four services behind one Envoy a run: starting it takes longer than reading them.
    mesh = experiment(mesh={"envoy": {"name": "edge"}}).mesh
    services = []
    for number, spec in enumerate(specs):
        service = spec.service.model_copy(update={"name": f"service-{number}"})
        metadata = spec.metadata.model_copy(update={"name": f"experiment-{number}"})
        one = spec.model_copy(update={"service": service, "metadata": metadata, "mesh": mesh})
        try:
            render(one, "envoy")
        except RoutingError as error:
            assert "two regular expressions" in str(error) or "under one name" in str(error)  # noqa: PT017
        else:
            services.append(one)
    if services:
        assert refused(render_many(services, "envoy"), tmp_path / "envoy.json") == ""
