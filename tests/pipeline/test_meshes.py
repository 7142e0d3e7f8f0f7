"""The same requests, counted by Istio, Linkerd or Envoy, give the same results."""

from __future__ import annotations

from pathlib import Path

import pytest

from abkit.evidence import Evaluation, StatusCode
from abkit.pipeline.evaluate import evaluate
from abkit.simulate import MINUTE, Mesh, Simulation, Users, run
from abkit.spec import Experiment
from abkit.store import Store
from tests.pipeline.pulls import moment, pull
from tests.simulate.worlds import two_arms
from tests.sources.data import Series
from tests.worlds import relabelled, stored

TEXT = """\
metadata: {{name: exp}}
service: {{name: my-service, namespace: shop}}
variants: {{control: v1, treatment: v2}}
metrics:
  primary: [conversion]
  guardrails: [error-rate, success-rate, latency-p99, latency-mean]
  secondary: [latency-p50, latency-p95, traffic]
  mesh: {mesh}
"""
NAMES = {
    "linkerd": ("response_total", "response_latency_ms"),
    "envoy": ("envoy_cluster_upstream_rq_xx", "envoy_cluster_upstream_rq_time"),
}


def relabel(mesh: str, labels: dict[str, str]) -> dict[str, str] | None:
    """What another mesh writes in place of Istio's labels; requests of one code and class stay apart."""
    name = labels["__name__"]
    if not name.startswith("istio_"):
        return labels
    requests, latency = NAMES[mesh]
    kept: dict[str, str] = {key: labels[key] for key in ("job", "instance", "le", "response_code") if key in labels}
    kept["__name__"] = requests if name == "istio_requests_total" else f"{latency}_{name.rpartition('_')[2]}"
    code = labels.get("response_code", "")
    if mesh == "envoy":
        kept["envoy_cluster_name"] = f"my-service_{labels['destination_version']}"
        # Its own pods are another service's.
        kept["version"] = "v1"
        return kept | ({"envoy_response_code_class": code[0]} if code else {})
    kept |= {"app": "my-service", "namespace": "shop", "direction": "inbound"}
    kept["version"] = labels["destination_version"]
    return kept | ({"classification": "failure" if code.startswith("5") else "success"} if code else {})


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    world = two_arms(users=Users(count=300), mesh=Mesh(error_rate=0.05), end_ms=two_arms().start_ms + 60 * MINUTE)
    return run(world)


@pytest.fixture(scope="module")
def istio(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return stored(tmp_path_factory.mktemp("istio"), simulation, TEXT.format(mesh="istio")).evaluate()


@pytest.mark.parametrize("mesh", ["linkerd", "envoy"])
def test_results_are_istios(mesh: str, simulation: Simulation, istio: Evaluation, tmp_path: Path) -> None:
    samples = relabelled(simulation.samples, lambda labels: relabel(mesh, labels))
    other = Simulation(simulation.world, samples, simulation.truth)
    found = stored(tmp_path, other, TEXT.format(mesh=mesh)).evaluate()
    assert len(found.metrics) == 8
    for mine, theirs in zip(found.metrics, istio.metrics, strict=True):
        assert mine.status == theirs.status
        assert (mine.baseline, mine.value) == (theirs.baseline, theirs.value)
        assert (mine.p_value, mine.lift_ci) == (theirs.p_value, theirs.lift_ci)
    assert all(mine.value is not None for mine in found.metrics)
    assert found.verdict == istio.verdict


def cpu(pod: str, rate: float) -> Series:
    labels = {"__name__": "container_cpu_usage_seconds_total", "namespace": "default", "pod": pod, "container": "shop"}
    labels |= {"job": "kubelet", "instance": "node-1:10250"}
    return Series(labels, [(moment(second), second * rate) for second in range(0, 3_600, 15)])


def requests(pod: str, version: str, rate: float, *, named: bool) -> Series:
    labels = {"__name__": "istio_requests_total", "destination_version": version, "response_code": "200"}
    labels |= {"destination_service_name": "shop", "destination_service_namespace": "default", "job": "istio"}
    labels |= {"reporter": "destination", "instance": f"{pod}:15020"} | ({"pod": pod} if named else {})
    return Series(labels, [(moment(second), second * rate) for second in range(0, 3_600, 15)])


@pytest.mark.parametrize("named", [True, False])
def test_cpu_and_requests_of_the_same_pods(tmp_path: Path, named: bool) -> None:
    fields = {"metadata": {"name": "x"}, "service": "shop", "variants": {"control": "v1", "treatment": "v2"}}
    guarded = {"primary": ["conversion"], "guardrails": ["cpu-per-request"]}
    spec = Experiment.model_validate(fields | {"metrics": guarded, "analysis": {"start": "2026-11-01"}})
    pods = {
        f"shop-{version}-7d9c5b8f6d-x2x5{letter}": (version, rate)
        for version, base in (("v1", 0.010), ("v2", 0.012))
        for letter, rate in zip("bcdf", (base, base * 1.01, base * 0.99, base), strict=True)
    }
    series = [cpu(pod, 4 * rate) for pod, (_, rate) in pods.items()]
    series += [requests(pod, version, 4, named=named) for pod, (version, _) in pods.items()]
    store = Store(tmp_path / "x.duckdb")
    pull(store, series, 3_600, spec)
    (found,) = (metric for metric in evaluate(spec, store).metrics if metric.metric == "cpu-per-request")
    assert found.baseline == pytest.approx(0.010, rel=1e-9)
    assert found.value == pytest.approx(0.012, rel=1e-9)
    if named:
        assert found.status.code is StatusCode.OK
        assert found.lift == pytest.approx(0.2, rel=1e-6)
        assert found.certain(0.05) is False
    else:
        assert found.status.code is StatusCode.DESCRIPTIVE
        assert "give both the label pod" in found.status.reason
        assert found.p_value is None
