"""What a pull says of the data: about what is analysed, while it lasts, and what counts twice or is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from abkit.pipeline.collect import collect
from abkit.pipeline.health import quality_of
from abkit.store import Quality, Store
from tests.sources.data import MemorySource, Series
from tests.store.rows import START, counter, experiment, living, process, ticking

FROM = {"start": "2026-11-01"}


def found(folder: Path, series: list[Series], end: int = 3_600, **more: Any) -> Quality:
    return collect(
        experiment(**({"analysis": FROM} | more)),
        MemorySource(series),
        Store(folder / "x.duckdb"),
        now_ms=START + end * 1_000,
    ).quality


class TestOfWhatIsAnalysed:
    BAD: tuple[dict[str, Any], ...] = ({"ab_replicate": "77"}, {"ab_variant": "nobody"})

    def series(self, start: int, end: int) -> list[Series]:
        return [ticking(-300, 3_600), *(ticking(start, end, instance="old", **bad) for bad in self.BAD)]

    @pytest.mark.parametrize(
        ("start", "end", "analysis", "counted"),
        [
            (-300, 0, FROM, 0),
            (-300, 15, FROM, 1),
            (600, 900, FROM, 1),
            (0, 1_200, {"start": "2026-11-01T00:30:00Z"}, 0),
            (0, 1_830, {"start": "2026-11-01T00:30:00Z"}, 1),
        ],
    )
    def test_only_series_with_samples_there(
        self, tmp_path: Path, start: int, end: int, analysis: dict[str, str], counted: int
    ) -> None:
        quality = found(tmp_path, self.series(start, end), analysis=analysis)
        assert sum(quality.bad_replicates.values()) == counted
        assert sum(quality.unmatched_series.values()) == counted

    def test_an_analysis_that_begins_later_forgets_them(self, tmp_path: Path) -> None:
        series = self.series(0, 600)
        assert found(tmp_path, series).bad_replicates == {"77": 1}
        later = found(tmp_path, series, 3_700, analysis={"start": "2026-11-01T00:30:00Z"})
        assert (later.bad_replicates, later.unmatched_series) == ({}, {})

    def test_an_analysis_that_ends_before_them_too(self, tmp_path: Path) -> None:
        series = self.series(2_400, 3_600)
        assert found(tmp_path, series).unmatched_series == {"nobody": 1}
        over = found(tmp_path, series, 3_700, analysis=FROM | {"end": "2026-11-01T00:30:00Z"})
        assert (over.bad_replicates, over.unmatched_series) == ({}, {})


class TestVanished:
    def arm(self, variant: str, end: int = 3_600) -> list[Series]:
        return [
            ticking(-300, end, instance=variant, ab_variant=variant),
            ticking(-300, end, instance=variant, ab_variant=variant, ab_replicate="1"),
            living(-300, 3_600, instance=variant),
        ]

    def test_while_the_targets_are_scraped_on(self, tmp_path: Path) -> None:
        quality = found(tmp_path, [*self.arm("control"), *self.arm("treatment", 1_800)])
        assert quality.vanished == {"treatment/c_total": 2}

    @pytest.mark.parametrize(("end", "gone"), [(3_300, False), (3_270, True)])
    def test_a_while_is_nothing(self, tmp_path: Path, end: int, gone: bool) -> None:
        quality = found(tmp_path, [*self.arm("control"), *self.arm("treatment", end)])
        assert bool(quality.vanished) is gone

    def test_a_target_that_ended_took_its_counters_along(self, tmp_path: Path) -> None:
        ended = [
            Series(each.labels, [p for p in each.points if p[0] < START + 1_800_000]) for each in self.arm("treatment")
        ]
        assert found(tmp_path, [*self.arm("control"), *ended]).vanished == {}

    def test_where_another_target_shows_it_still(self, tmp_path: Path) -> None:
        series = [*self.arm("control"), *self.arm("treatment", 1_800)]
        series.append(ticking(-300, 3_600, instance="c", ab_variant="treatment"))
        assert found(tmp_path, series).vanished == {}

    def test_after_a_restart_a_rare_event_has_no_counter_yet(self, tmp_path: Path) -> None:
        series = self.arm("treatment", 1_800)[:2]
        alive = [(float(s), -9_999.0 if s < 1_800 else 1_795.0) for s in range(-300, 3_600, 15)]
        assert found(tmp_path, [*self.arm("control"), *series, process(alive, "treatment")]).vanished == {}


class TestDoubled:
    def scraped(self, begin: int = -300, end: int = 3_600, started: float | None = None, **labels: str) -> list[Series]:
        given: dict[str, Any] = {"pod": "p"} | labels
        series = [ticking(begin, end, **given)]
        if started is not None:
            alive = process([(float(s), started) for s in range(begin, end, 15)], given.get("instance", "a"))
            series.append(Series(dict(alive.labels) | given, alive.points))
        return series

    @pytest.mark.parametrize("started", [None, -9_999.0])
    @pytest.mark.parametrize("other", [{}, {"instance": "a:2"}, {"endpoint": "http"}])
    def test_two_jobs_of_one_pod(self, tmp_path: Path, started: float | None, other: dict[str, Any]) -> None:
        series = self.scraped(started=started) + self.scraped(started=started, job="again", **other)
        assert found(tmp_path, series).doubled_targets == 2

    def test_without_pods_by_instance(self, tmp_path: Path) -> None:
        assert found(tmp_path, [ticking(-300, 3_600), ticking(-300, 3_600, job="again")]).doubled_targets == 2

    @pytest.mark.parametrize("job", ["shop", "again"])
    def test_two_processes_in_a_pod_are_two(self, tmp_path: Path, job: str) -> None:
        series = self.scraped(started=-9_999.0) + self.scraped(started=-9_990.0, job=job, instance="a:2")
        assert found(tmp_path, series).doubled_targets == 0

    def test_two_ports_of_a_job_may_be_two_processes(self, tmp_path: Path) -> None:
        assert found(tmp_path, self.scraped() + self.scraped(instance="a:2")).doubled_targets == 0

    def test_one_process_at_two_ports(self, tmp_path: Path) -> None:
        series = self.scraped(started=-9_999.0) + self.scraped(started=-9_999.0, instance="a:2")
        assert found(tmp_path, series).doubled_targets == 2

    def test_one_after_the_other(self, tmp_path: Path) -> None:
        assert found(tmp_path, self.scraped(end=1_800) + self.scraped(1_800, job="renamed")).doubled_targets == 0

    def test_two_pods_are_two(self, tmp_path: Path) -> None:
        assert found(tmp_path, self.scraped() + self.scraped(pod="q", instance="b")).doubled_targets == 0

    def test_what_tells_counters_apart_does(self, tmp_path: Path) -> None:
        assert found(tmp_path, self.scraped() + self.scraped(job="again", ab_replicate="1")).doubled_targets == 0


def test_a_counter_s_value_does_not_matter(tmp_path: Path) -> None:
    # Two scrapes of one process never see quite the same values.
    one = counter([(s, float(s + 400)) for s in range(-300, 3_600, 15)])
    other = counter([(s + 7, float(s + 403)) for s in range(-300, 3_590, 15)], job="again")
    assert found(tmp_path, [one, other]).doubled_targets == 2


def codes(quality: Quality, **more: Any) -> dict[str, str]:
    return {each.code: each.message for each in quality_of(quality, experiment(**({"analysis": FROM} | more))).findings}


class TestReplicasWithoutName:
    def series(self, label: str, start: int = -300) -> list[Series]:
        one: dict[str, Any] = {label: "a"}
        other: dict[str, Any] = {label: "b"}
        return [ticking(-300, 1_800, **one), ticking(start, 3_600, **other)]

    @pytest.mark.parametrize("label", ["prometheus_replica", "replica", "__replica__"])
    def test_count_twice_and_are_named(self, tmp_path: Path, label: str) -> None:
        quality = found(tmp_path, self.series(label))
        assert quality.unnamed_replicas == {label: 1}
        assert f"source.replica-labels: [{label}]" in codes(quality)["doubled-replicas"]

    def test_one_after_the_other_are_a_pod_that_moved(self, tmp_path: Path) -> None:
        assert found(tmp_path, self.series("replica", 1_800)).unnamed_replicas == {}

    def test_another_label_is_another_series(self, tmp_path: Path) -> None:
        series = [ticking(-300, 3_600, replica=name, code=name) for name in "ab"]
        assert found(tmp_path, series).unnamed_replicas == {}


class TestOneSided:
    METRIC: ClassVar = {
        "name": "r",
        "kind": "ratio",
        "direction": "increase",
        "numerator": "n_total",
        "denominator": "c_total",
    }

    def pulled(self, folder: Path, *names: tuple[str, str]) -> Quality:
        series = [
            Series({**ticking(-300, 3_600, ab_variant=variant).labels, "__name__": name}, ticking(-300, 3_600).points)
            for name, variant in names
        ]
        return found(folder, series, metrics=[self.METRIC])

    def test_a_denominator_of_one_variant_alone(self, tmp_path: Path) -> None:
        quality = self.pulled(tmp_path, ("c_total", "control"), ("n_total", "control"), ("n_total", "treatment"))
        assert quality.one_sided == {"r/denominator": "control"}
        assert "only control has series, not treatment" in codes(quality)["one-sided"]

    def test_what_is_counted_only_when_it_happens_may_be(self, tmp_path: Path) -> None:
        both = [("c_total", "control"), ("c_total", "treatment")]
        assert self.pulled(tmp_path, *both, ("n_total", "control")).one_sided == {}

    def test_a_variant_that_counts_nothing_is_said_once(self, tmp_path: Path) -> None:
        quality = self.pulled(tmp_path, ("c_total", "control"), ("n_total", "control"))
        said = codes(quality)
        assert "missing-variants" in said
        assert "one-sided" not in said


class TestSizes:
    def test_of_gaps_restarts_and_births(self, tmp_path: Path) -> None:
        seconds = range(-300, 3_600, 15)
        gap = counter([(t, 10_000.0 + t) for t in seconds if not 1_000 <= t < 1_360], "gap")
        fell = counter([(t, 10_000.0 + t if t < 1_800 else t - 1_800.0) for t in seconds], "fell", ab_replicate="0")
        born = counter([(t, t - 1_799.0) for t in seconds if t >= 1_800], "fell", ab_replicate="1")
        lost = counter([(t, 10_000.0 + t) for t in seconds if t >= 1_800], "lost")
        effects = found(tmp_path, [gap, fell, born, lost]).effects
        counted = 3_600 + 3_585 + 1_786 + 1_785
        assert effects["gaps"] == pytest.approx(375 / counted, rel=0.01)
        # Half a scrape, of a counter that gains one a second.
        assert effects["resets"] == pytest.approx(7.5 / counted, rel=0.05)
        assert effects["births"] == pytest.approx(1 / counted, rel=0.01)
        assert effects["unseen_births"] == pytest.approx(15 / counted, rel=0.05)

    def test_of_what_counts_for_nobody(self, tmp_path: Path) -> None:
        series = [
            ticking(-300, 3_600),
            ticking(-300, 3_600, ab_variant="nobody"),
            ticking(-300, 3_600, ab_variant="none"),
            ticking(-300, 3_600, ab_replicate="77", instance="b"),
        ]
        quality = found(tmp_path, series)
        assert quality.effects == pytest.approx({"unmatched_series": 0.25, "bad_replicates": 0.25})
        assert "(up to 25.0 % of what an input counts, all such together)" in codes(quality)["unmatched-series"]
        assert "(up to 25.0 % of what an input counts)" in codes(quality)["bad-replicates"]


class TestLate:
    def test_samples_that_an_earlier_pull_did_not_see(self, tmp_path: Path) -> None:
        whole = ticking(-300, 1_260)
        early = Series(whole.labels, [p for p in whole.points if not START + 800_000 <= p[0] < START + 860_000])
        assert found(tmp_path, [early], 1_000).late_samples == 0
        quality = found(tmp_path, [whole], 1_100)
        assert quality.late_samples == 4
        assert "4 samples came more than a minute late" in codes(quality)["late"]
        # It stays said; nothing is late twice.
        assert found(tmp_path, [whole], 1_200).late_samples == 4

    def test_those_of_the_last_minute_are_not_late(self, tmp_path: Path) -> None:
        whole = ticking(-300, 1_260)
        early = Series(whole.labels, [p for p in whole.points if p[0] < START + 950_000])
        assert found(tmp_path, [early], 1_000).late_samples == 0
        assert found(tmp_path, [whole], 1_100).late_samples == 0

    def test_data_that_ends_early(self, tmp_path: Path) -> None:
        quality = found(tmp_path, [ticking(-300, 1_800)], 3_600)
        assert quality.behind_ms == 1_815_000
        assert "30 min older" in codes(quality)["behind"]
        assert "behind" not in codes(found(tmp_path, [ticking(-300, 3_660)], 3_660))


class TestExposures:
    def series(self, users: dict[str, int]) -> list[Series]:
        return [ticking(-300, 3_600, ab_variant=variant) for variant in users] + [
            Series(
                {**ticking(-300, 3_600, ab_variant=variant).labels, "__name__": "ab_exposed_users_total"},
                [(t, float(5_000 + (count if t >= START else 0))) for t, _ in ticking(-300, 3_600).points],
            )
            for variant, count in users.items()
        ]

    def test_nearly_none(self, tmp_path: Path) -> None:
        quality = found(tmp_path, self.series({"control": 900, "treatment": 3}))
        assert quality.exposures == {"control": 900, "treatment": 3}
        assert codes(quality)["few-exposures"].startswith("Only 3 users of treatment first exposed")

    def test_enough(self, tmp_path: Path) -> None:
        assert "few-exposures" not in codes(found(tmp_path, self.series({"control": 900, "treatment": 880})))

    def test_where_nothing_counts_them(self, tmp_path: Path) -> None:
        assert "few-exposures" not in codes(found(tmp_path, [ticking(-300, 3_600)]))


class TestWarnings:
    """A partial answer stays in the store until its window is read again: so does what was said of it."""

    def test_are_kept_until_all_is_read_again(self, tmp_path: Path) -> None:
        store, series = Store(tmp_path / "x.duckdb"), [ticking(-300, 3_600)]
        said = []
        for now, start, warnings in [
            (600, None, ("partial",)),
            (900, None, ()),
            (1_200, None, ("slow",)),
            (1_500, 0, ()),
        ]:
            source = MemorySource(series, warnings)
            first = None if start is None else START + start * 1_000
            report = collect(experiment(analysis=FROM), source, store, now_ms=START + now * 1_000, start_ms=first)
            said.append(report.quality.warnings)
        assert said == [("partial",), ("partial",), ("partial", "slow"), ()]
        assert "The server warned: partial" in codes(Quality(warnings=said[0]))["server-warning"]
