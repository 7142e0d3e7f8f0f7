"""Who owns a host: experiments beside manifests, and objects that abkit wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from abkit.routing import Manifest, render, to_yaml
from abkit.routing.document import stamp
from abkit.routing.lint import Severity, lint
from abkit.spec import Experiment
from tests.routing.lint.cases import DEFAULT, canary, http_route, rule, service, split
from tests.routing.specs import experiment

SPEC = experiment(service={"name": "a", "namespace": "shop"})
OTHER = experiment(service={"name": "b", "namespace": "shop"})
PARENT = "parentRefs: [{kind: Service, group: '', name: a}]"


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        (service(DEFAULT), Severity.ERROR),
        (service(DEFAULT, "a.shop.svc.cluster.local"), Severity.ERROR),
        (rule("subsets: [{name: v1, labels: {version: v1}}]"), Severity.WARNING),
        (http_route("{backendRefs: [{name: a}]}", PARENT), Severity.ERROR),
        (split("{service: b, weight: 1}"), Severity.ERROR),
        (canary("iterations: 1"), Severity.ERROR),
    ],
)
def test_a_host_that_an_experiment_routes(text: str, severity: Severity) -> None:
    (found,) = (one for one in lint([("a.yaml", text)], [("spec.yaml", SPEC)]) if one.check == "spec-conflict")
    assert found.severity == severity
    assert "the experiment buy-now-button (spec.yaml)" in found.why
    assert not [one for one in lint([("a.yaml", text)], [("spec.yaml", OTHER)]) if one.check == "spec-conflict"]
    assert not [one for one in lint([("a.yaml", text)]) if one.check == "spec-conflict"]


def _files(spec: Experiment) -> Mapping[str, str]:
    manifests: tuple[Manifest, ...] = render(spec)
    return {one.filename: one.text for one in manifests}


def test_what_abkit_wrote_for_it_is_no_conflict() -> None:
    assert lint(_files(SPEC).items(), [("spec.yaml", SPEC)]) == ()


def test_what_was_changed_by_hand_is_told() -> None:
    files = {name: text.replace('regex: "', 'regex: "1?') for name, text in _files(SPEC).items()}
    assert {one.check for one in lint(files.items())} == {"changed-by-hand"}


def _random(document: dict[str, Any]) -> dict[str, Any]:
    """Its default route as a split by weight."""
    (target,) = document["spec"]["http"][-1]["route"]
    other = target | {"destination": target["destination"] | {"subset": "v2"}}
    document["spec"]["http"][-1].pop("headers")
    document["spec"]["http"][-1]["route"] = [target | {"weight": 50}, other | {"weight": 50}]
    return document


def test_a_random_split_that_a_spec_chose_is_not_warned_of_again() -> None:
    documents = [yaml.safe_load(text) for text in _files(SPEC).values()]
    rules, routes = (
        next(one for one in documents if one["kind"] == kind) for kind in ("DestinationRule", "VirtualService")
    )
    by_hand = to_yaml(_random(routes))
    chosen = to_yaml(stamp(routes))
    checks = [{one.check for one in lint([("r.yaml", to_yaml(rules)), ("a.yaml", text)])} for text in (by_hand, chosen)]
    assert checks == [{"changed-by-hand", "random-split"}, set()]
