"""What decides at a look, and that it keeps its word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from abkit import spec, stats
from abkit.evidence import Evaluation, MetricResult, StatusCode, Usage, Verdict
from abkit.pipeline.compare import Compared, compare_all
from abkit.pipeline.estimate import estimate
from abkit.pipeline.evaluate import evaluate
from abkit.pipeline.looks import Looked, decided
from abkit.queries import ResolvedMetric, resolve
from abkit.spec import Experiment
from abkit.stats.special import student_quantile, t_to_z, z_to_t
from tests.benchmarks.worlds import cells, draw_users, stream, visits
from tests.pipeline.arms import Floats, by_replicate
from tests.pipeline.test_evaluate import AB, BIG, START
from tests.worlds import Pulled, pulled

DAY, HOUR = 86_400_000, 3_600_000
TEXT = """\
service: shop
variants: {control: v1, treatment: v2}
metrics: {primary: [conversion], guardrails: [{metric: click-rate, margin: 0.1}]}
analysis: {start: 2026-11-01, end: 2026-11-15, looks: LOOKS, planned-looks: 4}
"""


def experiment(looks: str, text: str = TEXT) -> Experiment:
    return spec.loads(text.replace("LOOKS", looks))


def metric(given: Experiment, name: str = "conversion") -> ResolvedMetric:
    return next(found for found in resolve(given) if found.name == name)


def drawn(number: int, looks: int, lift: float = 0.0, users: int = 1_000) -> tuple[Floats, Floats]:
    rng = stream(5, "looks", number)
    people = draw_users(rng, users, views=30.0, lift=lift)
    sums = cells(people, *visits(rng, people, looks), 2)
    return sums["num"], sums["den"]


def compared(
    given: Experiment, sums: tuple[Floats, Floats], fractions: tuple[float, ...] | None, usage: Usage = Usage.PRIMARY
) -> Compared:
    name = "conversion" if usage is Usage.PRIMARY else "click-rate"
    arms = (given.control, *given.treatments)
    totals = by_replicate(metric(given, name), arms, *sums, days=14)
    looks = sums[0].shape[0]
    looked = Looked(totals, 0, [DAY * 14 * (look + 1) // looks for look in range(looks)], fractions)
    return compare_all(given, [(metric(given, name), usage)], looked)


def one(given: Experiment, sums: tuple[Floats, Floats], fractions: tuple[float, ...] | None) -> MetricResult:
    (result,) = compared(given, sums, fractions).metrics
    return result


def by_hand(num: Floats, den: Floats) -> stats.Comparison:
    """The comparison of both arms' sums, (arm, replicate)."""
    control, treatment = stats.ClusterSums(num[0], den[0]), stats.ClusterSums(num[1], den[1])
    return stats.ratios(control, treatment, paired=True)


def test_a_repeated_interval_and_p_are_those_of_the_boundaries() -> None:
    given, sums = experiment("obrien-fleming"), drawn(1, 4, lift=0.3)
    result = one(given, (sums[0][:3], sums[1][:3]), (0.25, 0.5, 0.75))
    found = by_hand(sums[0][:3].sum(0), sums[1][:3].sum(0))
    bound = stats.sequential.boundaries((0.25, 0.5, 0.75), 0.05)[-1]
    radius = float(z_to_t(bound, 31.0)) * found.lift_se
    centre = np.log1p(found.lift)
    assert result.sequential is not None
    assert result.sequential.looks == "obrien-fleming"
    assert result.sequential.lift_ci == pytest.approx(np.expm1([centre - radius, centre + radius]))
    assert result.p_adjusted == result.sequential.p_value
    z = float(t_to_z(centre / found.lift_se, 31.0))
    assert (result.sequential.p_value <= 0.05) == (z >= bound)
    assert result.lift_ci == pytest.approx(found.lift_ci)


def test_before_the_first_look_nothing_decides() -> None:
    result = one(experiment("pocock"), drawn(2, 3), ())
    assert (result.sequential, result.p_adjusted, result.harm_bound) == (None, None, None)
    assert result.p_value is not None, "the numbers so far are shown"


@pytest.mark.parametrize("looks", ["obrien-fleming", "pocock"])
def test_no_winner_is_called_too_often_over_all_looks(looks: str) -> None:
    given, worlds, planned = experiment(looks), 60, 4
    called = 0
    for number in range(worlds):
        num, den = drawn(number, planned, users=400)
        for end in range(1, planned + 1):
            totals = by_replicate(metric(given), ("control", "treatment"), num[:end], den[:end])
            found = estimate(given, metric(given), totals, "treatment")
            p = decided(given, found, tuple((look + 1) / planned for look in range(end)))[1]
            if p is not None and p <= 0.05:
                called += 1
                break
    assert called / worlds <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)


