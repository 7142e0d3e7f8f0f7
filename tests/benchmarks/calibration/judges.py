"""Methods as functions of many worlds: sums by (world, slot, arm, replicate) → findings.

Sums by cell, (world, arm, replicate, pod), are `cell_num` and `cell_den`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from abkit import stats
from abkit.pipeline.rare import LEAST
from tests.benchmarks.calibration.findings import ALPHA, Findings, Scale, Truth, between, filled, present
from tests.benchmarks.worlds import Batch, Floats

__all__ = [
    "always_valid",
    "arms_of",
    "compared",
    "counts",
    "daily",
    "events",
    "ever",
    "family",
    "group_sequential",
    "paired_slots",
    "pods",
    "replicates",
    "scale_of",
    "sequence_of_counts",
    "stratified",
    "two_way",
]

Judge = Callable[[Batch, Truth], Findings]


def arms_of(sums: Batch, *, slots: bool = True) -> list[stats.ClusterSums]:
    """Each arm's sums by replicate, over all slots."""
    num, den = (sums[name].sum(axis=1) if slots else sums[name] for name in ("num", "den"))
    return [stats.ClusterSums(num[..., arm, :], den[..., arm, :]) for arm in range(num.shape[-2])]


def compared(found: stats.Comparison, truth: Truth) -> Findings:
    """Both scales of a comparison."""
    return Findings(
        _scale(found.p_value, found.effect_ci, truth.effect), _scale(found.lift_p_value, found.lift_ci, truth.lift)
    )


def scale_of(p_values: Any, alpha: float = ALPHA) -> Scale:
    """A p value without an interval."""
    return _scale(p_values, None, None, alpha)


def _scale(p_values: Any, ends: Any, truth: float | None, alpha: float = ALPHA) -> Scale:
    return Scale(np.asarray(filled(p_values, 1.0) < alpha), present(p_values), between(ends, truth))


def events(sums: Batch, truth: Truth) -> Findings:
    """Every view a coin of its own."""
    num, den = (sums[name].sum(axis=(1, 3)) for name in ("num", "den"))
    return compared(stats.proportions((num[:, 0], den[:, 0]), (num[:, 1], den[:, 1])), truth)


def replicates(*, paired: bool = True, rule: bool = True) -> Judge:
    """Hash replicates."""

    def judge(sums: Batch, truth: Truth) -> Findings:
        control, treatment = arms_of(sums)[:2]
        least = stats.MINIMUM_EFFECTIVE_CLUSTERS if rule else 0.0
        found = stats.ratios(
            control,
            treatment,
            paired=paired,
            cluster="hash replicate",
            small_arm_rule=rule,
            minimum_effective=least,
        )
        return compared(found, truth)

    return judge


def paired_slots(sums: Batch, truth: Truth) -> Findings:
    """Days or hours as if they were independent draws."""
    num, den = (np.swapaxes(sums[name].sum(axis=3), 1, 2) for name in ("num", "den"))
    arms = [stats.ClusterSums(num[:, arm], den[:, arm]) for arm in (0, 1)]
    return compared(stats.ratios(arms[0], arms[1], paired=True), truth)


def stratified(sums: Batch, truth: Truth) -> Findings:
    """Slots as strata."""
    control, treatment = (stats.ClusterSums(sums["num"][:, :, arm], sums["den"][:, :, arm]) for arm in (0, 1))
    return compared(stats.stratified(control, treatment), truth)


def _cells(sums: Batch) -> list[tuple[Floats, Floats]]:
    present = sums.get("cell_used")
    num, den = sums["cell_num"], sums["cell_den"]
    if present is None:
        return [(num[:, arm], den[:, arm]) for arm in (0, 1)]
    # Rows are padded to the larger arm's pods.
    used = [int(present[0, arm]) for arm in (0, 1)]
    return [(num[:, arm, :, : used[arm]], den[:, arm, :, : used[arm]]) for arm in (0, 1)]


def two_way(sums: Batch, truth: Truth) -> Findings:
    """Replicates and pods."""
    control, treatment = (stats.ClusterSums(*arm) for arm in _cells(sums))
    return compared(stats.two_way(control, treatment), truth)


def pods(sums: Batch, truth: Truth) -> Findings:
    """Pods alone."""
    arms = [stats.ClusterSums(num.sum(axis=1), den.sum(axis=1)) for num, den in _cells(sums)]
    return compared(stats.ratios(arms[0], arms[1], cluster="instance", instances=True), truth)


def family(sums: Batch, truth: Truth) -> Findings:
    """All variants against the control, Holm: is any of them called a winner?"""
    arms = arms_of(sums)
    found = [stats.ratios(arms[0], arm, paired=True, cluster="hash replicate") for arm in arms[1:]]
    scales = []
    for name in ("p_value", "lift_p_value"):
        adjusted = stats.adjust(np.ma.stack([getattr(each, name) for each in found], axis=-1), "holm")
        rejected = (filled(adjusted, 1.0) < ALPHA).any(axis=-1)
        scales.append(Scale(np.asarray(rejected), np.asarray(present(adjusted).all(axis=-1))))
    return Findings(*scales)


