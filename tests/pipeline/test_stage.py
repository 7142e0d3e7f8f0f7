"""A split that changes: what was seen under the one before must not pass for the next one's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from abkit import spec
from abkit.evidence import Evaluation, Verdict
from abkit.pipeline.collect import collect
from abkit.pipeline.evaluate import evaluate
from abkit.pipeline.splits import UNKNOWN, splits
from abkit.pipeline.stage import Epoch, epochs_of, in_force
from abkit.store import Store, Weight
from abkit.window import Window
from tests.sources.data import MemorySource, Series

START = 1_793_491_200_000
MINUTE = 60_000
CANARY = """\
metadata: {name: x}
service: {name: shop}
strategy: canary
variants: {control: {version: v1, weight: %d}, treatment: {version: v2, weight: %d}}
canary: {steps: [5, 10, 100], bake: 30m, defaults: false, limits: {failures: {pause: 0.05}}}
metrics:
  secondary:
    - {name: failures, kind: proportion, direction: decrease, scope: technical, numerator: bad_total,
       denominator: all_total}
"""
AB = """\
metadata: {name: x}
service: {name: shop}
variants: {control: {version: v1, weight: %d}, treatment: {version: v2, weight: %d}}
metrics: [{name: clicks, kind: ratio, direction: increase, numerator: ab_clicks_total, denominator: ab_views_total}]
"""


def requests(version: str, per_minute: int, minutes: range) -> list[Series]:
    labels = {"version": version, "job": "shop", "instance": f"pod-{version}"}
    return [
        Series(
            labels | {"__name__": name},
            [(START + minute * MINUTE, float((minute - minutes[0]) * rate)) for minute in minutes],
        )
        for name, rate in (("all_total", per_minute), ("bad_total", max(per_minute // 100, 1)))
    ]


def starts(version: str, minutes: range) -> Series:
    labels = {"__name__": "process_start_time_seconds", "job": "shop", "instance": f"pod-{version}"}
    return Series(labels, [(START + minute * MINUTE, START / 1_000 - 9_999) for minute in minutes])


class World:
    """A canary that is pulled and looked at, as its file changes."""

    def __init__(self, folder: Path, born: int = -10) -> None:
        self.store = Store(folder / "x.duckdb")
        minutes, canary = range(-10, 400), range(born, 400)
        self.series = [*requests("v1", 900, minutes), *requests("v2", 100, canary)]
        self.series += [starts("v1", minutes), starts("v2", canary)]

    def look(self, share: int, minute: int, *, pull: bool = True) -> tuple[Verdict, str, Evaluation]:
        experiment = spec.loads(CANARY % (10_000 - share, share))
        if pull:
            now = START + minute * MINUTE
            first = None if self.store.exists else START
            collect(experiment, MemorySource(self.series), self.store, start_ms=first, now_ms=now)
        found = evaluate(experiment, self.store)
        return found.verdict, found.reasons[0].code, found


def test_an_edited_split_starts_a_stage_that_has_seen_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.look(500, 60)[:2] == (Verdict.CONTINUE, "healthy")
    assert world.look(1_000, 60, pull=False)[:2] == (Verdict.PAUSE, "new-split")
    assert world.look(10_000, 60, pull=False)[:2] == (Verdict.PAUSE, "new-split"), "no promotion by editing a file"
    assert world.look(1_000, 61)[:2] == (Verdict.PAUSE, "new-split")
    verdict, code, evaluation = world.look(1_000, 70)
    assert (verdict, code) == (Verdict.PAUSE, "baking")
    assert evaluation.stage is not None
    assert (evaluation.stage.share, evaluation.stage.step) == (0.1, 2)
    assert world.look(1_000, 100)[:2] == (Verdict.CONTINUE, "healthy")


def test_looking_back_sees_the_stage_of_then(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.look(500, 60)
    world.look(1_000, 61)
    _, _, evaluation = world.look(1_000, 100)
    assert evaluation.as_of is not None
    back = evaluate(spec.loads(CANARY % (9_000, 1_000)), world.store, evaluation.as_of - timedelta(minutes=45))
    assert back.stage is not None
    assert (back.stage.share, back.verdict) == (0.05, Verdict.CONTINUE)


def test_a_canary_that_was_only_just_deployed_has_not_baked(tmp_path: Path) -> None:
    assert World(tmp_path, born=176).look(500, 180)[:2] == (Verdict.PAUSE, "baking")


def history(*epochs: tuple[int, Mapping[str, int], str]) -> list[Weight]:
    return [
        Weight(start, None, name, weight, known) for start, split, known in epochs for name, weight in split.items()
    ]


def test_between_the_pulls_that_saw_different_splits_the_split_is_unknown() -> None:
    before, after = {"control": 5_000, "treatment": 5_000}, {"control": 2_000, "treatment": 8_000}
    experiment = spec.loads(AB % (2_000, 8_000))
    found = epochs_of(splits(experiment, history((0, before, "spec")), Window(900, 2_000), 1_000))
    assert found == (
        Epoch(0, 1_000, before, known=True),
        Epoch(1_000, 2_000, after, known=False),
        Epoch(2_000, None, after, known=True),
    )
    again = splits(
        experiment,
        history(*((e.start_ms, e.split, "spec" if e.known else UNKNOWN) for e in found)),
        Window(1_900, 3_000),
        2_000,
    )
    assert epochs_of(again) == found, "what is unknown stays so"
    assert in_force(found, 999) == found[0]
    assert in_force(found, -1) is None


def users(variant: str, version: str, per_minute: int, changes: Mapping[int, int]) -> list[Series]:
    """First exposures, views and clicks of 8 replicates; the rate changes at the minutes given."""
    series = []
    for replicate in range(8):
        labels = {"ab_variant": variant, "ab_replicate": str(replicate), "ab_assignment": "hash", "ab_experiment": "x"}
        labels |= {"version": version, "job": "shop", "instance": f"pod-{version}"}
        count, points, rate = 0.0, [], per_minute
        for minute in range(-10, 240):
            rate = changes.get(minute, rate)
            points.append((START + minute * MINUTE, count))
            count += rate + (replicate + minute) % 3 if rate else 0
        for name, factor in (("ab_exposed_users_total", 1), ("ab_views_total", 3), ("ab_clicks_total", 1)):
            series.append(Series(labels | {"__name__": name}, [(at, value * factor) for at, value in points]))
    return series


def test_an_edited_split_is_no_sample_ratio_mismatch(tmp_path: Path) -> None:
    # The split really moves from 50/50 to 80/20 at minute 65; the pulls are at 60 and 120.
    series = [*users("control", "v1", 50, {65: 80}), *users("treatment", "v2", 50, {65: 20})]
    series += [starts("v1", range(-10, 240)), starts("v2", range(-10, 240))]
    store = Store(tmp_path / "x.duckdb")
    text = AB.replace("metrics:", "assignment: {replicates: 8}\nmetrics:")
    for control, minute in ((5_000, 60), (8_000, 120), (8_000, 200)):
        experiment = spec.loads(text % (control, 10_000 - control))
        first = None if store.exists else START
        collect(experiment, MemorySource(series), store, start_ms=first, now_ms=START + minute * MINUTE)
    evaluation = evaluate(experiment, store)
    assert evaluation.health.srm.status == "ok", evaluation.health.srm.reason
    (finding,) = [f for f in evaluation.health.data_quality.findings if f.code == "split-unknown"]
    assert "01:00 and 2026-11-01 02:00" in finding.message


def test_users_of_the_split_before_in_the_first_minutes_of_the_next_are_no_strays(tmp_path: Path) -> None:
    series = [*users("control", "v1", 50, {60: 100}), *users("treatment", "v2", 50, {60: 0})]
    series += [starts("v1", range(-10, 240)), starts("v2", range(-10, 240))]
    ramp = "assignment: {replicates: 8}\nramp:\n"
    ramp += "  - {from: 2026-11-01T00:00:00Z, split: {control: 5000, treatment: 5000}}\n"
    ramp += "  - {from: 2026-11-01T00:59:30Z, split: {control: 10000, treatment: 0}}\nmetrics:"
    experiment = spec.loads(AB.replace("metrics:", ramp) % (10_000, 0))
    store = Store(tmp_path / "x.duckdb")
    collect(experiment, MemorySource(series), store, start_ms=START, now_ms=START + 120 * MINUTE)
    assert evaluate(experiment, store).health.srm.status == "ok"


def test_variants_renamed_after_a_pull_end_in_a_verdict_and_not_in_a_fault(tmp_path: Path) -> None:
    series = [*users("control", "v1", 50, {}), *users("treatment", "v2", 50, {})]
    store = Store(tmp_path / "x.duckdb")
    text = AB.replace("metrics:", "assignment: {replicates: 8}\nmetrics:") % (5_000, 5_000)
    collect(spec.loads(text), MemorySource(series), store, start_ms=START, now_ms=START + 60 * MINUTE)
    renamed = spec.loads(text.replace("treatment:", "bigger:").replace("control:", "old:"))
    assert evaluate(renamed, store).verdict is Verdict.NO_DATA


def test_a_file_that_names_other_versions_than_those_pulled_is_invalid_until_the_next_pull(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.look(500, 60)
    swapped = spec.loads((CANARY % (9_500, 500)).replace("v1", "v0").replace("v2", "v1").replace("v0", "v2"))
    evaluation = evaluate(swapped, world.store)
    assert (evaluation.verdict, evaluation.reasons[0].code) == (Verdict.INVALID, "file-changed")
    collect(swapped, MemorySource(world.series), world.store, now_ms=START + 61 * MINUTE)
    assert evaluate(swapped, world.store).verdict is not Verdict.INVALID


def test_copies_are_judged_as_the_mirrored_version_and_are_no_sample_ratio_mismatch(tmp_path: Path) -> None:
    # A copy says of itself what the original does: that it is the control's, by the hash.
    series = [*users("control", "v1", 50, {}), *users("control", "v2", 50, {})]
    series += [*requests("v1", 900, range(-10, 240)), *requests("v2", 900, range(-10, 240))]
    series += [starts("v1", range(-10, 240)), starts("v2", range(-10, 240))]
    text = (CANARY % (10_000, 0)).replace("strategy: canary", "strategy: mirror").replace("steps: [5, 10, 100], ", "")
    experiment = spec.loads(text.replace("metrics:", "assignment: {replicates: 8}\nmetrics:"))
    store = Store(tmp_path / "x.duckdb")
    collect(experiment, MemorySource(series), store, start_ms=START, now_ms=START + 120 * MINUTE)
    evaluation = evaluate(experiment, store)
    assert evaluation.health.srm.status == "unavailable"
    assert "treatment gets copies" in evaluation.health.srm.reason
    assert evaluation.verdict is Verdict.CONTINUE, evaluation.reasons
    (limit,) = [limit for limit in evaluation.limits if limit.variant == "treatment"]
    assert limit.within
