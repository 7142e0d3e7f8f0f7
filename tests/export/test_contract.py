"""What holds for every place that manifests are exported to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from abkit.errors import InputError, TargetDrift, TargetError
from abkit.export import Exporter, Status
from abkit.spec import Experiment
from tests.export.fake_cluster import fake_cluster
from tests.export.sites import (
    NEW,
    OLD,
    ClusterSite,
    EnvoySite,
    FolderSite,
    GitSite,
    Recorded,
    Site,
    export,
    made,
    rollback,
)
from tests.routing.specs import experiment

SITES: dict[str, Callable[[Path], Site]] = {"folder": FolderSite, "git": GitSite, "envoy": EnvoySite}


@pytest.fixture(params=[*SITES, "cluster"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param == "cluster":
        with fake_cluster(tmp_path) as (cluster, kubeconfig):
            yield ClusterSite(cluster, kubeconfig, tmp_path / "state")
    else:
        yield SITES[request.param](tmp_path)


def keys(site: Site, *specs: Experiment) -> dict[str, str]:
    """Kind → name at the target."""
    (bundle,) = made(*specs)
    items = site.target().items(bundle)
    return {yaml.safe_load(item.text)["kind"]: item.key for item in items}


def statuses(site: Site, *specs: Experiment, weights: tuple[str, ...] = ()) -> dict[str, Status]:
    planned = Exporter(site.target()).plan(made(*specs, weights=weights))
    return {change.key: change.status for plan in planned for change in plan.changes}


def test_what_is_missing_is_written_once(site: Site) -> None:
    before = site.contents()
    wanted = set(keys(site, OLD).values())
    assert set(export(site.target(), OLD)) == wanted
    first = site.contents()
    assert first.keys() == before.keys() | wanted
    assert before.items() <= first.items(), "what is others' stays"
    assert export(site.target(), OLD) == []
    assert site.contents() == first
    assert set(statuses(site, OLD).values()) == {Status.IN_SYNC}
    site.whole()


def test_another_split_changes_the_routes_alone(site: Site) -> None:
    export(site.target(), OLD)
    before = site.contents()
    routes = keys(site, OLD)["VirtualService"]
    assert statuses(site, OLD, weights=("v2=25",))[routes] is Status.DIFFERS
    assert export(site.target(), OLD, weights=["v2=25"]) == [routes]
    after = site.contents()
    assert {key for key in after if after[key] != before.get(key)} == {routes}


def test_objects_that_are_no_longer_wanted_go(site: Site) -> None:
    export(site.target(), OLD)
    gone = keys(site, OLD)["Telemetry"]
    assert statuses(site, NEW)[gone] is Status.LEFT_OVER
    export(site.target(), NEW)
    assert gone not in site.contents()
    assert set(statuses(site, NEW).values()) == {Status.IN_SYNC}
    site.whole()


def test_a_way_back_is_exact_and_has_a_way_back(site: Site) -> None:
    start = site.contents()
    export(site.target(), OLD)
    first = site.contents()
    export(site.target(), OLD, weights=["v2=25"])
    second = site.contents()
    export(site.target(), NEW)
    third = site.contents()
    for state in (second, first, start):
        rollback(site.target(), NEW)
        assert site.contents() == state
        site.whole()
    with pytest.raises(InputError, match="before the first export"):
        rollback(site.target(), NEW)
    for version, state in ((3, third), (2, second)):
        rollback(site.target(), NEW, version)
        assert site.contents() == state
    rollback(site.target(), NEW)
    assert site.contents() == first
    export(site.target(), NEW)
    assert site.contents() == third
    rollback(site.target(), NEW)
    assert site.contents() == first, "an export after a way back leads back to where it came from"


def test_a_way_back_that_does_not_exist(site: Site) -> None:
    with pytest.raises(InputError, match="nothing to bring back"):
        rollback(site.target(), OLD)
    export(site.target(), OLD)
    with pytest.raises(InputError, match=r"the versions 1 are kept"):
        rollback(site.target(), OLD, 7)


def test_what_is_not_ours_is_left_alone(site: Site) -> None:
    key = keys(site, OLD)["VirtualService"]
    site.foreign(key)
    before = site.contents()
    assert statuses(site, OLD)[key] is Status.NOT_OURS
    with pytest.raises(TargetDrift, match=r"was not written by abkit.*move it away") as raised:
        export(site.target(), OLD)
    assert key in str(raised.value)
    assert site.contents() == before


def test_what_was_changed_by_hand_is_left_alone(site: Site) -> None:
    export(site.target(), OLD)
    key = keys(site, OLD)["DestinationRule"]
    site.edit(key)
    before = site.contents()
    assert statuses(site, OLD)[key] is Status.EDITED
    for attempt in (lambda: export(site.target(), NEW), lambda: rollback(site.target(), OLD)):
        with pytest.raises(TargetDrift, match="was changed since abkit wrote it") as raised:
            attempt()
        assert key in str(raised.value)
        assert site.contents() == before
    site.delete(key)
    assert statuses(site, OLD)[key] is Status.MISSING
    assert export(site.target(), OLD) == [key]
    site.whole()


def test_experiments_that_are_not_named_keep_their_routes(site: Site) -> None:
    halves = [
        experiment(
            metadata={"name": name},
            assignment={"layer": "checkout", "salt": "s", "buckets": {"from": low, "to": low + 4_999}},
        )
        for name, low in (("one", 0), ("two", 5_000))
    ]
    export(site.target(), *halves)
    before = site.contents()
    with pytest.raises(TargetDrift, match=r"routes the experiment two: .*--replaces two"):
        export(site.target(), halves[0])
    assert site.contents() == before
    assert keys(site, *halves)["VirtualService"] in export(site.target(), halves[0], replaces=["two"])


def test_a_way_back_over_what_somebody_else_exported_must_be_named(site: Site) -> None:
    export(site.target(), OLD)
    export(site.target(), OLD, weights=["v2=25"])
    site.delete(keys(site, OLD)["VirtualService"])
    with pytest.raises(TargetDrift, match="is not what was exported last"):
        rollback(site.target(), OLD)
    rollback(site.target(), OLD, 1)
    assert set(statuses(site, OLD).values()) == {Status.IN_SYNC}


def test_planning_and_asking_write_nothing(site: Site) -> None:
    before = site.contents()
    exporter = Exporter(site.target())
    exporter.rehearse(exporter.plan(made(OLD)))
    assert site.contents() == before
    assert not site.target().state.exists()


def test_subsets_come_in_before_routes_and_go_out_after(site: Site) -> None:
    names = keys(site, OLD)
    target = Recorded(site.target())
    export(target, OLD)
    order = [key for key, _ in target.done]
    assert order.index(names["DestinationRule"]) < order.index(names["VirtualService"])
    target = Recorded(site.target())
    export(target, NEW)
    follow(target)
    target = Recorded(site.target())
    rollback(target, NEW)
    follow(target)
    target = Recorded(site.target())
    rollback(target, NEW)
    order = [key for key, _ in target.done]
    assert order.index(names["VirtualService"]) < order.index(names["DestinationRule"])
    assert {text for _, text in target.done} == {None}


def follow(target: Recorded) -> None:
    """Assert that at each step the routes name only what the rule has."""
    subsets: set[str] = set()
    used: set[str] = set()
    rules = 0
    for _, text in target.done:
        found: dict[str, Any] = yaml.safe_load(text or "kind: none")
        if found["kind"] == "DestinationRule":
            subsets = {one["name"] for one in found["spec"]["subsets"]}
            rules += 1
        if found["kind"] == "VirtualService":
            used = {one["destination"]["subset"] for http in found["spec"]["http"] for one in http["route"]}
            assert subsets, "the rule comes first"
        if target.gradual:
            assert used <= subsets
    assert used <= subsets
    assert rules == 1 + target.gradual, "once with all subsets, once with those in use"


def failed(target: Recorded) -> bool:
    try:
        export(target, NEW)
    except TargetError as error:
        return "no space left" in str(error)
    return False


def test_a_step_that_fails_undoes_what_was_done(site: Site) -> None:
    export(site.target(), OLD)
    before = site.contents()
    steps = 0
    while failed(Recorded(site.target(), fail_at=steps)):
        assert site.contents() == before
        assert not Exporter(site.target()).history.journal.exists()
        site.whole()
        steps += 1
    assert steps >= 4
    assert set(statuses(site, NEW).values()) == {Status.IN_SYNC}


def test_two_exports_at_once_exclude_each_other(site: Site) -> None:
    with Exporter(site.target()).history.alone(), pytest.raises(TargetError, match="another export"):
        export(site.target(), OLD)


def test_twenty_versions_are_kept(site: Site) -> None:
    for percent in range(1, 24):
        export(site.target(), OLD, weights=[f"v2={percent}"])
    history = Exporter(site.target()).history
    assert history.numbers("istio", "my-service.shop") == tuple(range(4, 24))
    newest = history.newest("istio", "my-service.shop")
    assert newest is not None
    assert (newest.by, newest.splits) == ("tester", {"buy-now-button": {"control": 7_700, "treatment": 2_300}})
