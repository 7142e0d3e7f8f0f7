"""The main job on a real Prometheus, from a world with a known truth to the verdict on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pytest

from abkit import simulate
from abkit.simulate import HOUR, Arm, Effects, Mesh, Shop, Simulation, Users, World
from tests.cli.runner import abkit
from tests.servers import backfill, prometheus

pytestmark = pytest.mark.prometheus

SPEC = """\
metadata: {name: buy-now}
service: {name: my-service, namespace: shop}
variants:
  control: {version: v1}
  treatment: {version: v2}
metrics:
  primary: [conversion]
  guardrails: [{metric: error-rate, margin: 0.5}, {metric: latency-p99, margin: 0.5}]
  secondary: [click-rate, page-load-time, orders-per-page-view, revenue-per-user]
analysis: {start: 2026-11-01T00:00:00Z, end: 2026-11-01T06:00:00Z, mde: 0.2}
"""
START = World(experiment="x").start_ms


@dataclass(frozen=True)
class Live:
    """A world in a real Prometheus, and the experiment file beside it."""

    simulation: Simulation
    url: str
    folder: Path

    def abkit(self, *args: object, code: int = 0) -> str:
        ran = abkit(*args, cwd=self.folder)
        assert ran.code == code, ran.err
        return ran.out


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    world = World(
        experiment="buy-now",
        seed=30,
        start_ms=START,
        end_ms=START + 6 * HOUR,
        users=Users(count=6_000, views=20.0),
        shop=Shop(conversion=0.1, conversion_users=60.0),
        mesh=Mesh(error_rate=0.02),
        arms=(
            Arm("control", "v1", 5_000),
            Arm("treatment", "v2", 5_000, Effects(conversion=0.35, click_rate=0.1, page_load_time=-0.05)),
        ),
    )
    simulation = simulate.run(simulate.with_troubles(world))
    tsdb = backfill(simulate.to_openmetrics(simulation), folder / "tsdb")
    (folder / "shop.yaml").write_text(SPEC)
    with prometheus(tsdb) as url:
        yield Live(simulation, url, folder)


@pytest.fixture(scope="module")
def verdict(live: Live) -> dict[str, object]:
    live.abkit("pull", "shop.yaml", "--prometheus", live.url)
    document: dict[str, object] = json.loads(live.abkit("verdict", "shop.yaml", "--json"))
    return document


def metric(verdict: dict[str, object], name: str) -> dict[str, object]:
    metrics = verdict["metrics"]
    assert isinstance(metrics, list)
    return next(row for row in metrics if row["metric"] == name)


def test_the_world_has_restarts_gaps_and_a_pod_born_midway(live: Live) -> None:
    world = live.simulation.world
    assert any(pod.restarts for pod in world.pods)
    assert world.gaps
    assert any(pod.born_ms is not None and START < pod.born_ms < world.end_ms for pod in world.pods)
    lost = live.simulation.truth.total("ab_page_views_total", assignment="hash").lost
    assert lost > 0, "a restarted pod takes what it counted since its last scrape with it"


def test_totals_equal_the_truth_to_the_last_event(live: Live, verdict: dict[str, object]) -> None:
    truth = live.simulation.truth
    families = {
        "ab_page_views_total": "conversion.denominator",
        "ab_purchases_total": "conversion.numerator",
        "ab_clicks_total": "click-rate.numerator",
        "ab_orders_total": "orders-per-page-view.numerator",
        "ab_revenue_total": "revenue-per-user.numerator",
        "ab_exposed_users_total": "revenue-per-user.denominator",
        "ab_page_load_seconds_sum": "page-load-time.numerator",
    }
    with duckdb.connect(str(live.folder / "abkit.duckdb"), read_only=True) as connection:
        for family, role in families.items():
            name, part = role.rsplit(".", 1)
            for variant in ("control", "treatment"):
                row = connection.execute(
                    "SELECT sum(total) FROM facts JOIN inputs USING (experiment, input)"
                    " WHERE metric = ? AND role = ? AND variant = ? AND assignment = 'hash'",
                    [name, part, variant],
                ).fetchone()
                assert row is not None
                seen = truth.total(family, variant=variant, assignment="hash")
                assert row[0] == seen.visible, (family, variant)
                assert seen.visible == seen.true - seen.lost - seen.pending + seen.carried_in


def test_mesh_totals_equal_the_truth(live: Live, verdict: dict[str, object]) -> None:
    truth = live.simulation.truth
    for version, value in (("v1", "baseline"), ("v2", "value")):
        codes = {
            total.response_code: total.visible
            for total in truth.totals
            if total.family == "istio_requests_total" and total.version == version
        }
        errors = sum(count for code, count in codes.items() if code.startswith("5"))
        assert metric(verdict, "error-rate")[value] == pytest.approx(errors / sum(codes.values()), rel=1e-12)


def test_intervals_cover_the_true_lifts_and_the_verdict_is_right(live: Live, verdict: dict[str, object]) -> None:
    assert verdict["verdict"] == "ship", verdict["reasons"]
    for name in ("conversion", "click-rate", "page-load-time", "error-rate"):
        found = metric(verdict, name)
        truth = live.simulation.truth.lift(name, "treatment")
        true = truth.lift if truth.lift_given_pods is None else truth.lift_given_pods
        sequential = found["sequential"]
        assert isinstance(sequential, dict)
        for low, high in (found["lift_ci"], sequential["lift_ci"]):  # type: ignore[misc]
            assert low <= true <= high, (name, low, true, high)


def test_pulling_the_same_window_again_changes_no_row(live: Live, verdict: dict[str, object]) -> None:
    def rows() -> list[object]:
        with duckdb.connect(str(live.folder / "abkit.duckdb"), read_only=True) as connection:
            tables = ("inputs", "series", "samples", "increments", "facts", "weights")
            return [
                connection.execute(f"SELECT count(*), bit_xor(hash(t)), sum(hash(t)) FROM {table} t").fetchone()
                for table in tables
            ]

    before = rows()
    window = ("--start", "2026-11-01T00:00:00Z", "--end", "2026-11-01T06:00:00Z")
    live.abkit("pull", "shop.yaml", "--prometheus", live.url, *window)
    assert rows() == before
    again = json.loads(live.abkit("verdict", "shop.yaml", "--json"))
    assert again == verdict


def test_many_small_pulls_give_the_same_facts_as_one(live: Live, verdict: dict[str, object]) -> None:
    for hour in (1, 2, 5, 6):
        end = f"2026-11-01T{hour:02}:00:00Z"
        live.abkit("pull", "shop.yaml", "--prometheus", live.url, "--end", end, "--db", "small.duckdb")
    with duckdb.connect(str(live.folder / "abkit.duckdb"), read_only=True) as connection:
        connection.execute(f"ATTACH '{live.folder / 'small.duckdb'}' AS small (READ_ONLY)")
        for table in ("increments", "facts"):
            for one, other in ((f"main.{table}", f"small.{table}"), (f"small.{table}", f"main.{table}")):
                left = connection.execute(f"SELECT count(*) FROM (FROM {one} EXCEPT ALL FROM {other})").fetchone()
                assert left == (0,), (one, other)


def test_the_scheduled_job_on_the_same_server(live: Live) -> None:
    specs = live.folder / "specs"
    specs.mkdir()
    (specs / "shop.yaml").write_text(SPEC)
    canary = "metadata: {name: release}\nservice: {name: my-service, namespace: shop}\nstrategy: canary\n"
    canary += "variants: {control: {version: v1, weight: 5000}, treatment: {version: v2, weight: 5000}}\n"
    (specs / "canary.yaml").write_text(canary + "analysis: {start: 2026-11-01T00:00:00Z, end: 2026-11-01T06:00:00Z}\n")
    (specs / "absent.yaml").write_text(SPEC.replace("my-service", "absent").replace("buy-now", "absent"))
    ran = abkit("run", specs, "--once", "--json", "--prometheus", live.url, "--db", "jobs.duckdb", cwd=live.folder)
    found = {row["experiment"]: row["result"]["verdict"] for row in json.loads(ran.out)["experiments"]}
    # 2 % of all requests fail in both versions: beyond the pause limit, and no fault of the canary's.
    assert found == {"absent": "no-data", "buy-now": "ship", "release": "pause"}
    assert ran.code == 30


def test_a_world_without_effect_does_not_ship(tmp_path: Path) -> None:
    world = World(experiment="buy-now", seed=5, end_ms=START + 3 * HOUR, users=Users(count=2_000))
    simulation = simulate.run(replace(world, arms=(Arm("control", "v1", 9_500), Arm("treatment", "v2", 500))))
    spec = SPEC.replace("version: v1", "version: v1, weight: 9500").replace("version: v2", "version: v2, weight: 500")
    (tmp_path / "shop.yaml").write_text(spec)
    with prometheus(backfill(simulate.to_openmetrics(simulation), tmp_path / "tsdb")) as url:
        assert abkit("pull", "shop.yaml", "--prometheus", url, cwd=tmp_path).code == 0
        ran = abkit("verdict", "shop.yaml", "--json", cwd=tmp_path)
    assert json.loads(ran.out)["verdict"] in {"keep-running", "inconclusive"}