def buyers(number: int, *, scattered: bool) -> tuple[Floats, Floats]:
    """Three of four looks, where every replicate has events, or all lie in three of them."""
    rng = stream(5, "buyers", number)
    num = np.zeros((3, 2, 32))
    num[:, :, : 32 if scattered else 3] = rng.poisson(6 if scattered else 60, (3, 2, 32 if scattered else 3))
    return num, np.full((3, 2, 32), 1_000.0)


@pytest.mark.parametrize("looks", ["obrien-fleming", "pocock"])
def test_an_early_look_at_few_users_decides_nothing_and_the_last_one_does(looks: str) -> None:
    given, fractions = experiment(looks), (0.25, 0.5, 0.75, 1.0)
    num, den = buyers(1, scattered=False)
    num[:, 1] *= 3
    early = one(given, (num, den), fractions[:3])
    assert (early.sequential, early.p_adjusted, early.certain(0.05)) == (None, None, None)
    assert early.status.code is StatusCode.TOO_FEW
    assert early.status.reason.startswith("too few users make the events for a look before the planned end")
    (guard,) = compared(given, (num, den), fractions[:3], Usage.GUARDRAIL).metrics
    assert guard.harm_bound is None
    last = one(given, (np.concatenate([num, num[:1]]), np.concatenate([den, den[:1]])), fractions)
    assert last.status.code is StatusCode.OK
    assert last.p_adjusted == pytest.approx(last.p_value, rel=1e-3), "no α was spent before"
    wide = one(given, buyers(1, scattered=True), fractions[:3])
    assert wide.sequential is not None


def test_harm_bounds_of_several_treatments_share_alpha() -> None:
    num, den = drawn(4, 1)
    two = experiment("fixed", TEXT.replace(", planned-looks: 4", ""))
    three = experiment("fixed", TEXT.replace(", planned-looks: 4", "").replace("treatment: v2", "b: v2, c: v3"))
    doubled = tuple(np.concatenate([part, part[:, 1:]], axis=1) for part in (num, den))
    (alone,) = compared(two, (num, den), None, Usage.GUARDRAIL).metrics
    both = compared(three, (doubled[0], doubled[1]), None, Usage.GUARDRAIL).metrics
    assert alone.lift is not None
    found = by_hand(num[0], den[0])
    for result, level in ((alone, 0.95), *((other, 0.975) for other in both)):
        low = np.log1p(found.lift) - float(student_quantile(31.0, level)) * found.lift_se
        assert result.harm_bound == pytest.approx(-np.expm1(low))
    grouped = experiment("pocock")
    (repeated,) = compared(grouped, (num, den), (0.5,), Usage.GUARDRAIL).metrics
    bound = stats.sequential.boundaries((0.5,), 0.05, "pocock", two_sided=False)[0]
    low = np.log1p(found.lift) - float(z_to_t(bound, 31.0)) * found.lift_se
    assert repeated.harm_bound == pytest.approx(-np.expm1(low))


PLANNED = AB.replace("{mde: 0.2}", "{start: 2026-11-01, end: '2026-11-01T06:00:00Z', looks: pocock, planned-looks: 3}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Pulled:
    return pulled(tmp_path_factory.mktemp("looks"), BIG, PLANNED)


def at(world: Pulled, hours: float) -> Evaluation:
    moment = datetime.fromtimestamp(START / 1000, UTC) + timedelta(hours=hours)
    return evaluate(world.experiment, world.store, moment)


def test_between_two_looks_the_newest_one_stands(world: Pulled) -> None:
    look, later, next_look = at(world, 2), at(world, 3.5), at(world, 4)
    # Power alone is about now.
    stand = [[result.model_copy(update={"power": None}) for result in found.metrics] for found in (look, later)]
    assert stand[0] == stand[1]
    assert look.trend == later.trend
    assert later.look_plan is not None
    assert (later.look_plan.taken, later.look_plan.planned) == (1, 3)
    assert later.looks == "pocock"
    assert next_look.metrics[0].lift != later.metrics[0].lift
    assert [point.at for point in next_look.trend if point.metric == "conversion"] == [look.as_of, next_look.as_of]


def test_verdicts_come_at_looks_only(world: Pulled) -> None:
    early = at(world, 1)
    assert early.verdict is Verdict.KEEP_RUNNING
    assert [reason.code for reason in early.reasons] == ["next-look"]
    assert "Look 1 of 3 is due at 2026-11-01 02:00 UTC" in early.reasons[0].message
    last = at(world, 6)
    assert last.look_plan is not None
    assert (last.look_plan.taken, last.look_plan.next) == (3, None)
    assert last.verdict is Verdict.SHIP
    assert last.metrics[0].sequential is not None
    low, high = last.metrics[0].sequential.lift_ci or (None, None)
    truth = world.simulation.truth.lift("conversion", "treatment").lift
    assert low is not None
    assert high is not None
    assert low < truth < high
