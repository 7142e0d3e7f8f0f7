"""Which variant a series belongs to, by what its labels and names say."""

from __future__ import annotations

from typing import Any

import pytest

from abkit.pipeline.attribution import describe
from abkit.spec import Experiment


def experiment(control: str = "v1", treatment: str = "v2") -> Experiment:
    fields: dict[str, Any] = {"service": "shop", "variants": {"control": control, "treatment": treatment}}
    return Experiment.model_validate(fields | {"metrics": ["conversion"]})


def variant(labels: dict[str, str], spec: Experiment | None = None) -> tuple[str, str]:
    row = describe(1, "x", {"__name__": "c_total"} | labels, spec or experiment())
    return row.variant, row.version


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"ab_variant": "treatment", "version": "v1"}, ("treatment", "v1")),
        ({"destination_version": "v2", "version": "v1"}, ("treatment", "v2")),
        ({"version": "v1"}, ("control", "v1")),
        ({"envoy_cluster_name": "shop-v2"}, ("treatment", "v2")),
        ({"envoy_cluster_name": "shop_v1"}, ("control", "v1")),
        # The gateway's own version is not the service's.
        ({"envoy_cluster_name": "shop-v2", "version": "v1", "pod": "gateway-v1-0"}, ("treatment", "v2")),
        # The proxy beside a service has one cluster for it, and the pod's version.
        ({"envoy_cluster_name": "local_app", "version": "v1"}, ("control", "v1")),
        ({"envoy_cluster_name": "shop-v2~or-else"}, ("treatment", "v2")),
        ({"envoy_cluster_name": "other-v2"}, ("", "")),
        ({"envoy_cluster_name": "shop-v22"}, ("", "")),
        ({"envoy_cluster_name": "ashop-v2"}, ("", "")),
        ({"pod": "shop-v2-7d9c5b8f6d-x2x5v"}, ("treatment", "v2")),
        ({"pod": "shop-v1-0"}, ("control", "v1")),
        ({"pod": "shop-v1-7d9c5b8f6d-x2x5v", "version": "v2"}, ("treatment", "v2")),
        ({"pod": "shop-v1-hotfix-7d9c5b8f6d-x2x5v"}, ("", "")),
        ({"pod": "shop-v1"}, ("", "")),
        ({"pod": "checkout-v1-0"}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_labels_and_names(labels: dict[str, str], found: tuple[str, str]) -> None:
    assert variant(labels) == found


def test_versions_that_begin_alike() -> None:
    spec = experiment("v1", "v1-hotfix")
    assert variant({"pod": "shop-v1-hotfix-7d9c5b8f6d-x2x5v"}, spec) == ("treatment", "v1-hotfix")
    assert variant({"pod": "shop-v1-7d9c5b8f6d-x2x5v"}, spec) == ("control", "v1")
    assert variant({"envoy_cluster_name": "shop-v1-hotfix"}, spec) == ("treatment", "v1-hotfix")


def test_a_dot_may_be_an_underscore_in_a_cluster() -> None:
    spec = experiment("v1.0", "v1.1")
    assert variant({"envoy_cluster_name": "shop-v1_1"}, spec) == ("treatment", "v1.1")
    assert variant({"envoy_cluster_name": "shop_v1.0"}, spec) == ("control", "v1.0")