def _counted(sums: Batch) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats], stats.CountDispersion]:
    """Events and exposures over replicates, (world, look), and the dispersion measured at each look."""
    num, den = sums["num"], sums["den"]
    phi = stats.count_dispersion(*(stats.ClusterSums(num[:, :, arm], den[:, :, arm]) for arm in (0, 1)))
    events, exposure = num.sum(axis=-1), den.sum(axis=-1)
    return (events[..., 0], exposure[..., 0]), (events[..., 1], exposure[..., 1]), phi


def counts(*, gate: bool) -> Judge:
    """The exact conditional test at the last look, where events show that they are independent, or in any case."""

    def judge(sums: Batch, truth: Truth) -> Findings:
        control, treatment, phi = _counted({name: sums[name][:, -1:] for name in ("num", "den")})
        # Arms with next to no events can't show their dispersion: the pipeline takes it for unknown.
        shown = np.minimum(control[0], treatment[0]) >= LEAST
        measured = np.ma.masked_where(~shown, phi.dispersion)
        found = stats.counts(control, treatment, dispersion=measured if gate else 1.0)
        p = np.ma.asarray(found.p_value)[:, 0]
        ends = None if found.ratio_ci is None else [np.ma.asarray(end)[:, 0] for end in found.ratio_ci]
        return Findings(None, _scale(p, ends, None if truth.lift is None else 1 + truth.lift))

    return judge


def sequence_of_counts(*, gate: bool) -> Judge:
    """The exact sequential test at every look."""

    def judge(sums: Batch, truth: Truth) -> Findings:
        control, treatment, phi = _counted(sums)
        found = stats.sequential.counts(control, treatment, dispersion=phi.dispersion if gate else 1.0)
        return Findings(None, ever(found.p_value, found.lift_ci, truth.lift))

    return judge


def ever(p_values: Any, ends: Any, truth: float | None) -> Scale:
    """All looks, on the last axis, as one answer."""
    covered = between(ends, truth)
    return Scale(
        np.asarray((filled(p_values, 1.0) < ALPHA).any(axis=-1)),
        np.asarray(present(p_values).any(axis=-1)),
        None if covered is None else np.asarray(covered.all(axis=-1)),
    )


def _looks(sums: Batch, compare: Callable[[Batch], stats.Comparison] | None) -> stats.Comparison:
    """The comparison at every look, (world, look)."""
    if compare is not None:
        return compare(sums)
    arms = arms_of(sums, slots=False)
    return stats.ratios(arms[0], arms[1], paired=True, cluster="hash replicate")


def always_valid(
    mde: float, compare: Callable[[Batch], stats.Comparison] | None = None, baseline: float = 0.06
) -> Judge:
    """Confidence sequences at every look, planned for a relative effect."""

    def judge(sums: Batch, truth: Truth) -> Findings:
        looks = _looks(sums, compare)
        plain = stats.sequential.confidence_sequence(
            looks.effect, looks.effect_se, looks.df, planned_effect=mde * baseline
        )
        lift = stats.sequential.confidence_sequence(
            np.ma.log(1 + looks.lift), looks.lift_se, looks.df, planned_effect=float(np.log1p(mde))
        )
        log_truth = None if truth.lift is None else float(np.log1p(truth.lift))
        return Findings(ever(plain.p_value, plain.ci, truth.effect), ever(lift.p_value, lift.ci, log_truth))

    return judge


def daily(compare: Callable[[Batch], stats.Comparison] | None = None) -> Judge:
    """The fixed-horizon test, read at every look."""

    def judge(sums: Batch, truth: Truth) -> Findings:
        looks = _looks(sums, compare)
        return Findings(
            ever(looks.p_value, looks.effect_ci, truth.effect), ever(looks.lift_p_value, looks.lift_ci, truth.lift)
        )

    return judge


def group_sequential(spending: str, every: int, planned: float | None = None) -> Judge:
    """Error spending on the log ratio, at every so manieth look; the last one ends it.

    Args:
        spending: Spending function.
        every: Looks of the world between two of the test's.
        planned: Information that was planned for; None to spend by time.
    """

    def judge(sums: Batch, truth: Truth) -> Findings:
        looks = _looks({name: sums[name][:, every - 1 :: every] for name in ("num", "den")}, None)
        found = stats.sequential.group_sequential(
            np.ma.log(1 + looks.lift),
            looks.lift_se,
            looks.df,
            planned_information=planned,
            early_looks=looks.early_looks,
            fraction=None if planned is not None else np.arange(1, looks.effect.shape[-1] + 1) / looks.effect.shape[-1],
            spending=spending,
            final=True,
        )
        log_truth = None if truth.lift is None else float(np.log1p(truth.lift))
        covered = between(found.ci, log_truth)
        rejected = np.asarray(found.decision)[:, -1] == "reject"
        answered = np.asarray(present(found.boundary).any(axis=-1))
        return Findings(None, Scale(rejected, answered, None if covered is None else np.asarray(covered.all(axis=-1))))

    return judge
