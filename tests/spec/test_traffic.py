"""What the parts of the experiment file about traffic refuse, with place and remedy."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from abkit.errors import SpecError
from abkit.spec import loads

BASE: dict[str, Any] = {
    "service": "shop",
    "variants": {"control": "v1", "treatment": "v2"},
    "metrics": ["conversion"],
}


def refused(**changes: Any) -> str:
    with pytest.raises(SpecError) as raised:
        loads(yaml.safe_dump(BASE | changes, sort_keys=False), "shop.yaml")
    return "\n".join(map(str, raised.value.problems))


def rule(**when: Any) -> dict[str, Any]:
    return {"assignment": {"rules": [{"when": when, "to": "treatment"}]}}


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        (rule(), "assignment.rules.0.when", "is empty: give header, cookie, query"),
        (rule(header={"x-a": {"exact": "a\nb"}}), "assignment.rules.0.when.header.x-a.exact", "a line break"),
        (
            rule(header={"x-a": {"exact": "a", "range": {"from": 1, "to": 2}}}),
            "x-a",
            "give one of exact, prefix, regex and",
        ),
        (rule(header={"x-a": {"range": {"from": 3, "to": 2}}}), "x-a.range", "before it starts at 3: swap them"),
        (rule(path={"prefix": "cart"}), "assignment.rules.0.when.path", "should start with '/'"),
        (rule(method="FETCH"), "assignment.rules.0.when.method", "should be 'GET'"),
        (rule(source={}), "assignment.rules.0.when.source", "give labels, namespace or both"),
        (
            rule(all=[{"any": [{"query": {f"q{i}{j}": "1"}} for j in range(9)]} for i in range(2)]),
            "assignment.rules.0.when",
            "has 81 alternatives once multiplied out, 64 is the most",
        ),
        ({"assignment": {"buckets": {"from": 5, "to": 4}}}, "assignment.buckets", "before it starts at 5"),
        ({"assignment": {"buckets": {"from": 0, "to": 2}}}, "variants", "of the 3 buckets in assignment.buckets"),
        ({"assignment": {"holdout": {"share": 0}}}, "assignment.holdout.share", "greater than or equal to 1"),
        ({"assignment": {"forced": {}}}, "assignment.forced", "give header, cookie or query"),
        ({"assignment": {"forced": {"header": "x-ab-force"}}}, "forced", "from no client: name another"),
        ({"assignment": {"unit": {"header": "X-AB-Unit"}}}, "unit.header", "from no client: name another"),
        (
            {"assignment": {"holdout": {"share": 100, "layer": "shop"}}},
            "assignment.holdout.layer",
            "give the holdout a layer of its own",
        ),
        (
            {"assignment": {"salt": "s", "holdout": {"share": 100, "salt": "s"}}},
            "assignment.holdout.salt",
            "give the holdout a salt of its own",
        ),
        ({"assignment": {"without-unit": "randon"}}, "assignment.without-unit", "no variant has this name"),
        ({"policies": {"fallback": {"to": "old"}}}, "policies.fallback.to", "no variant has this name"),
        ({"policies": {"mirror": {"to": "control"}}}, "policies.mirror.to", "the control serves users already"),
        (
            {"policies": {"mirror": {"to": "treatment", "share": 0.001}}},
            "policies.mirror.share",
            "two decimals at most",
        ),
        ({"policies": {"timeout": "0s"}}, "policies.timeout.request", "1ms at least and 1h at most"),
        ({"policies": {"timeout": "soon"}}, "policies.timeout.request", "should be a duration such as 30s"),
        (
            {"policies": {"timeout": "1s", "retries": {"attempts": 3, "per-try": "500ms"}}},
            "policies.retries.per-try",
            "4 tries take 2s, the timeout is 1s",
        ),
        ({"policies": {"retries": {"attempts": 3}}}, "policies.retries", "give tier (fast, api, slow), or attempts"),
        (
            {"policies": {"timeout": "api", "faults": [{"abort": {"status": 503}}]}},
            "policies.faults",
            "exclude each other",
        ),
        ({"policies": {"faults": [{}]}}, "policies.faults.0", "give delay, abort or both"),
        ({"policies": {"circuit-breaker": "tight"}}, "policies.circuit-breaker.tier", "should be 'critical', 'normal'"),
        ({"mesh": {"istio": {"gateways": ["Shop_Gate"]}}}, "mesh.istio.gateways.0", "should"),
        ({"chaos": {"drill": "pod-delete", "to": "nobody"}}, "chaos.to", "no variant has this name"),
        (
            {"strategy": "blue-green", "canary": {"steps": [50, 100]}},
            "canary.steps",
            "switches all users at once",
        ),
        ({"deployment": {"env": {"A-B": "x"}}}, "deployment.env", "should"),
    ],
)
def test_refused_with_place_and_remedy(changes: dict[str, Any], field: str, says: str) -> None:
    text = refused(**changes)
    assert field in text
    assert says in text
    assert text.startswith("shop.yaml:")


def test_shorthands() -> None:
    spec = loads(
        yaml.safe_dump(
            BASE
            | rule(header={"X-Tier": "vip"}, method="GET", device="mobile")
            | {"policies": {"timeout": "fast", "retries": "fast", "circuit-breaker": "critical"}}
        )
    )
    when = spec.assignment.rules[0].when
    assert when.header["x-tier"].exact == "vip"
    assert (when.method, when.device) == (("GET",), ("mobile",))
    assert spec.policies.timeout is not None
    assert spec.policies.timeout.length.total_seconds() == 1
    assert spec.policies.retries is not None
    assert (spec.policies.retries.number, spec.policies.retries.length.total_seconds()) == (2, 0.3)


def test_a_promotion_day_is_a_bundle() -> None:
    spec = loads(yaml.safe_dump(BASE | {"policies": {"preset": "promotion-day", "timeout": "2s"}}))
    policies = spec.policies
    assert policies.timeout is not None
    assert policies.timeout.length.total_seconds() == 2
    assert policies.circuit_breaker is not None
    assert policies.circuit_breaker.tier == "critical"
    assert policies.retries is not None
    assert spec.fallback == "control"


def test_stages_by_strategy() -> None:
    def canary(strategy: str) -> Any:
        return loads(yaml.safe_dump(BASE | {"strategy": strategy}))

    assert canary("canary").canary.steps == (5, 10, 25, 50, 100)
    assert canary("blue-green").canary.steps == (100,)
    assert dict(canary("blue-green").split) == {"control": 0, "treatment": 10_000}
    assert canary("mirror").canary.steps == (5, 20, 50, 100)
    assert dict(canary("mirror").split) == {"control": 10_000, "treatment": 0}
    assert canary("mirror").mirror.to == "treatment"
