"""Worlds that are read once, at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from abkit import stats
from tests.benchmarks.calibration import judges
from tests.benchmarks.calibration.findings import ALPHA, Findings, Method, Scale, Situation, Truth, between, filled
from tests.benchmarks.worlds import (
    REPLICATES,
    Batch,
    Floats,
    Users,
    autoregression,
    cells,
    draw_users,
    mean_conversion,
    overdispersed,
    pod_factors,
    tally,
    views_in_time,
    visits,
)

__all__ = ["READ_ONCE"]

LIFT = 0.1
CONVERSION = 0.06
HASH = "hash replicates"

EVENTS = Method("two-proportion z on events", "events", judges.events, valid=False)
JACKKNIFE = Method("jackknife across arms", HASH, judges.replicates())
APART = Method("variance in each arm", HASH, judges.replicates(paired=False))
UNRULED = Method("jackknife, without the small-arm rule", HASH, judges.replicates(rule=False), valid=False)


def conversion_truth(lift: float, conversion: float = CONVERSION) -> Truth:
    """Both scales of worlds with sticky users."""
    return Truth(lift * mean_conversion(conversion, lift), lift)


def sticky(rng: np.random.Generator, lift: float, *, users: int, split: Sequence[float], slots: int = 7) -> Batch:
    drawn = draw_users(rng, users, split, lift=lift)
    seen, bought = visits(rng, drawn, slots)
    return cells(drawn, seen, bought, len(split))


def revenue(rng: np.random.Generator, lift: float, *, users: int) -> Batch:
    """Revenue over exposed users: orders of very different size."""
    drawn = draw_users(rng, users, lift=lift)
    _, bought = visits(rng, drawn, 1)
    who = np.repeat(np.arange(users), bought[0])
    spent = rng.lognormal(3.0, 1.2, size=who.size)
    shape, first = (1, 2, REPLICATES), np.zeros(who.size, dtype=np.int64)
    num = tally(shape, (first, drawn.arm[who], drawn.replicate[who]), spent)
    return {"num": num, "den": tally(shape, (np.zeros(users, dtype=np.int64), drawn.arm, drawn.replicate))}


def pre_period(rng: np.random.Generator, lift: float, *, users: int, split: Sequence[float]) -> Batch:
    """A pre-period that is labelled by future variant, with the effect from the start on."""
    drawn = draw_users(rng, users, split, lift=lift)
    before = drawn.own / np.where(drawn.arm > 0, 1 + lift, 1.0)
    earlier = cells(drawn, *visits(rng, drawn, 1, own=before[np.newaxis]), 2, prefix="pre_")
    return {**cells(drawn, *visits(rng, drawn, 1), 2), **earlier}


def cuped(sums: Batch, truth: Truth) -> Findings:
    num, den, pre_num, pre_den = (sums[name][:, 0] for name in ("num", "den", "pre_num", "pre_den"))
    control, treatment = (stats.ClusterSums(num[:, arm], den[:, arm]) for arm in (0, 1))
    before, after = (stats.ClusterSums(pre_num[:, arm], pre_den[:, arm]) for arm in (0, 1))
    return judges.compared(stats.cuped(control, treatment, before, after), truth)


def pod_world(
    rng: np.random.Generator,
    lift: float,
    *,
    pods: tuple[int, int],
    users: int = 0,
    spread: float = 0.1,
    traffic: Sequence[float] | None = None,
    conversion: float = CONVERSION,
) -> Batch:
    """Pods that differ; with `users` they are sticky and come to all pods of their arm, else every view is a coin."""
    most = max(pods)
    shape = (2, REPLICATES, most)
    num, den = np.zeros(shape), np.zeros(shape)
    drawn = draw_users(rng, users, lift=lift, conversion=conversion) if users else None
    for arm, count in enumerate(pods):
        factor = pod_factors(rng, count, spread)
        share = np.full(count, 1 / count) if traffic is None else np.array(traffic)
        if drawn is None:
            chance = np.minimum(conversion * (1 + lift * arm) * factor, 1.0)
            seen = rng.poisson(240_000 / REPLICATES * share, size=(REPLICATES, count))
            num[arm, :, :count], den[arm, :, :count] = rng.binomial(seen, chance), seen
            continue
        mine = drawn.arm == arm
        own = np.minimum(drawn.own[mine] * factor[:, np.newaxis], 1.0)
        views = rng.poisson(drawn.rate[mine] * share[:, np.newaxis])
        bought = rng.binomial(views, own)
        at = (drawn.replicate[mine], np.arange(count)[:, np.newaxis])
        num[arm, :, :count] = tally((REPLICATES, count), at, bought)
        den[arm, :, :count] = tally((REPLICATES, count), at, views)
    used = np.array([float(count) for count in pods])
    sums = {"cell_num": num, "cell_den": den, "cell_used": used}
    return {**sums, "num": num.sum(axis=-1)[np.newaxis], "den": den.sum(axis=-1)[np.newaxis]}


def pod_buckets(rng: np.random.Generator, lift: float, *, pods: int) -> Batch:
    """Latency histograms by pod; pods differ, requests are independent."""
    counts = np.zeros((2, pods, EDGES.size))
    for arm in (0, 1):
        factor = pod_factors(rng, pods, 0.1) * (1 + lift * arm)
        for pod in range(pods):
            latency = rng.lognormal(np.log(0.2 * factor[pod]), 0.8, size=4_000)
            counts[arm, pod] = np.bincount(np.searchsorted(EDGES, latency), minlength=EDGES.size)
    return {"buckets": counts}


EDGES = np.array([*np.geomspace(0.01, 10, 25), np.inf])


def quantile(sums: Batch, truth: Truth) -> Findings:
    return judges.compared(stats.quantiles(EDGES, sums["buckets"][:, 0], sums["buckets"][:, 1], 0.95), truth)


def dispersed(rng: np.random.Generator, lift: float, *, phi: float, looks: int = 28, mean: float = 1.5) -> Batch:
    """Counts with variance φ·mean in the treatment, cumulated over looks."""
    shape = (looks, REPLICATES)
    arms = [rng.poisson(mean, size=shape), overdispersed(rng, mean * (1 + lift), phi, shape)]
    num = np.stack(arms, axis=1).astype(np.float64).cumsum(axis=0)
    return {"num": num, "den": np.ones_like(num).cumsum(axis=0)}


def last_look(judge: Callable[[Batch, Truth], Findings]) -> Callable[[Batch, Truth], Findings]:
    """A method that adds slots up, on sums that are cumulated already."""
    return lambda sums, truth: judge({name: sums[name][:, -1:] for name in ("num", "den")}, truth)


def few_events(rng: np.random.Generator, lift: float, *, mean: float, share: float) -> Batch:
    """Independent events, few of them, by replicate; the treatment has a share of the exposure."""
    exposure = np.array([1 - share, share])[np.newaxis, :, np.newaxis]
    expected = 2 * mean * exposure * np.array([1.0, 1 + lift])[np.newaxis, :, np.newaxis] / REPLICATES
    num = rng.poisson(np.broadcast_to(expected, (1, 2, REPLICATES))).astype(np.float64)
    return {"num": num, "den": np.broadcast_to(1e4 * exposure, num.shape).copy()}


def load(rng: np.random.Generator, lift: float, *, hours: int = 48, users: int = 4_000) -> Batch:
    """Sticky users under a load and a base rate that both wander, the same way for both arms."""
    drawn = draw_users(rng, users, lift=lift, views=30.0)
    own, share = wandering(rng, drawn, hours, lift)
    return cells(drawn, *visits(rng, drawn, hours, own, share), 2)


def wandering(rng: np.random.Generator, drawn: Users, hours: int, lift: float) -> tuple[Floats, Floats]:
    """Conversion by (hour, user) and share of the views by hour, both AR(1) on the log scale."""
    wander = autoregression(rng, hours, 0.95, 2)
    share, factor = np.exp(0.5 * wander[0]), np.exp(0.3 * wander[1])
    # Cut off where the treatment would pass 1, at the same chance in both arms: else the lift is not the effect.
    effect = np.where(drawn.arm > 0, 1 + lift, 1.0)
    own = np.minimum(drawn.own / effect, 1 / (max(factor.max(), 1.0) * (1 + lift))) * effect
    return np.minimum(own * factor[:, np.newaxis], 1.0), share / share.sum()


def gauges(rng: np.random.Generator, lift: float, *, correlation: float, intervals: int = 60) -> Batch:
    """A gauge of each arm, a value an interval."""
    return {"gauge": 10 + autoregression(rng, intervals, correlation, 2) + np.array([[0.0], [lift]])}


def mann_whitney(sums: Batch, truth: Truth) -> Findings:
    found = stats.shift(sums["gauge"][:, 0], sums["gauge"][:, 1], 1 - ALPHA)
    p = np.ma.asarray(found.p_value)
    return Findings(Scale(filled(p, 1.0) < ALPHA, ~np.ma.getmaskarray(p), between(found.shift_ci, truth.effect)))


RAMP = (0.05, 0.10, 0.25, 0.50)
SWING = (0.9, 1.1, 0.9, 1.15)


def ramp(rng: np.random.Generator, lift: float, *, users: int = 8_000) -> Batch:
    """The treatment gets 5, 10, 25, 50 % of users, while the base rate swings."""
    drawn = draw_users(rng, users)
    reached = 1 - np.array(RAMP)[:, np.newaxis]
    arm = (drawn.place >= reached).astype(np.int64)
    top = 1 / (max(SWING) * (1 + lift))
    own = np.minimum(drawn.own, top) * np.array(SWING)[:, np.newaxis] * np.where(arm > 0, 1 + lift, 1.0)
    seen = rng.poisson(np.broadcast_to(drawn.rate / len(RAMP), arm.shape))
    bought = rng.binomial(seen, np.minimum(own, 1.0))
    shape = (len(RAMP), 2, REPLICATES)
    at = (np.arange(len(RAMP))[:, np.newaxis], arm, drawn.replicate)
    return {"num": tally(shape, at, bought), "den": tally(shape, at, seen)}


def minutes(rng: np.random.Generator, lift: float, *, users: int = 4_000, length: int = 480) -> Batch:
    """A 5 % arm, the base rate swinging by the minute."""
    drawn = draw_users(rng, users, (0.95, 0.05), views=30.0, lift=lift)
    factor = 1 + 0.4 * np.sin(np.arange(length) * 2 * np.pi / length)
    return views_in_time(rng, drawn, length, 2, factor)


def as_one_stratum(sums: Batch, truth: Truth) -> Findings:
    """The weights never changed: one epoch."""
    return judges.stratified({name: sums[name].sum(axis=1, keepdims=True) for name in ("num", "den")}, truth)


def mantel_haenszel(sums: Batch, truth: Truth) -> Findings:
    """The Cochran–Mantel–Haenszel test: events independent within each stratum."""
    bought, seen = sums["num"].sum(axis=3), sums["den"].sum(axis=3)
    k, n = bought.sum(axis=2), seen.sum(axis=2)
    size = np.maximum(n, 2.0)
    expected = seen[:, :, 1] * k / size
    variance = seen[:, :, 0] * seen[:, :, 1] * k * (n - k) / (size * size * (size - 1))
    total = np.maximum(variance.sum(axis=1), 1e-12)
    z = (bought[:, :, 1] - expected).sum(axis=1) / np.sqrt(total)
    return Findings(None, judges.scale_of(2 * norm.sf(np.abs(z))))


def plain_strata(sums: Batch, truth: Truth) -> Findings:
    """The Mantel-Haenszel log ratio with a jackknife that knows no small arms."""
    totals = np.moveaxis(np.stack([sums["num"], sums["den"]]), (2, 3), (1, 2))

    def log_ratio(sums: Floats) -> Floats:
        num, den = sums
        both = (den > 0).all(axis=1)
        size = np.where(both, den.sum(axis=1), 1.0)
        parts = [np.where(both, num[:, a] * den[:, b] / size, 0.0).sum(axis=0) for a, b in ((1, 0), (0, 1))]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(parts[0] / parts[1]))

    found = stats.jackknife(log_ratio, totals)
    z = np.ma.asarray(found.estimate) / np.ma.asarray(found.standard_error)
    p = np.ma.array(2 * student.sf(np.abs(filled(z, 0.0)), found.df), mask=np.ma.getmaskarray(z))
    log_truth = None if truth.lift is None else float(np.log1p(truth.lift))
    return Findings(None, Scale(filled(p, 1.0) < ALPHA, ~np.ma.getmaskarray(p), between(found.ci, log_truth)))


def busier(rng: np.random.Generator, lift: float, *, activity: float, users: int = 8_000) -> Batch:
    """The treatment changes how often users come, not how often a view converts; all are exposed once."""
    drawn = draw_users(rng, users, lift=lift, activity=activity)
    seen, bought = visits(rng, drawn, 1)
    return {**cells(drawn, seen, bought, 2), "exposed": tally((2,), (drawn.arm,))}


def sample_ratio(name: str, *, sequential: bool) -> Callable[[Batch, Truth], Findings]:
    """SRM on users; `exposed`: each counted at the first exposure."""

    def judge(sums: Batch, truth: Truth) -> Findings:
        shares = np.full(sums[name].shape[1], 1.0)
        found = [stats.srm(observed, shares) for observed in sums[name]]
        p = [each.sequential_p_value if sequential else each.p_value for each in found]
        return Findings(judges.scale_of(np.array(p, dtype=np.float64)))

    return judge


def requests(sums: Batch, truth: Truth) -> Findings:
    """χ² on requests."""
    seen = sums["den"].sum(axis=(1, 3))
    found = [stats.srm(observed, np.ones(seen.shape[1])).p_value for observed in seen]
    return Findings(judges.scale_of(np.array(found, dtype=np.float64)))


def _sticky(name: str, users: int, split: Sequence[float], *more: Method, lift: float = LIFT) -> Situation:
    return Situation(
        name,
        partial(sticky, users=users, split=split, slots=7 if more else 1),
        (JACKKNIFE, APART, *more),
        lift,
        conversion_truth,
    )


BY_PODS = "pods"
TWO_WAY = Method("two-way", "hash replicates × pods", judges.two_way)
PODS = Method("pods alone", BY_PODS, judges.pods)
PODS_WRONG = Method("pods alone", BY_PODS, judges.pods, valid=False)
ALONE_WRONG = Method("jackknife across arms", HASH, judges.replicates(), valid=False)


def _pods(name: str, *methods: Method, conversion: float = CONVERSION, **world: object) -> Situation:
    def truth(lift: float) -> Truth:
        level = mean_conversion(conversion, lift) if world.get("users") else conversion
        return Truth(lift * level, lift)

    return Situation(name, partial(pod_world, conversion=conversion, **world), methods, LIFT, truth)  # type: ignore[arg-type]


def _dispersed(phi: float, mean: float = 1.5) -> Situation:
    independent = phi == 1
    return Situation(
        f"counts, φ = {phi:g} in the treatment, {28 * REPLICATES * mean:,.0f} events an arm",
        partial(dispersed, phi=phi, mean=mean),
        (
            Method("exact counts, φ measured", "events", judges.counts(gate=True)),
            Method("exact counts, taken for independent", "events", judges.counts(gate=False), valid=independent),
            Method("sequential counts, φ measured, 28 looks", "events", judges.sequence_of_counts(gate=True)),
            Method(
                "sequential counts, taken for independent, 28 looks",
                "events",
                judges.sequence_of_counts(gate=False),
                valid=independent,
            ),
            Method("jackknife across arms", HASH, last_look(judges.replicates())),
        ),
        LIFT,
        lambda lift: Truth(mean * lift, lift),
    )


def _few(mean: float, share: float) -> Situation:
    # The exposure of the treatment is its share of 20,000 an arm and replicate.
    def truth(lift: float) -> Truth:
        return Truth(2 * mean / REPLICATES / 1e4 * lift, lift)

    return Situation(
        f"low counts: {2 * mean * (1 - share):g} and {2 * mean * share:g} independent events",
        partial(few_events, mean=mean, share=share),
        (
            Method("exact counts", "events", judges.counts(gate=False)),
            Method("sequential counts, one look", "events", judges.sequence_of_counts(gate=False)),
            JACKKNIFE,
            APART,
        ),
        0.5,
        truth,
    )


def _variants(count: int) -> Situation:
    split = [1 / count] * count
    return Situation(
        f"{count} variants, 8,000 sticky users, any winner",
        partial(sticky, users=8_000, split=split, slots=1),
        (Method("jackknife across arms, Holm", HASH, judges.family),),
    )


READ_ONCE: tuple[Situation, ...] = (
    _sticky(
        "sticky users, 50/50, 8,000",
        8_000,
        (0.5, 0.5),
        EVENTS,
        Method("days, paired", "days", judges.paired_slots, valid=False),
    ),
    Situation(
        "revenue per exposed user, 8,000",
        partial(revenue, users=8_000),
        (JACKKNIFE, APART),
        LIFT,
        lambda lift: Truth(None, lift),
    ),
    Situation(
        "revenue per exposed user, 200",
        partial(revenue, users=200),
        (JACKKNIFE, APART),
        LIFT,
        lambda lift: Truth(None, lift),
    ),
    Situation(
        "sticky users, labelled pre-period, 50/50, 8,000",
        partial(pre_period, users=8_000, split=(0.5, 0.5)),
        (Method("CUPED", HASH, cuped), JACKKNIFE),
        LIFT,
        conversion_truth,
    ),
    Situation(
        "sticky users, labelled pre-period, 95/5, 2,000",
        partial(pre_period, users=2_000, split=(0.95, 0.05)),
        (Method("CUPED", HASH, cuped),),
        LIFT,
        conversion_truth,
    ),
    _pods("pods differ by 10 %, 3 a side, no user effect", TWO_WAY, PODS, ALONE_WRONG, EVENTS, pods=(3, 3)),
    _pods("pods differ by 10 %, 10 a side, no user effect", TWO_WAY, PODS, ALONE_WRONG, pods=(10, 10)),
    _pods("sticky users, pods alike, 3 a side", TWO_WAY, PODS_WRONG, JACKKNIFE, pods=(3, 3), users=4_000, spread=0.0),
    _pods("sticky users, pods alike, 10 a side", TWO_WAY, PODS_WRONG, pods=(10, 10), users=4_000, spread=0.0),
    _pods("both, 5 pods a side", TWO_WAY, PODS_WRONG, ALONE_WRONG, EVENTS, pods=(5, 5), users=4_000),
    _pods("both, 2 pods a side", TWO_WAY, pods=(2, 2), users=4_000),
    _pods("both, 1 pod and 3", TWO_WAY, pods=(1, 3), users=4_000),
    _pods("both, 3 pods and 1", TWO_WAY, pods=(3, 1), users=4_000),
    _pods("both, 1 pod a side", TWO_WAY, pods=(1, 1), users=4_000),
    _pods("both, 3 pods a side, traffic 60/30/10", TWO_WAY, pods=(3, 3), users=4_000, traffic=(0.6, 0.3, 0.1)),
    _pods("pods differ by 10 %, traffic 60/30/10, no user effect", PODS, pods=(3, 3), traffic=(0.6, 0.3, 0.1)),
    _pods("errors: 0.1 %, pods differ by 30 %, 4 a side", TWO_WAY, PODS, pods=(4, 4), conversion=0.001, spread=0.3),
    Situation(
        "P95 of buckets, pods differ by 10 %, 5 a side",
        partial(pod_buckets, pods=5),
        (Method("quantile, jackknife in each arm", BY_PODS, quantile),),
        chunk=50,
    ),
    *(_dispersed(phi) for phi in (1.0, 1.5, 2.0, 5.0)),
    *(_dispersed(5.0, events / 28 / REPLICATES) for events in (8, 15, 60)),
    *(_few(mean, share) for mean, share in ((2.0, 0.5), (5.0, 0.5), (20.0, 0.5), (20.0, 0.05))),
    Situation(
        "autocorrelated load and base rate, 48 hours",
        load,
        (JACKKNIFE, APART, Method("hours, paired", "hours", judges.paired_slots, valid=False)),
        LIFT,
    ),
    Situation(
        "a gauge, 60 independent intervals",
        partial(gauges, correlation=0.0),
        (Method("Mann–Whitney", "intervals", mann_whitney),),
        0.5,
        lambda lift: Truth(lift, None),
    ),
    Situation(
        "a gauge, 60 intervals, autocorrelation 0.8",
        partial(gauges, correlation=0.8),
        (Method("Mann–Whitney", "intervals", mann_whitney, valid=False),),
        0.5,
        lambda lift: Truth(lift, None),
    ),
    Situation(
        "ramp 5→10→25→50 %, base rate swings",
        ramp,
        (
            Method("stratified by weight epoch", HASH, judges.stratified),
            Method("pooled over the ramp", HASH, judges.replicates(), valid=False),
            Method("pooled over the ramp, events", "events", judges.events, valid=False),
        ),
        LIFT,
    ),
    *(
        Situation(
            f"5 % arm, {users:,} users, base rate swings by the minute, 480 minutes",
            partial(minutes, users=users),
            (
                Method("one weight epoch", HASH, as_one_stratum),
                Method("minutes as strata, small-arm rule", HASH, judges.stratified),
                Method("minutes as strata, plain jackknife", HASH, plain_strata, valid=False),
                Method("minutes as strata, Cochran–Mantel–Haenszel", "events", mantel_haenszel, valid=False),
                Method("minutes, paired", "minutes", judges.paired_slots, valid=False),
            ),
            LIFT,
            chunk=25,
        )
        for users in (200, 4_000)
    ),
    *(_sticky(f"5 % arm, {users:,} users", users, (0.95, 0.05), UNRULED) for users in (60, 200, 2_000)),
    _sticky("5 % arm, 8,000 users", 8_000, (0.95, 0.05)),
    *(_sticky(f"50/50, {users:,} users", users, (0.5, 0.5)) for users in (100, 400)),
    Situation(
        "right split, 8,000 users",
        partial(busier, activity=0.0),
        (
            Method("SRM, exact", "users", sample_ratio("exposed", sequential=False)),
            Method("SRM, e value", "users", sample_ratio("exposed", sequential=True)),
            Method("χ² on requests", "requests", requests, valid=False),
        ),
    ),
    Situation(
        "treatment makes users 5 % more active, right split",
        partial(busier, activity=0.05),
        (
            Method("SRM, exact", "users", sample_ratio("exposed", sequential=False)),
            Method("χ² on requests", "requests", requests, valid=False),
            Method("conversion, jackknife across arms", HASH, judges.replicates()),
        ),
        LIFT,
        conversion_truth,
    ),
    *(_variants(count) for count in (2, 3, 4, 5)),
)
