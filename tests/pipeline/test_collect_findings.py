"""What a pull says of the data: about what is analysed, while it lasts, and what counts twice or is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from abkit.pipeline.collect import collect
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
