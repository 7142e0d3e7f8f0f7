"""How fast the statistics are alone: `make benchmark` prints it. Nothing is asserted.

1,000 experiments × 20 metrics × 3 variants × 30 looks: each variant against the control, ratio by hash replicates and
the confidence sequence of its log ratio. And one two-sample ratio, in one run beside other ways to the same number.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from abkit import stats

__all__ = ["main"]

EXPERIMENTS, METRICS, VARIANTS, LOOKS, REPLICATES = 1_000, 20, 3, 30, 32
_CHUNK = 10
"""Experiments a call, so that the arrays stay in the cache's reach and a laptop's memory."""

JOB = 2_000
FEW = 40
"""Comparisons of the job that a loop does one by one."""

Floats = NDArray[np.float64]


def _sums(rng: np.random.Generator, shape: tuple[int, ...]) -> stats.ClusterSums:
    den = rng.poisson(400, size=shape).astype(np.float64).cumsum(axis=-2) if len(shape) > 2 else rng.poisson(400, shape)
    return stats.ClusterSums(rng.binomial(np.asarray(den, dtype=np.int64), 0.06), den)


def all_looks() -> tuple[float, int]:
    """Seconds of the statistics alone, and comparisons made."""
    rng = np.random.default_rng(1)
    # The control is one of the variants. Sums are drawn once, for one call; drawing them is no part of the time.
    shape = (_CHUNK, METRICS, VARIANTS - 1, LOOKS, REPLICATES)
    control, treatment = _sums(rng, (*shape[:2], 1, *shape[3:])), _sums(rng, shape)
    control = stats.ClusterSums(np.broadcast_to(control.num, shape), np.broadcast_to(control.den, shape))
    made, begin = 0, time.perf_counter()
    for _ in range(EXPERIMENTS // _CHUNK):
        found = stats.ratios(control, treatment, paired=True, cluster="hash replicate")
        sequence = stats.sequential.confidence_sequence(
            np.ma.log(1 + found.lift), found.lift_se, found.df, planned_effect=0.05
        )
        made += int(np.ma.count(sequence.p_value))
    return time.perf_counter() - begin, made


def by_abkit(control: stats.ClusterSums, treatment: stats.ClusterSums) -> Floats:
    """All comparisons in one call."""
    return np.ma.filled(np.ma.asarray(stats.ratios(control, treatment).p_value), np.nan)


def by_weighted_regression(control: stats.ClusterSums, treatment: stats.ClusterSums) -> Floats:
    """A weighted regression of the clusters' ratios on the arm, robust to their variances, one by one."""
    import statsmodels.api as sm

    arm = np.repeat([0.0, 1.0], REPLICATES)
    design = sm.add_constant(arm)
    found = []
    for row in range(control.num.shape[0]):
        num = np.concatenate([control.num[row], treatment.num[row]])
        den = np.concatenate([control.den[row], treatment.den[row]])
        fit = sm.WLS(num / den, design, weights=den).fit(cov_type="HC1", use_t=True)
        fit.conf_int()
        found.append(float(fit.pvalues[1]))
    return np.array(found)


def by_compare_means(control: stats.ClusterSums, treatment: stats.ClusterSums) -> Floats:
    """The delta method by hand, then statsmodels' t test of the linearised clusters, one by one.

    As abkit does in the one call: difference and log ratio, p value and interval of both.
    """
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    found = []
    for row in range(control.num.shape[0]):
        plain, logs = [], []
        for arm in (control, treatment):
            ratio = arm.num[row].sum() / arm.den[row].sum()
            moved = (arm.num[row] - ratio * arm.den[row]) / arm.den[row].mean()
            plain.append(DescrStatsW(ratio + moved))
            logs.append(DescrStatsW(np.log(ratio) + moved / ratio))
        tests = []
        for parts in (plain, logs):
            means = CompareMeans(parts[1], parts[0])
            tests.append(float(means.ttest_ind(usevar="pooled")[1]))
            means.tconfint_diff(usevar="pooled")
        found.append(tests[0])
    return np.array(found)


def _median(job: Callable[[], Floats], repeats: int) -> tuple[float, Floats]:
    taken, result = [], np.zeros(0)
    for _ in range(repeats):
        begin = time.perf_counter()
        result = job()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken), result


def main() -> None:
    """Print the timings."""
    size = f"{EXPERIMENTS:,} experiments × {METRICS} metrics × {VARIANTS} variants × {LOOKS} looks"
    seconds, made = all_looks()
    print(f"{size}, ratios and sequences: {seconds:.1f} s, {made:,} comparisons, {made / seconds:,.0f} a second")

    rng = np.random.default_rng(2)
    control, treatment = _sums(rng, (JOB, REPLICATES)), _sums(rng, (JOB, REPLICATES))
    own, p_values = _median(lambda: by_abkit(control, treatment), 5)
    print(f"{JOB:,} two-sample ratios on {REPLICATES} clusters an arm, median of the runs:")
    print(f"  abkit, one call: {own:.4f} s")
    for name, job in (
        ("statsmodels WLS with robust errors, a loop", by_weighted_regression),
        ("delta method and statsmodels CompareMeans, a loop", by_compare_means),
    ):
        taken, others = _median(lambda job=job: job(control, treatment), 1)  # type: ignore[misc]
        apart = float(np.abs(others - p_values).max())
        print(f"  {name}: {taken:.2f} s, {taken / own:,.0f} × abkit's; p values differ by at most {apart:.1g}")
    # One experiment of its: its cost grows faster than the number of metrics, so a few, counted a metric.
    few = [stats.ClusterSums(arm.num[:FEW], arm.den[:FEW]) for arm in (control, treatment)]
    taken, others = _median(lambda: by_tea_tasting(few[0], few[1]), 1)
    apart = float(np.abs(others - p_values[:FEW]).max())
    print(
        f"  tea-tasting, {FEW} metrics in one experiment: {taken:.2f} s, {taken / FEW / (own / JOB):,.0f} × abkit's "
        f"a metric; p values differ by at most {apart:.1g}"
    )


def by_tea_tasting(control: stats.ClusterSums, treatment: stats.ClusterSums) -> Floats:
    """A `RatioOfMeans` each, a row a cluster, in a single experiment."""
    import pyarrow as pa
    import tea_tasting as tt

    columns: dict[str, Floats] = {}
    for row in range(control.num.shape[0]):
        columns[f"num{row}"] = np.concatenate([control.num[row], treatment.num[row]])
        columns[f"den{row}"] = np.concatenate([control.den[row], treatment.den[row]])
    metrics = {f"m{row}": tt.RatioOfMeans(f"num{row}", f"den{row}") for row in range(control.num.shape[0])}
    data = pa.table(columns | {"variant": np.repeat([0, 1], REPLICATES)})
    result = tt.Experiment(**metrics).analyze(data)
    return np.array([result[name].pvalue for name in metrics], dtype=np.float64)


if __name__ == "__main__":
    main()
