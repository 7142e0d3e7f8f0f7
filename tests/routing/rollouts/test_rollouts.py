"""Flagger, Argo Rollouts, Kubernetes' own objects, Litmus: what is written, and what can't be."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from abkit.errors import RoutingError
from abkit.routing import render
from abkit.spec import Experiment
from tests.routing.specs import experiment

VERSIONS = {"control": "v1", "treatment": "v2"}
RULE = {"when": {"header": {"x-tester": "1"}}, "to": "treatment"}


def canary(**changes: Any) -> Experiment:
    return experiment(**({"strategy": "canary", "variants": VERSIONS, "assignment": {}} | changes))


def documents(spec: Experiment, mesh: str) -> list[dict[str, Any]]:
    return [yaml.safe_load(one.text) for one in render(spec, mesh)]


def test_flaggers_canary_goes_by_the_steps_and_the_limits() -> None:
    [document] = documents(canary(policies={"timeout": "api", "circuit-breaker": "normal"}), "flagger")
    analysis = document["spec"]["analysis"]
    assert analysis["stepWeights"] == [5, 10, 25, 50, 100]
    assert analysis["metrics"] == [
        {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 95.0}},
        {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 1000.0}},
    ]
    assert document["spec"]["service"]["timeout"] == "5s"
    assert document["spec"]["service"]["trafficPolicy"]["outlierDetection"]["consecutive5xxErrors"] == 5


def test_flaggers_other_ways() -> None:
    [blue_green] = documents(canary(strategy="blue-green"), "flagger")
    assert blue_green["spec"]["analysis"]["iterations"] == 10
    [mirror] = documents(canary(strategy="mirror"), "flagger")
    assert (mirror["spec"]["analysis"]["mirror"], mirror["spec"]["analysis"]["mirrorWeight"]) == (True, 100)
    by_header = experiment(
        variants={"control": {"version": "v1", "weight": 10_000}, "treatment": {"version": "v2", "weight": 0}}
    )
    [test] = documents(by_header, "flagger")
    assert test["spec"]["analysis"]["match"] == [{"headers": {"x-user-type": {"exact": "vip"}}}]
    with pytest.raises(RoutingError, match="mesh 'flagger' can't give a percentage of the users a version"):
        render(experiment(), "flagger")


def test_flagger_leaves_nothing_out_in_silence() -> None:
    breaker = {"requests-per-connection": 50, "outliers": {"consecutive-gateway-errors": 2}}
    limits = {"latency-p95": {"pause": 0.8}}
    [manifest] = render(canary(policies={"circuit-breaker": breaker}, canary={"limits": limits}), "flagger")
    policy = yaml.safe_load(manifest.text)["spec"]["service"]["trafficPolicy"]
    assert policy["connectionPool"]["http"]["maxRequestsPerConnection"] == 50
    assert policy["outlierDetection"]["consecutiveGatewayErrors"] == 2
    assert "# Flagger has no limits of connections" in manifest.text
    assert "# Flagger does not know the limits of latency-p95" in manifest.text
    sides = {"control": {"version": "v1", "weight": 10_000}, "treatment": {"version": "v2", "weight": 0}}
    mine, theirs = RULE | {"to": "control", "when": {"header": {"x-a": "1"}}}, RULE
    rendered = render(experiment(variants=sides, assignment={"rules": [theirs, mine]}), "flagger")
    assert yaml.safe_load(rendered[0].text)["spec"]["analysis"]["match"] == [{"headers": {"x-tester": {"exact": "1"}}}]
    for spec, what in (
        (canary(policies={"circuit-breaker": {"connections": 80}}), "limit connections"),
        (canary(policies={"circuit-breaker": {"connect-timeout": "1s"}}), "limit connections"),
        (canary(assignment={"without-unit": "treatment"}), "tell requests without an id apart"),
        (
            canary(strategy="mirror", policies={"mirror": {"to": "treatment", "share": 0.4}}),
            "mirror parts of a percent",
        ),
        (experiment(variants=sides, assignment={"rules": [mine, theirs]}), r"have a rule for the control \(rule-1\)"),
        (
            experiment(variants=sides, assignment={"forced": {"header": "x-f"}, "rules": [theirs]}),
            "have a rule for the",
        ),
    ):
        with pytest.raises(RoutingError, match=f"mesh 'flagger' can't {what}"):
            render(spec, "flagger")


def test_argos_rollout() -> None:
    rule = {"rules": [{"when": {"header": {"x-tester": "1"}}, "to": "treatment"}]}
    stable, preview, document = documents(canary(assignment=rule), "argo-rollouts")
    assert [stable["metadata"]["name"], preview["metadata"]["name"]] == ["my-service-stable", "my-service-canary"]
    strategy = document["spec"]["strategy"]["canary"]
    assert strategy["trafficRouting"]["managedRoutes"] == [{"name": "rule-1-1"}]
    assert strategy["steps"][0] == {
        "setHeaderRoute": {
            "name": "rule-1-1",
            "match": [{"headerName": "x-tester", "headerValue": {"exact": "1"}}],
        }
    }
    assert [step["setWeight"] for step in strategy["steps"] if "setWeight" in step] == [5, 10, 25, 50, 100]
    *_, switch = documents(canary(strategy="blue-green"), "argo-rollouts")
    assert switch["spec"]["strategy"]["blueGreen"]["autoPromotionEnabled"] is False
    for spec, what in (
        (experiment(), "split users"),
        (canary(policies={"timeout": "api"}), "do anything beside routing"),
        (canary(assignment={"forced": {"header": "x-force"}}), "route by more than rules and weights"),
        (canary(assignment={"without-unit": "treatment"}), "tell requests without an id apart"),
        (
            canary(strategy="mirror", policies={"mirror": {"to": "treatment", "share": 0.4}}),
            "mirror parts of a percent",
        ),
        # Of two headers in a header route, one is enough for Argo.
        (canary(assignment={"rules": [RULE | {"when": {"header": {"x-a": "1", "x-b": "1"}}}]}), "ask for two headers"),
        (canary(assignment={"rules": [RULE | {"when": {"header": {"x-a": ""}}}]}), "compare with an empty value"),
    ):
        with pytest.raises(RoutingError, match=f"mesh 'argo-rollouts' can't {what}.*; a mesh that can: istio"):
            render(spec, "argo-rollouts")


def test_what_runs() -> None:
    spec = canary(
        variants={
            "control": {"version": "v1", "image": "shop:1", "replicas": 10},
            "treatment": {"version": "v2", "image": "shop:2", "replicas": 2, "env": {"NEW": "on"}},
        },
        deployment={"container-port": 9000, "metrics-port": 9102, "cpu": "250m", "memory": "64Mi", "baseline": True},
    )
    found = {(one["kind"], one["metadata"]["name"]): one for one in documents(spec, "kubernetes")}
    assert set(found) == {
        ("Deployment", "my-service-v1"),
        ("Deployment", "my-service-v1-baseline"),
        ("Deployment", "my-service-v2"),
        ("Service", "my-service"),
        ("Service", "my-service-v1"),
        ("Service", "my-service-v2"),
    }
    assert found["Service", "my-service"]["spec"]["selector"] == {"app": "my-service"}
    assert found["Service", "my-service-v2"]["spec"]["selector"] == {"app": "my-service", "version": "v2"}
    treatment = found["Deployment", "my-service-v2"]["spec"]
    pod = treatment["template"]
    assert pod["metadata"]["labels"] == {"app": "my-service", "version": "v2", "abkit.dev/role": "main"}
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == "9102"
    [container] = pod["spec"]["containers"]
    env = {one["name"]: one.get("value") for one in container["env"]}
    assert env == {"AB_VERSION": "v2", "AB_EXPERIMENT": "buy-now-button", "NEW": "on", "POD_NAME": None}
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "64Mi"},
        "limits": {"memory": "64Mi"},
    }
    baseline = found["Deployment", "my-service-v1-baseline"]["spec"]
    assert (baseline["replicas"], baseline["template"]["spec"]["containers"][0]["image"]) == (2, "shop:1")
    # Two Deployments must not fight over pods.
    selectors = [one["spec"]["selector"]["matchLabels"] for key, one in found.items() if key[0] == "Deployment"]
    pods = [one["spec"]["template"]["metadata"]["labels"] for key, one in found.items() if key[0] == "Deployment"]
    assert [sum(selector.items() <= labels.items() for labels in pods) for selector in selectors] == [1, 1, 1]
    with pytest.raises(RoutingError, match="no variant has an image"):
        render(canary(), "kubernetes")


@pytest.mark.parametrize(
    ("drill", "tunable"),
    [
        ("pod-delete", {"CHAOS_INTERVAL": "10", "FORCE": "false"}),
        ("pod-network-latency", {"NETWORK_LATENCY": "2000"}),
        ("pod-cpu-hog", {"CPU_CORES": "1"}),
    ],
)
def test_a_drill_is_off_until_somebody_starts_it(drill: str, tunable: dict[str, str]) -> None:
    [document] = documents(canary(chaos={"drill": drill, "to": "treatment"}), "litmus")
    assert document["spec"]["engineState"] == "stop"
    assert document["spec"]["appinfo"]["applabel"] == "app=my-service,version=v2"
    [run] = document["spec"]["experiments"]
    assert run["name"] == drill
    env = {one["name"]: one["value"] for one in run["spec"]["components"]["env"]}
    assert env == {"TOTAL_CHAOS_DURATION": "60", "PODS_AFFECTED_PERC": "50", **tunable}
    with pytest.raises(RoutingError, match="has no drill"):
        render(canary(), "litmus")
