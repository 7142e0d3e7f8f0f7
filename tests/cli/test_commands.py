"""The command line's contract: what each command prints, and what it ends with."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import duckdb
import pytest
import yaml

from abkit.assignment import bucket
from abkit.resources import folder
from tests.cli.runner import abkit

EXPERIMENTS = folder("data") / "experiments"
README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
EXAMPLE = EXPERIMENTS / "buy-now-button.yaml"
COMMANDS = [
    "demo",
    "validate",
    "routes",
    "assign",
    "pull",
    "verdict",
    "run",
    "simulate",
    "dashboard",
    "power",
    "bandit",
    "trend",
    "export",
    "rollback",
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo has run."""
    place = tmp_path_factory.mktemp("demo")
    ran = abkit("demo", "--no-dashboard", cwd=place)
    assert ran.code == 0, ran.err
    (place / "out.txt").write_text(ran.out)
    return place


@pytest.fixture(scope="module")
def store(demo: Path) -> Path:
    return demo / "abkit-demo" / "abkit.duckdb"


def test_the_demo_shows_verdict_reasons_and_where_everything_lies(demo: Path) -> None:
    out = (demo / "out.txt").read_text()
    assert "SHIP" in out
    assert "conversion of treatment +" in out
    for place in ("abkit-demo/abkit.duckdb", "abkit-demo/manifests"):
        assert place in out
    (opens,) = re.findall(r"^dashboard +(.+) dashboard --db abkit-demo/abkit\.duckdb$", out, flags=re.MULTILINE)
    called = subprocess.run([*shlex.split(opens), "--version"], cwd=demo, capture_output=True, text=True, check=True)
    assert called.stdout.startswith("abkit "), "what is printed can be run as it is"
    assert "\x1b[" not in out, "no colours where nobody looks"
    assert out[: out.index("╯") + 1] in README, "the README shows this very banner"
    kinds = [yaml.safe_load(path.read_text())["kind"] for path in sorted((demo / "abkit-demo/manifests").iterdir())]
    assert kinds == ["DestinationRule", "EnvoyFilter", "Telemetry", "VirtualService"]


def test_the_demo_can_be_run_again(demo: Path) -> None:
    assert abkit("demo", cwd=demo).code == 0  # a pipe is no terminal: it ends by itself


def test_verdict_json_has_what_the_contract_says_and_is_the_same_twice(store: Path) -> None:
    first, second = (abkit("verdict", EXAMPLE, "--db", store, "--json", cwd=store.parent) for _ in range(2))
    assert first.out == second.out
    document = json.loads(first.out)
    assert {"experiment", "verdict", "reasons", "as_of", "window", "health", "metrics"} <= document.keys()
    assert {"srm", "data_quality"} <= document["health"].keys()
    assert {"start", "end"} == document["window"].keys()
    wanted = (
        "metric kind role control variant baseline value effect effect_ci lift lift_ci p_value method replication "
        "n_replicates sequential status"
    )
    for metric in document["metrics"]:
        assert set(wanted.split()) <= metric.keys()
    assert document["verdict"] == "ship"
    assert all(isinstance(reason, str) for reason in document["reasons"])
    assert "NaN" not in first.out


def test_exit_codes_are_the_verdicts_only_when_asked(store: Path) -> None:
    early = ("verdict", EXAMPLE, "--db", store, "--at", "2026-11-01T02:00:00Z", "--json")
    assert abkit(*early, cwd=store.parent).code == 0
    waiting = abkit(*early, "--exit-code", cwd=store.parent)
    assert (json.loads(waiting.out)["verdict"], waiting.code) == ("keep-running", 20)
    assert abkit("verdict", EXAMPLE, "--db", store, "--exit-code", cwd=store.parent).code == 0


def test_reading_a_verdict_appends_it_once(store: Path) -> None:
    def kept() -> int:
        with duckdb.connect(str(store), read_only=True) as connection:
            return int((connection.execute("SELECT count(*) FROM verdicts").fetchone() or (0,))[0])

    before = kept()
    assert before >= 1, "the demo keeps its verdict"
    for looked in ((), (), ("--at", "2026-11-01T03:00:00Z")):  # a look back is not the newest verdict
        abkit("verdict", EXAMPLE, "--db", store, *looked, cwd=store.parent)
    assert kept() == before
    other = store.parent / "other.yaml"
    other.write_text(EXAMPLE.read_text().replace("owner: growth", "owner: others"))
    abkit("verdict", other, "--db", store, cwd=store.parent)
    assert kept() == before + 1
    abkit("verdict", EXAMPLE, "--db", store, cwd=store.parent)


def test_pulling_again_changes_no_row(store: Path) -> None:
    def rows() -> list[object]:
        with duckdb.connect(str(store), read_only=True) as connection:
            tables = ("series", "samples", "increments", "facts", "weights")
            return [
                connection.execute(f"SELECT count(*), bit_xor(hash(t)), sum(hash(t)) FROM {table} t").fetchone()
                for table in tables
            ]

    before = rows()
    ran = abkit("pull", EXAMPLE, "--db", store, "--start", "2026-11-01T00:00:00Z", "--json", cwd=store.parent)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["new_samples"] == 0
    assert rows() == before


