"""What holds for a cluster alone: server-side apply, its conflicts and its refusals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from abkit.errors import InputError, TargetDrift, TargetError
from abkit.export import Exporter, Status, open_target
from tests.cli.runner import Ran, abkit
from tests.export.fake_cluster import TOKEN, Key, fake_cluster, problem
from tests.export.sites import NEW, OLD, ClusterSite, export, made, rollback
from tests.routing.specs import experiment

ROUTES = ("networking.istio.io/v1", "VirtualService", "shop", "my-service")
RULE = ("networking.istio.io/v1", "DestinationRule", "shop", "my-service")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ClusterSite]:
    with fake_cluster(tmp_path) as (cluster, kubeconfig):
        yield ClusterSite(cluster, kubeconfig, tmp_path / "state")


def test_what_others_add_is_theirs_and_stays(site: ClusterSite) -> None:
    export(site.target(), OLD)
    site.cluster.update(ROUTES, lambda found: found["metadata"]["annotations"].update({"tool/seen": "yes"}), "gitops")
    site.cluster.update(ROUTES, lambda found: found["spec"].update({"exportTo": ["."]}), "gitops")
    assert export(site.target(), OLD) == []
    export(site.target(), NEW)
    found = site.cluster.objects[ROUTES]
    assert (found["spec"]["exportTo"], found["metadata"]["annotations"]["tool/seen"]) == (["."], "yes")
    owners = {(one["manager"], one["operation"]) for one in found["metadata"]["managedFields"]}
    assert owners == {("abkit", "Apply"), ("gitops", "Update")}


def test_a_conflict_names_field_and_manager(site: ClusterSite) -> None:
    export(site.target(), OLD)
    site.cluster.update(RULE, lambda found: found["spec"].update({"exportTo": ["."]}), "platform-team")
    before = site.contents()
    breaker = experiment(policies={"circuit-breaker": {"tier": "critical"}})
    site.cluster.update(RULE, lambda found: found["spec"].update({"trafficPolicy": {"tls": {}}}), "platform-team")
    site.cluster.update(
        RULE,
        lambda found: found["spec"].update(
            {"trafficPolicy": {"connectionPool": {"http": {"http1MaxPendingRequests": 7}}}}
        ),
        "platform-team",
    )
    with pytest.raises(TargetDrift, match=r"another manager owns .*http1MaxPendingRequests.*platform-team") as raised:
        export(site.target(), breaker)
    assert "DestinationRule shop/my-service" in str(raised.value)
    assert site.contents().keys() == before.keys()
    exporter = Exporter(site.target())
    with pytest.raises(TargetDrift, match="platform-team"):
        exporter.rehearse(exporter.plan(made(breaker)))


def test_a_field_that_was_taken_over_is_drift(site: ClusterSite) -> None:
    export(site.target(), OLD)
    site.cluster.update(ROUTES, lambda found: found["spec"].update({"http": []}))
    (planned,) = Exporter(site.target()).plan(made(OLD))
    states = {change.key: change.status for change in planned.changes}
    assert states.pop(" ".join(ROUTES[:2]) + " shop/my-service") is Status.EDITED
    assert set(states.values()) == {Status.IN_SYNC}


def test_an_object_that_changes_between_reading_and_writing(site: ClusterSite) -> None:
    export(site.target(), OLD)
    target = site.target()
    key = " ".join(ROUTES[:2]) + " shop/my-service"
    item = next(one for one in target.items(made(OLD, weights=["v2=25"])[0]) if one.key == key)
    target.read([key])
    site.cluster.update(ROUTES, lambda found: found["metadata"].update({"annotations": {"a": "b"}}))
    with pytest.raises(TargetDrift, match="was changed meanwhile: try again"):
        target.put(item)
    with pytest.raises(TargetDrift, match="was changed meanwhile"):
        target.remove(key)


@pytest.mark.parametrize(
    ("verb", "plural", "words"),
    [
        ("PATCH", "virtualservices", "give the account the right to patch it"),
        ("GET", "destinationrules", "give the account the right to get it"),
    ],
)
def test_what_the_account_may_not_do(verb: str, plural: str, words: str, site: ClusterSite) -> None:
    before = site.contents()
    site.cluster.denied = {(verb, plural)}
    with pytest.raises(TargetError, match=words):
        export(site.target(), OLD)
    assert site.contents() == before, "what was applied before is undone"


def test_a_deletion_that_is_denied_undoes_what_was_applied(site: ClusterSite) -> None:
    export(site.target(), OLD)
    before = site.contents()
    site.cluster.denied = {("DELETE", "telemetries")}
    with pytest.raises(TargetError, match="right to delete it"):
        export(site.target(), NEW)
    assert site.contents() == before


def test_what_could_not_be_undone_is_ended_later(site: ClusterSite, monkeypatch: pytest.MonkeyPatch) -> None:
    export(site.target(), OLD)
    before = site.contents()
    # The rule is applied, the filter is refused, and the way back of the rule is too.
    real, calls = site.cluster.apply, 0

    def failing(key: Key, body: dict[str, Any], manager: str, *, force: bool, dry_run: bool) -> tuple[int, Any]:
        nonlocal calls
        calls += 1
        return (
            problem(403, "Forbidden", "no more")
            if calls > 1
            else real(key, body, manager, force=force, dry_run=dry_run)
        )

    monkeypatch.setattr(site.cluster, "apply", failing)
    with pytest.raises(TargetError, match=r"could not be undone .*the next export or rollback ends it"):
        export(site.target(), NEW)
    assert site.contents() != before
    monkeypatch.undo()
    assert Exporter(site.target()).history.unfinished()
    export(site.target(), NEW)
    site.whole()
    rollback(site.target(), NEW)
    assert site.contents() == before


def test_a_cluster_without_the_mesh(site: ClusterSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.export.fake_cluster.KINDS", {})
    with pytest.raises(
        TargetError, match=r"doesn't know DestinationRule of networking\.istio\.io/v1: install the mesh"
    ):
        export(site.target(), OLD)


def test_lists_in_pages_that_expire(site: ClusterSite) -> None:
    site.cluster.page = 1
    export(site.target(), OLD)
    for name in ("a", "z"):
        key = (*RULE[:3], name)
        site.cluster.update(
            key, lambda found: found["metadata"].update(labels={"app.kubernetes.io/managed-by": "abkit"})
        )
    site.cluster.expire_pages = 2
    assert export(site.target(), OLD) == []
    assert site.cluster.expire_pages == 0
    site.cluster.expire_pages = 100
    with pytest.raises(TargetError, match="expired while it was read"):
        export(site.target(), OLD)


def test_objects_of_another_service_with_the_experiments_name_are_not_touched(site: ClusterSite) -> None:
    export(site.target(), OLD)
    others = experiment(service={"name": "other-service", "namespace": "shop"})
    export(site.target(), others)
    before = site.contents()
    assert export(site.target(), OLD) == []
    (site.target().state / "istio" / "my-service.shop" / "000001").unlink()
    export(site.target(), NEW)
    after = site.contents()
    assert {key for key in before if "other-service" in key} <= after.keys()
    assert not any("Telemetry" in key and "my-service" in key for key in after), "known without a history too"


def test_no_answer_and_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cluster(tmp_path) as (_, kubeconfig):
        document = yaml.safe_load(kubeconfig.read_text())
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with pytest.raises(TargetError, match=r"cluster 127\.0\.0\.1:\d+: can't be reached") as raised:
        export(open_target("cluster", state=tmp_path), OLD)
    assert TOKEN not in str(raised.value)
    with pytest.raises(InputError, match="no cluster is configured"):
        open_target("cluster", context="nowhere")
    document["users"][0]["user"]["token"] = "wrong"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(InputError, match="set KUBECONFIG"):
        open_target("cluster")


def test_without_the_client_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['kubernetes'] = None\n"
        "from abkit.export import open_target\n"
        "try: open_target('cluster')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "InputError --to cluster needs the Kubernetes client: pip install 'abkit[kubernetes]'\n"


def test_from_the_command_line(tmp_path: Path) -> None:
    from abkit.resources import folder

    spec = folder("data") / "experiments" / "buy-now-button.yaml"
    with fake_cluster(tmp_path) as (cluster, kubeconfig):

        def run(*arguments: object) -> Ran:
            state = str(tmp_path / "state")
            return abkit(*arguments, "--to", "cluster", cwd=tmp_path, KUBECONFIG=str(kubeconfig), ABKIT_STATE=state)

        dry = run("export", spec, "--dry-run")
        assert (dry.code, dry.err, cluster.objects) == (0, "", {})
        assert ("PATCH", "virtualservices/my-service") in cluster.asked, "the server was asked"
        done = run("export", spec)
        assert (done.code, done.err) == (0, "")
        assert "+ networking.istio.io/v1 VirtualService shop/my-service" in done.out
        assert len(cluster.objects) == 4
        ahead = run("export", spec, "--weights", "v2=25")
        assert "~ networking.istio.io/v1 VirtualService shop/my-service" in ahead.out
        assert run("export", spec, "--check").code == 5
        back = run("rollback", spec, "--context", "fake")
        assert back.code == 0, back.err
        assert run("export", spec, "--check").code == 0
        kept = "".join(path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file())
        assert TOKEN not in kept + done.out + ahead.out + back.out


def test_a_mesh_without_objects(site: ClusterSite) -> None:
    with pytest.raises(InputError, match=r"--mesh envoy: .* is no object of a cluster"):
        site.target().items(made(OLD, mesh="envoy")[0])
