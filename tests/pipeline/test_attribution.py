"""Which variant a series belongs to, by what its labels and names say."""

from __future__ import annotations

from typing import Any

import pytest

from abkit.pipeline.attribution import describe
from abkit.spec import Experiment, Mirror, Policies


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


def test_what_a_mirrored_request_counts_is_of_the_version_that_got_it() -> None:
    document = experiment().model_dump(by_alias=True, exclude_unset=True) | {"strategy": "mirror"}
    mirrored = Experiment.model_validate(document)
    marks = {"ab_variant": "control", "ab_assignment": "hash", "ab_replicate": "3"}
    copy = describe(1, "x", {"__name__": "c_total", "destination_version": "v2"} | marks, mirrored)
    assert (copy.variant, copy.version, copy.assignment, copy.replicate) == ("treatment", "v2", "hash", 3)
    original = describe(1, "x", {"__name__": "c_total", "destination_version": "v1"} | marks, mirrored)
    assert (original.variant, original.assignment) == ("control", "hash")
    # Beside a split, copies are nobody's users.
    beside = experiment().model_copy(update={"policies": Policies(mirror=Mirror(to="treatment"))})
    copy = describe(1, "x", {"__name__": "c_total", "version": "v2"} | marks, beside)
    assert (copy.variant, copy.assignment) == ("treatment", "none")
    own = describe(1, "x", {"__name__": "c_total", "version": "v2"} | marks | {"ab_variant": "treatment"}, beside)
    assert (own.variant, own.assignment) == ("treatment", "hash")


def test_versions_that_begin_alike() -> None:
    spec = experiment("v1", "v1-hotfix")
    assert variant({"pod": "shop-v1-hotfix-7d9c5b8f6d-x2x5v"}, spec) == ("treatment", "v1-hotfix")
    assert variant({"pod": "shop-v1-7d9c5b8f6d-x2x5v"}, spec) == ("control", "v1")
    assert variant({"envoy_cluster_name": "shop-v1-hotfix"}, spec) == ("treatment", "v1-hotfix")


def test_pods_have_names_of_kubernetes() -> None:
    spec = experiment("1.4.2", "V2_rc")
    assert variant({"pod": "shop-1-4-2-7d9c5b8f6d-x2x5v"}, spec) == ("control", "1.4.2")
    assert variant({"pod": "shop-1.4.2-7d9c5b8f6d-x2x5v"}, spec) == ("control", "1.4.2")
    assert variant({"pod": "shop-v2-rc-7d9c5b8f6d-x2x5v"}, spec) == ("treatment", "V2_rc")


def test_a_dot_may_be_an_underscore_in_a_cluster() -> None:
    spec = experiment("v1.0", "v1.1")
    assert variant({"envoy_cluster_name": "shop-v1_1"}, spec) == ("treatment", "v1.1")
    assert variant({"envoy_cluster_name": "shop_v1.0"}, spec) == ("control", "v1.0")