def test_assign_is_the_hash_to_the_bit(tmp_path: Path) -> None:
    ids = [f"user-{number}" for number in range(50)]
    ran = abkit("assign", EXAMPLE, *ids, "--json", cwd=tmp_path)
    for row in json.loads(ran.out)["assignments"]:
        assert row["bucket"] == bucket("buy-now-button-1", row["id"])
        assert row["variant"] == ("control" if row["bucket"] < 5_000 else "treatment")
    assert "user-7" in abkit("assign", EXAMPLE, "user-7", cwd=tmp_path).out


def test_routes_prints_yaml_and_writes_files(tmp_path: Path) -> None:
    printed = abkit("routes", EXAMPLE, "--mesh", "istio", cwd=tmp_path)
    kinds = ["DestinationRule", "EnvoyFilter", "Telemetry", "VirtualService"]
    assert [one["kind"] for one in yaml.safe_load_all(printed.out)] == kinds
    written = abkit("routes", EXAMPLE, "--weights", "v2=25", "-o", "manifests", cwd=tmp_path)
    assert written.code == 0
    texts = [Path(tmp_path, line).read_text() for line in written.out.split()]
    assert "control=7500,treatment=2500" in texts[-1]


def test_routes_goes_by_steps_and_back_and_merges(tmp_path: Path) -> None:
    canary = EXPERIMENTS / "checkout-canary.yaml"
    assert "control=7500,treatment=2500" in abkit("routes", canary, "--step", "3", cwd=tmp_path).out
    assert "control=10000" in abkit("routes", canary, "--rollback", cwd=tmp_path).out
    both = abkit("routes", canary, EXAMPLE, "--step", "checkout-canary:2", cwd=tmp_path)
    assert len(list(yaml.safe_load_all(both.out))) == 8
    wrong = abkit("routes", canary, "--rollback", "--step", "2", cwd=tmp_path)
    assert (wrong.code, wrong.out) == (2, "")
    assert "istio" in abkit("routes", "--help", cwd=tmp_path).out


def test_validate_takes_the_examples_and_prints_the_schema(tmp_path: Path) -> None:
    specs = sorted(EXPERIMENTS.glob("*.yaml"))
    ran = abkit("validate", *specs, "--json", cwd=tmp_path)
    assert ran.code == 0
    assert json.loads(ran.out)["valid"] is True
    schema = json.loads(abkit("validate", "--schema", cwd=tmp_path).out)
    assert {"service", "variants", "metrics", "canary"} <= schema["properties"].keys()


def test_simulate_writes_text_and_truth_for_a_file(tmp_path: Path) -> None:
    args = ("--users", "300", "--hours", "1", "--lift", "conversion=8", "--seed", "4")
    ran = abkit("simulate", EXAMPLE, "-o", "world.om", *args, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert (tmp_path / "world.om").read_text().endswith("# EOF\n")
    lifts = json.loads((tmp_path / "world.om.truth.json").read_text())["lifts"]
    assert next(one["lift"] for one in lifts if one["metric"] == "conversion") == pytest.approx(0.08)


def test_run_goes_on_after_one_that_fails_and_ends_with_the_worst_code(tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    text = EXAMPLE.read_text().replace("../recordings/", f"{folder('data')}/recordings/")
    (specs / "good.yaml").write_text(text)
    (specs / "broken.yaml").write_text("service: [")
    (specs / "unreachable.yaml").write_text(
        "service: other\nvariants: {control: v1, treatment: v2}\nmetrics: [conversion]\n"
        "source: {prometheus: 'http://127.0.0.1:9', retries: 0, timeout: 1s}\n"
    )
    ran = abkit("run", specs, "--once", "--json", cwd=tmp_path)
    document = json.loads(ran.out)
    codes = {Path(row["file"]).name: row["exit_code"] for row in document["experiments"]}
    assert codes == {"broken.yaml": 2, "good.yaml": 0, "unreachable.yaml": 3}
    assert ran.code == document["exit_code"] == 3
    table = abkit("run", specs, "--once", cwd=tmp_path)
    assert table.code == 3
    for name in ("broken", "buy-now-button", "other"):
        assert name in table.out


def test_two_files_of_one_experiment_do_not_overwrite_one_another(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("../recordings/", f"{folder('data')}/recordings/")
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(text)
    ran = abkit("run", tmp_path, "--once", "--json", cwd=tmp_path)
    assert ran.code == 2
    assert "a.yaml" in json.loads(ran.out)["experiments"][1]["error"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, tmp_path: Path) -> None:
    ran = abkit(command, "--help", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert "Usage" in ran.out


def test_no_colour_when_asked(tmp_path: Path) -> None:
    assert "\x1b[" not in abkit("validate", EXAMPLE, cwd=tmp_path, NO_COLOR="1").out
